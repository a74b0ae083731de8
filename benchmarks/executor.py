"""What the compiled graph costs beside the same network written by hand, forward and backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.measure import Question, Row, Work, interleaved, ratio, repeated
from benchmarks.public import texts
from fgdesign.graph.spec import Graph
from fgdesign.graph.starters import Sketch
from fgdesign.model.backbone import load_backbone, load_tokenizer
from fgdesign.model.build import plan
from fgdesign.model.flows import Batch
from fgdesign.model.inputs import make_inputs
from fgdesign.model.network import FunctionGraph

TARGETS = {1: 1.05, 32: 1.02}
LAYERS = range(1, 7)


def fifteen() -> Graph:
    """Text, embeddings, six layers, a pool, two functions added to it, a norm, an expert, a head: 15 nodes."""
    s = Sketch()
    x = s.add("pool", "pool", s.layers(s.text(max_length=64), 1, 6))
    y = s.add("y", "add", x, s.add("f_1", "linear", x), s.add("f_2", "linear", x))
    s.add("head", "classifier", s.add("expert", "ffn", s.add("norm", "layer_norm", y)), dropout=0.0)
    return s.graph("fifteen")


def by_hand(network: FunctionGraph) -> Work:
    """The same modules, called in a plain function: `run(ids, segments, mask, attention_mask)`."""
    m: dict[str, nn.Module] = {node: network.module_of(node) for node in network.keys}
    layers = [m[f"layer_{i}"] for i in LAYERS]

    def run(ids: Tensor, segments: Tensor, mask: Tensor, attention_mask: Tensor | None) -> Tensor:
        hidden = m["embeddings"](ids, segments, mask)
        for layer in layers:
            hidden = layer(hidden, attention_mask)
        x = m["pool"]([hidden], mask)
        y = m["y"]([x, m["f_1"]([x], None), m["f_2"]([x], None)], None)
        out: Tensor = m["head"]([m["expert"]([m["norm"]([y], None)], None)], None)
        return out

    return run


def measure(quick: bool) -> Question:
    """Forward at batch 1 and 32, and forward with backward."""
    question = Question("executor", "Executor: a compiled graph of 15 nodes against the same network written by hand")
    graph = fifteen()
    what = plan(graph, task="single", classes=5)
    network = FunctionGraph(what, pretrained=load_backbone(what.backbone)).eval()
    tokenizer = load_tokenizer(what.backbone)
    for size, target in TARGETS.items():
        inputs = make_inputs(network, tokenizer, texts(size))
        batch = inputs.batch(torch.arange(size).numpy(), torch.device("cpu"))
        for backward in (False, True):
            mine, hand = _contenders(network, batch, backward)
            times = interleaved({"graph": repeated(mine, 4), "hand": repeated(hand, 4)},
                                rounds=(1 if quick else 60) * (1 if size > 1 else 2), warm=1 if quick else 3)
            found = ratio(times, "graph", "hand")
            name = f"batch {size}, forward{' and backward' if backward else ''}"
            question.rows.append(Row(name, sorted(times["graph"])[len(times["graph"]) // 2] / 4 * 1000, "ms", found,
                                     "hand-written (time ratio)", target, higher=False))
    question.notes.append(f"{len(graph.nodes)} nodes; both call the same modules on the same batch.")
    return question


def _contenders(network: FunctionGraph, batch: Batch, backward: bool) -> tuple[Work, Work]:
    flow, size, hand = batch.tokens["text"], batch.size, by_hand(network)
    mask = flow.mask if flow.mask is not None else torch.ones(flow.value.shape[::2], dtype=torch.bool)

    def graph() -> Any:
        return network.logits(network(batch), size)

    def written() -> Any:
        ids, segments = flow.value.unbind(1)
        return hand(ids, segments, mask, None if flow.mask is None else mask[:, None, None, :])

    assert torch.allclose(graph(), written(), atol=1e-5)
    return (_with_backward(graph), _with_backward(written)) if backward else (_quiet(graph), _quiet(written))


def _quiet(work: Work) -> Work:
    def run() -> None:
        with torch.inference_mode():
            work()

    return run


def _with_backward(work: Work) -> Work:
    def run() -> None:
        torch.autograd.backward(work().sum())

    return run
