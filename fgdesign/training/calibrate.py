"""After (and while) training: temperatures, merge weights and exit thresholds, all from validation rows.

Works on logits computed once with exits open; knows how logits nodes combine, nothing of files.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import networkx as nx
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from fgdesign.graph.catalogue import CATALOGUE
from fgdesign.graph.infer import params_of, wiring
from fgdesign.model.blocks.heads import Head
from fgdesign.model.blocks.merges import LogitMerge
from fgdesign.model.choosing import Exit, certainty
from fgdesign.model.lexical import Lexical
from fgdesign.model.network import FunctionGraph
from fgdesign.training.fit import (
    RowLoss,
    fit_temperature,
    fit_weights,
    never_below_one,
    pick_decision,
    pick_threshold,
)

FEWEST_ROWS = 30


@dataclass(frozen=True)
class Opinions:
    """Logits of validation rows at every logits port, exits open. values: port -> (N, C), NaN where absent."""

    values: dict[str, Tensor]
    answer: Tensor


def logit_ports(network: FunctionGraph) -> list[str]:
    """Ports from which all logits of a graph follow: heads and word functions; the answer where it needs more."""
    ports = [f"{n}.out" for n in network.nodes_of_role("head", "lexical")]
    return ports if _follows(network, network.answer) else [*ports, network.answer]


def calibrate(network: FunctionGraph, values: dict[str, Tensor], targets: Tensor, loss: RowLoss) -> Opinions:
    """Fit every temperature, every weight of merged opinions, and from which probability a label is given.

    Exits keep their thresholds.

    Args: values: of `logit_ports`, as they are with the present temperatures.
    """
    values = dict(values)
    fits = network.plan.task == "single" and len(targets) >= FEWEST_ROWS
    for node_id in network.plan.found.order:
        port = f"{node_id}.out"
        module = network.module_of(node_id) if node_id in network.keys else None
        if isinstance(module, Head | Lexical):
            if fits and port in values:
                _temper(module, values, port, targets, loss)
        elif isinstance(module, LogitMerge) and _follows(network, port):
            _mix(network, module, node_id, values, targets, loss if fits else None)
        elif CATALOGUE[network.plan.graph.node(node_id).type].role == "answer" and _follows(network, port):
            values[port] = _filled([values[e.source] for e in network.plan.graph.into(node_id) if e.source in values])
    answer = values[network.answer]
    if network.plan.task == "multi" and len(targets) >= FEWEST_ROWS:
        network.decision.fill_(pick_decision(answer.sigmoid(), targets))
    return Opinions(values, answer)


def pick_thresholds(network: FunctionGraph, opinions: Opinions, targets: Tensor) -> float | None:
    """Set the automatic exits' common threshold by the accuracy they would give up.

    Right answers spoilt are few and their number is luck; so the full graph's probabilities say how likely its own
    answer is right and how likely the exit's is, and all rows where the two differ are counted by that.

    Returns the threshold, or None where no exit is automatic.
    """
    params = {n: params_of(network.plan.graph.node(n)) for n in network.nodes_of_role("exit")}
    exits = [view for view in exit_views(network, opinions) if params[view.node]["automatic"]]
    if not exits or len(targets) < FEWEST_ROWS:
        return None
    tolerance = min(float(str(params[view.node]["tolerance"])) for view in exits)
    odds = _odds(network, opinions.answer, targets)
    most = _chance(network, opinions.answer, odds)
    given_up = torch.stack([most - _chance(network, view.logits, odds) for view in exits])
    best = pick_threshold(torch.stack([view.sure for view in exits]), given_up, tolerance)
    for view in exits:
        view.module.threshold.fill_(best)
    return best


def _odds(network: FunctionGraph, answer: Tensor, targets: Tensor) -> Tensor:
    """(n, C) probabilities of the full graph's answer, made true to the targets by a temperature."""
    if network.plan.task == "multi":
        return answer.nan_to_num().sigmoid()
    answer = answer.nan_to_num(-1e4)
    return (answer / fit_temperature(answer, targets, partial(cross_entropy, reduction="none"))).softmax(1)


def _chance(network: FunctionGraph, logits: Tensor, odds: Tensor) -> Tensor:
    """(n,) how likely the answer of these logits is the true one. odds: (n, C), of several labels independent ones."""
    chosen = _chosen(network, logits)
    if network.plan.task == "multi":
        return torch.where(chosen, odds, 1 - odds).prod(1)
    return odds.gather(1, chosen.unsqueeze(1)).squeeze(1)


@dataclass(frozen=True)
class ExitView:
    """What an exit makes of N rows, all shown to it. logits: (N, C). sure: (N,), -1 where it has no logits."""

    node: str
    module: Exit
    logits: Tensor
    sure: Tensor


def exit_views(network: FunctionGraph, opinions: Opinions) -> list[ExitView]:
    """The exits whose logits are known, in running order."""
    views = []
    for node in network.nodes_of_role("exit"):
        module, port = network.module_of(node), network.plan.graph.into(node, "logits")[0].source
        assert isinstance(module, Exit)
        if port in opinions.values:
            logits = opinions.values[port]
            sure = certainty(logits.nan_to_num(), module.measure, several=module.several)
            views.append(ExitView(node, module, logits, torch.where(logits.isnan().any(1), -1.0, sure)))
    return views


def exit_shares(network: FunctionGraph, opinions: Opinions, targets: Tensor) -> list[dict[str, Any]]:
    """Where the rows would leave with the present thresholds: node, depth in layers, share, accuracy."""
    views = exit_views(network, opinions)
    if not views:
        return []
    left = torch.zeros(len(targets), dtype=torch.bool)
    found = []
    for view in views:
        mine = ~left & (view.sure >= view.module.threshold.cpu())
        left |= mine
        found.append(_share(network, view.node, mine, is_right(network, view.logits, targets)))
    return [*found, _share(network, "answer", ~left, is_right(network, opinions.answer, targets))]


def _share(network: FunctionGraph, node: str, mine: Tensor, right: Tensor) -> dict[str, Any]:
    graph = network.plan.graph
    above = nx.ancestors(wiring(graph), node if node != "answer" else network.answer.partition(".")[0])
    depth = sum(graph.node(n).type == "encoder_layer/1" for n in above)
    return {"node": node, "depth": float(depth), "share": float(mine.float().mean()) if len(mine) else 0.0,
            "accuracy": float(right[mine].float().mean()) if bool(mine.any()) else None}


def is_right(network: FunctionGraph, logits: Tensor, targets: Tensor) -> Tensor:
    """(N,) bool: the answer of these logits is the target (all labels of it, where there are several)."""
    chosen = _chosen(network, logits)
    return (chosen == (targets > 0.5)).all(1) if network.plan.task == "multi" else chosen == targets


def _chosen(network: FunctionGraph, logits: Tensor) -> Tensor:
    """The answer of these logits: (N,) int64 labels, or (N, C) bool where there are several."""
    if network.plan.task == "multi":
        return logits.sigmoid() >= network.decision.cpu()
    return logits.nan_to_num(-torch.inf).argmax(1)


def _temper(module: Head | Lexical, values: dict[str, Tensor], port: str, targets: Tensor, loss: RowLoss) -> None:
    here = ~values[port].isnan().any(1)
    if int(here.sum()) < FEWEST_ROWS:
        return
    raw = values[port] * float(module.temperature)
    value = fit_temperature(raw[here], targets[here], loss)
    module.temperature.fill_(value)
    values[port] = raw / value
    if isinstance(module, Lexical):
        values[port] = values[port].log_softmax(-1)


def _mix(network: FunctionGraph, module: LogitMerge, node_id: str, values: dict[str, Tensor], targets: Tensor,
         loss: RowLoss | None) -> None:
    opinions = [module.opinion(values[edge.source]) for edge in network.plan.graph.into(node_id)]
    shared = network.plan.graph.node(node_id).params.get("rows") == "shared"
    absent = torch.stack([opinion.isnan().any(1) for opinion in opinions])
    here = ~(absent.any(0) if shared else absent.all(0))
    filled = [opinion.nan_to_num(0.0) for opinion in opinions]
    if loss is not None and int(here.sum()) >= FEWEST_ROWS:
        start = module.weights.detach().cpu()
        here_only = [o[here] for o in filled]
        fitted = fit_weights(here_only, targets[here], loss, start)
        module.weights.copy_(never_below_one(fitted, here_only, targets[here]))
    mixed = torch.einsum("i,inc->nc", module.weights.cpu(), torch.stack(filled))
    if module.kind == "regression":
        mixed = mixed / (module.weights.cpu()[:, None] * ~absent).sum(0).clamp(min=1e-6)[:, None]
    values[f"{node_id}.out"] = torch.where(here[:, None], mixed, float("nan"))


def _follows(network: FunctionGraph, port: str) -> bool:
    """True where a value follows from logits of heads and word functions alone, exits open."""
    graph = network.plan.graph
    node_id = port.partition(".")[0]
    role, sources = CATALOGUE[graph.node(node_id).type].role, [edge.source for edge in graph.into(node_id)]
    if role == "answer":  # what exits answer is nothing while they are open
        exits = network.nodes_of_role("exit")
        sources = [source for source in sources if source.partition(".")[0] not in exits]
    return role in ("head", "lexical") or (role in ("merge", "answer") and all(_follows(network, s) for s in sources))


def _filled(parts: list[Tensor]) -> Tensor:
    """Row by row the first part that has a value."""
    out = parts[0].clone()
    for part in parts[1:]:
        out = torch.where(out.isnan(), part, out)
    return out
