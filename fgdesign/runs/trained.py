"""A trained run in memory: answer texts, measure files, trace one input. Knows nothing of screens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fgdesign.data import Dataset, load_dataset
from fgdesign.errors import DataError, DeviceError, RunError, choices
from fgdesign.insight.intervene import Change, steer_of
from fgdesign.insight.tracing import trace as trace_row
from fgdesign.model.device import pick_device
from fgdesign.model.inputs import Inputs, make_inputs
from fgdesign.model.stored import damaged, load_network
from fgdesign.runs.folder import RunFolder, find_run
from fgdesign.runs.prepare import inputs_of, parts_of
from fgdesign.training.evaluate import Answers, answer_rows, as_outputs, report

PRECISIONS = ("auto", "int8")


class TrainedRun:
    """A run whose model is loaded.

    Args: folder: of the run, or a bundle. precision: "auto", what is fastest at full accuracy, or "int8" in the
        encoder layers. Raises RunError where there is no model yet, DeviceError for a precision that is not there.
    """

    def __init__(self, folder: RunFolder, device: str = "auto", precision: str = "auto") -> None:
        from transformers import AutoTokenizer

        if precision not in PRECISIONS:
            raise DeviceError(f"Unknown precision '{precision}'. {choices(PRECISIONS, precision)}")
        if not (folder.model / "config.json").is_file():
            raise RunError(f"Run '{folder.path}' has no model yet: its state is '{folder.status()['state']}'. "
                           f"Go on with: fgdesign resume {folder.path}")
        self.folder, self.device = folder, pick_device(device)
        network, labels = load_network(folder.model)
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(folder.model, local_files_only=True)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise damaged(folder.model, error) from error
        self.network, self.precision = network.to(self.device), precision
        if precision == "int8":
            self.network.quantise()
        self.task = self.network.plan.task
        self.labels = [] if self.task == "regression" else labels
        self.reads_pairs = bool(folder.config().get("columns", {}).get("text_b"))

    @property
    def graph(self) -> Any:
        """The graph as it was trained: with the heads of its task."""
        return self.network.plan.graph

    def predict(self, texts: Sequence[str], texts_b: Sequence[str] | None = None,
                columns: Mapping[str, Sequence[str]] | None = None) -> list[dict[str, Any]]:
        """Answers with confidence, probabilities, route and exit, one for each text. Raises DataError."""
        if not texts:
            return []
        self._check(texts, texts_b)
        answers = answer_rows(self.network, make_inputs(self.network, self.tokenizer, texts, texts_b, columns),
                              self.device)
        return self.rows(answers)

    def rows(self, answers: Answers) -> list[dict[str, Any]]:
        """Answers as plain data."""
        return [self._row(answers, i) for i in range(len(answers.exits))]

    def _row(self, answers: Answers, i: int) -> dict[str, Any]:
        place = answers.exits[i]
        how = {"route": answers.route(i), "exit": answers.exit_names[place] if place >= 0 else None,
               "layers": int(answers.layers[i])}
        return {**self._answer(answers.outputs[i]), **how}

    def _answer(self, output: Any) -> dict[str, Any]:
        if self.task == "regression":
            return {"prediction": float(output), "confidence": None, "probabilities": {}}
        probabilities = {name: float(p) for name, p in zip(self.labels, output, strict=True)}
        if self.task == "multi":
            chosen = [name for name, p in probabilities.items() if p >= float(self.network.decision)]
            sure = float(np.maximum(output, 1 - output).mean())
            return {"prediction": "|".join(chosen), "confidence": sure, "probabilities": probabilities}
        best = max(probabilities, key=lambda name: probabilities[name])
        return {"prediction": best, "confidence": probabilities[best], "probabilities": probabilities}

    def one(self, text: str, text_b: str | None = None, columns: Mapping[str, str] | None = None) -> Inputs:
        """One text made ready. Raises DataError."""
        texts_b = None if text_b is None else [text_b]
        self._check([text], texts_b)
        cells = {name: [value] for name, value in (columns or {}).items()}
        return make_inputs(self.network, self.tokenizer, [text], texts_b, cells)

    def trace(self, text: str, text_b: str | None = None, columns: Mapping[str, str] | None = None,
              change: Change | None = None) -> dict[str, Any]:
        """What one text did in the graph, as `fgdesign trace --json` prints it. change: what is done otherwise."""
        inputs = replace(self.one(text, text_b, columns), steer=steer_of(self.network, change or Change()))
        told, logits = trace_row(self.network, inputs, 0, self.device)
        return {"text": text, **self._answer(as_outputs(logits, self.task)[0]), **told}

    def _check(self, texts: Sequence[str], texts_b: Sequence[str] | None) -> None:
        """Raises DataError for what this run cannot answer."""
        for place, text in enumerate(texts):
            if not isinstance(text, str):
                raise DataError(f"Text {place + 1} is {type(text).__name__}; texts are strings.")
            if not text.strip():
                raise DataError(f"Text {place + 1} is empty. Give a text to answer.")
        if self.reads_pairs != (texts_b is not None):
            wants = "two texts a row: give the second" if self.reads_pairs else "one text a row: leave out the other"
            raise DataError(f"This run was trained on {wants} (text_b, --text-b).")
        if texts_b is not None and len(texts_b) != len(texts):
            raise DataError(f"There are {len(texts)} texts but {len(texts_b)} second texts. Give one for each.")

    def load(self, path: str | Path, *, require_label: bool = True) -> Dataset:
        """A file read with this run's columns and labels. Raises DataError."""
        columns = self.folder.config().get("columns", {})
        return load_dataset(path, text=columns.get("text"), text_b=columns.get("text_b"),
                            label=columns.get("label") if require_label else None, task=self.task,
                            labels=self.labels, require_label=require_label)

    def parts(self) -> dict[str, Dataset]:
        """The run's own rows as they were in training: test, valid, train. Raises RunError or DataError."""
        return parts_of(self.folder)

    def answer(self, data: Dataset) -> Answers:
        """Answers for a data set, as in use."""
        names = [str(name) for name in data.frame.columns]
        return answer_rows(self.network, inputs_of(self.network, self.tokenizer, data, names), self.device)

    def evaluate(self, path: str | Path) -> dict[str, Any]:
        """metrics, routers, exits and mean_layers on a labelled file; `change` beside full accuracy with int8.

        Raises DataError.
        """
        import torch

        data = self.load(path)
        assert data.targets is not None
        targets, answers = torch.from_numpy(np.asarray(data.targets)), self.answer(data)
        told = report(answers, targets, self.task, self.labels)
        if self.precision != "auto":
            full = TrainedRun(self.folder, str(self.device)).answer(data)
            told["change"] = change_of(answers, full, targets, self.task, self.labels)
        return told


def change_of(answers: Answers, full: Answers, targets: Any, task: str, labels: Sequence[str]) -> dict[str, Any]:
    """What other answers to the same rows change: each metric's difference, and the share of rows answered alike.

    Numbers are alike within a hundredth.
    """
    now, before = (report(one, targets, task, labels)["metrics"] for one in (answers, full))
    differences = {name: now[name] - value for name, value in before.items()
                   if isinstance(value, float) and isinstance(now[name], float)}
    if task == "regression":
        alike = np.abs(answers.outputs - full.outputs) < 0.01
    elif task == "multi":
        alike = ((answers.outputs >= answers.decision) == (full.outputs >= full.decision)).all(1)
    else:
        alike = answers.outputs.argmax(1) == full.outputs.argmax(1)
    return {"metrics": differences, "alike": float(alike.mean())}


def load_run(path: str | Path, device: str = "auto", precision: str = "auto") -> TrainedRun:
    """The trained run in a folder, or by its name in the workspace. Raises RunError or DeviceError."""
    return TrainedRun(find_run(str(path)), device, precision)
