"""The Design page as a person uses it, for the browser tests; and a server of its own for a file of tests."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import app_in

from fgdesign.graph import Graph, load_file

ROOT = Path(__file__).parents[2]
SERVERS = ("app.", "fgdesign.db", "supervisor.")  # what the running server holds open
PORT_OF = """(root, [end, side]) => { const c = root.canvas, p = fgCanvas.endPoint(c.nodes, end, side),
  d = c.net.canvasToDOM(p), b = c.stage.getBoundingClientRect(); return [b.left + d.x, b.top + d.y]; }"""
NODE_AT = """(root, id) => { const c = root.canvas, n = c.nodes.get(id), b = c.stage.getBoundingClientRect(),
  d = c.net.canvasToDOM({x: n.x, y: n.y - n.h / 2 + 12}); return [b.left + d.x, b.top + d.y]; }"""
SETTLED = """root => { const c = root.canvas;
  return c && c.data && c.outbox.ops.length === 0 && c.data === c.latest; }"""


MARKS = "root => [...root.canvas.nodes.values()].filter((n) => n.change).map((n) => [n.id, n.change])"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one server for all tests of this file; each test finds no graph in it."""
    return tmp_path_factory.mktemp("design")


@pytest.fixture(scope="module")
def address(workspace: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Of an app that trains where the file of tests says TRAINS."""
    with app_in(workspace, trains=getattr(request.module, "TRAINS", False)) as address:
        yield address


def wait_until(true: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.05)


def dismiss(dialog: Any, seen: list[str]) -> None:
    seen.append(dialog.message)
    dialog.dismiss()


class Design:
    """The page as a person uses it."""

    def __init__(self, page: Any, address: str, workspace: Path) -> None:
        self.address, self.folder = address, workspace / "graphs"
        self.foreign: list[str] = []
        self.dialogs: list[str] = []
        self.page = page
        self.page.on("request", lambda request: self._note(request.url))
        self.page.on("dialog", lambda dialog: dismiss(dialog, self.dialogs))
        self.root = self.page.locator(".fg-root:has(.fg-palette)")
        self.open(f"{address}/design")

    def open(self, address: str) -> None:
        self.page.goto(address)
        self.settle(40)

    def _note(self, url: str) -> None:
        if not url.startswith((self.address, self.address.replace("http", "ws"), "data:", "blob:")):
            self.foreign.append(url)

    def settle(self, seconds: float = 120) -> None:
        self.root.wait_for(timeout=seconds * 1000)
        wait_until(lambda: self.root.evaluate(SETTLED), seconds)
        self.page.wait_for_timeout(60)

    def graph(self) -> Graph:
        """The draft that the page's address names."""
        self.settle()
        key = self.page.evaluate("new URLSearchParams(location.search).get('graph')")
        return load_file(self.folder / f"{key}.json")

    def port(self, end: str, side: str) -> tuple[float, float]:
        x, y = self.root.evaluate(PORT_OF, [end, side])
        return x, y

    def node(self, name: str) -> tuple[float, float]:
        x, y = self.root.evaluate(NODE_AT, name)
        return x, y

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=4)
        self.page.mouse.move(*end, steps=4)
        self.page.mouse.up()

    def wire(self, start: str, end: str) -> None:
        self.drag(self.port(start, "out"), self.port(end, "in"))

    def add(self, title: str, times: int = 1) -> None:
        for _ in range(times):
            self.page.locator(".fg-palette .fg-chip", has_text=title).first.click()
            self.settle()

    def press(self, keys: str) -> None:
        self.root.press(keys)
        self.settle()

    def tool(self, name: str) -> None:
        self.page.locator(f".fg-tools [data-tool='{name}']").click()
        self.settle()

    def click(self, name: str) -> None:
        self.page.mouse.click(*self.node(name))
        self.settle()

    def new(self) -> None:
        self.page.get_by_role("button", name="New").first.click()
        self.page.get_by_role("button", name="Empty graph").click()
        wait_until(lambda: self.root.evaluate("root => root.canvas && root.canvas.nodes.size === 0"))
        self.settle()

    def toast(self) -> str:
        return str(self.page.locator(".fg-toast").last.inner_text())


@pytest.fixture
def design(tab: Any, address: str, workspace: Path) -> Iterator[Design]:
    for item in workspace.iterdir():
        if not item.name.startswith(SERVERS):
            shutil.rmtree(item) if item.is_dir() else item.unlink()
    with tab.lent(1440, 1000) as page:
        opened = Design(page, address, workspace)
        yield opened
    assert opened.foreign == []
    assert opened.dialogs == []


def edges(graph: Graph) -> set[str]:
    return {f"{edge.source}>{edge.target}" for edge in graph.edges}
