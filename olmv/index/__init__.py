"""`olmv index`: fill a library, keep it up to date, compact it, and tell what it has."""
