"""Fixtures that several tests of this room take."""

from tests.support.browser import browser, open_page
from tests.support.rows import bad_row, good_row

__all__ = ["bad_row", "browser", "good_row", "open_page"]
