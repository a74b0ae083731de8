"""Runs of layers as one card: what is drawn, and what an edit of a card does to the layers."""

from __future__ import annotations

from typing import Any

import pytest

from fgdesign.errors import GraphError
from fgdesign.graph import load_graph
from fgdesign.graph.edit import main_edge
from fgdesign.ui.design_session import DesignSession
from fgdesign.views.canvas_layers import runs, unfolded

BLOCK = "layer_1__layer_6"
LAYERS = tuple(f"layer_{i}" for i in range(1, 7))


def folded(name: str = "linear-probe") -> tuple[DesignSession, dict[str, Any]]:
    session = DesignSession(load_graph(name))
    session.do({"op": "fold"})
    return session, session.picture()


@pytest.mark.parametrize(("name", "expected"), [
    ("linear-probe", {BLOCK: LAYERS}), ("routed-experts", {BLOCK: LAYERS}), ("cheap-word-first", {}),
    ("layer-taps", {BLOCK: LAYERS}),
    ("early-exit", {"layer_2__layer_3": LAYERS[1:3], "layer_4__layer_6": LAYERS[3:]}),
])
def test_layers_that_follow_each_other_are_one_run(name: str, expected: dict[str, tuple[str, ...]]) -> None:
    assert runs(load_graph(name)) == expected


def test_a_run_is_one_card_with_its_taps_and_nothing_else_changes() -> None:
    session, data = folded("layer-taps")
    ids = [node["id"] for node in data["nodes"]]
    assert BLOCK in ids and not set(LAYERS) & set(ids)
    block = next(node for node in data["nodes"] if node["id"] == BLOCK)
    assert [port["name"] for port in block["outputs"]] == ["layer_2~out", "layer_4~out", "layer_6~out"]
    assert block["note"] == "6 frozen" and block["static"]
    wires = {f"{edge['start']}>{edge['end']}" for edge in data["edges"]}
    assert f"embeddings.out>{BLOCK}.in" in wires and f"{BLOCK}.layer_4~out>tap_4.in" in wires
    assert len(data["edges"]) == len(session.graph.edges) - 5
    session.do({"op": "fold"})
    assert [node["id"] for node in session.picture()["nodes"]] == list(session.graph.ids)


@pytest.mark.parametrize(("op", "expected"), [
    ({"op": "connect", "start": f"{BLOCK}.layer_6~out", "end": "pool.in"}, {"start": "layer_6.out", "end": "pool.in"}),
    ({"op": "connect", "start": "embeddings.out", "end": f"{BLOCK}.in"}, {"end": "layer_1.in"}),
    ({"op": "delete", "nodes": [BLOCK, "pool"], "edges": [f"{BLOCK}.layer_6~out>pool.in"]},
     {"nodes": [*LAYERS, "pool"], "edges": ["layer_6.out>pool.in"]}),
    ({"op": "add", "type": "pool/1", "after": [BLOCK]}, {"after": ["layer_6"]}),
    ({"op": "add", "type": "adapter/1", "onto": BLOCK}, {"onto": "layer_6"}),
    ({"op": "splice", "id": "x", "edge": f"{BLOCK}.layer_6~out>pool.in"}, {"edge": "layer_6.out>pool.in"}),
    ({"op": "add", "type": "adapter/1", "onto": "layer_3"}, {"onto": "layer_3"}),
])
def test_an_edit_of_a_card_reaches_its_layers(op: dict[str, Any], expected: dict[str, Any]) -> None:
    assert unfolded(op, load_graph("linear-probe")) == {**op, **expected}


def test_a_moved_card_takes_its_layers_along_and_is_undone_in_one() -> None:
    session, data = folded()
    before = {node: session.graph.node(node).position for node in LAYERS}
    block = next(node for node in data["nodes"] if node["id"] == BLOCK)
    session.receive({"sid": "a", "have": 0, "ops": [
        {"seq": 1, "op": "move", "positions": {BLOCK: [block["x"] + 24, block["y"] + 36]}}]})
    moved = {node: session.graph.node(node).position for node in LAYERS}
    assert all((moved[n][0] - before[n][0], moved[n][1] - before[n][1]) == (24, 36) for n in LAYERS)
    session.receive({"sid": "a", "have": 0, "ops": [{"seq": 2, "op": "undo"}]})
    assert session.graph.node("layer_4").position == before["layer_4"]


def test_a_selected_card_is_all_of_its_layers() -> None:
    session, _ = folded()
    session.receive({"sid": "a", "have": 0, "ops": [{"seq": 1, "op": "select", "nodes": [BLOCK], "edges": []}]})
    assert session.nodes == LAYERS
    assert session.picture()["selected"]["nodes"] == [BLOCK]


def test_what_needs_one_layer_is_refused_on_a_card() -> None:
    session, _ = folded()
    with pytest.raises(GraphError, match="stands for 6 layers"):
        unfolded({"op": "rename", "id": BLOCK, "name": "x"}, session.graph)


@pytest.mark.parametrize(("node", "after"), [("layer_3", "layer_4"), ("layer_6", "pool")])
def test_a_node_dropped_on_a_layer_goes_into_the_wire_behind_it(node: str, after: str) -> None:
    session = DesignSession(load_graph("linear-probe"))
    session.do({"op": "add", "type": "adapter/1", "x": 0, "y": 0, "onto": node})
    wires = {(edge.source, edge.target) for edge in session.graph.edges}
    assert {(f"{node}.out", "adapter.in"), ("adapter.out", f"{after}.in")} <= wires
    assert (f"{node}.out", f"{after}.in") not in wires
    assert session.past[-1].name == f"insert adapter behind {node}" and session.nodes == ("adapter",)
    assert main_edge(session.graph, "adapter").target == f"{after}.in"
    session.do({"op": "undo"})
    assert "adapter" not in session.graph.ids
