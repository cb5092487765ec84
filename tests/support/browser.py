"""A headless Chromium for tests of pages, driven by Playwright.

A conftest takes the fixtures: `from tests.support.browser import browser, open_page`. While the browser is there an
event loop runs in this thread, hence it lasts for a module only, and tests of that module call no `asyncio.run`.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["DESKTOP", "PHONE", "OpenPage", "axe_findings", "browser", "chromium", "open_page"]

DESKTOP = (1280, 800)
PHONE = (390, 844)


def chromium() -> str | None:
    """Return where Chromium is, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name)) is not None), None)


class OpenPage(Protocol):
    """Opens pages and closes them after the test."""

    def __call__(
        self, address: str | Path, *, size: tuple[int, int] = DESKTOP, dark: bool = False, **context: Any
    ) -> "Page":
        """Open a page in a browser of its own: own storage, own cookies.

        Args:
            address: what to open; a path is opened from the disk.
            size: of the window, in pixels.
            dark: ask for dark colours.
            context: what else `Browser.new_context` takes.
        """


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    path = chromium()
    if path is None:
        pytest.skip("no Chromium is here; install it, on Debian with: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="install playwright: pip install 'olmv[dev]'")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path)
        yield found
        found.close()


@pytest.fixture
def open_page(browser: "Browser") -> Iterator[OpenPage]:
    """Open pages; at the end the test fails if a script of one failed, or its policy stopped something."""
    contexts = []
    faults: list[str] = []

    def open_(address: str | Path, *, size: tuple[int, int] = DESKTOP, dark: bool = False, **options: Any) -> "Page":
        window = {"width": size[0], "height": size[1]}
        scheme = "dark" if dark else "light"
        context = browser.new_context(**{"viewport": window, "color_scheme": scheme, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.goto(address.absolute().as_uri() if isinstance(address, Path) else address)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not faults, "\n".join(faults)


def axe_findings(page: "Page") -> list[str]:
    """Return what axe-core finds serious or critical, a line each: rule, help, the first elements."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{item['id']}: {item['help']}: " + "; ".join(str(node["html"])[:160] for node in item["nodes"][:4])
        for item in found
        if item["impact"] in ("serious", "critical")
    ]
