"""The command line: one file per command; each parses, calls one library function, and prints."""

from olmv.cli.app import main

__all__ = ["main"]
