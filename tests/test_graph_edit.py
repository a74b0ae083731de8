"""Edits: a new graph each time, the old one as it was, and refusals that say why."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from fgdesign.errors import GraphError
from fgdesign.graph import edit
from fgdesign.graph.spec import MAX_NODES, Graph, Node, from_json, to_json
from fgdesign.graph.starters import STARTERS, Sketch
from fgdesign.graph.validate import validate


def small() -> Graph:
    s = Sketch()
    s.add("router", "router", s.add("pool", "pool", s.text()), branches=3)
    s.add("merge", "merge", *(f"router.branch_{i}" for i in (1, 2, 3)))
    s.add("head", "classifier", "merge.out")
    return s.graph("small")


GRAPH = small()
RULES = [{"when": "length", "at_most": 3, "to": 1}]

STEPS: dict[str, tuple[Callable[[Graph], Graph], Callable[[Graph], Graph]]] = {
    "add": (lambda g: edit.add_node(g, "linear/1", node_id="f", width=8),
            lambda g: edit.remove_nodes(g, ["f"])),
    "rename": (lambda g: edit.rename_node(g, "router", "chooser"),
               lambda g: edit.rename_node(g, "chooser", "router")),
    "disconnect": (lambda g: edit.disconnect(g, "merge.out", "head.in"),
                   lambda g: edit.connect(g, "merge.out", "head.in")),
    "set": (lambda g: edit.set_params(g, "router", temperature=2.0, k=2),
            lambda g: edit.set_params(g, "router", temperature=None, k=1)),
    "tune": (lambda g: edit.set_tuning(g, ["router", "head"], "frozen"),
             lambda g: edit.set_tuning(g, ["router", "head"], None)),
    "duplicate": (lambda g: edit.duplicate(g, ["router", "merge"])[0],
                  lambda g: edit.remove_nodes(g, ["router_2", "merge_2"])),
    "task": (lambda g: edit.fit_task(g, "regression"), lambda g: edit.fit_task(g, "single")),
}


@pytest.mark.parametrize("name", STEPS)
def test_an_edit_leaves_the_original_alone_and_its_inverse_undoes_it(name: str) -> None:
    do, undo = STEPS[name]
    start = edit.fit_task(GRAPH, "single")
    before = copy.deepcopy(start)
    after = do(start)
    assert start == before and after != start
    assert undo(after) == start and undo(after).identity == start.identity
    assert from_json(to_json(after)) == after


def test_move_changes_positions_only() -> None:
    moved = edit.move(GRAPH, {"head": (10, 20.5), "pool": (-3, 0)})
    assert (moved.node("head").position, moved.node("pool").position) == ((10.0, 20.5), (-3.0, 0.0))
    assert moved.identity == GRAPH.identity and GRAPH.node("head").position is None


def test_rename_follows_on_every_edge() -> None:
    renamed = edit.rename_node(GRAPH, "router", "chooser")
    assert "router" not in {end for e in renamed.edges for end in (e.source_node, e.target_node)}
    assert [e.source for e in renamed.into("merge")] == [f"chooser.branch_{i}" for i in (1, 2, 3)]
    assert edit.rename_node(GRAPH, "head", "head") is GRAPH


def test_remove_takes_the_edges_along() -> None:
    left = edit.remove_nodes(GRAPH, ["router", "head"])
    assert left.ids == ("text", "embeddings", "pool", "merge")
    assert [(e.source, e.target) for e in left.edges] == [("text.out", "embeddings.in"), ("embeddings.out", "pool.in")]


def test_fewer_branches_take_their_edges_along() -> None:
    fewer = edit.set_params(GRAPH, "router", branches=2)
    assert [e.source for e in fewer.into("merge")] == ["router.branch_1", "router.branch_2"]
    assert "branches" not in fewer.node("router").params and validate(fewer) == ()


def test_a_value_equal_to_the_default_is_not_stored() -> None:
    assert edit.set_params(GRAPH, "pool", method="mean").node("pool").params == {}
    assert edit.add_node(GRAPH, "pool/1", method="cls").node("pool_2").params == {"method": "cls"}


def test_stored_parameters_are_copies() -> None:
    rules = copy.deepcopy(RULES)
    graph = edit.add_node(GRAPH, "rule_router/1", rules=rules)
    rules[0]["to"] = 2
    rules.clear()
    assert graph.node("rule_router").params["rules"] == RULES


def test_new_nodes_get_free_names_and_free_places() -> None:
    graph = edit.add_node(edit.add_node(GRAPH, "pool/1", position=(0, 0)), "pool/1", position=(0, 0))
    assert graph.ids[-2:] == ("pool_2", "pool_3")
    assert graph.node("pool_2").position == (0, 0) and graph.node("pool_3").position == (edit.GRID, edit.GRID)
    long = edit.add_node(GRAPH, "pool/1", node_id="p" * 64)
    again, names = edit.duplicate(long, ["p" * 64])
    assert not [p for p in validate(again) if p.code == "bad-id"] and len(names["p" * 64]) <= 64


def test_duplicate_copies_nodes_settings_and_inner_edges() -> None:
    base = edit.move(edit.set_params(GRAPH, "router", k=2), {"router": (1.0, 2.0)})
    twice, names = edit.duplicate(base, ["router", "merge", "router"])
    assert names == {"router": "router_2", "merge": "merge_2"}
    assert twice.node("router_2").params == {"branches": 3, "k": 2}
    assert twice.node("router_2").position == (1.0 + 2 * edit.GRID, 2.0 + 2 * edit.GRID)
    assert [e.source for e in twice.into("merge_2")] == [f"router_2.branch_{i}" for i in (1, 2, 3)]
    assert twice.into("router_2") == () and len(twice.edges) == len(base.edges) + 3


def test_splice_puts_a_node_into_an_edge() -> None:
    graph = edit.splice(edit.add_node(GRAPH, "layer_norm/1"), "pool.out", "router.in", "layer_norm")
    assert [e.source for e in graph.into("router")] == ["layer_norm.out"]
    assert [e.source for e in graph.into("layer_norm")] == ["pool.out"] and validate(graph) == ()


def test_fit_task_swaps_every_head() -> None:
    for kind, head in (("single", "classifier/1"), ("multi", "multilabel/1"), ("regression", "regressor/1")):
        fitted = edit.fit_task(STARTERS["early-exit"].graph, kind)
        assert fitted.task == kind
        assert [fitted.node(f"head_{i}").type for i in (1, 3, 6)] == [head] * 3


def test_weights_stand_on_edges() -> None:
    graph = edit.connect(edit.add_node(GRAPH, "add/1"), "pool.out", "add.in", weight=-1.0)
    assert graph.into("add")[0].weight == -1.0


def narrowed() -> Graph:
    """The small graph with a project to 128 before its head, and an add fed by the pool."""
    graph = edit.splice(edit.add_node(GRAPH, "project/1"), "merge.out", "head.in", "project")
    return edit.connect(edit.add_node(graph, "add/1"), "pool.out", "add.in")


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "unknown type": (lambda: edit.add_node(GRAPH, "poll/1"), "Unknown node type 'poll/1'. Did you mean pool/1"),
    "taken id": (lambda: edit.add_node(GRAPH, "pool/1", node_id="pool"),
                 "already called 'pool'. A free name is 'pool_2'"),
    "bad id": (lambda: edit.add_node(GRAPH, "pool/1", node_id="Pool!"), "'Pool!' cannot be an id"),
    "unknown parameter": (lambda: edit.add_node(GRAPH, "pool/1", methode="cls"),
                          "Pool has no parameter 'methode'. Did you mean method"),
    "bad parameter": (lambda: edit.add_node(GRAPH, "linear/1", width=-1), "linear.width: -1 is outside 0 to 16384"),
    "bad tuning": (lambda: edit.add_node(GRAPH, "linear/1", tuning="lora"),
                   "Linear 'linear' cannot be tuned as 'lora'. Choices: frozen, full"),
    "tuning of nothing": (lambda: edit.set_tuning(GRAPH, ["text"], "full"),
                          "cannot be tuned as 'full'. It has nothing"),
    "remove unknown": (lambda: edit.remove_nodes(GRAPH, ["heads"]), "No node 'heads'.*Did you mean head"),
    "rename unknown": (lambda: edit.rename_node(GRAPH, "x", "y"), "No node 'x'"),
    "rename to taken": (lambda: edit.rename_node(GRAPH, "pool", "head"), "already called 'head'"),
    "rename to bad": (lambda: edit.rename_node(GRAPH, "pool", "__proto__"), "'__proto__' cannot be an id"),
    "set unknown node": (lambda: edit.set_params(GRAPH, "x", a=1), "No node 'x'"),
    "set true for a number": (lambda: edit.set_params(GRAPH, "router", k=True), "router.k: True is not a number"),
    "set nan": (lambda: edit.set_params(GRAPH, "router", temperature=float("nan")), "nan is outside 0.05 to 20"),
    "set list": (lambda: edit.set_params(GRAPH, "pool", method=["cls"]), r"\['cls'\] is not one of: cls, mean"),
    "disconnect nothing": (lambda: edit.disconnect(GRAPH, "pool.out", "head.in"),
                           "There is no edge pool.out -> head.in. Did you mean"),
    "connect twice": (lambda: edit.connect(GRAPH, "pool.out", "head.in"), "head.in is already fed by merge.out"),
    "connect cycle": (lambda: edit.connect(edit.add_node(GRAPH, "add/1", node_id="s"), "s.out", "s.in"), "s -> s"),
    "connect types": (lambda: edit.connect(edit.add_node(GRAPH, "classifier/1", node_id="h"), "embeddings.out", "h.in"),
                      r"embeddings.out \(sequence 384\) to h.in \(vector\): types differ. Insert pool between them."),
    "connect widths": (lambda: edit.connect(narrowed(), "project.out", "add.in"),
                       "joins width 384 with width 128. Insert project to 384 before it."),
    "connect branches": (lambda: edit.connect(edit.connect(edit.add_node(GRAPH, "add/1"), "router.branch_1", "add.in"),
                                              "router.branch_2", "add.in"), "different branches .* with a merge"),
    "connect unknown": (lambda: edit.connect(GRAPH, "pole.out", "head.in"), "'pole', which is no node"),
    "move unknown": (lambda: edit.move(GRAPH, {"x": (0, 0)}), "No node 'x'"),
    "duplicate unknown": (lambda: edit.duplicate(GRAPH, ["pool", "x"]), "No node 'x'"),
    "splice where no edge is": (lambda: edit.splice(GRAPH, "pool.out", "head.in", "merge"), "There is no edge"),
    "too many nodes": (lambda: edit.duplicate(Graph("g", tuple(Node(f"n{i}", "pool/1") for i in range(MAX_NODES))),
                                              ["n1"]), "would have 2,001 nodes; the limit is 2,000"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str) -> None:
    act, message = REFUSED[case]
    before = copy.deepcopy(GRAPH)
    with pytest.raises(GraphError, match=message):
        act()
    assert before == GRAPH
