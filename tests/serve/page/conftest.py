"""A server whose model knows what it sees, and browsers that look at its page."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

import olmv
from olmv.library.library import Library
from olmv.models.base import VideoModel
from olmv.models.registry import load_model
from olmv.scoring.windows import TimelineOptions
from olmv.serve.options import ServeOptions
from tests.serve.review.sources import made_source, session_in
from tests.support.browser import DESKTOP, browser
from tests.support.libraries import clip_library
from tests.support.server import RunningServer, running_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

__all__ = ["FOOTAGE", "Visit", "browser", "films", "lite", "plays_from", "site", "visit"]

FOOTAGE = Path(olmv.__file__).parent / "data" / "footage"


_PLAYED_TO = """(video, seconds) => new Promise((resolve) => {
  const look = () => video.currentTime >= seconds && resolve(true);
  for (const kind of ["seeked", "timeupdate", "playing"]) video.addEventListener(kind, look);
  setTimeout(() => resolve(false), 15000);
  look();
})"""


def plays_from(player: "Locator", seconds: float) -> bool:
    """Tell whether a video comes to be there, or later, in its time."""
    return bool(player.evaluate(_PLAYED_TO, seconds))


class Visit(Protocol):
    """Opens pages of a server and closes them after the test."""

    def __call__(self, address: str, *, size: tuple[int, int] = DESKTOP, dark: bool = False, **context: Any) -> "Page":
        """Open a page in a browser of its own: own storage, own cookies.

        Args:
            address: what to open.
            size: of the window, in pixels.
            dark: ask for dark colours.
            context: what else `Browser.new_context` takes.
        """


@pytest.fixture
def visit(browser: "Browser") -> Iterator[Visit]:
    """Open pages; at the end the test fails if a script of one failed, its policy stopped something, or it asked."""
    from playwright.sync_api import expect

    expect.set_options(timeout=20_000)  # a clip is decoded and encoded meanwhile, beside other tests
    contexts = []
    faults: list[str] = []

    def open_(address: str, *, size: tuple[int, int] = DESKTOP, dark: bool = False, **more: Any) -> "Page":
        viewport = {"width": size[0], "height": size[1]}
        scheme = "dark" if dark else "light"
        context = browser.new_context(**{"viewport": viewport, "color_scheme": scheme, "locale": "en", **more})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(f"dialog: {dialog.message}"))
        # that the server refused something is what some tests are about
        page.on(
            "console",
            lambda message: (
                faults.append(message.text)
                if message.type == "error" and "Failed to load resource" not in message.text
                else None
            ),
        )
        page.goto(address)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not faults, "\n".join(faults)


@pytest.fixture(scope="session")
def lite() -> VideoModel:
    return load_model("olmv-lite", device="cpu")


@pytest.fixture(scope="session")
def films(lite: VideoModel, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A library of three clips, with windows over time."""
    names = ("astronaut_then_rocket.mp4", "cat_then_coffee.mp4", "sea_at_sunset.mp4")
    paths = [str(FOOTAGE / name) for name in names]
    return clip_library(tmp_path_factory.mktemp("films.olmv"), lite, paths, timeline=TimelineOptions())


@pytest.fixture(scope="module")
def site(lite: VideoModel, films: Library, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with all that there is: its own labels, a library, a review."""
    uploads, labels = tmp_path_factory.mktemp("uploads"), "cat, coffee, guitar"
    options = ServeOptions(workers=2)
    with (
        session_in(tmp_path_factory.mktemp("review"), made_source(20, ("dog", "rain"))) as review,
        running_server(lite, uploads, options=options, labels=labels, library=films, review=review) as running,
    ):
        yield running
