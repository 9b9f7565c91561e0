"""What the gateway costs: its fan-out, its idle subscribers, its frames' time, its resumes."""
