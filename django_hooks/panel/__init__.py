"""The control panel in Django's admin: what it shows, what one may do in it, how it stays live."""
