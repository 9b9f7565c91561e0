"""The system that is broken: a copy of the source with crash points, started as `make run` does."""
