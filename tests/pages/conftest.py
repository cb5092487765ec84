"""Rows that several tests of this room take."""

from tests.support.rows import bad_row, good_row

__all__ = ["bad_row", "good_row"]
