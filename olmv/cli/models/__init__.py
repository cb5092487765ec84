"""`olmv models`: list, convert, export, push."""
