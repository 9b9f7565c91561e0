"""`make faults`: the whole system under load while its parts die, and what became of each event."""
