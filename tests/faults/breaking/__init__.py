"""What breaks things outside the parts: links, disks, clocks, and clients that behave badly."""
