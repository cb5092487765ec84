"""Exact frames of a file, whatever its container, codec and clock."""
