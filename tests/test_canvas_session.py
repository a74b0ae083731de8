"""Edits as data: what each does, what is refused, history, clipboard, and the talk with the canvas."""

from __future__ import annotations

import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fgdesign.errors import GraphError
from fgdesign.graph import STARTERS, Graph, edit, errors, placed
from fgdesign.graph.spec import Node
from fgdesign.ui.design_ops import OPERATIONS, apply
from fgdesign.ui.design_rules import row_to_rule, rule_to_row
from fgdesign.ui.design_session import DesignSession
from fgdesign.ui.design_store import ConflictError, DraftStore

PROBE = STARTERS["linear-probe"].graph
EXPERTS = STARTERS["routed-experts"].graph
TURNS = int(os.environ.get("FGDESIGN_FAULT_EDITS", "25"))  # of each of four


def wires(graph: Graph) -> set[str]:
    return {f"{edge.source}>{edge.target}" for edge in graph.edges}


def session(graph: Graph = PROBE, *ops: dict[str, Any]) -> DesignSession:
    made = DesignSession(graph)
    for op in ops:
        made.do(op)
    return made


EDITS: list[tuple[dict[str, Any], str]] = [
    ({"op": "add", "type": "pool/1", "x": 10, "y": 20}, "add pool"),
    ({"op": "add", "type": "linear/1", "start": "pool.out", "x": 0, "y": 0}, "add linear"),
    (
        {"op": "disconnect", "start": "pool.out", "end": "classifier.in"},
        "disconnect pool.out from classifier.in",
    ),
    (
        {
            "op": "reconnect",
            "old_start": "layer_6.out",
            "old_end": "pool.in",
            "start": "layer_5.out",
            "end": "pool.in",
        },
        "reconnect layer_5.out to pool.in",
    ),
    ({"op": "delete", "nodes": ["pool", "layer_6"], "edges": []}, "delete 2 nodes"),
    ({"op": "delete", "nodes": [], "edges": ["pool.out>classifier.in"]}, "delete pool.out>classifier.in"),
    ({"op": "move", "positions": {"pool": [5, 7]}}, "move pool"),
    ({"op": "rename", "id": "pool", "name": "The Mean"}, "rename pool to the_mean"),
    ({"op": "params", "id": "pool", "params": {"method": "max"}}, "set pool.method"),
    ({"op": "tuning", "nodes": ["layer_5", "layer_6"], "tuning": "lora"}, "tune 2 nodes as lora"),
    ({"op": "duplicate", "nodes": ["pool"]}, "duplicate pool"),
    ({"op": "settings", "name": "mine", "task": "multi"}, "set name, task"),
    ({"op": "open", "json": json.dumps({"format": "fgdesign.graph/1", "name": "n"})}, "open n"),
]


@pytest.mark.parametrize(("op", "name"), EDITS, ids=[name for _, name in EDITS])
def test_each_edit_changes_the_graph_and_can_be_undone_by_name(op: dict[str, Any], name: str) -> None:
    here = session()
    before = here.graph
    here.do(op)
    assert here.graph != before
    assert here.picture()["undo"] == name
    after = here.graph
    here.undo()
    assert here.graph == before
    assert here.picture()["redo"] == name
    here.redo()
    assert here.graph == after


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"op": "explode"}, "Unknown operation 'explode'"),
    ({}, "Unknown operation 'None'"),
    ({"op": ["add"]}, "Unknown operation"),
    ({"op": "add", "type": "nothing/1"}, "Unknown node type 'nothing/1'"),
    ({"op": "add", "type": "pool/1", "x": "left", "y": 0}, "position is not a pair of numbers"),
    ({"op": "add", "type": "pool/1", "x": float("nan"), "y": 0}, "position is not a pair of numbers"),
    ({"op": "connect", "start": "layer_6.out", "end": "layer_1.in"}, "already fed|cycle"),
    ({"op": "connect", "start": "text.out", "end": 7}, "'end' is not a name"),
    ({"op": "connect", "start": "gone.out", "end": "pool.in"}, "names 'gone'"),
    ({"op": "delete", "nodes": "pool"}, "'nodes' is not a list"),
    ({"op": "delete", "nodes": ["gone"]}, "No node 'gone'"),
    ({"op": "move", "positions": {"gone": [0, 0]}}, "No node 'gone'"),
    ({"op": "move", "positions": {"pool": [0, 1e300]}}, "position is not a pair"),
    ({"op": "move", "positions": []}, "moves nothing"),
    ({"op": "rename", "id": "pool", "name": "text"}, "already called 'text'"),
    ({"op": "rename", "id": "pool", "name": "<b>"}, "cannot be an id"),
    ({"op": "params", "id": "pool", "params": {"method": "best"}}, "not one of: cls, mean"),
    ({"op": "params", "id": "pool", "params": [1]}, "not an object of names"),
    ({"op": "tuning", "nodes": ["pool"], "tuning": "lora"}, "cannot be tuned as 'lora'"),
    ({"op": "settings", "task": "chess"}, "The task is 'chess'"),
    ({"op": "settings", "name": "  "}, "1 to 200 characters"),
    ({"op": "open", "json": "{"}, "not a JSON file"),
    ({"op": "bridge", "start": "classifier.out", "end": "pool.in"}, "Nothing fits between"),
    ({"op": "paste"}, "nothing to paste"),
    ({"op": "repair", "problem": 3, "repair": 0, "label": "Insert pool"}, "has changed since"),
    ({"op": "repair", "problem": [], "repair": {}, "label": ""}, "has changed since"),
]


@pytest.mark.parametrize(("op", "reason"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_what_is_refused_says_why_and_changes_nothing(op: dict[str, Any], reason: str) -> None:
    here = session()
    before = here.graph
    with pytest.raises(GraphError, match=reason):
        here.do(op)
    assert here.graph is before
    assert here.past == []


def test_every_operation_is_tried_here_or_beside() -> None:
    tried = {op["op"] for op, _ in EDITS} | {"connect", "bridge", "splice", "layout", "branches", "weight"}
    assert tried == set(OPERATIONS)


def test_a_batch_is_applied_once_each_and_refusals_come_back() -> None:
    here = session()
    add = {"seq": 1, "op": "add", "type": "pool/1", "x": 0, "y": 300}
    wrong = {"seq": 2, "op": "connect", "start": "text.out", "end": "pool_2.in"}
    here.receive({"sid": "s1", "ops": [add]})
    here.receive({"sid": "s1", "ops": [add, wrong]})
    here.receive({"sid": "s1", "ops": [add, wrong]})
    assert [node for node in here.graph.ids if node.startswith("pool")] == ["pool", "pool_2"]
    picture = here.picture()
    assert picture["acks"] == {"s1": 2}
    assert [(item["sid"], item["seq"]) for item in picture["refused"]] == [("s1", 2)]
    assert "types differ" in picture["refused"][0]["text"]


@pytest.mark.parametrize(
    "batch",
    [
        {},
        {"sid": 1, "ops": []},
        {"sid": "s", "ops": {}},
        {"sid": "s", "ops": [1, None, {}]},
        {"sid": "s" * 99, "ops": []},
    ],
)
def test_a_malformed_batch_does_nothing(batch: dict[str, Any]) -> None:
    here = session()
    here.receive(batch)
    assert (here.acks, here.past) == ({}, [])


def test_a_click_in_the_palette_builds_a_chain() -> None:
    here = DesignSession(Graph("new"))
    for kind in ("text/1", "embeddings/1", *["encoder_layer/1"] * 3, "pool/1", "classifier/1"):
        here.do({"op": "add", "type": kind, "x": 0, "y": 0, "after": list(here.nodes)})
    assert errors(here.graph) == ()
    assert [node.params.get("index", 1) for node in here.graph.nodes if node.type == "encoder_layer/1"] == [
        1,
        2,
        3,
    ]
    assert here.graph.ids == ("text", "embeddings", "layer_1", "layer_2", "layer_3", "pool", "classifier")


def test_several_selected_nodes_are_joined_by_a_merge() -> None:
    here = session(EXPERTS, {"op": "delete", "nodes": ["merge"]})
    here.do({"op": "add", "type": "merge/1", "x": 0, "y": 0, "after": ["expert_1", "expert_2"]})
    assert {"expert_1.out>merge.in", "expert_2.out>merge.in"} <= wires(here.graph)


def test_a_router_gives_its_free_branch() -> None:
    here = session(EXPERTS, {"op": "delete", "nodes": ["expert_3"]})
    here.do({"op": "add", "type": "adapter/1", "x": 0, "y": 0, "after": ["router"]})
    assert "router.branch_3>adapter.in" in wires(here.graph)


def test_a_loose_node_is_put_into_a_wire_and_a_bridge_is_built() -> None:
    here = session(PROBE, {"op": "add", "type": "layer_norm/1", "x": 0, "y": 300})
    here.do(
        {
            "op": "splice",
            "id": "layer_norm",
            "edge": "layer_6.out>pool.in",
            "positions": {"layer_norm": [1, 2]},
        }
    )
    assert {"layer_6.out>layer_norm.in", "layer_norm.out>pool.in"} <= wires(here.graph)
    here.do({"op": "disconnect", "start": "pool.out", "end": "classifier.in"})
    here.do({"op": "bridge", "start": "layer_3.out", "end": "classifier.in"})
    assert {"layer_3.out>pool_2.in", "pool_2.out>classifier.in"} <= wires(here.graph)


def test_copy_cut_and_paste_keep_wires_within_and_the_clipboard_outlives_the_graph() -> None:
    here = session(PROBE, {"op": "copy", "nodes": ["layer_5", "layer_6", "pool"]})
    here.do({"op": "paste", "x": 100, "y": 500})
    assert here.nodes == ("layer", "layer_7", "pool_2")
    assert len(wires(here.graph)) == len(PROBE.edges) + 2
    here.do({"op": "cut", "nodes": ["classifier"]})
    here.do({"op": "open", "json": json.dumps({"format": "fgdesign.graph/1", "name": "n"})})
    here.do({"op": "paste"})
    assert here.graph.ids == ("classifier",)


def test_a_repair_of_the_list_is_one_step() -> None:
    here = session(PROBE, {"op": "delete", "nodes": ["classifier"]})
    problem = here.picture()["problems"][0]
    here.do({"op": "repair", "problem": 0, "repair": 0, "label": problem["repairs"][0]})
    assert errors(here.graph) == ()
    assert here.past[-1].name == "add classifier"


def test_layout_fits_the_view_and_selection_is_no_step() -> None:
    here = session(PROBE, {"op": "select", "nodes": ["pool", "gone"], "edges": ["pool.out>classifier.in"]})
    assert (here.nodes, here.edges, here.past) == (("pool",), ("pool.out>classifier.in",), [])
    here.do({"op": "move", "positions": {"pool": [9000, 0]}})
    here.do({"op": "layout"})
    assert here.picture()["fit"] == 1
    assert apply(here.graph, {"op": "layout"}).graph == here.graph == placed(PROBE)


def test_a_session_can_be_pickled_for_the_session_state() -> None:
    here = session(PROBE, EDITS[0][0])
    assert pickle.loads(pickle.dumps(here)).graph == here.graph  # our own object, never a file


def test_a_draft_is_kept_and_a_foreign_change_is_noticed(tmp_path: Path) -> None:
    store = DraftStore(tmp_path / "graphs")
    key, stamp = store.create(PROBE)
    assert (key, store.read(key)) == ("linear-probe", (PROBE, stamp))
    assert store.create(PROBE)[0] == "linear-probe-2"
    theirs = store.write(key, EXPERTS, stamp)
    with pytest.raises(ConflictError, match="changed elsewhere"):
        store.write(key, Graph("mine"), stamp)
    assert store.write(key, Graph("mine"), theirs) == store.read(key)[1]
    store.delete(key)
    with pytest.raises(GraphError, match="Cannot read the graph"):
        store.read(key)
    assert key not in [draft.key for draft in store.drafts()]
    store.restore(key)
    assert store.read(key)[0] == Graph("mine")
    store.delete("gone")
    store.restore("gone")


def test_many_who_edit_one_graph_overwrite_nothing(tmp_path: Path) -> None:
    """F9: who comes too late is told, reads anew and edits again; every edit is there at the end."""
    key, _ = DraftStore(tmp_path).create(Graph("shared"))
    late: list[str] = []

    def edit(who: int) -> None:
        store = DraftStore(tmp_path)
        for turn in range(TURNS):
            while True:
                graph, stamp = store.read(key)
                try:
                    store.write(key, graph.with_nodes((*graph.nodes, Node(f"n_{who}_{turn}", "pool/1"))), stamp)
                    break
                except ConflictError:
                    late.append(f"{who}.{turn}")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(edit, range(4)))
    assert len(DraftStore(tmp_path).read(key)[0].nodes) == 4 * TURNS and late
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: DraftStore(tmp_path).create(Graph("new"))[0], range(16)))
    assert len(set(made)) == 16


@pytest.mark.parametrize("key", ["../x", "a/b", "", "A", "x" * 99, ".", "x.json"])
def test_a_key_is_never_a_path(tmp_path: Path, key: str) -> None:
    with pytest.raises(GraphError, match="is no name of a graph"):
        DraftStore(tmp_path).read(key)


def test_versions_are_numbered_and_an_unchanged_graph_makes_none(tmp_path: Path) -> None:
    store = DraftStore(tmp_path)
    assert [store.save_version("a", graph) for graph in (PROBE, PROBE, EXPERTS)] == [1, 1, 2]
    assert [version.graph for version in store.versions("a")] == [EXPERTS, PROBE]
    assert "T" in store.versions("a")[0].saved


RULES = [
    {"when": "length", "at_most": 6, "to": 1},
    {"when": "length", "at_least": 40, "to": 2},
    {"when": "keyword", "words": ["refund", "money back"], "to": 1},
    {"when": "pattern", "pattern": "(?i)a=b", "to": 1},
    {"when": "script", "script": "latin", "to": 2},
    {"when": "column", "column": "channel", "equals": "a=b", "to": 1},
    {"when": "confidence", "below": 0.5, "to": 2},
]


@pytest.mark.parametrize("rule", RULES, ids=[str(rule["when"]) for rule in RULES])
def test_a_rule_survives_the_table(rule: dict[str, Any]) -> None:
    assert row_to_rule(rule_to_row(rule)) == rule


NARROW = apply(apply(PROBE, {"op": "add", "type": "project/1", "start": "pool.out"}).graph,
               {"op": "add", "type": "add/1", "start": "pool.out"}).graph
LOOSE = edit.disconnect(PROBE, "pool.out", "classifier.in")
TRIED: list[tuple[Graph, str, str, str | None, str | None]] = [
    (NARROW, "add.out", "add.in", "cycle", None),
    (LOOSE, "layer_6.out", "classifier.in", "types differ", "Insert pool"),
    (PROBE, "layer_6.out", "classifier.in", "already fed", None),
    (NARROW, "project.out", "add.in", "joins width 384 with width", "Insert project to 384"),
    (NARROW, "pool.out", "add.in", "already", None),
    (PROBE, "pool.out", "classifier.in", "already", None),
]


@pytest.mark.parametrize(("graph", "start", "end", "reason", "fix"), TRIED)
def test_a_wire_that_hangs_over_a_port_is_told_why_it_does_not_fit(
    graph: Graph, start: str, end: str, reason: str, fix: str | None
) -> None:
    here = session(graph)
    here.receive({"sid": "s", "ops": [{"seq": 1, "op": "try", "start": start, "end": end}]})
    told = here.picture()["tried"]
    assert (told["start"], told["end"], told["fix"]) == (start, end, fix)
    assert reason in told["reason"]
    assert (here.graph, here.past) == (placed(graph), [])


def test_a_wire_that_fits_is_told_nothing_and_one_that_is_moved_leaves_its_place() -> None:
    here = session(PROBE)
    moved = {"old_start": "layer_6.out", "old_end": "pool.in"}
    here.do({"op": "try", "start": "layer_5.out", "end": "pool.in", **moved})
    assert here.picture()["tried"] == {"start": "layer_5.out", "end": "pool.in", "reason": None, "fix": None}
    here.folded = True
    op = {"seq": 1, "op": "try", "start": "layer_1__layer_6.layer_6~out", "end": "pool.in"}
    here.receive({"sid": "s", "ops": [op]})
    assert here.picture()["tried"]["start"] == "layer_1__layer_6.layer_6~out"
    assert "already fed" in here.picture()["tried"]["reason"]


def test_a_width_that_does_not_fit_is_bridged_by_a_projection() -> None:
    here = session(NARROW, {"op": "bridge", "start": "project.out", "end": "add.in"})
    assert here.past[-1].name == "insert project to 384"
    assert {"pool.out>add.in", "project.out>project_2.in", "project_2.out>add.in"} <= wires(here.graph)
