"""What tests of live sources share."""

from collections.abc import Iterator

import pytest

from tests.watch.feeds import Watched


@pytest.fixture
def watched() -> Iterator[Watched]:
    watched = Watched()
    yield watched
    watched.feed.close()
