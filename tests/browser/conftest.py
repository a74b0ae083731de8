"""Shared by the browser tests: the app on a free port with a workspace of its own, and a Chromium page.

Skips only where no Chromium is installed. Screenshots are kept in the session's temporary folder.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from serving import PATIENCE, app_in

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the app of this session keeps its files in."""
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="session")
def app_url(workspace: Path) -> Iterator[str]:
    """The address of a running app."""
    with app_in(workspace) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield chromium
        chromium.close()


class Tab:
    """One tab that tests use in turn: what a process has compiled of the app's scripts is not compiled again.

    It is lent blank, without cookies or anything kept; one that a test has closed is followed by a new one.
    """

    def __init__(self, browser: Any) -> None:
        self.browser = browser
        self.page: Any = None

    @contextmanager
    def lent(self, width: int = 1440, height: int = 900) -> Iterator[Any]:
        """A light page of this size, deaf again after the block."""
        if self.page is None or self.page.is_closed():
            self.page = self.browser.new_context().new_page()
        page, self.page = self.page, None  # until it is given back
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="light")
        page.set_default_timeout(PATIENCE)
        heard: list[tuple[str, Any]] = []
        listen = page.on
        page.on = lambda event, told: (heard.append((event, told)), listen(event, told))[-1]
        yield page
        if page.is_closed():
            page.context.close()
            return
        del page.on
        for event, told in heard:
            page.remove_listener(event, told)
        if page.url.startswith("http"):
            page.evaluate("localStorage.clear(), sessionStorage.clear()")
        page.context.clear_cookies()
        page.goto("about:blank")
        self.page = page


@pytest.fixture(scope="session")
def tab(browser: Any) -> Tab:
    """The tab of this session."""
    return Tab(browser)


@pytest.fixture
def page(tab: Tab) -> Iterator[Any]:
    """A blank page of 1440 x 900, light; the test fails on an error in the page's console and on foreign requests."""
    foreign: list[str] = []
    broken: list[str] = []
    with tab.lent() as found:
        found.on("request", lambda request: _note_foreign(request.url, foreign))
        found.on("pageerror", lambda error: broken.append(str(error)))
        yield found
    assert not foreign, f"requests left this machine: {foreign[:3]}"
    assert not broken, f"errors in the page: {broken[:3]}"


@pytest.fixture(scope="session")
def shot(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any, str], Path]:
    """`shot(page, name)` keeps a screenshot and returns its path."""
    folder = Path(os.environ.get("FGDESIGN_SHOTS") or tmp_path_factory.mktemp("shots"))
    folder.mkdir(parents=True, exist_ok=True)

    def take(page: Any, name: str) -> Path:
        path = folder / f"{name}.png"
        page.screenshot(path=path)
        return path

    return take


def _note_foreign(url: str, foreign: list[str]) -> None:
    if not url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:", "about:")):
        foreign.append(url)
