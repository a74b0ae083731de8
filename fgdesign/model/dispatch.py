"""Equal experts behind one router as one step: the rows of each expert in the way that is fastest at their number.

sorted: rows ordered by expert, a call for each. dense: every expert on every row, one batched product. gathered: each
row with its own expert's weights. direct: one row, one call. Which way is measured once for each size on each machine
(`crossover`); where something learns it is always `sorted`. Knows nothing of how graphs are written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn

from fgdesign.model import packed
from fgdesign.model.blocks.functions import Expert
from fgdesign.model.blocks.merges import Merge
from fgdesign.model.blocks.routers import Choice, Router
from fgdesign.model.choosing import Route
from fgdesign.model.crossover import fastest
from fgdesign.model.flows import Flow
from fgdesign.model.steps import Call, State, Step, Unite

Call1 = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Stack:
    """Weights of all experts: (N, D, H), (N, 1, H), (N, H, D), (N, 1, D)."""

    inner: Tensor
    inner_bias: Tensor
    outer: Tensor
    outer_bias: Tensor


@dataclass(frozen=True)
class Ready:
    """Experts as evaluation calls them, and what they were made from."""

    state: tuple[object, ...]
    each: Sequence[Call1]
    all: Stack


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
        if torch.is_grad_enabled() or router.training or router.k > 1 or None in self.experts:
            return self.sorted(x, choice)
        gate, expert = choice.gates.max(1)
        ready = self._made_ready(packed.run_dtype(x))
        if len(x) == 1:
            out = ready.each[int(expert)](x)
        else:
            out = self._ways(ready)[self._fastest(ready, x)](x, expert)
        return out * gate.to(out.dtype).view(-1, *[1] * (x.dim() - 1))

    def _ways(self, ready: Ready) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
        return {"sorted": lambda x, expert: self.sliced(ready.each, x, expert),
                "dense": lambda x, expert: self.dense(ready.all, x, expert),
                "gathered": lambda x, expert: self.gathered(ready.all, x, expert)}

    def _fastest(self, ready: Ready, x: Tensor) -> str:
        """The way for so many rows, tried once on them with the experts called in turn."""
        shape = (x.shape, packed.run_dtype(x), torch.get_num_threads())
        if shape not in self._found:
            rows, tokens = len(x), x[0].numel() // x.shape[-1]
            size = (f"{len(self.experts)} experts {x.shape[-1]} x {self._first.inner.out_features} "
                    f"{packed.run_dtype(x)} {1 << rows.bit_length()} rows {1 << tokens.bit_length()} tokens")
            expert = torch.arange(rows, device=x.device) % len(self.experts)
            ways = {name: partial(way, x, expert) for name, way in self._ways(ready).items()}
            self._found[shape] = fastest(size, ways)
        return self._found[shape]

    def sorted(self, x: Tensor, choice: Choice) -> Tensor:
        """Rows ordered by expert; a row may have several."""
        branches, rows = choice.called.T.nonzero(as_tuple=True)
        parts = torch.split(x.index_select(0, rows), choice.called.sum(0).tolist())
        done = [part if module is None else module([part], None)
                for module, part in zip(self.experts, parts, strict=True) if len(part)]
        gate = choice.gates[rows, branches].view(-1, *[1] * (x.dim() - 1))
        every = torch.cat(done) if len({part.dtype for part in done}) == 1 else torch.cat([p.to(x.dtype) for p in done])
        return torch.zeros_like(x, dtype=every.dtype).index_add(0, rows, every * gate.to(every.dtype))

    def sliced(self, each: Sequence[Call1], x: Tensor, expert: Tensor) -> Tensor:
        """A call for each expert that has rows; expert: (n,) of each row."""
        counts = torch.bincount(expert, minlength=len(each)).tolist()
        out = torch.empty_like(x)
        for run, places in zip(each, torch.split(expert.argsort(), counts), strict=True):
            if len(places):
                value = run(x.index_select(0, places))
                out = out if out.dtype == value.dtype else out.to(value.dtype)
                out.index_copy_(0, places, value)
        return out

    def dense(self, w: Stack, x: Tensor, expert: Tensor) -> Tensor:
        """Every expert on every row, then each row's own."""
        first = self._first
        flat = x.flatten(0, -2).to(w.inner.dtype)
        hidden = first.activation(torch.baddbmm(w.inner_bias, flat.expand(len(self.experts), -1, -1), w.inner))
        every = torch.baddbmm(w.outer_bias, hidden, w.outer).view(len(self.experts), *x.shape)
        own = every[expert, torch.arange(len(x), device=x.device)]
        return x + own if first.residual else own

    def gathered(self, w: Stack, x: Tensor, expert: Tensor) -> Tensor:
        """Each row with its own expert's weights."""
        first = self._first
        rows = x.view(len(x), -1, x.shape[-1]).to(w.inner.dtype)
        hidden = first.activation(torch.baddbmm(w.inner_bias[expert], rows, w.inner[expert]))
        own = torch.baddbmm(w.outer_bias[expert], hidden, w.outer[expert]).view_as(x)
        return x + own if first.residual else own

    @property
    def _first(self) -> Expert:
        return next(module for module in self.experts if module is not None)

    @cached_property
    def _found(self) -> dict[tuple[object, ...], str]:
        return {}

    @cached_property
    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for module in self.experts if module is not None for parameter in module.parameters()]

    def _made_ready(self, dtype: torch.dtype) -> Ready:
        state = (dtype, self._parameters[0].data_ptr(), sum(p._version for p in self._parameters))
        found = _kept.get(self._first)
        if found is None or found.state != state:
            modules = [module for module in self.experts if module is not None]
            stack = Stack(*(torch.stack([layer.weight.detach().T if weight else layer.bias.detach().unsqueeze(0)
                                         for layer in layers]).to(dtype)
                            for layers in ([m.inner for m in modules], [m.outer for m in modules])
                            for weight in (True, False)))
            found = _kept[self._first] = Ready(state, [_call(module, dtype) for module in modules], stack)
        return found


def _call(module: Expert, dtype: torch.dtype) -> Call1:
    """The expert in evaluation; on a CPU with its weights laid out once."""
    if module.inner.weight.device.type == "cpu" and packed.works(dtype):
        return packed.two_products(module.inner, module.outer, module.activation, module.residual, dtype)
    known = ref(module)  # what is kept by an expert must not keep it

    def run(x: Tensor) -> Tensor:
        found = known()
        assert found is not None
        value: Tensor = found([x], None)
        return value

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
