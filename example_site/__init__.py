"""Threads with live comments: the site that people, load tests and fault tests use."""
