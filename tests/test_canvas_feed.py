"""What the canvas is sent after the first time, what a graph will cost, and which run used a node."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fgdesign.graph import STARTERS, infer, to_json
from fgdesign.graph.backbones import describe_backbone
from fgdesign.graph.estimate import Estimate, estimate
from fgdesign.graph.infer import summarise
from fgdesign.graph.spec import Graph, Node
from fgdesign.ui.design_runs import last_run
from fgdesign.ui.design_session import DesignSession
from fgdesign.ui.speed import macs_per_second
from fgdesign.views.canvas import slim
from fgdesign.views.canvas_feed import MOST_KEPT, Feed, delta

GRAPH = STARTERS["cheap-word-first"].graph


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """What the browser makes of changes."""
    result = {**base, **{key: value for key, value in changes.items() if key != "gone"}}
    for key, name in (("nodes", lambda n: n["id"]), ("edges", lambda e: (e["start"], e["end"]))):
        found = {name(item): item for item in base[key]} | {name(item): item for item in changes[key]}
        gone = [tuple(item.split(">")) if key == "edges" else item for item in changes["gone"][key]]
        result[key] = [item for ident, item in found.items() if ident not in gone]
    if changes["order"]:
        result["nodes"].sort(key=lambda node: changes["order"].index(node["id"]))
    return result


EDITS = {
    "move": {"op": "move", "positions": {"pool_1": [5, 6]}},
    "delete": {"op": "delete", "nodes": ["pool_1"], "edges": []},
    "add": {"op": "add", "type": "linear/1", "x": 0, "y": 900},
    "rename": {"op": "rename", "id": "pool_1", "name": "mean_1"},
    "select": {"op": "select", "nodes": ["pool_1"], "edges": []},
}


@pytest.mark.parametrize("op", EDITS.values(), ids=EDITS)
def test_changes_put_into_what_was_known_give_the_whole(op: dict[str, Any]) -> None:
    session = DesignSession(GRAPH)
    before = slim(session.picture())
    session.do(op)
    after = slim(session.picture())
    changes = delta(before, after)
    assert len(changes["nodes"]) < len(after["nodes"])
    whole = merged(before, changes)
    assert [n["id"] for n in whole["nodes"]] == [n["id"] for n in after["nodes"]]
    assert whole["nodes"] == after["nodes"]
    assert sorted(map(str, whole["edges"])) == sorted(map(str, after["edges"]))


def test_only_the_moved_card_is_sent() -> None:
    session = DesignSession(GRAPH)
    before = slim(session.picture())
    session.do(EDITS["move"])
    changes = delta(before, slim(session.picture()))
    assert [node["id"] for node in changes["nodes"]] == ["pool_1"]
    assert (changes["edges"], changes["gone"]) == ([], {"nodes": [], "edges": []})


def test_a_card_that_comes_back_in_its_place_brings_the_order_only() -> None:
    session = DesignSession(GRAPH)
    session.do(EDITS["delete"])
    before = slim(session.picture())
    session.undo()
    changes = delta(before, slim(session.picture()))
    assert changes["order"] == list(GRAPH.ids)
    assert "pool_1" in [node["id"] for node in changes["nodes"]]
    assert len(changes["nodes"]) < len(GRAPH.nodes)


def test_all_is_sent_until_the_browser_says_what_it_has() -> None:
    session = DesignSession(GRAPH)
    feed, data = Feed(), session.picture()
    first = feed.send(data)
    assert "base" not in first and len(first["nodes"]) == len(GRAPH.nodes)
    assert "base" not in feed.send(data)
    feed.held = first["version"]
    session.do(EDITS["move"])
    second = feed.send(session.picture())
    assert (second["base"], second["version"]) == (first["version"], first["version"] + 1)
    feed.held = first["version"] + 1000
    assert "base" not in feed.send(session.picture())


def test_the_version_the_browser_has_is_kept_and_few_others() -> None:
    session, feed = DesignSession(GRAPH), Feed()
    feed.held = feed.send(session.picture())["version"]
    for x in range(20):
        session.do({"op": "move", "positions": {"pool_1": [x, 1]}})
        assert feed.send(session.picture())["base"] == feed.held
    assert len(feed.kept) <= MOST_KEPT + 1


def test_what_the_browser_has_comes_with_its_edits() -> None:
    session = DesignSession(GRAPH)
    session.receive({"sid": "s1", "ops": [], "have": 7})
    assert session.feed.held == 7
    session.receive({"sid": "s1", "ops": [], "have": "7"})
    assert session.feed.held == 0


def test_a_moved_graph_is_not_inferred_again() -> None:
    session = DesignSession(GRAPH)
    found = session.findings().inferred
    session.do(EDITS["move"])
    assert session.findings().inferred is found
    session.do(EDITS["delete"])
    assert session.findings().inferred is not found


def about(graph: Graph, rate: float = 1e10) -> Estimate:
    found = infer(graph, 3)
    return estimate(graph, found, summarise(graph, 3, found), describe_backbone(graph.backbone), rate)


def test_an_estimate_follows_speed_depth_and_training() -> None:
    probe, full = STARTERS["linear-probe"].graph, GRAPH
    assert about(full, 2e10).milliseconds == pytest.approx(about(full).milliseconds / 2)
    assert about(full).deepest > about(full).milliseconds > 0  # the graph has exits or a router
    assert about(probe).deepest == pytest.approx(about(probe).milliseconds)
    trained = replace(probe, nodes=tuple(
        replace(node, tuning="full") if node.type == "encoder_layer/1" else node for node in probe.nodes
    ))
    assert about(trained).milliseconds == pytest.approx(about(probe).milliseconds)
    layers = sum(node.type == "encoder_layer/1" for node in probe.nodes)
    least = layers * 32 * 32 * 384 * 4 * 17  # what the layers alone keep of 32 texts of 32 tokens
    assert about(trained).training_bytes - about(probe).training_bytes > least


def test_this_machine_multiplies_at_a_believable_rate() -> None:
    assert 1e7 < macs_per_second() < 1e14
    assert macs_per_second() == macs_per_second()


def test_the_newest_run_with_the_node_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FGDESIGN_WORKSPACE", str(tmp_path))
    node = Node("pool", "pool/1")
    assert last_run(node) is None
    for i, nodes in enumerate([(node,), (node, Node("text", "text/1")), ()]):
        folder = tmp_path / "runs" / f"run-{i}"
        folder.mkdir(parents=True)
        (folder / "graph.json").write_text(to_json(Graph("g", nodes)))
        (folder / "config.json").write_text("{}")
    assert (found := last_run(node)) and found.name in ("run-0", "run-1")
    assert (found := last_run(Node("text", "text/1"))) and found.name == "run-1"
    assert last_run(Node("pool", "linear/1")) is None
