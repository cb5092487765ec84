"""Fixtures that several tests of this room take."""

from tests.support.browser import browser, open_page

__all__ = ["browser", "open_page"]
