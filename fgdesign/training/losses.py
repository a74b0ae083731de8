"""What training makes small: the task's loss at every head, and the routers' losses.

Knows nothing of files or optimisers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import networkx as nx
import torch
from torch import Tensor
from torch.nn import functional as F

from fgdesign.graph.catalogue import CATALOGUE
from fgdesign.graph.infer import params_of, wiring
from fgdesign.graph.rows import branches_of
from fgdesign.model.blocks.routers import Choice
from fgdesign.model.build import Plan
from fgdesign.model.flows import Flow, shared
from fgdesign.model.network import Outcome
from fgdesign.training.settings import Settings

DISTIL_TEMPERATURE = 2.0
ROUTER_LOSSES = ("mutual_information", "balance", "z_loss", "cost_penalty")


@dataclass(frozen=True)
class HeadLoss:
    """A head's part in the loss. exit: the exit it feeds, or None for a head that answers at the end."""

    node: str
    weight: float
    distil: float
    exit: str | None


@dataclass(frozen=True)
class Objective:
    """The loss of a graph. class_weights: (C,) or None. spread: variance of a regression's targets."""

    task: str
    heads: tuple[HeadLoss, ...]
    routers: dict[str, dict[str, float]]
    branch_costs: dict[str, Tensor]
    class_weights: Tensor | None = None
    smoothing: float = 0.0
    spread: float = 1.0

    @property
    def ports(self) -> tuple[str, ...]:
        """What has to be computed for the loss."""
        return tuple(f"{head.node}.out" for head in self.heads)

    def __call__(self, outcome: Outcome, targets: Tensor, taught: dict[str, Tensor]) -> Tensor:
        """The loss of a batch.

        Args: targets: (B,) int64, (B, C) float or (B,) float. taught: per router (B,) branches, -1 unknown.
        """
        size = len(targets)
        last = [f"{head.node}.out" for head in self.heads if head.exit is None]
        final = [outcome.flows[port] for port in last if port in outcome.flows]
        total = targets.new_zeros((), dtype=torch.float32)
        for head in self.heads:
            flow = outcome.flows.get(f"{head.node}.out")
            if flow is None or not head.weight:
                continue
            rows = targets if flow.rows is None else targets.index_select(0, flow.rows)
            part = self.per_row(flow.value, rows).sum() / size
            if head.exit and head.distil and len(final) == 1:
                part = (1 - head.distil) * part + head.distil * self._imitation(flow, final[0], size)
            total = total + head.weight * part
        for router, (rows_of, choice) in outcome.record.choices.items():
            lesson = taught.get(router)
            if lesson is not None and rows_of is not None:
                lesson = lesson.index_select(0, rows_of)
            total = total + router_loss(choice, self.routers[router], self.branch_costs[router], lesson)
        return total

    def per_row(self, logits: Tensor, targets: Tensor) -> Tensor:
        """(n, C) logits and their targets -> (n,) losses."""
        if self.task == "single":
            return F.cross_entropy(logits, targets, self.class_weights, reduction="none",
                                   label_smoothing=self.smoothing)
        if self.task == "multi":
            return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(1)
        return (logits[:, 0] - targets) ** 2 / self.spread

    def _imitation(self, flow: Flow, teacher: Flow, size: int) -> Tensor:
        """KL of an exit's answer from the last one, at temperature 2 (Hinton et al. 2015)."""
        both = shared([flow, teacher], size)
        if both is None:
            return flow.value.new_zeros(())
        student, target = both[0].value, both[1].value.detach()
        if self.task != "single":
            return F.binary_cross_entropy_with_logits(student, target.sigmoid(), reduction="none").mean(1).sum() / size
        t = DISTIL_TEMPERATURE
        parts = F.kl_div((student / t).log_softmax(-1), (target / t).log_softmax(-1), reduction="none", log_target=True)
        return t * t * parts.sum() / size


def router_loss(choice: Choice, weights: dict[str, float], costs: Tensor, lesson: Tensor | None) -> Tensor:
    """The losses of one router.

    mutual_information: mean entropy of a row's choice minus the entropy of the mean choice. balance:
    N sum_b load_b p_b (Fedus et al. 2022). z_loss: mean squared log-sum-exp (Zoph et al. 2022). cost_penalty:
    expected cost of the called branches. A teacher adds the cross-entropy with the branch a column names.
    """
    p = choice.probabilities
    mean = p.mean(0)
    total = p.new_zeros(())
    if weights["mutual_information"]:
        each = torch.special.entr(p).sum(-1).mean()
        total = total + weights["mutual_information"] * (each - torch.special.entr(mean).sum())
    if weights["balance"]:
        load = choice.called.float().mean(0)
        total = total + weights["balance"] * p.shape[1] * (load * mean).sum()
    if weights["z_loss"]:
        total = total + weights["z_loss"] * choice.scores.logsumexp(-1).square().mean()
    if weights["cost_penalty"]:
        total = total + weights["cost_penalty"] * (mean * costs.to(mean)).sum()
    if lesson is not None and bool((lesson >= 0).any()):
        total = total + F.cross_entropy(choice.scores, lesson, ignore_index=-1)
    return total


def objective(what: Plan, *, class_weights: Tensor | None = None, smoothing: float = 0.0,
              spread: float = 1.0) -> Objective:
    """The loss that a graph asks for."""
    routers = {}
    for node in what.graph.nodes:
        if node.type == "router/1":
            params = params_of(node)
            routers[node.id] = {name: float(str(params[name])) for name in ROUTER_LOSSES}
    costs = {router: branch_costs(what, router) for router in routers}
    return Objective(what.task, tuple(head_losses(what)), routers, costs, class_weights, smoothing, spread)


def weighed(goal: Objective, settings: Settings) -> Objective:
    """The loss with the weights that settings give instead of those that are drawn."""
    own = {name: getattr(settings, name) for name in ROUTER_LOSSES if getattr(settings, name) >= 0}
    heads = [head if head.exit is None else replace(
        head, weight=settings.exit_weight if settings.exit_weight >= 0 else head.weight,
        distil=settings.distil if settings.distil >= 0 else head.distil) for head in goal.heads]
    return replace(goal, heads=tuple(heads), routers={router: drawn | own for router, drawn in goal.routers.items()})


def head_losses(what: Plan) -> list[HeadLoss]:
    """Each head once: by the exit it feeds, weighted by its depth, or as a last answer with weight one."""
    found, net = what.found, wiring(what.graph)
    heads = [n for n in found.order if CATALOGUE[what.graph.node(n).type].role == "head"]
    feeds: dict[str, str] = {}
    for exit_node in (n for n in found.order if CATALOGUE[what.graph.node(n).type].role == "exit"):
        for head in _heads_behind(what, f"{exit_node}.logits"):
            feeds.setdefault(head, exit_node)
    depth = {head: sum(what.graph.node(n).type == "encoder_layer/1" for n in nx.ancestors(net, head)) for head in heads}
    deepest = max(depth.values(), default=0)
    losses = []
    for head in heads:
        if head not in feeds:
            losses.append(HeadLoss(head, 1.0, 0.0, None))
            continue
        params = params_of(what.graph.node(feeds[head]))
        weight = float(str(params["loss_weight"]))
        share = depth[head] / deepest if deepest else 1.0
        losses.append(HeadLoss(head, share if weight < 0 else weight, float(str(params["distil"])), feeds[head]))
    return losses


def _heads_behind(what: Plan, port: str) -> list[str]:
    """Heads whose logits reach an input port through merges only."""
    node_id, name = port.split(".")
    found = []
    for edge in what.graph.into(node_id, name):
        role = CATALOGUE[what.graph.node(edge.source_node).type].role
        if role == "head":
            found.append(edge.source_node)
        elif role in ("merge", "answer"):
            found += _heads_behind(what, f"{edge.source_node}.in")
    return found


def branch_costs(what: Plan, router: str) -> Tensor:
    """(N,) multiply-adds of what each branch alone calls, relative to the dearest."""
    branches = what.found.ways.branches[router]
    costs = torch.zeros(len(branches))
    for node_id, cost in what.found.costs.items():
        mine = branches_of(what.found.node_rows[node_id], router)
        if len(mine) == 1:
            costs[branches.index(next(iter(mine)))] += cost.macs_per_token + cost.macs_per_text
    return costs / costs.max().clamp(min=1.0)
