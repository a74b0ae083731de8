"""The Design page with a real mouse and keyboard in a browser; what was drawn is read from the draft."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from drawing import MARKS, ROOT, Design, address, design, dismiss, edges, wait_until, workspace

from fgdesign.graph import STARTERS, Graph, errors, layout, load_file, to_json
from fgdesign.graph.spec import Node
from fgdesign.runs.folder import RunFolder
from fgdesign.ui.canvas import library, styles
from fgdesign.views.canvas import canvas_data
from fgdesign.views.canvas_thumb import picture
from fgdesign.views.export import standalone_html

__all__ = ["address", "design", "workspace"]  # fixtures
pytestmark = pytest.mark.browser
TRAINS = True


def test_a_graph_is_built_from_nothing_with_the_mouse(design: Design) -> None:
    build(design)
    graph = design.graph()
    assert [node.type for node in graph.nodes].count("encoder_layer/1") == 6
    assert {
        "router.branch_1>ffn.in",
        "router.branch_2>ffn_2.in",
        "router.branch_3>merge.in",
        "ffn.out>merge.in",
        "ffn_2.out>merge.in",
        "merge.out>pool.in",
        "pool.out>classifier.in",
        "layer_6.out>router.in",
    } <= edges(graph)
    assert errors(graph) == ()
    refuse(design)
    assert design.graph() == graph
    undo_and_redo(design, graph)


@pytest.mark.slow
def test_the_graph_that_was_drawn_is_trained_with_the_mouse(design: Design, workspace: Path) -> None:
    build(design)
    drawn = design.graph()
    design.page.get_by_role("button", name="Train on support tickets").click()
    wait_until(lambda: list((workspace / "runs").glob("*/config.json")), 60)
    run = next((workspace / "runs").glob("*/config.json")).parent
    wait_until(lambda: any(event["metrics"]["accuracy"] > 0.4 for event in RunFolder(run).metrics()
                           if event["kind"] == "valid"), 420)  # ten classes: better than guessing
    RunFolder(run).stop()  # enough is learned
    design.page.get_by_role("link", name="See routes").wait_for(timeout=120_000)
    assert (run / "model" / "model.safetensors").is_file()
    assert load_file(run / "graph.json").identity == drawn.identity
    report = json.loads((run / "report.json").read_text())
    assert set(report["routers"]["router"]["load"]) == {"branch_1", "branch_2", "branch_3"}
    assert report["valid"]["accuracy"] > 0.3


def test_layers_are_one_card_and_a_node_dropped_on_it_goes_behind_it(design: Design) -> None:
    design.new()
    design.add("Text")
    design.add("Embeddings")
    design.add("Encoder layer", 3)
    design.add("Pool")
    design.root.focus()
    design.press("b")
    assert design.root.evaluate("r => [...r.canvas.nodes.keys()]") == ["text", "embeddings", "pool", "layer_1__layer_3"]
    design.press("f")
    chip = design.page.locator(".fg-palette [data-type='adapter/1']")
    chip.scroll_into_view_if_needed()
    box = chip.bounding_box()
    design.drag((box["x"] + 20, box["y"] + 8), design.node("layer_1__layer_3"))
    design.settle()
    assert {"layer_3.out>adapter.in", "adapter.out>pool.in"} <= edges(design.graph())
    design.press("Control+z")
    assert "layer_3.out>pool.in" in edges(design.graph())
    design.press("b")
    design.press("m")
    assert design.page.locator(".fg-map").is_visible()
    before = design.root.evaluate("r => r.canvas.net.getViewPosition()")
    corner = design.page.locator(".fg-map").bounding_box()
    design.page.mouse.click(corner["x"] + 8, corner["y"] + 8)
    assert design.root.evaluate("r => r.canvas.net.getViewPosition()") != before


def test_two_browsers_on_one_graph_see_what_differs_and_choose(design: Design, browser: Any, workspace: Path) -> None:
    design.new()
    design.add("Text")
    link = design.page.url
    other = Design(browser.new_page(viewport={"width": 1440, "height": 1000}), design.address, workspace)
    other.open(link)
    other.add("Embeddings")
    theirs = other.graph()
    design.add("Soft prompt")
    design.page.get_by_text("This graph was changed elsewhere").wait_for()
    assert "embeddings" in theirs.ids and load_file(workspace / "graphs" / "untitled.json") == theirs
    difference = design.page.locator(".fg-root:not(:has(.fg-palette))")
    wait_until(lambda: difference.count() and difference.evaluate("root => root.canvas && root.canvas.nodes.size"), 30)
    assert dict(difference.evaluate(MARKS)) == {"embeddings": "added", "soft_prompt": "removed"}
    design.page.get_by_role("button", name="Keep mine as a copy").click()
    wait_until(lambda: len(list((workspace / "graphs").glob("*.json"))) >= 2)
    kept = [load_file(path) for path in (workspace / "graphs").glob("*.json")]
    assert sorted("soft_prompt" in graph.ids for graph in kept if "text" in graph.ids) == [False, True]
    other.page.close()


def build(design: Design) -> None:
    """Text, embeddings, six layers, a router, two experts and the identity, merge, pool, classifier, by mouse alone."""
    design.new()
    box = design.root.bounding_box()
    chip = design.page.locator(".fg-palette .fg-chip", has_text="Text").first.bounding_box()
    design.drag((chip["x"] + 30, chip["y"] + 10), (box["x"] + 270, box["y"] + 200))
    design.settle()
    design.add("Embeddings")
    design.add("Encoder layer", 6)
    design.add("Router")
    design.page.get_by_role("button", name="Add a branch").click()
    wait_until(lambda: len(design.root.evaluate("r => r.canvas.nodes.get('router').outputs")) == 3)
    design.tool("fit")
    design.click("router")
    design.add("Expert")
    x, y = design.port("router.branch_2", "out")
    design.drag((x, y), (x + 60, y + 130))
    design.page.locator(".fg-menu .fg-chip", has_text="Expert").click()
    design.settle()
    design.tool("lay out")
    design.click("ffn")
    design.add("Merge")
    design.tool("lay out")
    design.wire("ffn_2.out", "merge.in")
    design.settle()
    design.wire("router.branch_3", "merge.in")
    design.settle()
    design.click("merge")
    design.add("Pool")
    design.add("Classifier")
    design.tool("lay out")


def refuse(design: Design) -> None:
    """A cycle and a wrong type are refused with the reason, and nothing changes."""
    design.wire("layer_6.out", "layer_1.in")
    assert "close a cycle" in design.toast()
    design.wire("text.out", "classifier.in")
    assert "takes vector" in design.toast()


def test_a_wire_of_another_width_is_told_why_before_the_drop_and_projected_by_a_click(design: Design) -> None:
    design.new()
    for title in ("Text", "Embeddings", "Pool", "Project"):
        design.add(title)
    design.page.get_by_role("spinbutton").first.fill("64")
    design.add("Scale")
    assert design.graph().node("project").params == {"width": 64}, "what was being typed is kept"
    design.press("f")
    design.click("pool")
    design.add("Add")
    design.press("l")
    design.page.mouse.move(*design.port("scale.out", "out"))
    design.page.mouse.down()
    design.page.mouse.move(*design.port("add.in", "in"), steps=6)
    tip = design.page.locator(".fg-tip.fg-bad")
    tip.get_by_text("joins width 384 with width 64").wait_for()
    design.page.mouse.up()
    before = design.graph()
    assert "scale.out>add.in" not in edges(before)
    design.page.locator(".fg-toast").get_by_role("button", name="Insert project to 384").click()
    assert {"scale.out>project_2.in", "project_2.out>add.in"} <= edges(design.graph())
    design.press("Control+z")
    assert design.graph() == before
    design.press("Control+y")
    assert "project_2" in design.graph().ids


def undo_and_redo(design: Design, graph: Graph) -> None:
    for _ in range(5):
        design.press("Control+z")
    assert "classifier" not in design.graph().ids
    for _ in range(5):
        design.press("Control+Shift+z")
    assert design.graph() == graph


def test_a_box_selects_what_it_touches_and_the_selection_is_moved_and_deleted_as_one(design: Design) -> None:
    x, y = design.node("pool_6")
    design.drag((x, y), (x + 24, y))
    (left, top), (right, bottom) = design.node("pool_2"), design.node("head_3")
    design.page.keyboard.down("Shift")
    design.drag((left - 70, top - 18), (right + 20, bottom + 20))
    design.page.keyboard.up("Shift")
    design.settle()
    chosen = {"pool_2", "head_2", "pool_3", "head_3"}
    assert set(design.root.evaluate("root => root.canvas.selectedNodes")) == chosen
    before = design.graph()
    x, y = design.node("pool_2")
    design.drag((x, y), (x + 40, y + 30))
    moved = {node.id for node in design.graph().nodes if node.position != before.node(node.id).position}
    assert moved == chosen
    design.press("Delete")
    assert not chosen & set(design.graph().ids)
    design.press("Control+z")
    design.press("Control+z")
    assert design.graph() == before


def test_copy_paste_rename_delete_and_a_reload_that_keeps_all(design: Design) -> None:
    design.new()
    for title in ("Text", "Embeddings", "Pool"):
        design.add(title)
    design.press("Control+a")
    design.press("Control+c")
    design.page.mouse.move(*[side + 200 for side in design.node("embeddings")])
    design.press("Control+v")
    design.press("f")
    assert {"text_2.out>embeddings_2.in", "embeddings_2.out>pool_2.in"} <= edges(design.graph())
    design.click("pool_2")
    design.press("F2")
    design.page.get_by_label("Name of the node").fill("Second pool")
    design.page.keyboard.press("Enter")
    assert "second_pool" in design.graph().ids
    design.click("text_2")
    design.press("Delete")
    graph = design.graph()
    assert "text_2" not in graph.ids
    design.open(design.page.url)
    assert design.root.evaluate("root => [...root.canvas.nodes.keys()]") == list(graph.ids)


def test_a_wire_is_moved_dropped_and_a_node_put_into_it(design: Design) -> None:
    design.new()
    for title in ("Text", "Embeddings", "Encoder layer", "Pool"):
        design.add(title)
    design.press("l")
    design.drag(design.port("pool.in", "in"), design.node("embeddings"))
    assert "layer_1.out>pool.in" in edges(
        design.graph()
    )  # nothing in front of a layer may take what is behind it
    x, y = design.port("pool.in", "in")
    design.drag((x, y), (x - 20, y + 160))
    design.page.keyboard.press("Escape")
    design.settle()
    assert "layer_1.out>pool.in" not in edges(design.graph())
    design.wire("layer_1.out", "pool.in")
    design.settle()
    design.page.mouse.click(*[side + 220 for side in design.node("text")])
    design.add("Layer norm")
    (ax, ay), (bx, by) = design.port("layer_1.out", "out"), design.port("pool.in", "in")
    design.drag(design.node("layer_norm"), ((ax + bx) / 2, (ay + by) / 2 - 28))
    assert {"layer_1.out>layer_norm.in", "layer_norm.out>pool.in"} <= edges(design.graph())


def test_a_problem_is_repaired_with_one_click(design: Design) -> None:
    design.new()
    design.add("Text")
    design.page.mouse.click(*[side + 220 for side in design.node("text")])
    design.settle()
    design.add("Classifier")
    design.page.get_by_role("button", name="Insert embeddings and pool").click()
    graph = design.graph()
    assert errors(graph) == ()
    assert {"text.out>embeddings.in", "embeddings.out>pool.in", "pool.out>classifier.in"} <= edges(graph)


HOSTILE = json.loads((ROOT / "tests" / "hostile_texts.json").read_text("utf-8"))


def test_hostile_texts_are_shown_as_texts(design: Design, workspace: Path) -> None:
    assert len(HOSTILE) == 40
    nodes = [
        Node(f"n_{i}", text, {"teacher": text, text: text}, (i % 8 * 180.0, i // 8 * 120.0), text)
        for i, text in enumerate(HOSTILE)
    ]
    design.folder.mkdir(exist_ok=True)
    for name in HOSTILE[:4]:
        (design.folder / "hostile.json").write_text(to_json(Graph(name, tuple(nodes))), "utf-8")
        design.open(f"{design.address}/design?graph=hostile")
        wait_until(lambda: design.root.evaluate("root => root.canvas.nodes.size") == 40)
        for i in (0, 1, 10, 39):
            design.page.mouse.move(*design.node(f"n_{i}"))
            design.page.wait_for_timeout(450)
            design.click(f"n_{i}")
        assert (
            design.root.evaluate("root => root.querySelectorAll('script, img, iframe, form, link, a').length")
            == 0
        )
        assert design.root.evaluate("root => root.canvas.data.title") == name


def test_an_exported_page_works_alone_and_shows_hostile_texts_as_texts(browser: Any, tmp_path: Path) -> None:
    nodes = tuple(Node(f"n_{i}", text, {}, None, text) for i, text in enumerate(HOSTILE))
    page = browser.new_page()
    asked: list[str] = []
    dialogs: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: dismiss(dialog, dialogs))
    for i, name in enumerate(HOSTILE[:6]):
        file = tmp_path / f"{i}.html"
        file.write_text(standalone_html(canvas_data(Graph(name, nodes)), library(), styles()), "utf-8")
        page.goto(file.as_uri())
        assert page.locator(".fg-root").evaluate("root => root.canvas.nodes.size") == 40
        assert page.locator("h1").inner_text() == name
    assert asked == [(tmp_path / f"{i}.html").as_uri() for i in range(6)]
    assert dialogs == []
    page.close()


def test_a_picture_shows_hostile_texts_as_texts(design: Design, browser: Any, tmp_path: Path) -> None:
    nodes = tuple(Node(f"n_{i}", text, {}, (i % 8 * 180.0, i // 8 * 120.0), text) for i, text in enumerate(HOSTILE))
    page = browser.new_page()
    asked: list[str] = []
    dialogs: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: dismiss(dialog, dialogs))
    file = tmp_path / "graph.svg"
    for name in HOSTILE:
        file.write_text(picture(Graph(name, nodes)), "utf-8")
        page.goto(file.as_uri())
        kinds = page.evaluate("[...document.querySelectorAll('*')].map((item) => item.tagName)")
        assert set(kinds) == {"rect", "svg", "text"}
        shown = page.evaluate("[...document.querySelectorAll('text')].map((item) => item.textContent)")
        assert len(shown) == 80 and HOSTILE[0][:20] in shown[1]
    assert set(asked) == {file.as_uri()} and dialogs == []
    page.close()
    design.folder.mkdir(exist_ok=True)
    (design.folder / "hostile.json").write_text(to_json(Graph(HOSTILE[1], nodes)), "utf-8")
    design.open(f"{design.address}/design?graph=hostile")
    wait_until(lambda: design.root.evaluate("root => root.canvas.nodes.size") == 40)
    with design.page.expect_download() as waiting:
        design.page.locator(".fg-tools [data-tool^='save picture']").click()
    waiting.value.save_as(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_zoom_and_place_are_kept_over_an_edit(design: Design) -> None:
    graph = layout(STARTERS["cheap-word-first"].graph)
    assert design.root.evaluate("root => root.canvas.nodes.size") == len(graph.nodes)
    design.page.mouse.move(*design.node("pool_3"))
    design.page.mouse.wheel(0, -300)
    design.page.wait_for_timeout(200)
    view = """root => { const net = root.canvas.net, corner = net.DOMtoCanvas({x: 0, y: 0});
      return [net.getScale(), corner.x, corner.y]; }"""
    before = [round(v, 6) for v in design.root.evaluate(view)]
    design.click("pool_3")
    design.press("Delete")
    assert "pool_3" not in design.graph().ids
    assert [round(v, 6) for v in design.root.evaluate(view)] == before


def test_an_edit_brings_only_what_changed_and_both_sides_agree(design: Design) -> None:
    received: list[int] = []
    design.page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
    design.open(f"{design.address}/design")
    design.page.wait_for_timeout(1000)
    for edit in ("move", "delete", "undo", "add"):
        if edit == "move":
            x, y = design.node("pool_3")
            design.drag((x, y), (x + 30, y + 24))
        elif edit == "delete":
            design.press("Delete")
        elif edit == "undo":
            design.press("Control+z")
        else:
            received.clear()
            design.add("Dropout")
        design.settle()
        assert design.root.evaluate("root => root.canvas.latest.base !== undefined")  # it came as changes
        graph = design.graph()
        assert design.root.evaluate("root => [...root.canvas.nodes.keys()]") == list(graph.ids)
        assert set(design.root.evaluate("root => [...root.canvas.edges.keys()]")) == edges(graph)
        places = design.root.evaluate("root => [...root.canvas.nodes.values()].map((n) => [n.x, n.y])")
        assert [tuple(place) for place in places] == [node.position for node in graph.nodes]
    assert 0 < sum(received) < 40_000


def test_a_canvas_that_lost_its_data_asks_for_all_of_it(design: Design) -> None:
    design.root.evaluate("root => { root.canvas.outbox.versions.clear(); }")
    design.click("pool_3")
    design.press("Delete")
    wait_until(lambda: not design.root.evaluate("root => root.canvas.nodes.has('pool_3')"))
    assert design.root.evaluate("root => [...root.canvas.nodes.keys()]") == list(design.graph().ids)


def test_two_versions_are_shown_in_one_picture(design: Design) -> None:
    design.click("pool_3")
    design.press("Delete")
    design.page.get_by_role("button", name="Versions").click()
    design.page.get_by_role("button", name="Save this version").click()
    design.page.get_by_text("no difference").wait_for()
    design.page.keyboard.press("Escape")
    design.page.get_by_role("dialog").wait_for(state="hidden")
    design.root.focus()
    design.press("Control+z")
    design.page.get_by_role("button", name="Versions").click()
    design.page.get_by_text("Show", exact=True).click()
    picture = design.page.get_by_role("dialog").locator(".fg-root")
    picture.wait_for()
    wait_until(lambda: picture.evaluate("root => root.canvas && root.canvas.nodes.size > 0"))
    assert picture.evaluate(MARKS) == [["pool_3", "added"]]
