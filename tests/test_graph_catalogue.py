"""Every entry of the catalogue, by one table made from the catalogue itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fgdesign.errors import GraphError
from fgdesign.graph.catalogue import CATALOGUE, CATEGORIES, node_type
from fgdesign.graph.catalogue.selectors import pattern_problem, rule_problem
from fgdesign.graph.infer import Inference, infer, summarise
from fgdesign.graph.spec import Graph
from fgdesign.graph.starters import Sketch
from fgdesign.graph.types import ANY, Cost, NodeType, Param
from fgdesign.graph.validate import describe, validate
from fgdesign.model.blocks import BLOCKS
from fgdesign.model.build import plan
from fgdesign.model.network import FunctionGraph

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


def around(entry: NodeType, kind: str, count: int = 1, tuning: str | None = None, **params: Any) -> Graph:
    """A graph with one node, `it`, whose first port is fed `count` values of one type."""
    s = Sketch()
    hidden = s.text()
    feeds = {"tokens": "text", "sequence": "layer", "vector": "pool", "logits": "head"}
    s.add("layer", "encoder_layer", hidden, index=2)
    s.add("pool", "pool", "layer.out")
    s.add("head", "classifier", "pool.out")
    twins = [f"{feeds[kind]}.out"]
    for i in range(1, count):
        s.add(f"twin_{i}", {"sequence": "layer_norm", "vector": "scale", "logits": "classifier"}[kind],
              "pool.out" if kind == "logits" else twins[0])
        twins.append(f"twin_{i}.out")
    second = {port.name: "pool.out" if "vector" in port.types else "head.out" for port in entry.inputs[1:]}
    s.add("it", entry.name.partition("/")[0], *(twins if entry.inputs else ()), tuning=tuning, **params)
    graph = s.graph("around")
    extra = Sketch()
    extra.nodes, extra.edges = list(graph.nodes), list(graph.edges)
    for port, source in second.items():
        extra.edges.append(type(graph.edges[0])(source, f"it.{port}"))
    return extra.graph("around")


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
    assert entry.title in describe(entry) and all(f"{param.name} = " in describe(entry) for param in entry.params)


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
                    if p.node == "it" and p.code not in ("no-effect", "lost-rows", "answered-twice")]


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
    if entry.role == "router" and kind in ("tokens", "logits"):
        params = {**params}
    graph = around(entry, kind, count, tuning, **params)
    graph = Graph(graph.name, graph.nodes, graph.edges, backbone)
    if entry.name == "encoder_layer/1":  # the node that shares its weights must be tuned alike
        graph = graph.with_nodes(n for n in graph.nodes if n.id != "layer")
        graph = graph.with_edges(type(e)(e.source.replace("layer.out", "embeddings.out"), e.target)
                                 for e in graph.edges if e.target_node != "layer")
    if entry.name == "embeddings/1":
        graph = graph.with_nodes(n for n in graph.nodes if n.id in ("text", "it"))
        graph = graph.with_edges(e for e in graph.edges if e.target_node == "it")
    what = plan(graph, task="single", classes=CLASSES)
    cost: Cost = what.found.costs["it"]
    module = modules_of(what).get("it")
    sizes = {} if module is None else {name: p for name, p in module.named_parameters()}
    assert cost.parameters == sum(p.numel() for p in sizes.values())
    assert cost.trained == sum(p.numel() for p in sizes.values() if p.requires_grad)


def modules_of(what: Any) -> dict[str, Any]:
    from fgdesign.model.build import build_modules

    modules, keys = build_modules(what, seed=0)
    return {node_id: modules[key] for node_id, key in keys.items()}
