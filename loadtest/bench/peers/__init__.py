"""The other queues that `other_queues` measures: a module each, which that queue's worker loads.

Each has two jobs: one that does nothing, and one that leaves a mark in Redis, so that whoever
measures knows when the jobs before it are done.
"""
