"""What compares all that was collected, and says what is wrong."""
