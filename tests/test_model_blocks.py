"""Every node type has a block that runs on its documented shapes, learns, and costs what the catalogue says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import pytest
import torch
from model_toys import TINY
from torch import Tensor, nn
from torch.nn import functional as F

from fgdesign.graph.backbones import BackboneInfo, describe_backbone
from fgdesign.graph.catalogue import CATALOGUE
from fgdesign.graph.spec import DEFAULT_BACKBONE, Edge, Graph, Node
from fgdesign.graph.types import LOGITS, SEQUENCE, TOKENS, VECTOR, NodeType
from fgdesign.model.backbone import Backbone, random_backbone
from fgdesign.model.blocks import BLOCKS
from fgdesign.model.blocks.merges import AttentionMerge, GCNMerge, LogitMerge, Merge
from fgdesign.model.blocks.routers import Choice
from fgdesign.model.build import plan
from fgdesign.model.network import FunctionGraph

CLASSES = 3
DEFAULT = describe_backbone(DEFAULT_BACKBONE)
WITHOUT_BLOCK = {"source", "answer", "exit"}
PRETRAINED = {"embeddings/1", "encoder_layer/1"}
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "linear/1": [{}, {"width": 5, "activation": "relu"}],
    "ffn/1": [{"hidden": 7}, {"residual": False, "dropout": 0.5}],
    "adapter/1": [{"bottleneck": 3}],
    "scale/1": [{}, {"learned": True, "value": 2.0}],
    "pool/1": [{"method": method} for method in ("cls", "mean", "max", "attention")],
    "project/1": [{"width": 5}],
    "normalise/1": [{"method": method} for method in ("l2", "standardise")],
    "soft_prompt/1": [{"length": 2}],
    "encoder_layer/1": [{"index": 2}, {"index": 1, "weights": "copy"}],
    "add/1": [{}, {"weights": "learned"}],
    "gate/1": [{}, {"per": "value"}],
    "router/1": [{}, {"branches": 3, "k": 2, "scorer": "mlp"}, {"method": "straight_through"}, {"method": "soft"}],
    "merge/1": [{"method": method} for method in ("sum", "mean", "max")] + [{"rows": "shared"}],
    "gcn_merge/1": [{"adjacency": "learned", "depth": 2}, {"adjacency": "drawn", "links": "1-2"}, {"readout": "mean"}],
    "classifier/1": [{}, {"hidden": 5, "norm": False}],
    "multilabel/1": [{}, {"hidden": 5}],
    "regressor/1": [{}, {"norm": False}],
}
SOURCES = {TOKENS: "text.out", SEQUENCE: "layer.out", VECTOR: "pool.out", LOGITS: "head.out"}


def graph_of(entry: NodeType, kind: str, params: dict[str, Any], tuning: str | None) -> Graph:
    """A graph with the node `it` of this type, fed values of one kind; many ports get two of them."""
    lower = tuning if entry.name == "embeddings/1" else None  # both embeddings share their weights
    nodes = [
        Node("text", "text/1", {"max_length": 24}), Node("embeddings", "embeddings/1", {}, None, lower),
        Node("layer", "encoder_layer/1", {"index": 4}), Node("pool", "pool/1"), Node("head", "classifier/1"),
        Node("other_layer", "encoder_layer/1", {"index": 3}), Node("other_pool", "pool/1", {"method": "max"}),
        Node("other_head", "classifier/1"), Node("it", entry.name, params, None, tuning),
    ]
    edges = [
        Edge("text.out", "embeddings.in"), Edge("embeddings.out", "layer.in"), Edge("layer.out", "pool.in"),
        Edge("pool.out", "head.in"), Edge("embeddings.out", "other_layer.in"), Edge("other_layer.out", "other_pool.in"),
        Edge("other_pool.out", "other_head.in"),
    ]
    for place, port in enumerate(entry.inputs):
        mine = kind if kind in port.types else port.types[0]
        if not port.optional or (entry.name == "router/1" and kind in (TOKENS, LOGITS)):
            edges.append(Edge(SOURCES[mine], f"it.{port.name}", 0.5 if entry.name == "add/1" else None))
        if port.many and place == 0:
            edges.append(Edge(f"other_{SOURCES[mine]}", "it.in"))
    return Graph("block", tuple(nodes), tuple(edges))


def cases() -> list[Any]:
    """(type, kind of input, parameters, tuning) for every entry of the catalogue."""
    found = []
    for entry in CATALOGUE.values():
        if entry.role in WITHOUT_BLOCK or entry.name in ("rule_router/1", "lexical/1"):
            continue
        for params, kind, tuning in product(VARIANTS.get(entry.name, [{}]), entry.inputs[0].types,
                                            entry.tunings or (None,)):
            name = "-".join([entry.name, kind, str(tuning), *map(str, params.values())])
            found.append(pytest.param(entry, kind, params, tuning, id=name))
    return found


def network_of(entry: NodeType, kind: str, params: dict[str, Any], tuning: str | None,
               backbone: BackboneInfo = TINY) -> FunctionGraph:
    what = plan(graph_of(entry, kind, params, tuning), task="single", classes=CLASSES, backbone=backbone)
    assert not what.found.faults
    # `it` has no reader and the graph no answer: only its module is wanted here
    return FunctionGraph(replace(what, found=replace(what.found, answer="head.out")),
                         pretrained=random_backbone(TINY, seed=1) if backbone is TINY else sizes_of(backbone))


@cache
def sizes_of(backbone: BackboneInfo) -> Backbone:
    """An encoder without memory behind its weights; each build marks anew what is trained."""
    with torch.device("meta"):
        return random_backbone(backbone, seed=1)


def value_of(kind: str, width: int, masked: bool) -> tuple[Tensor, Tensor | None]:
    """4 rows: (4, 5, width) with lengths 5, 3, 1, 5 where masked, (4, width) or (4, classes)."""
    if kind != SEQUENCE:
        return torch.randn(4, CLASSES if kind == LOGITS else width, requires_grad=True), None
    mask = torch.arange(5) < torch.tensor([5, 3, 1, 5])[:, None]
    return torch.randn(4, 5, width, requires_grad=True), mask if masked else None


def called(network: FunctionGraph, entry: NodeType, kind: str, masked: bool) -> Any:
    """What the block of `it` gives for random values of its documented shapes."""
    torch.manual_seed(0)
    module, width = network.module_of("it"), TINY.width
    value, mask = value_of(SEQUENCE if kind == TOKENS else kind, width, masked)
    if entry.name == "embeddings/1":
        real = torch.ones(4, 5, dtype=torch.bool) if mask is None else mask
        return module(torch.randint(4, 60, (4, 5)), torch.zeros(4, 5, dtype=torch.int64), real)
    if entry.name == "encoder_layer/1":
        return module(value, None if mask is None else mask[:, None, None])
    if entry.name == "router/1":
        return module(*value_of(SEQUENCE if kind == SEQUENCE else VECTOR, width, masked))
    if entry.role == "merge":
        places = torch.tensor([0, 2, 4, 5])
        gates = [torch.rand(4), None]
        return module([value, value_of(kind, width, masked)[0]], [places, torch.tensor([1, 2, 3, 4])], gates, 6)
    values = [value]
    if entry.name == "gate/1" or entry.inputs[0].many:
        values.append(value_of(kind, width, masked)[0])
    return module(values, mask)


@pytest.mark.parametrize(("entry", "kind", "params", "tuning"), cases())
def test_a_block_runs_on_its_shapes_and_everything_trained_gets_a_gradient(
    entry: NodeType, kind: str, params: dict[str, Any], tuning: str | None
) -> None:
    network = network_of(entry, kind, params, tuning).train()
    for masked in (False, True):
        network.zero_grad()
        check_block(network, entry, kind, params, masked)


def check_block(network: FunctionGraph, entry: NodeType, kind: str, params: dict[str, Any], masked: bool) -> None:
    module = network.module_of("it")
    out = called(network, entry, kind, masked)
    if isinstance(out, Choice):
        branches = int(params.get("branches", 2))
        assert [t.shape for t in (out.probabilities, out.scores, out.called, out.gates)] == [(4, branches)] * 4
        total = (out.gates * torch.rand(4, branches)).sum()
    else:
        if isinstance(out, tuple):
            out, mask = out
            assert (mask is not None) == masked and (mask is None or mask.shape == out.shape[:2])
        promised = network.plan.found.values[f"it.{entry.output_names(params)[0]}"]
        rows = 6 if entry.role == "merge" else 4
        length = 5 + int(params.get("length", 0))
        assert out.shape == ((rows, length, promised.width) if promised.type == SEQUENCE else (rows, promised.width))
        assert bool(out.isfinite().all())
        total = (out * torch.rand_like(out)).sum()
    trained = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
    assert bool(trained) == bool(network.plan.found.costs["it"].trained)
    if trained:
        total.backward()
    without = {name for name, weight in trained.items() if weight.grad is None or not bool(weight.grad.any())}
    assert all("down" in name for name in without)  # what feeds a map that starts at zero learns a step later


@pytest.mark.parametrize(("entry", "kind", "params", "tuning"), cases())
def test_parameters_are_as_many_as_the_catalogue_says(
    entry: NodeType, kind: str, params: dict[str, Any], tuning: str | None
) -> None:
    for backbone in (TINY, DEFAULT):
        with torch.device("meta"):  # no memory behind the weights
            network = network_of(entry, kind, params, tuning, backbone)
        weights, cost = list(network.module_of("it").parameters()), network.plan.found.costs["it"]
        assert cost.parameters == sum(weight.numel() for weight in weights)
        assert cost.trained == sum(weight.numel() for weight in weights if weight.requires_grad)


@pytest.mark.parametrize("entry", list(CATALOGUE.values()), ids=lambda entry: entry.name)
def test_every_type_has_a_block_or_a_step_of_its_own(entry: NodeType) -> None:
    stepped = WITHOUT_BLOCK | {"router"} if entry.name == "rule_router/1" else WITHOUT_BLOCK
    assert (entry.name in BLOCKS) == (entry.role not in stepped and entry.name not in PRETRAINED)


ROW_SETS = [[0, 1, 2, 3, 4], [0, 2], [1, 2, 4]]
PLACES = [None, torch.tensor([0, 2]), torch.tensor([1, 2, 4])]


def three_inputs(shape: tuple[int, ...], gated: bool = True) -> tuple[list[Tensor], list[Tensor | None]]:
    """Values for the rows of ROW_SETS, and gates; the second input has none."""
    torch.manual_seed(1)
    values = [torch.randn(len(rows), *shape) for rows in ROW_SETS]
    gates: list[Tensor | None] = [torch.rand(5) + 0.1, None, torch.rand(3) + 0.1]
    return values, gates if gated else [None] * 3


def there(row: int, values: list[Tensor], gates: list[Tensor | None]) -> list[tuple[int, Tensor, Tensor]]:
    """(input, value, gate) of the inputs that hold a row."""
    found = []
    for i, rows in enumerate(ROW_SETS):
        if row in rows:
            gate = gates[i]
            place = rows.index(row)
            found.append((i, values[i][place], torch.ones(()) if gate is None else gate[place]))
    return found


SHAPES = pytest.mark.parametrize("shape", [(4,), (3, 4)], ids=["vectors", "sequences"])
METHODS: dict[str, Callable[[list[Tensor], list[Tensor]], Tensor]] = {
    "sum": lambda x, g: torch.stack([gate * value for gate, value in zip(g, x, strict=True)]).sum(0),
    "mean": lambda x, g: torch.stack([gate * value for gate, value in zip(g, x, strict=True)]).sum(0) / sum(g),
    "max": lambda x, g: torch.stack(x).max(0).values,
}


@SHAPES
@pytest.mark.parametrize("method", list(METHODS))
def test_a_merge_unites_rows(method: str, shape: tuple[int, ...]) -> None:
    values, gates = three_inputs(shape)
    out = Merge(method)(values, PLACES, gates, 5)
    for row in range(5):
        _, x, g = zip(*there(row, values, gates), strict=True)
        torch.testing.assert_close(out[row], METHODS[method](list(x), list(g)))


@SHAPES
def test_an_attention_merge_weighs_by_score_and_gate(shape: tuple[int, ...]) -> None:
    values, gates = three_inputs(shape)
    merge = AttentionMerge(4)
    nn.init.normal_(merge.query)
    out = merge(values, PLACES, gates, 5)
    for row in range(5):
        parts = there(row, values, gates)
        scores = torch.stack([g.log() + (x * merge.query).sum(-1) / 2 for _, x, g in parts])
        shares = scores.exp() / scores.exp().sum(0)
        expected = torch.stack([share[..., None] * x for share, (_, x, _) in zip(shares, parts, strict=True)]).sum(0)
        torch.testing.assert_close(out[row], expected)


@pytest.mark.parametrize("kind", ["single", "multi", "regression"])
def test_opinions_are_joined_with_their_weights(kind: str) -> None:
    values, _ = three_inputs((1 if kind == "regression" else 4,))
    merge = LogitMerge(3, kind=kind, shared=False)
    merge.weights.copy_(torch.tensor([0.5, 2.0, 1.5]))
    out = merge(values, PLACES, [None] * 3, 5)
    for row in range(5):
        parts = [(merge.weights[i], x.log_softmax(0) if kind == "single" else x)
                 for i, x, _ in there(row, values, [None] * 3)]
        expected = torch.stack([weight * x for weight, x in parts]).sum(0)
        if kind == "regression":
            expected = expected / sum(weight for weight, _ in parts)
        torch.testing.assert_close(out[row], expected)


ADJACENCIES = [("complete", ""), ("drawn", "1-2, 2-3, 2-2"), ("drawn", ""), ("learned", "")]


@pytest.mark.parametrize("readout", ["sum", "mean"])
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize(("adjacency", "links"), ADJACENCIES)
def test_a_gcn_merge_is_the_dense_convolution_of_torch_geometric(
    adjacency: str, links: str, depth: int, readout: str
) -> None:
    dense = pytest.importorskip("torch_geometric.nn").DenseGCNConv
    values, gates = three_inputs((4,))
    merge = GCNMerge(4, 3, adjacency=adjacency, links=links, depth=depth, readout=readout)
    for parameter in merge.parameters():
        nn.init.normal_(parameter)
    if adjacency == "learned":  # their degrees are at least 1; so are ours with the loop
        strengths = torch.sigmoid(merge.links + merge.links.T)
    else:
        strengths = torch.ones(3, 3) if adjacency == "complete" else torch.zeros(3, 3)
        if links:
            strengths[0, 1] = strengths[1, 0] = strengths[1, 2] = strengths[2, 1] = 1.0

    x, mask = torch.zeros(5, 3, 4), torch.zeros(5, 3, dtype=torch.bool)
    for row in range(5):
        for i, value, gate in there(row, values, gates):
            x[row, i], mask[row, i] = gate * value, True
    adj = strengths.clone().fill_diagonal_(0.0) * mask[:, None] * mask[:, :, None]
    for step in range(depth):
        layer = dense(4, 4)
        layer.lin.weight.data, layer.bias.data = merge.weight[step].data, merge.bias[step].data
        update = layer(x, adj, mask)
        x = x + (update.relu() if step + 1 < depth else update)
    expected = x.sum(1) if readout == "sum" else x.sum(1) / mask.sum(1, keepdim=True)
    torch.testing.assert_close(merge(values, PLACES, gates, 5), expected)


def test_functions_that_were_not_called_leave_no_trace_in_a_convolution() -> None:
    merge = GCNMerge(4, 3, adjacency="learned", links="", depth=3, readout="sum")
    for parameter in merge.parameters():
        nn.init.normal_(parameter)
    values, _ = three_inputs((4,))
    alone = merge([values[0][:1], values[1][:0], values[2][:0]], [None, torch.tensor([], dtype=torch.int64),
                                                                  torch.tensor([], dtype=torch.int64)], [None] * 3, 1)
    x = values[0][0]
    for weight, bias in zip(merge.weight[:2], merge.bias[:2], strict=True):
        x = x + (weight @ x + bias).relu()
    torch.testing.assert_close(alone[0], x + merge.weight[2] @ x + merge.bias[2])


@SHAPES
@pytest.mark.parametrize("merge", [Merge("sum"), Merge("mean"), Merge("max"), AttentionMerge(4),
                                   GCNMerge(4, 3, adjacency="complete", links="", depth=1, readout="sum")],
                         ids=lambda merge: type(merge).__name__ + getattr(merge, "method", ""))
def test_merges_take_branches_of_different_precision(merge: nn.Module, shape: tuple[int, ...]) -> None:
    values, gates = three_inputs(shape)
    expected = merge(values, PLACES, gates, 5)
    halved = [values[0].bfloat16(), values[1], values[2].bfloat16()]
    out = merge(halved, PLACES, gates, 5)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, expected, atol=0.05, rtol=0.05)


def test_padding_changes_no_pooled_value() -> None:
    for method in ("cls", "mean", "max", "attention"):
        pool = network_of(CATALOGUE["pool/1"], SEQUENCE, {"method": method}, None).module_of("it")
        for weight in pool.parameters():
            nn.init.normal_(weight)
        x = torch.randn(2, 3, TINY.width)
        longer = F.pad(x, (0, 0, 0, 2), value=9.0)
        mask = torch.arange(5).expand(2, -1) < 3
        torch.testing.assert_close(pool([longer], mask), pool([x], None))
