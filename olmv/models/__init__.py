"""Towers, temporal modules and checkpoints."""
