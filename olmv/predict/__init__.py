"""`olmv predict`: labels for videos, as rows, tables and a page."""
