"""Repairs: a table of broken graphs; each repair makes its problem go away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fgdesign.graph import STARTERS, Edge, Graph, Node, edit, placed, validate
from fgdesign.graph.repair import bridge, repairs

PROBE = STARTERS["linear-probe"].graph
EXPERTS = STARTERS["routed-experts"].graph


def cut(graph: Graph, *wires: str) -> Graph:
    for wire in wires:
        graph = edit.disconnect(graph, *wire.split(">"))
    return graph


def put(graph: Graph, *wires: str) -> Graph:
    """Wires drawn without asking, as a file may hold them."""
    drawn = (Edge(start, end) for start, _, end in (wire.partition(">") for wire in wires))
    return graph.with_edges((*graph.edges, *drawn))


def node(graph: Graph, name: str, kind: str, **params: object) -> Graph:
    return graph.with_nodes((*graph.nodes, Node(name, kind, params)))


BROKEN: dict[str, tuple[Callable[[], Graph], str, str]] = {
    "sequence into a head": (
        lambda: put(edit.remove_nodes(PROBE, ["pool"]), "layer_6.out>classifier.in"),
        "type",
        "Insert pool",
    ),
    "tokens into a layer": (
        lambda: put(edit.remove_nodes(PROBE, ["embeddings"]), "text.out>layer_1.in"),
        "type",
        "Insert embeddings",
    ),
    "an input without a wire": (
        lambda: cut(PROBE, "pool.out>classifier.in"),
        "missing-input",
        "Connect pool.out",
    ),
    "a head far from the text": (
        lambda: node(Graph("x", PROBE.nodes[:1]), "head", "classifier/1"),
        "missing-input",
        "Insert embeddings and pool after text",
    ),
    "embeddings alone": (lambda: node(Graph("x"), "e", "embeddings/1"), "missing-input", "Add a text"),
    "a narrow value into a layer": (
        lambda: put(
            node(cut(PROBE, "layer_1.out>layer_2.in"), "thin", "linear/1", width=64),
            "layer_1.out>thin.in",
            "thin.out>layer_2.in",
        ),
        "shape",
        "Insert project to 384",
    ),
    "a layer that the backbone lacks": (
        lambda: edit.set_params(PROBE, "layer_6", index=9),
        "shape",
        "Set index to 6",
    ),
    "widths that differ": (
        lambda: put(
            node(node(cut(PROBE, "pool.out>classifier.in"), "thin", "linear/1", width=64), "sum", "add/1"),
            "pool.out>sum.in",
            "pool.out>thin.in",
            "thin.out>sum.in",
            "sum.out>classifier.in",
        ),
        "shape",
        "Insert project to 384",
    ),
    "branches that meet in a sum": (
        lambda: EXPERTS.with_nodes(
            replace(n, type="add/1", params={}) if n.id == "merge" else n for n in EXPERTS.nodes
        ),
        "unmerged",
        "Insert merge",
    ),
    "a branch that leads nowhere": (
        lambda: cut(EXPERTS, "router.branch_5>merge.in"),
        "lost-rows",
        "Connect to merge",
    ),
    "a node without effect": (
        lambda: put(node(PROBE, "lonely", "pool/1"), "layer_3.out>lonely.in"),
        "no-effect",
        "Remove lonely",
    ),
    "no answer": (lambda: edit.remove_nodes(PROBE, ["classifier"]), "no-answer", "Add classifier"),
    "no answer, no pool": (
        lambda: edit.remove_nodes(PROBE, ["classifier", "pool"]),
        "no-answer",
        "Add pool and classifier",
    ),
    "two answers on the same rows": (
        lambda: put(node(PROBE, "words", "lexical/1"), "text.out>words.in"),
        "many-answers",
        "Insert merge",
    ),
    "a wire to nowhere": (lambda: put(PROBE, "pool.out>gone.in"), "unknown-node", "Remove broken wires"),
    "a port that is not there": (
        lambda: put(PROBE, "pool.left>classifier.in"),
        "unknown-port",
        "Remove broken wires",
    ),
    "an input fed twice": (lambda: put(PROBE, "layer_5.out>pool.in"), "fed-twice", "Keep layer_6.out alone"),
    "the same wire twice": (lambda: put(PROBE, "layer_6.out>pool.in"), "fed-twice", "Keep layer_6.out alone"),
    "a parameter out of range": (
        lambda: PROBE.with_nodes(
            replace(n, params={"max_length": -1}) if n.id == "text" else n for n in PROBE.nodes
        ),
        "bad-parameter",
        "Take the default",
    ),
    "a parameter nobody knows": (
        lambda: PROBE.with_nodes(
            replace(n, params={"colour": 1}) if n.id == "text" else n for n in PROBE.nodes
        ),
        "unknown-parameter",
        "Take the default",
    ),
    "a tuning nobody knows": (
        lambda: PROBE.with_nodes(replace(n, tuning="hot") if n.id == "pool" else n for n in PROBE.nodes),
        "bad-tuning",
        "Take the default",
    ),
    "a cycle": (
        lambda: put(cut(PROBE, "embeddings.out>layer_1.in"), "layer_3.out>layer_1.in"),
        "cycle",
        "Remove",
    ),
    "a type nobody knows": (lambda: node(PROBE, "odd", "odd/7"), "unknown-type", "Remove odd"),
    "one layer, two tunings": (
        lambda: edit.set_tuning(edit.set_params(PROBE, "layer_5", index=6), ["layer_6"], "full"),
        "shared-tuning",
        "Tune as layer_5",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_repair_makes_its_problem_go_away(name: str) -> None:
    make, code, label = BROKEN[name]
    graph = placed(make())
    problem = next(found for found in validate(graph) if found.code == code)
    offered = repairs(graph, problem)
    assert any(text.startswith(label) for text, _ in offered), [text for text, _ in offered]
    for text, repaired in offered:
        left = [(found.code, found.node, found.port) for found in validate(repaired)]
        assert (problem.code, problem.node, problem.port) not in left, text


@pytest.mark.parametrize("name", ["early-exit", "grow", "routed-experts", "textbook-sentiment"])
def test_a_node_taken_out_of_a_starter_can_be_answered(name: str) -> None:
    """Whatever is missing, a repair that is offered can be applied and breaks no wire."""
    graph = placed(STARTERS[name].graph)
    for gone in graph.ids:
        rest = edit.remove_nodes(graph, [gone])
        for problem in validate(rest):
            for _, repaired in repairs(rest, problem):
                codes = {found.code for found in validate(repaired)}
                assert not codes & {"unknown-node", "unknown-port", "double-id", "bad-id"}


def test_new_nodes_stand_free() -> None:
    graph = placed(BROKEN["sequence into a head"][0]())
    problem = next(found for found in validate(graph) if found.code == "type")
    repaired = repairs(graph, problem)[0][1]
    assert len({n.position for n in repaired.nodes}) == len(repaired.nodes)


def test_a_bridge_fills_the_gap_or_says_that_none_fits() -> None:
    graph = cut(PROBE, "pool.out>classifier.in")
    through = bridge(graph, "text.out", "classifier.in")
    assert through is not None
    assert through[0] == "Insert embeddings and pool"
    assert bridge(graph, "classifier.out", "pool.in") is None
