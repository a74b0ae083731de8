"""The Design page for everyone: without a mouse, in tables, on small and dark screens, and in files taken away."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from drawing import ROOT, Design, address, design, edges, wait_until, workspace

from fgdesign.graph import Graph, errors, load_file, to_json
from fgdesign.graph.spec import Node

__all__ = ["address", "design", "workspace"]  # fixtures
pytestmark = pytest.mark.browser
ARTEFACTS = Path(os.environ.get("FGDESIGN_SHOTS") or ROOT / "artefacts")
OUTSIDE = """root => [...root.querySelectorAll('.fg-tools, .fg-palette, .fg-stage')]
  .map((e) => e.getBoundingClientRect()).filter((b) => b.left < 0 || b.right > innerWidth || b.width < 40).length"""


@pytest.mark.parametrize("width", [1440, 1024])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_is_kept_as_a_picture(design: Design, scheme: str, width: int) -> None:
    ARTEFACTS.mkdir(exist_ok=True)
    page = design.page
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900 if width == 1440 else 768})
    design.open(page.url)
    assert design.root.evaluate("root => root.canvas.theme.dark") == (scheme == "dark")
    design.click("exit_1")
    page.get_by_text("Tolerance").wait_for()
    page.screenshot(path=ARTEFACTS / f"design-{scheme}-{width}.png")
    assert design.root.evaluate(OUTSIDE) == 0
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    design.press("Delete")
    page.locator(".fg-problem").first.wait_for()
    page.get_by_text("Backbone", exact=True).wait_for()
    page.wait_for_function("!document.querySelector('[data-stale=true]')")
    page.screenshot(path=ARTEFACTS / f"design-problems-{scheme}-{width}.png")
    page.get_by_text("Tables", exact=True).click()
    page.get_by_role("combobox", name="Selected nodes").wait_for()
    page.wait_for_function("!document.querySelector('[data-stale=true]')")
    page.screenshot(path=ARTEFACTS / f"design-tables-{scheme}-{width}.png")
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    page.get_by_text("Canvas", exact=True).click()
    design.settle(30)
    assert "exit_1" not in design.root.evaluate("root => [...root.canvas.nodes.keys()]")


def test_a_graph_is_drawn_with_the_keyboard_alone(design: Design) -> None:
    design.new()
    design.root.focus()
    keys = design.page.keyboard

    def ask(key: str, words: str) -> None:
        keys.press(key)
        keys.type(words)
        keys.press("Enter")
        design.settle()

    steps = {"classifier": "", "pool": "classifier.in", "embed": "pool.in", "text": "embeddings.in"}
    for words, target in steps.items():
        ask("a", words)
        if target:
            ask("c", target)
    design.press("l")
    graph = design.graph()
    assert edges(graph) == {"pool.out>classifier.in", "embeddings.out>pool.in", "text.out>embeddings.in"}
    assert errors(graph) == ()
    ask("c", "text.out")
    assert "text.out>embeddings.in" not in edges(design.graph())
    design.press("Control+z")
    ask("F2", "words_in")
    place = design.graph().node("words_in").position
    design.press("Shift+ArrowDown")
    wait_until(lambda: design.graph().node("words_in").position != place)
    design.press("ArrowRight")
    assert design.root.evaluate("root => root.canvas.selectedNodes") == ["embeddings"]
    keys.press("?")
    design.page.get_by_role("dialog", name="Keys").wait_for()


def test_keys_reach_the_canvas_that_lost_the_focus_to_nobody_but_not_one_that_was_left(design: Design) -> None:
    design.click("pool_3")
    blur = "document.activeElement.blur()"
    design.page.evaluate(blur)
    design.page.keyboard.press("F2")
    design.page.keyboard.type("middle")
    design.page.keyboard.press("Enter")
    design.settle()
    assert "middle" in design.graph().ids
    design.page.mouse.click(700, 8)
    design.page.evaluate(blur)
    design.page.keyboard.press("Delete")
    design.page.wait_for_timeout(300)
    assert "middle" in design.graph().ids


def each_edit(design: Design) -> dict[str, Callable[[], Any]]:
    """One edit of each kind on the node pool_3, by hand."""
    x, y = design.node("pool_3")

    def paste() -> None:
        design.press("Control+c")
        design.page.mouse.move(x + 300, y + 4)
        design.press("Control+v")

    def rename() -> None:
        design.press("F2")
        design.page.keyboard.type("middle")
        design.page.keyboard.press("Enter")

    return {
        "move": lambda: design.drag((x, y), (x + 36, y + 24)),
        "delete": lambda: design.press("Delete"),
        "duplicate": lambda: design.tool("duplicate"),
        "paste": paste,
        "rename": rename,
        "add": lambda: design.add("Dropout"),
    }


def test_every_edit_is_taken_back_and_done_again_by_its_name(design: Design) -> None:
    undo = design.page.locator(".fg-tools [data-tool='undo']")
    design.click("pool_3")
    design.drag(design.node("pool_3"), (design.node("pool_3")[0] + 24, design.node("pool_3")[1]))
    for name, edit in each_edit(design).items():
        before = design.graph()
        design.click("pool_3")
        edit()
        design.settle()
        after = design.graph()
        assert after != before, name
        assert str(undo.get_attribute("title")).startswith(f"Undo: {name} "), name
        design.tool("undo")
        assert design.graph() == before, name
        design.tool("redo")
        assert design.graph() == after, name
        design.tool("undo")


def test_a_refused_wire_leaves_the_graph_and_a_moved_wire_is_undone(design: Design) -> None:
    design.click("pool_3")
    x, y = design.node("pool_3")
    design.drag((x, y), (x + 24, y))
    before = design.graph()
    design.wire("head_3.out", "layer_1.in")
    assert "takes sequence" in design.toast() or "cycle" in design.toast()
    design.wire("layer_6.out", "layer_2.in")
    assert "close a cycle" in design.toast()
    assert design.graph() == before
    design.wire("layer_1.out", "pool_5.in")
    assert "already fed" in design.toast()
    x, y = design.port("pool_6.in", "in")
    design.drag((x, y), (x - 18, y + 36))
    design.page.keyboard.press("Escape")
    design.settle()
    assert "layer_6.out>pool_6.in" not in edges(design.graph())
    design.tool("undo")
    assert design.graph() == before


def test_the_files_that_are_taken_away_hold_the_graph(design: Design, browser: Any, tmp_path: Path) -> None:
    design.click("pool_3")
    design.press("Delete")
    graph = design.graph()
    design.page.get_by_role("button", name="Export").click()
    kept = {}
    for words in ("Graph as JSON", "Picture as SVG", "Page that works alone"):
        with design.page.expect_download() as waiting:
            design.page.get_by_role("button", name=words).click()
        kept[words] = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(kept[words])
    assert load_file(kept["Graph as JSON"]) == graph
    assert ElementTree.parse(kept["Picture as SVG"]).getroot().tag.endswith("svg")
    design.page.keyboard.press("Escape")
    with design.page.expect_download() as waiting:
        design.page.locator(".fg-tools [data-tool^='save picture']").click()
    waiting.value.save_as(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    alone = browser.new_page()
    alone.goto(kept["Page that works alone"].as_uri())
    wait_until(lambda: alone.evaluate("document.querySelector('.fg-root').canvas.nodes.size") == len(graph.nodes))
    alone.close()


def test_a_graph_is_drawn_in_the_tables_without_the_mouse(design: Design) -> None:
    design.new()
    page = design.page
    page.get_by_text("Tables", exact=True).click()
    design.root.wait_for(state="hidden")
    for kind, node in (("", "text"), ("Embeddings (input)", "embeddings"), ("Pool (shape)", "pool")):
        if kind:
            field = page.get_by_role("combobox", name="New node")
            field.fill(kind)
            page.get_by_role("option", name=kind).first.wait_for()
            field.press("Enter")
        page.get_by_role("button", name=re.compile("^Add( behind .*)?$")).press("Enter")
        page.get_by_role("button", name=f"Add behind {node}").wait_for()
    page.get_by_text("Canvas", exact=True).click()
    design.settle(30)
    assert edges(design.graph()) == {"text.out>embeddings.in", "embeddings.out>pool.in"}


def test_a_tooltip_shows_a_hostile_name_as_text(design: Design, workspace: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    (workspace / "graphs").mkdir(exist_ok=True)
    (workspace / "graphs" / "evil.json").write_text(to_json(Graph(evil, (Node("a", evil), Node("b", "text/1")))))
    design.open(f"{design.address}/design?graph=evil")
    design.page.mouse.move(*design.node("a"))
    tip = design.page.locator(".fg-tip.fg-on")
    tip.wait_for()
    assert evil in tip.inner_text()
    assert design.root.locator("img").count() == 0
