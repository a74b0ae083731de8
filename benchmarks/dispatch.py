"""Top-1 over experts: the graph's own dispatch against every way to write it by hand, on the same modules and rows.

Naive: a loop over all experts with a mask. Sorted: rows ordered by expert, then slices. Dense: every expert on every
row, as one batched product. Grouped: each row with its own expert's weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.measure import Question, Row, interleaved, repeated
from fgdesign.graph.starters import Sketch
from fgdesign.model.build import plan
from fgdesign.model.flows import Batch, Flow
from fgdesign.model.network import FunctionGraph

WIDTH, HIDDEN, LENGTH = 384, 48, 32
EXPERTS, BATCHES = (2, 8, 32), (1, 32, 256)
WORST = 1.1  # times the best by hand


@dataclass
class ByHand:
    """The router and the experts of a network, and four ways to call one expert for each row."""

    router: nn.Module
    experts: list[nn.Module]

    def __post_init__(self) -> None:
        parts = [(e.inner.weight, e.inner.bias, e.outer.weight, e.outer.bias) for e in self.experts]
        self.inner, self.inner_bias, self.outer, self.outer_bias = (torch.stack(p) for p in zip(*parts, strict=True))

    def chosen(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n,) expert and gate of each row."""
        gate, expert = self.router(x, None).probabilities.max(-1)
        return expert, gate.view(-1, *[1] * (x.dim() - 1))

    def naive(self, x: Tensor) -> Tensor:
        expert, gate = self.chosen(x)
        out = torch.zeros_like(x)
        for i, module in enumerate(self.experts):
            mine = expert == i
            if mine.any():
                out[mine] = module([x[mine]], None) * gate[mine]
        return out

    def sorted(self, x: Tensor) -> Tensor:
        expert, gate = self.chosen(x)
        order = expert.argsort()
        parts = x[order].split(torch.bincount(expert, minlength=len(self.experts)).tolist())
        done = torch.cat([module([part], None) if len(part) else part
                          for module, part in zip(self.experts, parts, strict=True)])
        return torch.empty_like(x).index_copy_(0, order, done) * gate

    def dense(self, x: Tensor) -> Tensor:
        expert, gate = self.chosen(x)
        flat = x.flatten(0, -2)
        hidden = F.gelu(torch.baddbmm(self.inner_bias.unsqueeze(1), flat.expand(len(self.experts), -1, -1),
                                      self.inner.mT))
        every = torch.baddbmm(self.outer_bias.unsqueeze(1), hidden, self.outer.mT).unflatten(1, x.shape[:-1])
        return (x + every[expert, torch.arange(len(x))]) * gate

    def grouped(self, x: Tensor) -> Tensor:
        expert, gate = self.chosen(x)
        rows = x if x.dim() == 3 else x.unsqueeze(1)
        hidden = F.gelu(torch.baddbmm(self.inner_bias[expert].unsqueeze(1), rows, self.inner[expert].mT))
        out = torch.baddbmm(self.outer_bias[expert].unsqueeze(1), hidden, self.outer[expert].mT)
        return (rows + out).view_as(x) * gate

    def ways(self) -> dict[str, Callable[[Tensor], Tensor]]:
        return {"naive": self.naive, "sorted": self.sorted, "dense": self.dense, "grouped": self.grouped}


def routed(experts: int, kind: str) -> tuple[FunctionGraph, str]:
    """Layer 1, a pool where vectors are routed, a router, experts, a merge; and the port that the router reads."""
    s = Sketch()
    port = s.layers(s.text(), 1, 1)
    port = s.add("pool", "pool", port) if kind == "vectors" else port
    s.add("router", "router", port, branches=experts)
    ways = [s.add(f"expert_{i}", "ffn", f"router.branch_{i}", hidden=HIDDEN) for i in range(1, experts + 1)]
    merged = s.add("merge", "merge", *ways)
    s.add("head", "classifier", merged if kind == "vectors" else s.add("pool", "pool", merged))
    return FunctionGraph(plan(s.graph("routed"), task="single", classes=2)).eval(), port


def measure(quick: bool) -> Question:
    """Milliseconds of the graph's dispatch over those of the best by hand, in evaluation."""
    question = Question("dispatch", "Dispatch: one of several experts for each row, against the best way by hand")
    for kind in ("vectors", "sequences"):
        for experts in EXPERTS[:2] if quick else EXPERTS:
            network, port = routed(experts, kind)
            for size in BATCHES[:2] if quick else BATCHES:
                question.rows.append(_case(network, port, kind, experts, size, quick))
    question.notes.append(f"Vectors of {WIDTH}, sequences of {LENGTH} tokens; experts {WIDTH} -> {HIDDEN} -> {WIDTH}, "
                          "float32; router and merge included; by hand the weights are stacked beforehand.")
    return question


@torch.inference_mode()
def _case(network: FunctionGraph, port: str, kind: str, experts: int, size: int, quick: bool) -> Row:
    x = torch.randn((size, WIDTH) if kind == "vectors" else (size, LENGTH, WIDTH),
                    generator=torch.Generator().manual_seed(0))
    hand = ByHand(network.module_of("router"), [network.module_of(f"expert_{i}") for i in range(1, experts + 1)])
    batch = Batch(size, given={port: Flow(x)})

    def graph() -> Tensor:
        return network(batch, wanted=("merge.out",)).flows["merge.out"].value

    for way in hand.ways().values():
        torch.testing.assert_close(way(x), graph(), rtol=1e-4, atol=1e-5)
    times = 1 if quick else max(2, 512 // (size * (1 if kind == "vectors" else LENGTH)))
    work = {"graph": graph, **{name: lambda way=way: way(x) for name, way in hand.ways().items()}}
    found = interleaved({name: repeated(one, times) for name, one in work.items()}, rounds=5 if quick else 15, warm=2)
    middle = {name: median(taken) / times * 1000 for name, taken in found.items()}
    best = min((name for name in middle if name != "graph"), key=lambda name: middle[name])
    each = median(a / b for a, b in zip(found["graph"], found[best], strict=True))
    told = ", ".join(f"{name} {value:.3f}" for name, value in middle.items() if name != "graph")
    return Row(f"{kind}, {experts} experts, batch {size}", middle["graph"], "ms", each, f"{best} (time ratio)", WORST,
               higher=False, note=f"({told} ms)")
