"""Router health: how routers share rows out, what routes know of class and length, and whether routing earns its keep.

Every verdict rests on the answers of the same graph under another routing, row by row. Knows nothing of pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fgdesign.data import Dataset
from fgdesign.insight.ablation import MOST_ROWS, Bench, Score, compared
from fgdesign.insight.answered_set import AnsweredSet, Model, Progress
from fgdesign.insight.intervene import Change, branches_of
from fgdesign.insight.statistics import Estimate, adjusted_rand, entropy, mcnemar, mutual_information, quantile_bins
from fgdesign.training.evaluate import DEAD_SHARE

COLLAPSED = 0.95  # load of one branch from which on the others hardly matter
SEEDS = 3  # draws of random routes that are averaged


@dataclass(frozen=True)
class Health:
    """One router over a data set. load: share of the rows that came, per branch. spread: entropy of the load, 0..1.

    sureness: 1 - mean entropy of a row's choice, 0..1, None for rules. by_class and by_length: mutual information in
    nats with the class (None without labels) and with the token length in five bins.
    """

    router: str
    rows: int
    load: dict[str, float]
    spread: float
    sureness: float | None
    by_class: Estimate | None
    by_length: Estimate
    dead: tuple[str, ...]
    collapsed: bool


def health(answered: AnsweredSet) -> list[Health]:
    """The health of every router, in running order."""
    return [_health(answered, router) for router in answered.answers.called]


def _health(answered: AnsweredSet, router: str) -> Health:
    called, names = answered.answers.called[router], answered.answers.branches[router]
    reached = called.any(1)
    load = called[reached].mean(0) if reached.any() else np.zeros(len(names))
    shares = load / max(1e-12, float(load.sum()))
    probabilities = answered.answers.probabilities.get(router)
    sureness = None
    if probabilities is not None and reached.any():
        each = [entropy(row) for row in probabilities[reached]]
        sureness = 1 - float(np.mean(each)) / float(np.log(len(names)))
    route = answered.branch[router][reached].astype(str)
    by_class = None
    if answered.truth is not None:
        classes = (quantile_bins(answered.truth[reached].astype(float)) if answered.task == "regression"
                   else answered.truth[reached].astype(str))
        by_class = mutual_information(route, classes)
    return Health(router, int(reached.sum()), dict(zip(names, load.tolist(), strict=True)),
                  entropy(shares) / float(np.log(len(names))), sureness, by_class,
                  mutual_information(route, quantile_bins(answered.lengths[reached])),
                  tuple(name for name, share in zip(names, load, strict=True) if share < DEAD_SHARE),
                  bool(reached.any() and shares.max() >= COLLAPSED))


def stability(runs: Sequence[AnsweredSet]) -> pd.DataFrame:
    """How alike runs of one graph (other seeds) route the same rows, branch names aside.

    Columns: router ("exits": where rows were answered), first, second (places in `runs`), agreement (adjusted Rand
    index, 1 the same, 0 as by chance).
    """
    ways = [_ways(one) for one in runs]
    found = [{"router": router, "first": i, "second": j,
              "agreement": adjusted_rand(ways[i][router].astype(str), ways[j][router].astype(str))}
             for i, j in combinations(range(len(runs)), 2)
             for router in ways[i] if router in ways[j] and len(runs[i]) == len(runs[j])]
    return pd.DataFrame(found, columns=["router", "first", "second", "agreement"])


def _ways(one: AnsweredSet) -> dict[str, NDArray[Any]]:
    """The branch that each row took at each router, and under "exits" where it was answered."""
    return {**one.branch, **({"exits": one.exit} if one.answers.exit_names else {})}


@dataclass(frozen=True)
class Keep:
    """Whether one router or the exits earn their keep. table: per control gain and intervals; verdict: in a sentence.

    table columns: control, score, gain (routed minus control), low, high (95 %, paired bootstrap), p (exact McNemar,
    or of the bootstrap for numbers and averaged draws), loss_gain, loss_low, loss_high, layers.
    """

    name: str
    score: float
    layers: float
    table: pd.DataFrame
    verdict: str


def earns(model: Model, data: Dataset, *, most: int = MOST_ROWS, progress: Progress | None = None) -> list[Keep]:
    """Every router against random and uniform routes and each single branch; exits against always one of them.

    Raises: DataError without labels.
    """
    bench = Bench(model, data, most)
    network, graph = model.network, model.network.plan.graph
    plans = [(router, _controls(model, router)) for router in network.nodes_of_role("router")]
    exits = network.nodes_of_role("exit")
    if exits:
        plans.append(("exits", _exit_controls(exits)))
    total, done, trained, found = 1 + sum(len(controls) for _, controls in plans), 1, bench.score(Change()), []
    for name, controls in plans:
        scores = {}
        for control, changes in controls:
            scores[control] = _averaged([bench.score(change) for change in changes])
            done += 1
            if progress:
                progress(done, total)
        learned = name != "exits" and graph.node(name).type == "router/1"
        found.append(_keep(name, trained, scores, model.task, learned=learned))
    return found


def _controls(model: Model, router: str) -> list[tuple[str, list[Change]]]:
    random = [Change(routing={router: "random"}, seed=seed) for seed in range(SEEDS)]
    controls = [("random routes", random)]
    if model.network.plan.graph.node(router).type == "router/1":
        controls.append(("all branches alike", [Change(routing={router: "uniform"})]))
    return controls + [(f"always {branch}", [Change(force={router: branch}, gates="kept")])
                       for branch in branches_of(model.network, router)]


def _exit_controls(exits: Sequence[str]) -> list[tuple[str, list[Change]]]:
    full = Change(force={node: "next" for node in exits})
    return [("always to the end", [full])] + [
        (f"always {node}", [replace(full, force={**full.force, node: "answer"})]) for node in exits]


def _averaged(scores: Sequence[Score]) -> Score:
    return Score(np.mean([s.right for s in scores], 0), np.mean([s.loss for s in scores], 0),
                 float(np.mean([s.layers for s in scores])))


def _keep(name: str, trained: Score, controls: dict[str, Score], task: str, *, learned: bool) -> Keep:
    rows = []
    for control, other in controls.items():
        gain, loss = compared(trained, other)
        plain = task != "regression" and set(np.unique(other.right)) <= {0.0, 1.0}
        p = mcnemar(int((trained.right > other.right).sum()), int((trained.right < other.right).sum())) if plain \
            else gain.p
        rows.append({"control": control, "score": float(other.right.mean()), "gain": gain.value, "low": gain.low,
                     "high": gain.high, "p": p, "loss_gain": loss.value, "loss_low": loss.low, "loss_high": loss.high,
                     "layers": other.layers})
    table = pd.DataFrame(rows)
    verdict = _exit_verdict(trained, table, task) if name == "exits" else _verdict(table, task)
    return Keep(name, float(trained.right.mean()), trained.layers, table, verdict)


def _verdict(table: pd.DataFrame, task: str) -> str:
    """Whether routing beats random routes, and which single branches it does not beat."""
    chance = table.iloc[0]
    told = f"{_points(chance, task)} over random routes, 95 % interval {_interval(chance, task)}"
    single = table[table["control"].str.startswith("always ")]
    unbeaten = single[single["low"] <= 0]["control"].tolist()
    if chance["low"] <= 0:
        if chance["high"] < 0:
            return f"Routing does harm: {told}."
        return f"Routing is not shown to earn its keep: {told}."
    if not unbeaten:
        return f"Routing earns its keep: {told}; it beats every single branch."
    names = ", ".join(unbeaten[:3]) + (f" and {len(unbeaten) - 3} more" if len(unbeaten) > 3 else "")
    return f"Routing beats chance: {told}. It does not beat {names}."


def _exit_verdict(trained: Score, table: pd.DataFrame, task: str) -> str:
    """What exits save against full depth, and what they cost."""
    full = table.iloc[0]
    saved = 1 - trained.layers / full["layers"] if full["layers"] else 0.0
    told = f"{_points(full, task)} against full depth, 95 % interval {_interval(full, task)}"
    kept = "at no clear loss" if full["low"] <= 0 <= full["high"] else ("and gain" if full["low"] > 0 else "at a loss")
    if saved <= 0:
        return f"The exits save nothing: {told}."
    return (f"The exits save {saved:.0%} of the encoder layers ({trained.layers:.3g} of {full['layers']:.3g} a text) "
            f"{kept}: {told}.")


def _points(row: pd.Series, task: str) -> str:
    if task == "regression":
        return f"{row['gain']:+.3g} in mean absolute error"
    return f"{row['gain'] * 100:+.2g} points"


def _interval(row: pd.Series, task: str) -> str:
    scale = 1 if task == "regression" else 100
    return f"{row['low'] * scale:.2g} to {row['high'] * scale:.2g}"
