"""A data set answered once: per row the answer, how sure and how right it is, and the way it took.

Computed from a trained model and its data, kept as plain arrays, shown as a table. Knows nothing of runs, of files
other than its own, or of screens.
"""

from __future__ import annotations

import json
import os
import uuid
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fgdesign.data import Dataset
from fgdesign.data.languages import SCRIPTS, script_of_rows
from fgdesign.errors import DataError, choices
from fgdesign.graph.rows import Rows
from fgdesign.model.inputs import Inputs, make_inputs
from fgdesign.model.network import FunctionGraph
from fgdesign.training.evaluate import Answers, answer_rows

TINY = 1e-15  # the smallest probability that a loss sees
FORMAT = "fgdesign.answered/1"
OWN_COLUMNS = ("row", "text", "text_b", "label", "prediction", "right", "confidence", "loss", "route", "exit", "layers",
               "length", "script")

Progress = Callable[[int, int], None]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Model(Protocol):
    """A trained graph with what answers texts: `fgdesign.load_run(...)` is one."""

    network: FunctionGraph
    tokenizer: Any
    device: torch.device
    labels: list[str]
    task: str


@dataclass(frozen=True)
class AnsweredSet:
    """N rows with their answers and routes.

    data: the rows. answers: outputs, exits, layers, branches. lengths: (N,) int64 tokens. nodes: M node ids in
    running order. called: (N, M) bool, which of them each row called.
    """

    data: Dataset
    answers: Answers
    lengths: NDArray[np.int64]
    nodes: tuple[str, ...]
    called: Bools
    task: str
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.data)

    @property
    def outputs(self) -> Floats:
        """(N, C) probabilities, or (N,) values of a regression."""
        outputs: Floats = self.answers.outputs
        return outputs

    @property
    def layers(self) -> NDArray[np.int64]:
        """(N,) encoder layers run."""
        return self.answers.layers

    @property
    def targets(self) -> NDArray[Any] | None:
        """(N,) class numbers, (N, C) zeros and ones, (N,) numbers, or None without labels."""
        return None if self.data.targets is None else np.asarray(self.data.targets)

    @cached_property
    def truth(self) -> NDArray[Any] | None:
        """(N,) names of the true labels (several joined by "|"), numbers of a regression, None without labels."""
        return None if self.targets is None else self._names(self.targets)

    @cached_property
    def prediction(self) -> NDArray[Any]:
        """(N,) what was answered, written as `truth`."""
        if self.task == "single":
            return self._names(self.outputs.argmax(1))
        return self._names(self.outputs >= self.answers.decision if self.task == "multi" else self.outputs)

    def _names(self, values: NDArray[Any]) -> NDArray[Any]:
        if self.task == "regression":
            return values.astype(np.float64)
        names = np.array(self.labels, object)
        if self.task == "single":
            found: NDArray[Any] = names[values]
            return found
        return np.array(["|".join(names[row > 0.5]) for row in values.astype(float)], object)

    @cached_property
    def confidence(self) -> Floats | None:
        """(N,) 0..1: probability of the answer; the mean over labels where a row may have several. None for numbers."""
        if self.task == "regression":
            return None
        sure: Floats = self.outputs.max(1) if self.task == "single" else np.maximum(self.outputs,
                                                                                   1 - self.outputs).mean(1)
        return sure

    @cached_property
    def right(self) -> Bools | None:
        """(N,) whether the whole answer is right; None for a regression and without labels."""
        return right_of(self.outputs, self.targets, self.task, self.answers.decision)

    @cached_property
    def loss(self) -> Floats | None:
        """(N,) log-loss (nats), or squared error of a regression; None without labels."""
        return None if self.targets is None else losses_of(self.outputs, self.targets, self.task)

    @cached_property
    def route(self) -> NDArray[Any]:
        """(N,) the branches and the exit each row took: "router:branch_2 > exit_3"; "answer" for none of them."""
        return np.array([self.answers.route(row) or "answer" for row in range(len(self))], object)

    @cached_property
    def exit(self) -> NDArray[Any]:
        """(N,) the exit that answered, "answer" for the end of the graph."""
        found: NDArray[Any] = np.array([*self.answers.exit_names, "answer"], object)[self.answers.exits]
        return found

    @cached_property
    def branch(self) -> dict[str, NDArray[Any]]:
        """Per router (N,) the branches a row took, several joined by "+"; "" where it did not come there."""
        return {router: _joined(called, self.answers.branches[router])
                for router, called in self.answers.called.items()}

    @cached_property
    def script(self) -> NDArray[Any]:
        """(N,) the script that most letters of a text are of; "none" without letters."""
        names = np.array([*(script[0] for script in SCRIPTS), "none"], object)
        found: NDArray[Any] = names[script_of_rows(self.data.texts)]
        return found

    def frame(self) -> pd.DataFrame:
        """The rows as a table: OWN_COLUMNS that there are, one column per router, then the columns of the file."""
        return self._frame.copy()

    @cached_property
    def _frame(self) -> pd.DataFrame:
        columns: dict[str, Any] = {
            "row": self.data.row_numbers, "text": self.data.texts, "text_b": self.data.texts_b, "label": self.truth,
            "prediction": self.prediction, "right": self.right, "confidence": self.confidence, "loss": self.loss,
            "route": self.route, "exit": self.exit if self.answers.exit_names else None, "layers": self.layers,
            "length": self.lengths, "script": self.script, **self.branch,
        }
        frame = pd.DataFrame({name: values for name, values in columns.items() if values is not None})
        read = {self.data.columns.text, self.data.columns.text_b, self.data.columns.label}
        extra = [name for name in map(str, self.data.frame.columns) if name not in read]
        taken = {name if name not in frame else f"{name} (file)": self.data.frame[name].to_numpy() for name in extra}
        return frame.assign(**taken)

    def where(self, contains: str = "", within: Mapping[str, tuple[float, float]] | None = None,
              **equals: object) -> NDArray[np.int64]:
        """Places (n,) of the rows that pass all filters.

        Args: contains: words in the text, case aside. within: per column of `frame`, least and largest value.
        equals: columns and their value, such as label="billing", right=False, route="router:branch_1".
        Raises: DataError for a column that is not there.
        """
        kept = np.ones(len(self), bool)
        if contains:
            wanted = contains.casefold()
            kept &= np.fromiter((wanted in text.casefold() for text in self.data.texts), bool, len(self))
        for name, (least, most) in (within or {}).items():
            values = self.column(name).astype(float)
            kept &= (values >= least) & (values <= most)
        for name, value in equals.items():
            kept &= np.asarray(self.column(name) == value, bool)
        return np.flatnonzero(kept)

    def column(self, name: str) -> NDArray[Any]:
        """(N,) one column of `frame`. Raises DataError."""
        if name not in self._frame:
            raise DataError(f"The rows have no column '{name}'. {choices(map(str, self._frame.columns), name)}")
        values: NDArray[Any] = self._frame[name].to_numpy()
        return values

    def at(self, rows: NDArray[Any]) -> AnsweredSet:
        """Some of the rows, in that order. rows: places or a mask."""
        places = np.arange(len(self))[rows]
        old = self.answers
        answers = Answers(old.outputs[places], old.exits[places], old.layers[places], old.exit_names,
                          {name: called[places] for name, called in old.called.items()},
                          {name: shares[places] for name, shares in old.probabilities.items()}, old.branches,
                          old.decision)
        return AnsweredSet(self.data.subset(places), answers, self.lengths[places], self.nodes, self.called[places],
                           self.task, self.labels)

    def save(self, file: Path) -> None:
        """Keep answers and routes in one .npz of plain arrays; the data set is not in it."""
        old = self.answers
        facts = {"format": FORMAT, "data": self.data.sha256, "exits": old.exit_names, "branches": old.branches,
                 "decision": old.decision, "nodes": self.nodes, "task": self.task, "labels": self.labels,
                 "learned": list(old.probabilities)}
        arrays: dict[str, Any] = {
            "facts": np.array(json.dumps(facts)), "outputs": old.outputs, "exits": old.exits, "layers": old.layers,
            "lengths": self.lengths, "called": np.packbits(self.called, axis=1)}
        for place, router in enumerate(old.branches):
            arrays[f"branch_{place}"] = old.called[router]
            if router in old.probabilities:
                arrays[f"share_{place}"] = old.probabilities[router]
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = file.with_name(f".{uuid.uuid4().hex}.npz")
        with aside.open("wb") as stream:
            np.savez(stream, **arrays)
        os.replace(aside, file)


def answered(model: Model, data: Dataset, progress: Progress | None = None) -> AnsweredSet:
    """Answer a data set as in use and note every route. progress: told rows done and rows in all."""
    network, inputs = model.network, inputs_of(model, data)
    whole = answer_rows(network, inputs, model.device, progress=progress)
    return AnsweredSet(data, whole, inputs.lengths, *calls(network, whole), model.task, tuple(model.labels))


def calls(network: FunctionGraph, answers: Answers) -> tuple[tuple[str, ...], Bools]:
    """M node ids in running order, and (N, M) which of them each row called, from its branches and exit."""
    nodes = tuple(network.plan.found.order)
    return nodes, np.stack([_held(network.plan.found.node_rows[node], answers) for node in nodes], 1)


def load_answered(file: Path, data: Dataset) -> AnsweredSet | None:
    """What `save` kept of these very rows, or None where there is nothing of use."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
            facts = json.loads(str(kept["facts"]))
            if facts["format"] != FORMAT or facts["data"] != data.sha256:
                return None
            branches = {router: tuple(names) for router, names in facts["branches"].items()}
            answers = Answers(
                kept["outputs"], kept["exits"], kept["layers"], tuple(facts["exits"]),
                {router: kept[f"branch_{place}"] for place, router in enumerate(branches)},
                {router: kept[f"share_{place}"] for place, router in enumerate(branches) if router in facts["learned"]},
                branches, facts["decision"])
            called = np.unpackbits(kept["called"], axis=1, count=len(facts["nodes"])).astype(bool)
            return AnsweredSet(data, answers, kept["lengths"], tuple(facts["nodes"]), called, facts["task"],
                               tuple(facts["labels"]))
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None


def inputs_of(model: Model, data: Dataset) -> Inputs:
    """A data set as the model's network reads it, all columns at hand for rules."""
    cells = {str(name): data.frame[name].astype(str).tolist() for name in data.frame.columns}
    return make_inputs(model.network, model.tokenizer, data.texts, data.texts_b, cells)


def right_of(outputs: Floats, targets: NDArray[Any] | None, task: str, decision: float = 0.5) -> Bools | None:
    """(N,) whether each answer is right, all of its labels where there may be several; None for a regression."""
    if targets is None or task == "regression":
        return None
    right: Bools = (outputs.argmax(1) == targets if task == "single"
                    else ((outputs >= decision) == (targets > 0.5)).all(1))
    return right


def losses_of(outputs: Floats, targets: NDArray[Any], task: str) -> Floats:
    """(N,) log-loss in nats (the mean over labels where there may be several), or squared error of a regression."""
    shares = np.asarray(outputs, np.float64)
    if task == "regression":
        found: Floats = (shares - targets) ** 2
        return found
    wide = task == "multi"
    given = np.where(targets > 0.5, shares, 1.0 - shares) if wide else shares[np.arange(len(shares)), targets]
    found = -np.log(np.clip(given, TINY, 1.0))
    return found.mean(1) if wide else found


def _held(rows: Rows, answers: Answers) -> Bools:
    """(N,) which rows a condition holds, from the branches and exits they took."""
    count = len(answers.exits)
    held = np.zeros(count, bool)
    for alternative in rows:
        mine = np.ones(count, bool)
        for router, branch in alternative:
            if router in answers.called:
                mine &= answers.called[router][:, answers.branches[router].index(branch)]
            else:
                left = answers.exits == answers.exit_names.index(router)
                mine &= left if branch == "answer" else ~left
        held |= mine
    return held


def _joined(called: Bools, names: tuple[str, ...]) -> NDArray[Any]:
    """(N, B) called branches -> (N,) their names, several joined by "+"."""
    codes = called @ (1 << np.arange(called.shape[1], dtype=np.int64))
    _, first, place = np.unique(codes, return_index=True, return_inverse=True)
    words = ["+".join(name for name, is_called in zip(names, called[row], strict=True) if is_called) for row in first]
    found: NDArray[Any] = np.array(words, object)[place]
    return found
