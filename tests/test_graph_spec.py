"""The JSON form of a graph: round trip, identity, and what hostile files do (a plain refusal, nothing else)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fgdesign.errors import GraphError
from fgdesign.graph.infer import infer
from fgdesign.graph.spec import (
    FORMAT,
    MAX_EDGES,
    MAX_NODES,
    Edge,
    Graph,
    Node,
    canonical,
    from_dict,
    from_json,
    load_file,
    shown,
    to_dict,
    to_json,
)
from fgdesign.graph.starters import STARTERS, Sketch
from fgdesign.graph.validate import validate

SMALL = Graph(
    "small",
    (
        Node("text", "text/1", {"max_length": 32}, (0.0, 4.5)),
        Node("rule", "rule_router/1", {"rules": [{"when": "keyword", "words": ["ß", "数"], "to": 1}]}),
        Node("layer", "encoder_layer/1", {"index": 2}, None, "lora"),
    ),
    (Edge("text.out", "layer.in"), Edge("text.out", "rule.in", 0.5), Edge("layer.out", "rule.in")),
    task="single",
)


def as_data(**changes: Any) -> dict[str, Any]:
    return to_dict(SMALL) | changes


@pytest.mark.parametrize("graph", [SMALL, Graph("empty"), *(starter.graph for starter in STARTERS.values())],
                         ids=lambda graph: graph.name)
def test_round_trip_keeps_everything(graph: Graph) -> None:
    again = from_json(to_json(graph))
    assert again == graph
    assert again.identity == graph.identity
    assert from_json(to_json(graph).encode()) == from_dict(to_dict(graph)) == graph


def test_the_form_holds_only_what_is_set() -> None:
    assert to_dict(SMALL)["nodes"][1] == {"id": "rule", "type": "rule_router/1", "params": SMALL.nodes[1].params}
    assert to_dict(SMALL)["edges"][:2] == [
        {"from": "text.out", "to": "layer.in"}, {"from": "text.out", "to": "rule.in", "weight": 0.5},
    ]


def test_plain_data_is_a_copy_both_ways() -> None:
    data = to_dict(SMALL)
    graph = from_dict(data)
    data["nodes"][1]["params"]["rules"][0]["words"].append("x")
    to_dict(graph)["nodes"][1]["params"]["rules"].clear()
    assert graph == SMALL


SAME: dict[str, Callable[[Graph], Graph]] = {
    "name": lambda g: replace(g, name="other"),
    "positions": lambda g: g.with_nodes(replace(node, position=(7.0, 7.0)) for node in g.nodes),
    "node order": lambda g: g.with_nodes(reversed(g.nodes)),
    "edge order between ports": lambda g: g.with_edges((g.edges[1], g.edges[2], g.edges[0])),
    "order of keys": lambda g: from_json(json.dumps(to_dict(g), sort_keys=True)),
}
OTHER: dict[str, Callable[[Graph], Graph]] = {
    "parameter": lambda g: g.with_nodes((replace(g.nodes[0], params={"max_length": 33}), *g.nodes[1:])),
    "type": lambda g: g.with_nodes((replace(g.nodes[0], type="text/2"), *g.nodes[1:])),
    "id": lambda g: g.with_nodes((replace(g.nodes[0], id="text_2"), *g.nodes[1:])),
    "tuning": lambda g: g.with_nodes((*g.nodes[:2], replace(g.nodes[2], tuning="full"))),
    "edge order in one port": lambda g: g.with_edges((g.edges[0], g.edges[2], g.edges[1])),
    "edge weight": lambda g: g.with_edges((*g.edges[:2], replace(g.edges[2], weight=2.0))),
    "backbone": lambda g: replace(g, backbone="other"),
    "task": lambda g: replace(g, task="multi"),
}


@pytest.mark.parametrize("change", SAME)
def test_identity_does_not_see(change: str) -> None:
    assert SAME[change](SMALL).identity == SMALL.identity
    assert SAME[change](SMALL) != SMALL or change == "order of keys"


@pytest.mark.parametrize("change", OTHER)
def test_identity_sees(change: str) -> None:
    assert OTHER[change](SMALL).identity != SMALL.identity


def test_identity_is_the_hash_of_the_canonical_form() -> None:
    assert Graph("a").identity == Graph("b").identity
    assert canonical(Graph("a")) == (
        '{"backbone":"all-MiniLM-L6-v2","edges":[],"format":"fgdesign.graph/1","nodes":[],"task":"auto"}'
    )
    assert Graph("a").identity == "36ad0eb821a0a038b8cc8152192454a936675a79629fcd1fa6d2f2fc4d1b8d2f"


def node(**fields: Any) -> dict[str, Any]:
    return as_data(nodes=[{"id": "a", "type": "text/1"} | fields], edges=[])


def edge(**fields: Any) -> dict[str, Any]:
    return as_data(edges=[{"from": "text.out", "to": "layer.in"} | fields])


BAD_DATA: dict[str, tuple[Any, str]] = {
    "list": ([], "The graph is of kind list; it is an object with backbone, edges"),
    "null": (None, "of kind NoneType"),
    "no format": ({}, f"format None; this version reads '{FORMAT}'"),
    "other format": (as_data(format="fgdesign.graph/9"), "format 'fgdesign.graph/9'"),
    "unknown field": (as_data(node=[]), "unknown field 'node'. Did you mean nodes"),
    "key of no kind": (as_data() | {3: 1}, "unknown field 3"),
    "task": (as_data(task="clustering"), "task is 'clustering'. Choices: auto, multi, regression, single"),
    "task list": (as_data(task=["auto"]), r"task is \['auto'\]"),
    "name": (as_data(name=5), "name and backbone must be texts"),
    "backbone": (as_data(backbone=None), "name and backbone must be texts"),
    "nodes object": (as_data(nodes={}), "'nodes' is of kind dict; it is a list"),
    "node text": (as_data(nodes=["text"]), r"nodes\[0\] is of kind str"),
    "node field": (node(weight=1), r"nodes\[0\] has an unknown field 'weight'"),
    "proto id": (node(id="__proto__"), "id '__proto__'; an id is a lower-case letter"),
    "dotted id": (node(id="a.b"), "id 'a.b'; an id is"),
    "upper id": (node(id="Text"), "id 'Text'; an id is"),
    "newline id": (node(id="a\n"), "an id is a lower-case letter"),
    "long id": (node(id="a" * 65), "an id is a lower-case letter"),
    "number id": (node(id=1), "id 1; an id is"),
    "type list": (node(type=["text/1"]), "type .'text/1'.; a type is a text"),
    "params list": (node(params=[1]), r"params \[1\]; they are an object"),
    "tuning": (node(tuning=True), "tuning True; it is a text"),
    "position text": (node(position="left"), "position 'left'; it is a pair"),
    "position bool": (node(position=[True, 0]), r"position \[True, 0\]; it is a pair of numbers"),
    "position three": (node(position=[1, 2, 3]), "it is a pair of numbers"),
    "position huge": (node(position=[1e12, 0]), "it is a pair of numbers"),
    "double id": (as_data(nodes=[{"id": "a", "type": "x"}, {"id": "a", "type": "y"}]), "Two nodes are called 'a'"),
    "edge end": (edge(to="layer"), "'to': 'layer'; an end is 'node.port'"),
    "edge end kind": (edge(**{"from": ["text.out"]}), r"'from': \['text.out'\]; an end is"),
    "edge weight bool": (edge(weight=True), "weight True; a weight is a number"),
    "edge weight huge": (edge(weight=10**400), "a weight is a number"),
    "infinite": (node(params={"a": float("inf")}), "the number inf; numbers are finite"),
    "not a number": (edge(weight=float("nan")), "the number nan; numbers are finite"),
    "half a character": (node(params={"a": "\ud800"}), "cannot be written as UTF-8"),
    "half a character as key": (node(params={"\udfff": 1}), "cannot be written as UTF-8"),
    "set": (node(params={"a": {1, 2}}), "The graph has a set; it is made of"),
    "too many nodes": (as_data(nodes=[{}] * (MAX_NODES + 1)), "2,001 nodes; the limit is 2,000"),
    "too many edges": (as_data(edges=[{}] * (MAX_EDGES + 1)), "20,001 edges; the limit is 20,000"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_data_of_a_wrong_kind_is_refused(case: str) -> None:
    data, message = BAD_DATA[case]
    with pytest.raises(GraphError, match=message):
        from_dict(data)


HEAD = '{"format": "fgdesign.graph/1", "nodes": [{"id": "a", "type": "text/1", "params": {"x": '
BAD_TEXT: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "This is not a JSON file: .* Export a graph from the Design page"),
    "not JSON": ("nodes:\n- a", "not a JSON file"),
    "binary": (b"\xff\xfe\x00\x01\x80", "not a JSON file"),
    "cut": (to_json(SMALL)[:-9], "not a JSON file"),
    "very deep": ("[" * 400_000, "not a JSON file"),
    "deep in params": (HEAD + "[" * 200 + "]" * 200 + "}}]}", "more than 12 deep"),
    "Infinity": (HEAD + "Infinity}}]}", "the number inf; numbers are finite"),
    "NaN": (HEAD + "NaN}}]}", "the number nan"),
    "1e999": (HEAD + "-1e999}}]}", "the number -inf"),
    "endless digits": (HEAD + "9" * 5000 + "}}]}", "not a JSON file"),
    "same key twice": (HEAD + '1, "x": 2}}]}', "key 'x' is there twice"),
    "same field twice": ('{"format": "fgdesign.graph/1", "format": 1}', "key 'format' is there twice"),
    "large": (" " * 1_000_001, "has 1,000,001 bytes; the limit is 1,000,000"),
}


@pytest.mark.parametrize("case", BAD_TEXT)
def test_hostile_text_is_refused(case: str) -> None:
    text, message = BAD_TEXT[case]
    with pytest.raises(GraphError, match=message) as caught:
        from_json(text)
    assert len(str(caught.value)) < 400


def test_files(tmp_path: Path) -> None:
    good, large = tmp_path / "good.json", tmp_path / "large.json"
    good.write_bytes(b"\xef\xbb\xbf" + to_json(SMALL).encode())
    large.write_bytes(b" " * 3_000_000)
    assert load_file(good) == SMALL
    for path, message in ((large, "the limit is"), (tmp_path / "no.json", "No such file"), (tmp_path, "directory"),
                          ("a\0b", "null byte")):
        with pytest.raises(GraphError, match=message):
            load_file(path)


def test_messages_cut_long_values() -> None:
    assert len(shown("x" * 10_000)) < 100
    assert shown([[[[[1]]]]]) == "[[[[...]]]]"
    assert shown("short") == "'short'"


def test_look_ups() -> None:
    assert SMALL.ids == ("text", "rule", "layer")
    assert [e.source for e in SMALL.into("rule")] == [e.source for e in SMALL.into("rule", "in")] == \
        ["text.out", "layer.out"]
    assert SMALL.into("rule", "by") == SMALL.into("nobody") == SMALL.out_of("text", "other") == ()
    assert [e.target_node for e in SMALL.out_of("text")] == ["layer", "rule"]
    assert (SMALL.edges[0].target_node, SMALL.edges[0].target_port) == ("layer", "in")
    with pytest.raises(GraphError, match=r"No node 'layers' in graph 'small'. Did you mean layer\?"):
        SMALL.node("layers")


def large_graph(size: int) -> Graph:
    """A deep chain with a router of four branches every fifth layer and an exit every twentieth."""
    s = Sketch()
    hidden, answers, i = s.text(), [], 0
    while len(s.nodes) < size - 12:
        i += 1
        hidden = s.add(f"layer_{i}", "encoder_layer", hidden, index=1 + i % 6)
        if i % 5 == 0:
            s.add(f"router_{i}", "router", hidden, branches=4, k=1 + i % 2)
            experts = [s.add(f"expert_{i}_{j}", "ffn", f"router_{i}.branch_{j}") for j in (1, 2, 3)]
            hidden = s.add(f"merge_{i}", "merge", *experts, f"router_{i}.branch_4")
        if i % 20 == 0:
            head = s.add(f"head_{i}", "classifier", s.add(f"pool_{i}", "pool", hidden))
            s.add(f"exit_{i}", "exit", hidden, logits=head)
            hidden = f"exit_{i}.next"
            answers.append(f"exit_{i}.answer")
    s.add("answer", "answer", *answers, s.add("head", "classifier", s.add("pool", "pool", hidden)))
    return s.graph("large")


def test_two_thousand_nodes_take_seconds_not_minutes() -> None:
    text = to_json(large_graph(MAX_NODES))
    start = time.process_time()
    graph = from_json(text)
    found, problems = infer(graph), validate(graph)
    assert time.process_time() - start < 5.0
    assert MAX_NODES - 40 < len(graph.nodes) == len(found.order) and problems == ()


def test_an_edit_in_a_graph_of_five_hundred_nodes_is_checked_at_once() -> None:
    graph = large_graph(500)
    times = []
    for _ in range(5):
        start = time.process_time()
        assert validate(graph.with_nodes(graph.nodes)) == ()
        times.append(time.process_time() - start)
    assert min(times) < 0.15  # about 0.03 s on one core of a small machine
