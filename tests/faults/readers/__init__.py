"""Who reads while things break: a crowd in a process of its own, and watching pages."""
