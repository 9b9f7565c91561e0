"""Benchmarks: one file each, with a function that takes a running system and returns a table."""
