"""The steps that choose: learned routers, rule routers and exits. Knows nothing of how graphs are written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fgdesign.model.blocks.routers import Choice
from fgdesign.model.flows import Flow
from fgdesign.model.rules import TEXT_RULES, Decision, decide
from fgdesign.model.steer import Steer
from fgdesign.model.steps import State, Step, row_texts


@dataclass
class Route(Step):
    """A learned router. `by` is the place among the inputs of what it scores."""

    block: nn.Module
    by: int
    aligned: bool

    def run(self, state: State) -> None:
        flows = self._flows(state, self.aligned)
        if flows is None:
            return
        flow, control = flows[0], flows[self.by]
        choice: Choice = self.block(control.value, control.mask)
        if state.batch.steer is not None:
            choice = state.batch.steer.choice(self.node, choice, state.batch.texts, flow.rows)
        state.record.choices[self.node] = (flow.rows, choice)
        for branch, slot in enumerate(self.outputs):
            if slot < 0:
                continue
            part = _branch(flow, choice.called[:, branch])
            if part is not None:
                held, places = part
                gate = choice.gates[:, branch] if places is None else choice.gates[places, branch]
                state.slots[slot] = Flow(held.value, held.mask, held.rows, {**held.gates, self.node: gate})


@dataclass
class RuleRoute(Step):
    """A rule router: decides by the raw row, and by the confidence of logits where a rule asks for it.

    column: which text the rules read. several: a row may have several labels.
    """

    rules: Sequence[Mapping[str, Any]]
    default: int
    aligned: bool
    column: str
    several: bool

    def run(self, state: State) -> None:
        flows = self._flows(state, self.aligned)
        if flows is None:
            return
        flow = flows[0]
        places = range(state.batch.size) if flow.rows is None else flow.rows.tolist()
        reads = any(rule["when"] in TEXT_RULES for rule in self.rules)
        texts = row_texts(state.batch, flow.rows, self.column) if reads else [""] * len(places)
        sure: Sequence[float | None] = [None] * len(places)
        if len(flows) > 1:
            sure = certainty(flows[1].value, "confidence", several=self.several).tolist()
        columns = state.batch.columns
        decided = [
            decide(self.rules, self.default, text, {name: column[place] for name, column in columns.items()}, share)
            for text, place, share in zip(texts, places, sure, strict=True)
        ]
        if state.batch.steer is not None:
            decided = self._steered(state.batch.steer, decided, state, flow)
        state.record.decisions[self.node] = (flow.rows, decided)
        taken = torch.tensor([decision.branch - 1 for decision in decided], device=flow.value.device)
        for branch, slot in enumerate(self.outputs):
            part = _branch(flow, taken == branch) if slot >= 0 else None
            if part is not None:
                state.slots[slot] = part[0]


    def _steered(self, steer: Steer, decided: list[Decision], state: State, flow: Flow) -> list[Decision]:
        """The decisions, or forced or drawn ones."""
        taken = [steer.branches.get(self.node)] * len(decided)
        if self.node in steer.routing:
            device = flow.value.device
            taken = steer.draw(self.node, len(self.outputs), state.batch.texts, flow.rows, device).tolist()
        return [decision if branch is None else Decision(branch + 1, 0, "forced")
                for decision, branch in zip(decided, taken, strict=True)]


@dataclass
class Leave(Step):
    """An exit: sure rows answer, the others go on. Open, as in training: all go on and none answers.

    Rows that it has no logits for are not its own, open or closed.
    """

    block: Exit
    aligned: bool

    def run(self, state: State) -> None:
        if state.open_exits and self.aligned:  # the logits may not even be computed
            state.slots[self.outputs[1]] = state.slots[self.inputs[0]]
            return
        flows = self._flows(state, self.aligned)
        if flows is None:
            return
        flow, logits = flows
        if state.open_exits:
            state.slots[self.outputs[1]] = flow
            return
        sure = certainty(logits.value, self.block.measure, several=self.block.several)
        state.record.exits[self.node] = (logits, sure)
        steer = state.batch.steer
        threshold = self.block.threshold if steer is None else steer.thresholds.get(self.node, self.block.threshold)
        leaving = sure >= threshold
        count = int(leaving.sum())
        if count in (0, len(leaving)):
            slot, whole = (self.outputs[0], logits) if count else (self.outputs[1], flow)
            if slot >= 0:
                state.slots[slot] = whole
            return
        for slot, held, chosen in ((self.outputs[0], logits, leaving), (self.outputs[1], flow, ~leaving)):
            part = _branch(held, chosen) if slot >= 0 else None
            if part is not None:
                state.slots[slot] = part[0]


class Exit(nn.Module):
    """The settings of an exit: how sureness is measured, and the threshold, fitted on validation."""

    threshold: Tensor

    def __init__(self, *, measure: str, threshold: float, several: bool) -> None:
        super().__init__()
        self.measure, self.several = measure, several
        self.register_buffer("threshold", torch.tensor(float(threshold)))


def certainty(logits: Tensor, measure: str, *, several: bool = False) -> Tensor:
    """(n, C) logits -> (n,) sureness in 0..1: largest probability, 1 - normalised entropy, or lead.

    Where a row may have several labels, each label is a yes or no of its own, and the mean over labels counts.
    """
    probabilities = logits.float().softmax(-1)
    if several:
        yes = logits.float().sigmoid()
        probabilities = torch.stack([yes, 1 - yes], -1)
    if measure == "entropy":
        sure: Tensor = 1 - torch.special.entr(probabilities).sum(-1) / math.log(max(2, probabilities.shape[-1]))
    elif measure == "margin" and probabilities.shape[-1] > 1:
        best = probabilities.topk(2, dim=-1).values
        sure = best[..., 0] - best[..., 1]
    else:
        sure = probabilities.amax(-1)
    return sure.mean(-1) if several else sure


def _branch(flow: Flow, chosen: Tensor) -> tuple[Flow, Tensor | None] | None:
    """The chosen rows (n,) bool of a flow and their places; places None where that is all, None for no rows."""
    places = chosen.nonzero().squeeze(1)
    if not len(places):
        return None
    if len(places) == len(flow):
        return flow, None
    rows = places if flow.rows is None else flow.rows.index_select(0, places)
    return flow.at(places, rows), places
