"""An archive's models: one of each kind of write that a site may do. Tests register its hooks."""
