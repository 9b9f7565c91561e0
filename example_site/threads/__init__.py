"""Threads and their comments, live in every open page."""
