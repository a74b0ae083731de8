"""Every entry of the catalogue, by one table made from the catalogue itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fgdesign.errors import GraphError
from fgdesign.graph.catalogue import CATALOGUE, CATEGORIES, node_type
from fgdesign.graph.catalogue.selectors import pattern_problem, rule_problem
from fgdesign.graph.infer import infer, summarise
from fgdesign.graph.spec import DEFAULT_BACKBONE, Edge, Graph, Node
from fgdesign.graph.starters import Sketch
from fgdesign.graph.types import ANY, NodeType, Param
from fgdesign.graph.validate import validate
from fgdesign.model.blocks import BLOCKS
from fgdesign.model.build import build_modules, plan

CLASSES = 3
ENTRIES = pytest.mark.parametrize("entry", CATALOGUE.values(), ids=lambda entry: entry.name)
KINDS = {"int", "float", "bool", "choice", "text", "rules"}
WRONG: dict[str, list[Any]] = {
    "int": [None, True, "3", 1.5, 2.0, float("nan"), float("inf"), 10**400, -(10**400), [], [[1]], {"a": 1}],
    "float": [None, False, "0.1", float("nan"), float("-inf"), 10**400, [0.1], {}],
    "bool": [None, 0, 1, "true", [True]],
    "choice": [None, 1, "", "no such choice", ["sum"], {"a": []}],
    "text": [None, 3, "x" * 1001, ["a"]],
    "rules": [None, "rules", {"when": "length"}, [{}] * 101],
}


@pytest.fixture
def backbone(tmp_path: Path) -> str:
    """A folder with the config.json of a tiny BERT."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48,
             "vocab_size": 50, "max_position_embeddings": 80, "type_vocab_size": 2}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"} | sizes), encoding="utf-8")
    return str(tmp_path)


FEEDS = {"tokens": "text.out", "sequence": "embeddings.out", "vector": "pool.out", "logits": "head.out"}
TWINS = {"sequence": "layer_norm/1", "vector": "scale/1", "logits": "classifier/1"}


def around(entry: NodeType, kind: str, count: int = 1, tuning: str | None = None, backbone: str = DEFAULT_BACKBONE,
           **params: Any) -> Graph:
    """A graph with one node, `it`, whose first port is fed `count` values of one type."""
    nodes = [Node("text", "text/1"), Node("embeddings", "embeddings/1"), Node("pool", "pool/1"),
             Node("head", "classifier/1"), Node("it", entry.name, params, None, tuning)]
    edges = [Edge("text.out", "embeddings.in"), Edge("embeddings.out", "pool.in"), Edge("pool.out", "head.in")]
    if entry.inputs:
        edges.append(Edge(FEEDS[kind], "it.in"))
    for i in range(1, count):
        nodes.append(Node(f"twin_{i}", TWINS[kind]))
        edges += [Edge("pool.out" if kind == "logits" else FEEDS[kind], f"twin_{i}.in"), Edge(f"twin_{i}.out", "it.in")]
    for port in entry.inputs[1:]:
        edges.append(Edge(FEEDS["vector" if "vector" in port.types else "logits"], f"it.{port.name}"))
    return Graph("around", tuple(nodes), tuple(edges), backbone)


def kinds_of(entry: NodeType) -> tuple[str, ...]:
    return entry.inputs[0].types if entry.inputs else ("",)


@ENTRIES
def test_an_entry_is_whole(entry: NodeType) -> None:
    assert entry.name.endswith("/1") and entry.name.removesuffix("/1").isidentifier()
    assert entry.category in CATEGORIES and entry.title and entry.summary.endswith(".")
    assert len({port.name for port in entry.inputs}) == len(entry.inputs)
    assert all(set(port.types) <= set(ANY) and port.types for port in entry.inputs)
    assert not entry.inputs or not entry.inputs[0].optional
    assert entry.tunings == () or entry.default_tuning in entry.tunings
    assert node_type(entry.name) is entry


@ENTRIES
def test_parameters_are_documented_and_guarded(entry: NodeType) -> None:
    assert len({param.name for param in entry.params}) == len(entry.params)
    for param in entry.params:
        assert param.kind in KINDS and param.help.endswith(".") and len(param.help) > 10, param.name
        assert param.problem(param.default) is None
        assert param.kind not in ("int", "float") or (param.low is not None and param.high is not None)
        assert param.kind != "choice" or len(param.choices) > 1
        for value in WRONG[param.kind]:
            problem = param.problem(value)
            assert problem and len(problem) < 300, (param.name, value)
            assert entry.with_defaults({param.name: value}) == entry.with_defaults({})
        for value in edges_of(param):
            assert param.problem(value) is None
            assert entry.with_defaults({param.name: value})[param.name] == value


def edges_of(param: Param) -> list[Any]:
    """Allowed values at the rim of a parameter's range."""
    if param.kind == "choice":
        return list(param.choices)
    return [param.low, param.high] if param.kind in ("int", "float") else [param.default]


@ENTRIES
def test_shapes_and_costs_on_every_documented_type(entry: NodeType) -> None:
    for kind in kinds_of(entry):
        found = infer(around(entry, kind), CLASSES)
        assert not found.faults
        assert {port for port in found.values if port.startswith("it.")} == \
            {f"it.{name}" for name in entry.output_names({})}
        cost = found.costs["it"]
        assert min(cost.parameters, cost.trained, cost.macs_per_token, cost.macs_per_text) >= 0
        assert cost.trained <= cost.parameters
        assert not [p for p in validate(around(entry, kind), CLASSES)
                    if p.node == "it" and p.code not in ("no-effect", "lost-rows", "many-answers")]


@ENTRIES
def test_a_type_it_does_not_take_is_named_with_the_way_out(entry: NodeType) -> None:
    for kind in set(ANY) - set(kinds_of(entry)) if entry.inputs else ():
        problems = [p for p in validate(around(entry, kind), CLASSES) if p.code == "type" and p.node == "it"]
        assert len(problems) == 1 and problems[0].port == "in"
        assert "Cannot connect" in problems[0].message and "types differ" in problems[0].message
        assert problems[0].fix.startswith(("Insert ", "Connect "))


@ENTRIES
def test_every_entry_stays_usable_with_wrong_values(entry: NodeType) -> None:
    for param in entry.params:
        for value in WRONG[param.kind]:
            problems = validate(around(entry, kinds_of(entry)[0], **{param.name: value}), CLASSES)
            mine = [p for p in problems if p.code == "bad-parameter"]
            assert [p.node for p in mine] == ["it"] and f"{param.name}: " in mine[0].message
            assert "remove it for the default" in mine[0].fix


VARIANTS: dict[str, list[dict[str, Any]]] = {
    "linear/1": [{}, {"width": 7}],
    "project/1": [{}, {"width": 0}],
    "scale/1": [{}, {"learned": True}],
    "pool/1": [{}, {"method": "attention"}],
    "ffn/1": [{}, {"hidden": 5, "residual": False}],
    "adapter/1": [{"bottleneck": 6}],
    "soft_prompt/1": [{}, {"length": 3}],
    "encoder_layer/1": [{}, {"weights": "copy", "rank": 3, "bottleneck": 5, "index": 3}],
    "classifier/1": [{}, {"norm": False, "hidden": 9}],
    "regressor/1": [{}, {"hidden": 9}],
    "router/1": [{}, {"scorer": "mlp", "branches": 5}],
    "add/1": [{}, {"weights": "learned"}],
    "gate/1": [{}, {"per": "value"}],
    "gcn_merge/1": [{}, {"adjacency": "learned", "depth": 3}, {"adjacency": "drawn", "links": "1-1"}],
}
BUILT = [
    (entry, kind, count, tuning, params)
    for entry in CATALOGUE.values() if entry.name in BLOCKS or entry.name in ("embeddings/1", "encoder_layer/1")
    for kind in kinds_of(entry)
    for count in ((1, 3) if entry.inputs[0].many else (1,))
    for tuning in (None, *entry.tunings)
    for params in VARIANTS.get(entry.name, [{}])
    if entry.role != "lexical"
]


@pytest.mark.parametrize(("entry", "kind", "count", "tuning", "params"), BUILT,
                         ids=lambda value: getattr(value, "name", str(value)))
def test_counted_parameters_are_those_of_the_block(
    backbone: str, entry: NodeType, kind: str, count: int, tuning: str | None, params: dict[str, Any]
) -> None:
    graph = around(entry, kind, count, tuning, backbone, **params)
    if entry.name == "embeddings/1":  # all embeddings share their weights and are tuned alike
        graph = graph.with_nodes(replace(n, tuning=tuning) if n.id == "embeddings" else n for n in graph.nodes)
    what = plan(graph, task="single", classes=CLASSES)
    modules, keys = build_modules(what, seed=0)
    weights = list(modules[keys["it"]].parameters())
    assert what.found.costs["it"].parameters == sum(weight.numel() for weight in weights)
    assert what.found.costs["it"].trained == sum(weight.numel() for weight in weights if weight.requires_grad)


def test_layers_that_share_weights_count_once() -> None:
    s = Sketch()
    twice = s.add("again", "encoder_layer", s.layers(s.text(), 1, 1), index=1)
    s.add("head", "classifier", s.add("pool", "pool", twice))
    shared, once = s.graph("twice"), around(CATALOGUE["encoder_layer/1"], "sequence")
    own = shared.with_nodes(replace(n, params={**n.params, "weights": "copy"}) if n.id == "again" else n
                            for n in shared.nodes)
    layer = infer(once).costs["it"].parameters
    assert summarise(own, CLASSES).parameters - summarise(shared, CLASSES).parameters == layer
    assert summarise(own, CLASSES).macs_per_token == summarise(shared, CLASSES).macs_per_token


def test_unknown_type_lists_the_known_ones() -> None:
    with pytest.raises(GraphError, match=r"type 'classifer/1'. Did you mean classifier/1\? Choices: activ"):
        node_type("classifer/1")


GOOD_RULES: list[dict[str, Any]] = [
    {"when": "length", "at_most": 6, "to": 1}, {"when": "length", "at_least": 0, "to": 2},
    {"when": "keyword", "words": ["refund", "数"], "to": 1}, {"when": "pattern", "pattern": r"(?i)\bno+\b", "to": 1},
    {"when": "script", "script": "han", "to": 2}, {"when": "column", "column": "lang", "equals": "", "to": 1},
    {"when": "confidence", "below": 0.5, "to": 1}, {"when": "confidence", "at_least": 1, "to": 2},
]
BAD_RULES: list[tuple[Any, str]] = [
    (None, "the rule None has no 'when' out of: length, keyword"),
    ("length", "has no 'when'"),
    ([{"when": "length"}], "has no 'when'"),
    ({}, "has no 'when'"),
    ({"when": ["length"], "to": 1}, "has no 'when'"),
    ({"when": "colour", "to": 1}, "has no 'when'"),
    ({"when": "length", "at_most": 3, "words": [], "to": 1}, "has no field 'words'; it has: at_most, at_least, to"),
    ({"when": "length", "at_most": 3}, "'to' is None; it is a branch from 1 to 2"),
    ({"when": "length", "at_most": 3, "to": 3}, "'to' is 3;"),
    ({"when": "length", "at_most": 3, "to": 0}, "'to' is 0;"),
    ({"when": "length", "at_most": 3, "to": True}, "'to' is True;"),
    ({"when": "length", "at_most": 3, "to": "branch_1"}, "'to' is 'branch_1';"),
    ({"when": "length", "to": 1}, "has one number: at_most or at_least"),
    ({"when": "length", "at_most": 3, "at_least": 1, "to": 1}, "has one number"),
    ({"when": "length", "at_most": True, "to": 1}, "has one number"),
    ({"when": "length", "at_most": "3", "to": 1}, "has one number"),
    ({"when": "length", "at_most": float("nan"), "to": 1}, "limit nan of a 'length' rule is outside 0 to 1e+06"),
    ({"when": "length", "at_least": -1, "to": 1}, "limit -1"),
    ({"when": "confidence", "below": 90, "to": 1}, "limit 90 of a 'confidence' rule is outside 0 to 1"),
    ({"when": "keyword", "to": 1}, "has a list of words"),
    ({"when": "keyword", "words": "refund", "to": 1}, "has a list of words"),
    ({"when": "keyword", "words": [], "to": 1}, "has a list of words"),
    ({"when": "keyword", "words": [" "], "to": 1}, "has a list of words"),
    ({"when": "keyword", "words": ["a", 3], "to": 1}, "has a list of words"),
    ({"when": "pattern", "to": 1}, "a pattern of 1 to 1,000 characters"),
    ({"when": "pattern", "pattern": "x" * 1001, "to": 1}, "a pattern of 1 to 1,000 characters"),
    ({"when": "pattern", "pattern": "(", "to": 1}, "pattern '(' is not RE2 syntax: missing )"),
    ({"when": "pattern", "pattern": r"(a)\1", "to": 1}, "is not RE2 syntax: invalid escape sequence"),
    ({"when": "pattern", "pattern": "(?=a)", "to": 1}, "is not RE2 syntax"),
    ({"when": "pattern", "pattern": "((a{1000}){1000}){1000}", "to": 1}, "is not RE2 syntax"),
    ({"when": "pattern", "pattern": "\ud800", "to": 1}, "is not RE2 syntax"),
    ({"when": "script", "script": ["han"], "to": 1}, "is not one of: latin, cyrillic"),
    ({"when": "script", "to": 1}, "script None is not one of"),
    ({"when": "column", "column": "lang", "to": 1}, "has two texts: column and equals"),
    ({"when": "column", "column": 3, "equals": "de", "to": 1}, "has two texts"),
]


@pytest.mark.parametrize("rule", GOOD_RULES, ids=str)
def test_good_rules(rule: dict[str, Any]) -> None:
    assert rule_problem(rule, 2) is None


@pytest.mark.parametrize(("rule", "message"), BAD_RULES)
def test_bad_rules_say_what_is_wrong_and_reach_the_list_of_problems(rule: Any, message: str) -> None:
    problem = rule_problem(rule, 2)
    assert problem and message in problem and len(problem) < 300
    graph = around(CATALOGUE["rule_router/1"], "vector", rules=[GOOD_RULES[0], rule])
    shapes = [p for p in validate(graph, CLASSES) if p.code == "shape"]
    assert [(p.node, p.fix) for p in shapes] == [("it", "Correct the rule in the inspector.")]
    assert problem in shapes[0].message


def test_patterns_are_checked_as_the_rules_use_them() -> None:
    assert pattern_problem(r"\d{3}") is None
    assert pattern_problem(7) == "a 'pattern' rule has a pattern of 1 to 1,000 characters"
