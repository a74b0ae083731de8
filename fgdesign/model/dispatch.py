"""Equal experts behind one router as one step: the rows of each expert in the way that is fastest at their number.

sorted: rows ordered by expert, a call for each. packed: the same with weights laid out once. dense: every expert on
every row, one batched product. gathered: each row with its own expert's weights. Which way is measured once for each
size on each machine (`crossover`); where something learns it is always `sorted`. Knows nothing of how graphs are
written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from operator import attrgetter
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fgdesign.model import packed
from fgdesign.model.blocks.functions import Expert
from fgdesign.model.blocks.merges import Merge
from fgdesign.model.blocks.routers import Choice, Router
from fgdesign.model.choosing import Route
from fgdesign.model.crossover import fastest
from fgdesign.model.flows import Flow
from fgdesign.model.steps import Call, State, Step, Unite

Call1 = Callable[[Tensor], Tensor]
Way = Callable[[Tensor, Tensor], Tensor]  # (n, ..., D) rows and (n,) the expert of each -> (n, ..., D)
VERSION = attrgetter("_version")


@dataclass(frozen=True)
class Stack:
    """All experts in one. inner: (N, D, H), inner_bias: (N, 1, H), outer: (N, H, D), outer_bias: (N, 1, D)."""

    inner: Tensor
    inner_bias: Tensor
    outer: Tensor
    outer_bias: Tensor
    activation: Call1
    residual: bool

    def dense(self, x: Tensor, expert: Tensor) -> Tensor:
        """Every expert on every row, then each row's own."""
        flat = x.flatten(0, -2).to(self.inner.dtype)
        hidden = self.activation(torch.baddbmm(self.inner_bias, flat.expand(len(self.inner), -1, -1), self.inner))
        every = torch.baddbmm(self.outer_bias, hidden, self.outer).view(-1, *x.shape[1:])
        own = every.index_select(0, torch.arange(len(x), device=x.device).add_(expert, alpha=len(x)))
        return x + own if self.residual else own

    def gathered(self, x: Tensor, expert: Tensor) -> Tensor:
        """Each row with its own expert's weights."""
        rows = x.view(len(x), -1, x.shape[-1]).to(self.inner.dtype)
        hidden = self.activation(torch.baddbmm(self.inner_bias[expert], rows, self.inner[expert]))
        own = torch.baddbmm(self.outer_bias[expert], hidden, self.outer[expert]).view_as(x)
        return x + own if self.residual else own


@dataclass(frozen=True)
class Ready:
    """The ways to call experts in evaluation, and what they were made from."""

    state: tuple[object, ...]
    ways: Mapping[str, Way]


_kept: WeakKeyDictionary[Expert, Ready] = WeakKeyDictionary()  # by the first expert; several programs may share them


@dataclass
class Bank(Step):
    """A router, its experts and the gated sum of what they give. experts: by branch; None for the straight way."""

    route: Route
    experts: Sequence[Expert | None]

    def run(self, state: State) -> None:
        flows = self._flows(state, self.route.aligned)
        if flows is None:
            return
        flow, control = flows[0], flows[self.route.by]
        choice: Choice = self.route.block(control.value, control.mask)
        state.record.choices[self.route.node] = (flow.rows, choice)
        value = self.computed(flow.value, choice)
        state.slots[self.outputs[0]] = Flow(value, flow.mask, flow.rows, flow.gates)

    def computed(self, x: Tensor, choice: Choice) -> Tensor:
        """(n, ..., D) -> (n, ..., D): each row through its experts, times their gates."""
        router = self.route.block
        assert isinstance(router, Router)
        if torch.is_grad_enabled():
            _kept.pop(self._first, None)  # fused optimisers change weights without counting versions
        uncounted = self._parameters[0].is_inference()  # their changes would not be seen
        if torch.is_grad_enabled() or router.training or router.k > 1 or uncounted or None in self.experts:
            return self.sorted(x, choice)
        expert, gate = (choice.best, choice.gate) if choice.given is None else choice.gates.max(1)[::-1]
        assert expert is not None and gate is not None
        dtype = packed.run_dtype(x)
        ready = self._made_ready(dtype)
        shape = (x.shape, dtype, torch.get_num_threads())
        way = self._found.get(shape)
        if way is None:
            way = self._found[shape] = self._fastest(ready, x, expert, dtype)
        out = ready.ways[way](x, expert)
        return out * gate.to(out.dtype).view(-1, *[1] * (x.dim() - 1))

    def _fastest(self, ready: Ready, x: Tensor, expert: Tensor, dtype: torch.dtype) -> str:
        """The way for so many rows, tried once on the first of that number."""
        rows, tokens = len(x), x[0].numel() // x.shape[-1]
        size = (f"{len(self.experts)} experts {x.shape[-1]} x {self._first.inner.out_features} "
                f"{dtype} {1 << rows.bit_length()} rows {1 << tokens.bit_length()} tokens")
        return fastest(size, {name: partial(way, x, expert) for name, way in ready.ways.items()})

    def sorted(self, x: Tensor, choice: Choice) -> Tensor:
        """Rows ordered by expert; a row may have several."""
        branches, rows = choice.called.T.nonzero(as_tuple=True)
        parts = torch.split(x.index_select(0, rows), choice.called.sum(0).tolist())
        done = [part if module is None else module([part], None)
                for module, part in zip(self.experts, parts, strict=True) if len(part)]
        gate = choice.gates[rows, branches].view(-1, *[1] * (x.dim() - 1))
        every = torch.cat(done) if len({part.dtype for part in done}) == 1 else torch.cat([p.to(x.dtype) for p in done])
        return torch.zeros_like(x, dtype=every.dtype).index_add(0, rows, every * gate.to(every.dtype))

    @property
    def _first(self) -> Expert:
        return self._modules[0]

    @cached_property
    def _found(self) -> dict[tuple[object, ...], str]:
        return {}

    @cached_property
    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for module in self._modules for parameter in module.parameters()]

    @cached_property
    def _modules(self) -> list[Expert]:
        return [module for module in self.experts if module is not None]

    @cached_property
    def _who(self) -> int:
        return hash(tuple(map(id, self._modules)))  # not the modules: what an expert keeps must not keep it

    def _made_ready(self, dtype: torch.dtype) -> Ready:
        state = (dtype, self._who, self._parameters[0].data_ptr(), sum(map(VERSION, self._parameters)))
        found = _kept.get(self._first)
        if found is None or found.state != state:
            found = _kept[self._first] = Ready(state, _ways(self._modules, dtype))
        return found


def _ways(modules: Sequence[Expert], dtype: torch.dtype) -> dict[str, Way]:
    """All ways to call these experts in a precision; weights are copied where a way wants them otherwise laid out."""
    first = modules[0]
    inner, outer = [m.inner for m in modules], [m.outer for m in modules]
    stack = Stack(_stacked(inner, "weight", dtype), _stacked(inner, "bias", dtype), _stacked(outer, "weight", dtype),
                  _stacked(outer, "bias", dtype), first.activation, first.residual)
    ways: dict[str, Way] = {"sorted": partial(sliced, [_plain(m, dtype) for m in modules])}
    if first.inner.weight.device.type == "cpu" and packed.works(dtype):
        ways["packed"] = partial(sliced, [packed.two_products(m.inner, m.outer, m.activation, m.residual, dtype)
                                          for m in modules])
    return {**ways, "dense": stack.dense, "gathered": stack.gathered}


def _stacked(layers: Sequence[nn.Linear], part: str, dtype: torch.dtype) -> Tensor:
    """(N, in, out) weights or (N, 1, out) biases."""
    found = torch.stack([getattr(layer, part).detach() for layer in layers]).to(dtype)
    return found.mT.contiguous() if part == "weight" else found.unsqueeze(1)


def sliced(each: Sequence[Call1], x: Tensor, expert: Tensor) -> Tensor:
    """A call for each expert that has rows; expert: (n,) of each row."""
    if len(x) == 1:
        return each[int(expert)](x)
    counts = torch.bincount(expert, minlength=len(each)).tolist()
    order = expert.argsort()
    parts = torch.split(x.index_select(0, order), counts)
    done = torch.cat([run(part) for run, part in zip(each, parts, strict=True) if len(part)])
    return torch.empty_like(done).index_copy_(0, order, done)


def _plain(module: Expert, dtype: torch.dtype) -> Call1:
    """`Expert.forward` in evaluation, in a precision; what is kept by an expert must not keep it."""
    weights = [p.detach().to(dtype) for layer in (module.inner, module.outer) for p in (layer.weight, layer.bias)]
    inner, inner_bias, outer, outer_bias = weights
    activation, residual = module.activation, module.residual

    def run(x: Tensor) -> Tensor:
        x = x.to(dtype)
        out = F.linear(activation(F.linear(x, inner, inner_bias)), outer, outer_bias)
        return x + out if residual else out

    return run


def fused(steps: Sequence[Step], kept: Collection[int]) -> tuple[Step, ...]:
    """The same steps, each router with equal experts and their gated sum as one. kept: slots that must be filled."""
    readers: dict[int, list[Step]] = defaultdict(list)
    for step in steps:
        for slot in step.inputs:
            readers[slot].append(step)
    out = list(steps)
    for route in steps:
        found = _bank(route, readers, kept) if isinstance(route, Route) else None
        if found:
            bank, members = found
            out[next(i for i, step in enumerate(out) if step is members[-1])] = bank
            out = [step for step in out if not any(step is member for member in members)]
    return tuple(out)


def _bank(route: Route, readers: dict[int, list[Step]], kept: Collection[int]) -> tuple[Bank, list[Step]] | None:
    """The bank of a router and the steps it stands for, the merge last; None where they are not alike."""
    members: list[Step] = [route]
    experts: list[Expert | None] = []
    ends: list[int] = []
    merge: Step | None = None
    for slot in route.outputs:
        reader = _only(slot, readers, kept)
        if isinstance(reader, Call) and isinstance(reader.block, Expert) and len(reader.inputs) == 1:
            members.append(reader)
            experts.append(reader.block)
            slot = reader.outputs[0]
            reader = _only(slot, readers, kept)
        else:
            experts.append(None)
        if not isinstance(reader, Unite) or (merge is not None and reader is not merge):
            return None
        merge = reader
        ends.append(slot)
    if not isinstance(merge, Unite) or list(merge.inputs) != ends or merge.closing != {route.node}:
        return None
    if not isinstance(merge.block, Merge) or merge.block.method != "sum" or not _alike(experts):
        return None
    return Bank(merge.node, route.inputs, merge.outputs, route, experts), [*members, merge]


def _only(slot: int, readers: dict[int, list[Step]], kept: Collection[int]) -> Step | None:
    """The one step that reads a slot which nobody else asks for."""
    return readers[slot][0] if slot >= 0 and slot not in kept and len(readers[slot]) == 1 else None


def _alike(experts: Sequence[Expert | None]) -> bool:
    """At least two experts, all of one shape."""
    kinds = {(m.inner.weight.shape, m.activation, m.residual) for m in experts if m is not None}
    return len(kinds) == 1 and sum(module is not None for module in experts) > 1
