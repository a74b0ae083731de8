"""A trained run in memory: answer texts, measure files, trace one input. Knows nothing of screens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fgdesign.data import Dataset, load_dataset
from fgdesign.errors import DataError, RunError
from fgdesign.insight.trace import trace as trace_row
from fgdesign.model.device import pick_device
from fgdesign.model.inputs import make_inputs
from fgdesign.model.modeling import FunctionGraphModel
from fgdesign.runs.folder import RunFolder, find_run
from fgdesign.runs.prepare import inputs_of
from fgdesign.training.evaluate import Answers, answer_rows, as_outputs, report


class TrainedRun:
    """A run whose model is loaded.

    Args: folder: of the run, or a bundle. Raises RunError where there is no model yet.
    """

    def __init__(self, folder: RunFolder, device: str = "auto") -> None:
        from transformers import AutoTokenizer

        if not (folder.model / "config.json").is_file():
            raise RunError(f"Run '{folder.path}' has no model yet: its state is '{folder.status()['state']}'. "
                           f"Go on with: fgdesign resume {folder.path}")
        self.folder, self.device = folder, pick_device(device)
        model = FunctionGraphModel.from_pretrained(folder.model)
        self.tokenizer = AutoTokenizer.from_pretrained(folder.model, local_files_only=True)
        self.network = model.network.to(self.device).eval()
        self.task = self.network.plan.task
        names = model.config.id2label
        self.labels = [] if self.task == "regression" else [names[i] for i in range(len(names))]

    @property
    def graph(self) -> Any:
        """The graph as it was trained: with the heads of its task."""
        return self.network.plan.graph

    def predict(self, texts: Sequence[str], texts_b: Sequence[str] | None = None,
                columns: Mapping[str, Sequence[str]] | None = None) -> list[dict[str, Any]]:
        """Answers with confidence, probabilities, route and exit, one for each text. Raises DataError."""
        if not texts:
            return []
        for place, text in enumerate(texts):
            if not isinstance(text, str):
                raise DataError(f"Text {place + 1} is {type(text).__name__}; texts are strings.")
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
            chosen = [name for name, p in probabilities.items() if p >= 0.5]
            sure = float(np.maximum(output, 1 - output).mean())
            return {"prediction": "|".join(chosen), "confidence": sure, "probabilities": probabilities}
        best = max(probabilities, key=lambda name: probabilities[name])
        return {"prediction": best, "confidence": probabilities[best], "probabilities": probabilities}

    def trace(self, text: str, text_b: str | None = None, columns: Mapping[str, str] | None = None) -> dict[str, Any]:
        """What one text did in the graph, as `fgdesign trace --json` prints it."""
        if not text.strip():
            raise DataError("The text is empty. Type a text to trace.")
        inputs = make_inputs(self.network, self.tokenizer, [text], None if text_b is None else [text_b],
                             {name: [value] for name, value in (columns or {}).items()})
        told, logits = trace_row(self.network, inputs, 0, self.device)
        return {"text": text, **self._answer(as_outputs(logits, self.task)[0]), **told}

    def load(self, path: str | Path, *, require_label: bool = True) -> Dataset:
        """A file read with this run's columns and labels. Raises DataError."""
        columns = self.folder.config().get("columns", {})
        return load_dataset(path, text=columns.get("text"), text_b=columns.get("text_b"),
                            label=columns.get("label") if require_label else None, task=self.task,
                            labels=self.labels, require_label=require_label)

    def answer(self, data: Dataset) -> Answers:
        """Answers for a data set, as in use."""
        names = [str(name) for name in data.frame.columns]
        return answer_rows(self.network, inputs_of(self.network, self.tokenizer, data, names), self.device)

    def evaluate(self, path: str | Path) -> dict[str, Any]:
        """metrics, routers, exits and mean_layers on a labelled file. Raises DataError."""
        import torch

        data = self.load(path)
        assert data.targets is not None
        return report(self.answer(data), torch.from_numpy(np.asarray(data.targets)), self.task, self.labels)


def load_run(path: str | Path, device: str = "auto") -> TrainedRun:
    """The trained run in a folder, or by its name in the workspace. Raises RunError."""
    return TrainedRun(find_run(str(path)), device)
