"""Load tests: users as browsers and commenters are, and what they saw, counted."""
