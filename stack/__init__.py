"""How the parts are installed, configured, started and stopped on one machine.

Used by `make run`, the tests and the load tests. The parts are started as processes; nothing of
them is imported.
"""
