"""What the canvas shows: cards, wires, states of a trace, places that do not overlap, exports that escape."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from fgdesign.graph import CATALOGUE, STARTERS, Edge, Graph, Node, layout, validate
from fgdesign.graph.layout import CARD_WIDTH, card_height, free_place
from fgdesign.views.canvas import HUES, canvas_data, palette, slim
from fgdesign.views.canvas_thumb import picture, thumbnail
from fgdesign.views.export import standalone_html

HOSTILE = json.loads((Path(__file__).parent / "hostile_texts.json").read_text("utf-8"))
PROBE = STARTERS["linear-probe"].graph


def card(data: dict[str, Any], name: str) -> dict[str, Any]:
    return next(node for node in data["nodes"] if node["id"] == name)


@pytest.mark.parametrize("name", STARTERS)
def test_every_starter_becomes_plain_json_with_all_nodes_and_wires(name: str) -> None:
    graph = STARTERS[name].graph
    data = canvas_data(graph, problems=validate(graph), classes=3)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert [node["id"] for node in data["nodes"]] == list(graph.ids)
    assert len(data["edges"]) == len(graph.edges)
    assert sum(node.get("share", 0) for node in data["nodes"]) == pytest.approx(1, abs=0.01)


def test_what_goes_to_the_browser_is_short() -> None:
    chain = [Node(f"n_{i}", "linear/1") for i in range(100)]
    graph = Graph("long", tuple(chain), tuple(Edge(f"n_{i}.out", f"n_{i + 1}.in") for i in range(99)))
    whole = canvas_data(graph)
    short = slim(whole)
    assert len(json.dumps(short)) < 30_000
    assert [node["id"] for node in short["nodes"]] == [node["id"] for node in whole["nodes"]]
    assert short["edges"][0] == {"start": "n_0.out", "end": "n_1.in"}


def test_a_card_says_kind_type_width_tuning_cost_and_what_is_static() -> None:
    data = canvas_data(PROBE, classes=3, selected=["pool", "nobody"])
    layer, head = card(data, "layer_2"), card(data, "classifier")
    assert (layer["kind"], layer["hue"], layer["tuning"]) == ("pretrained", HUES["pretrained"], "frozen")
    assert (layer["static"], layer["note"]) == (True, "Encoder layer 2")
    assert layer["outputs"] == [{"name": "out", "type": "sequence", "text": "seq 384"}]
    assert head["outputs"] == [{"name": "out", "type": "logits", "text": "logits 3"}]
    assert "static" not in head
    assert data["selected"] == {"nodes": ["pool"], "edges": []}


def test_a_trace_lights_nodes_and_wires() -> None:
    trace = {
        "nodes": [
            {"id": "text", "state": "called", "gate": None, "ms": 0.5, "share": 0.1},
            {"id": "pool", "state": "skipped", "gate": None, "ms": None, "share": 0},
        ],
        "edges": [{"source": "layer_6.out", "target": "pool.in", "state": "skipped", "gate": 0.25}],
    }
    data = canvas_data(PROBE, trace=trace)
    states = {name: card(data, name)["state"] for name in ("text", "pool", "classifier")}
    assert states == {"text": "called", "pool": "skipped", "classifier": "not reached"}
    wire = next(edge for edge in data["edges"] if edge["id"] == "layer_6.out>pool.in")
    assert (wire["state"], wire["gate"]) == ("skipped", 0.25)


def test_a_broken_graph_is_still_drawn() -> None:
    graph = Graph(
        "x",
        (Node("a", "nothing/9", {"n": 1}), Node("b", "pool/1")),
        (Edge("a.some", "b.in"), Edge("b.out", "gone.in"), Edge("b.wrong", "a.port")),
        backbone="",
    )
    data = canvas_data(graph, problems=validate(Graph("x", graph.nodes, graph.edges)))
    assert [port["name"] for port in card(data, "b")["outputs"]] == ["out", "wrong"]
    assert card(data, "a")["kind"] == "unknown"
    assert [edge["id"] for edge in data["edges"]] == ["a.some>b.in", "b.wrong>a.port"]
    assert card(data, "a")["problems"]


@pytest.mark.parametrize("name", STARTERS)
def test_cards_do_not_overlap_and_lines_run_left_to_right(name: str) -> None:
    graph = layout(STARTERS[name].graph)
    for one, other in combinations(graph.nodes, 2):
        (ax, ay), (bx, by) = one.position or (0, 0), other.position or (0, 0)
        apart = abs(ax - bx) >= CARD_WIDTH + 20
        assert apart or abs(ay - by) >= (card_height(graph, one) + card_height(graph, other)) / 2 + 8


def test_the_default_starter_fits_a_window_readably() -> None:
    places = [node.position or (0, 0) for node in layout(STARTERS["cheap-word-first"].graph).nodes]
    assert max(x for x, _ in places) <= 1100
    assert max(y for _, y in places) <= 900


def test_layout_of_300_nodes_and_of_a_cycle() -> None:
    chain = [Node(f"n_{i}", "linear/1") for i in range(300)]
    edges = [Edge(f"n_{i}.out", f"n_{i + 1}.in") for i in range(299)]
    graph = layout(Graph("long", tuple(chain), (*edges, Edge("n_299.out", "n_0.in"))))
    assert len({node.position for node in graph.nodes}) == 300


def test_a_free_place_is_below_what_is_in_the_way() -> None:
    graph = Graph("x", (Node("a", "pool/1", {}, (0, 0)), Node("b", "pool/1", {}, (0, 90))))
    assert free_place(graph, (10, 10))[1] > 90 + 60
    assert free_place(graph, (600, 10)) == (600, 10)


def test_the_palette_shows_the_whole_catalogue_by_category() -> None:
    shown = palette()
    assert {entry["type"] for entry in shown} == set(CATALOGUE)
    kinds = [entry["kind"] for entry in shown]
    assert len(list(dict.fromkeys(kinds))) == sum(a != b for a, b in zip(kinds, ["", *kinds], strict=False))


def hostile_graph(name: str) -> Graph:
    nodes = tuple(Node(f"n_{i}", text, {"teacher": text}, None, text) for i, text in enumerate(HOSTILE))
    return Graph(name, nodes)


@pytest.mark.parametrize("text", HOSTILE[:12])
def test_pictures_and_pages_hold_hostile_texts_as_text(text: str) -> None:
    graph = hostile_graph(text)
    for svg in (thumbnail(graph), picture(graph)):
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(svg).iter()}
        assert tags <= {"svg", "rect", "path", "text"}
    page = standalone_html(canvas_data(graph), "const a = '</script>';", "")
    assert page.count("<script") == page.count("</script>") == 2
    assert "<img" not in page and "<svg onload" not in page and "<iframe" not in page
