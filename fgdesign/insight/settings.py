"""Accuracy against compute: what other exit thresholds and other numbers of called branches would answer.

Every exit's opinion of every row is computed once and kept; any setting then follows by look-up, exactly as the graph
would answer. Knows nothing of runs or pictures.
"""

from __future__ import annotations

import json
import os
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fgdesign.errors import DataError, choices
from fgdesign.graph.infer import params_of
from fgdesign.graph.rows import ALL
from fgdesign.insight.answered_set import AnsweredSet, Model, Progress, calls, inputs_of
from fgdesign.insight.comparison import compute_of
from fgdesign.insight.intervene import Change, out_of_reach, steer_of
from fgdesign.insight.quality import MEASURES, require_labels
from fgdesign.model.choosing import Exit, certainty
from fgdesign.model.inputs import Vectors
from fgdesign.model.network import FunctionGraph, Outcome
from fgdesign.training.evaluate import Answers, as_outputs, no_answers, note_routes
from fgdesign.training.rows import collect

Floats = NDArray[np.float32]
FORMAT = "fgdesign.opinions/1"
STEPS = 41  # thresholds of a curve
LAYER = "encoder_layer/1"


@dataclass(frozen=True)
class Opinions:
    """What every exit and the end of the graph would answer to N rows, for some numbers of called branches.

    exits: E names in running order. thresholds: (E,) as trained. counts: K numbers of branches, 0 as trained.
    outputs: per count (E + 1, N, C) probabilities or (E + 1, N) numbers, NaN where an exit is not on a row's way.
    sure: per count (E, N), -1 where it is not. called: per count and router (N, B).
    """

    answered: AnsweredSet
    exits: tuple[str, ...]
    thresholds: tuple[float, ...]
    counts: tuple[int, ...]
    outputs: tuple[Floats, ...]
    sure: tuple[Floats, ...]
    called: tuple[dict[str, NDArray[np.bool_]], ...]

    @property
    def trained(self) -> dict[str, float]:
        """The thresholds as they are now."""
        return dict(zip(self.exits, self.thresholds, strict=True))

    def at(self, network: FunctionGraph, thresholds: Mapping[str, float] | None = None, count: int = 0) -> AnsweredSet:
        """The answers at other thresholds or another number of branches.

        Args: thresholds: per exit, as trained where not named. Raises: DataError for an unknown exit or count.
        """
        for name in thresholds or {}:
            if name not in self.exits:
                raise DataError(f"There is no exit '{name}'. {choices(self.exits, name)}")
        if count not in self.counts:
            raise DataError(f"{count} branches were not computed. {choices(map(str, self.counts))}")
        place, rows = self.counts.index(count), np.arange(len(self.answered))
        lines = np.array([*(self.trained | dict(thresholds or {})).values()], np.float32)
        leaves = self.sure[place] >= lines[:, None]
        exits = np.where(leaves.any(0), leaves.argmax(0), -1) if len(lines) else np.full(len(rows), -1)
        old = self.answered.answers
        made = Answers(self.outputs[place][exits, rows], exits, old.layers, self.exits, dict(self.called[place]),
                       old.probabilities if not count else {}, old.branches, old.decision)
        nodes, held = calls(network, made)
        for router in made.called:  # what lies behind the exit that answered was not chosen
            made.called[router] = made.called[router] & held[:, nodes.index(router)][:, None]
        layer = np.array([network.plan.graph.node(node).type == LAYER for node in nodes])
        made.layers = held[:, layer].sum(1)
        return replace(self.answered, answers=made, nodes=nodes, called=held)

    def save(self, file: Path) -> None:
        """Keep all of it in one .npz of plain arrays."""
        facts = {"format": FORMAT, "data": self.answered.data.sha256, "exits": self.exits,
                 "thresholds": self.thresholds, "counts": self.counts}
        arrays: dict[str, Any] = {"facts": np.array(json.dumps(facts))}
        for place in range(len(self.counts)):
            arrays |= {f"outputs_{place}": self.outputs[place], f"sure_{place}": self.sure[place]}
            arrays |= {f"called_{place}_{router}": called for router, called in self.called[place].items()}
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = file.with_name(f".{uuid.uuid4().hex}.npz")
        with aside.open("wb") as stream:
            np.savez(stream, **arrays)
        os.replace(aside, file)


def opinions(model: Model, answered: AnsweredSet, progress: Progress | None = None) -> Opinions:
    """Ask every exit about every row, and again for each number of branches that the routers can call.

    Raises: DataError where the graph has neither exits nor learned routers with several branches.
    """
    network = model.network
    exits, counts = tuple(network.nodes_of_role("exit")), branch_counts(network)
    if not exits and len(counts) == 1:
        raise DataError("This graph has no exit, and no router that could call more or fewer branches: its compute is "
                        "fixed. Draw an exit behind a layer, or a learned router.")
    asked = _Asked(model, answered, exits, len(counts), progress)
    found = [asked.once(count) for count in counts]
    lines = tuple(float(module.threshold) for name in exits if isinstance(module := network.module_of(name), Exit))
    return Opinions(answered, exits, lines, counts, tuple(f[0] for f in found), tuple(f[1] for f in found),
                    tuple(f[2] for f in found))


def load_opinions(file: Path, answered: AnsweredSet) -> Opinions | None:
    """What `save` kept of these very rows, or None where there is nothing of use."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
            facts = json.loads(str(kept["facts"]))
            if facts["format"] != FORMAT or facts["data"] != answered.data.sha256:
                return None
            places = range(len(facts["counts"]))
            called = tuple({router: kept[f"called_{place}_{router}"] for router in answered.answers.branches}
                           for place in places)
            return Opinions(answered, tuple(facts["exits"]), tuple(facts["thresholds"]), tuple(facts["counts"]),
                            tuple(kept[f"outputs_{p}"] for p in places), tuple(kept[f"sure_{p}"] for p in places),
                            called)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None


def branch_counts(network: FunctionGraph) -> tuple[int, ...]:
    """0 (as trained), then every other number of branches that learned routers can call.

    Only 0 where an exit stands behind such a branch: with more branches a row would leave there and go on, too.
    """
    behind = {router for exit_node in network.nodes_of_role("exit")
              for alternative in network.plan.found.node_rows[exit_node] for router, _ in alternative}
    if behind & set(_learned(network)):
        return (0,)
    params = [params_of(network.plan.graph.node(node)) for node in _learned(network)]
    most = max((len(network.plan.found.ways.branches[node]) for node in _learned(network)), default=0)
    now = {int(str(values.get("k", 1))) for values in params}
    return (0, *(count for count in range(1, most + 1) if now != {count}))


def curve(model: Model, kept: Opinions, counts: Sequence[int] = ()) -> pd.DataFrame:
    """One common threshold moved from "always the first exit" to "never": what is gained, and what it takes.

    Columns: count (branches, 0 as trained), threshold (NaN: as trained), score (the task's main metric), layers,
    compute (mean multiply-adds of a text), share (of the dearest).
    Raises: DataError without labels.
    """
    require_labels(kept.answered)
    found = []
    for count in counts or kept.counts:
        found.append(_point(model, kept, None, count))
        if kept.exits:
            found += [_point(model, kept, line, count) for line in _lines(kept, count)]
    table = pd.DataFrame(found)
    return table.assign(share=table["compute"] / max(1.0, float(table["compute"].max())))


def point(model: Model, answered: AnsweredSet) -> dict[str, float]:
    """score (the task's main metric), layers and compute (mean multiply-adds of a text) of some answers."""
    measure = MEASURES[answered.task][0]
    return {"score": float(measure.of(measure.columns(answered).mean(0))), "layers": float(answered.layers.mean()),
            "compute": float(compute_of(model, answered).mean())}


def _point(model: Model, kept: Opinions, line: float | None, count: int) -> dict[str, float]:
    lines = None if line is None else dict.fromkeys(kept.exits, line)
    told = point(model, kept.at(model.network, lines, count))
    return {"count": count, "threshold": np.nan if line is None else line, **told}


def _lines(kept: Opinions, count: int) -> list[float]:
    """Thresholds between which about as many rows change their exit."""
    sure = kept.sure[kept.counts.index(count)]
    known = sure[sure >= 0]
    inner = np.quantile(known, np.linspace(0, 1, STEPS)) if len(known) else np.zeros(0)
    return [0.0, *np.unique(np.round(inner, 4)).tolist(), 1.01]


def _learned(network: FunctionGraph) -> list[str]:
    """Routers whose number of branches can be changed."""
    graph = network.plan.graph
    return [node for node in network.nodes_of_role("router") if graph.node(node).type == "router/1"
            and params_of(graph.node(node)).get("method") != "soft"]


class _Asked:
    """Rows whose values above all routers are computed once."""

    def __init__(self, model: Model, answered: AnsweredSet, exits: Sequence[str], passes: int,
                 progress: Progress | None) -> None:
        self.model, self.network, self.answered = model, model.network, answered
        self.sources = {name: self.network.plan.graph.into(name, "logits")[0].source for name in exits}
        self.inputs = inputs_of(model, answered.data)
        self.done, self.all, self.progress = 0, passes * len(answered), progress

    def once(self, count: int) -> tuple[Floats, Floats, dict[str, NDArray[np.bool_]]]:
        """outputs, sure and called of `Opinions` for one number of branches."""
        network, learned = self.network, _learned(self.network)
        branches = network.plan.found.ways.branches
        steer = steer_of(network, Change(top_k={node: min(count, len(branches[node])) for node in learned})) \
            if count else None
        made = no_answers(network, len(self.answered))

        def see(outcome: Outcome, rows: np.ndarray) -> None:
            note_routes(made, outcome, rows)
            self.done += len(rows)
            if self.progress:
                self.progress(self.done, self.all)

        ports = tuple(dict.fromkeys([*self.sources.values(), network.answer]))
        above = self._above(learned) if not count and learned else ()
        known = () if steer is None else tuple(p for p in self.inputs.static if p in out_of_reach(network, steer))
        held = collect(network, replace(self.inputs, steer=steer), self.model.device,
                       tuple(dict.fromkeys([*ports, *above])), known=known, see=see)
        self.inputs.static.update({port: Vectors(held[port]) for port in above})
        logits = [held[port] for port in (*self.sources.values(), network.answer)]
        outputs = np.stack([as_outputs(part.float(), self.model.task) for part in logits])
        sure = np.full((len(self.sources), len(self.answered)), -1, np.float32)
        for place, name in enumerate(self.sources):
            module, here = network.module_of(name), ~logits[place].isnan().any(1)
            assert isinstance(module, Exit)
            if bool(here.any()):
                sure[place, here.numpy()] = certainty(logits[place][here], module.measure,
                                                      several=module.several).numpy()
        return outputs.astype(np.float32), sure, made.called

    def _above(self, learned: Sequence[str]) -> tuple[str, ...]:
        """Vectors that every row has, that something reads, and that no router changes."""
        found, graph = self.network.plan.found, self.network.plan.graph
        steer = steer_of(self.network, Change(top_k=dict.fromkeys(learned, 1)))
        assert steer is not None
        free, read = out_of_reach(self.network, steer), {edge.source for edge in graph.edges}
        return tuple(port for port, value in found.values.items()
                     if value.type == "vector" and found.rows[port] == ALL and port in read and port in free)
