"""What exits save: the same trained graph with exits at work and held shut, and transformers, end to end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import binomtest

from benchmarks.measure import Question, Row, interleaved, ratio
from benchmarks.public import data_set
from benchmarks.trained import trained
from fgdesign.graph.backbones import backbone_files, describe_backbone
from fgdesign.graph.spec import DEFAULT_BACKBONE
from fgdesign.model.choosing import Exit
from fgdesign.model.inputs import make_inputs
from fgdesign.runs.trained import TrainedRun
from fgdesign.training.evaluate import answer_rows

CPU = torch.device("cpu")
CASES: dict[str, tuple[str, str, dict[int, float | None]]] = {  # data set, graph, targets by rows of a batch
    "banking77": ("banking77", "cheap-word-first", {1: 3.0, 32: 2.0, 256: 2.0}),
    "banking77-frozen": ("banking77", "early-exit", {1: None, 32: None, 256: None}),
    "sst2": ("sst2", "cheap-word-first", {1: 2.0, 32: 1.5})}
AGAINST_TRANSFORMERS = 7.0
NEVER = 2.0  # no certainty reaches it


def measure(quick: bool, case: str = "banking77") -> Question:
    """One data set and graph: speed with exits and without, and accuracy of both on the test rows."""
    name, graph, targets = CASES[case]
    question = Question(f"early_exit:{case}", f"Early exit, {name}: {graph} with its exits and without")
    files = data_set(name, question)
    if files is not None:
        _case(question, trained(files, graph), name, graph, pd.read_csv(files.test), targets, quick)
    return question


def _case(question: Question, run: TrainedRun, name: str, graph: str, test: pd.DataFrame,
          targets: Mapping[int, float | None], quick: bool) -> None:
    exits = {node: float(_exit(run, node).threshold) for node in run.network.nodes_of_role("exit")}
    texts, truth = test["text"].astype(str).tolist(), test["label"].astype(str).to_numpy()
    right, layers = {}, {}
    for which in ("exits", "full"):
        _set(run, exits, shut=which == "full")
        told = run.predict(texts)
        right[which] = np.array([row["prediction"] for row in told]) == truth
        layers[which] = float(np.mean([row["layers"] for row in told]))
    question.rows.append(Row(f"{name}, {graph}: accuracy with exits", float(right["exits"].mean()), "",
                             note=f"{right['full'].mean():.4f} without; {paired(right['exits'], right['full'])}; "
                                  f"{layers['exits']:.2f} of {layers['full']:.0f} layers"))
    _set(run, exits, shut=False)
    speed(question, run, f"{name}, {graph}", texts, targets, {1: AGAINST_TRANSFORMERS if targets[1] else None}, quick)


def paired(a: np.ndarray, b: np.ndarray) -> str:
    """Which of two is right on which rows, and the exact McNemar test in words."""
    better, worse = int((a & ~b).sum()), int((~a & b).sum())
    p = float(binomtest(better, better + worse).pvalue) if better + worse else 1.0
    return f"better on {better}, worse on {worse} rows, p {p:.2f}"


def speed(question: Question, run: TrainedRun, name: str, texts: list[str],
          targets: Mapping[int, float | None], against_transformers: Mapping[int, float | None], quick: bool) -> None:
    """Rows of milliseconds a text with exits, against the exits held shut and against transformers, per batch size."""
    exits = {node: float(_exit(run, node).threshold) for node in run.network.nodes_of_role("exit")}
    peer = _transformers()
    for size, target in targets.items():
        some = texts[: size * (8 if quick else 96 // min(size, 24))]
        parts = [some[start:start + size] for start in range(0, len(some), size)]

        def ours(shut: bool, parts: list[list[str]] = parts, some: list[str] = some,
                 size: int = size) -> Callable[[], Any]:
            def work() -> None:
                _set(run, exits, shut=shut)
                for part in [some] if size > 32 else parts:
                    answer_rows(run.network, make_inputs(run.network, run.tokenizer, part), CPU, batch_rows=size)

            return work

        def other(parts: list[list[str]] = parts) -> None:
            for part in parts:
                peer(part)

        times = interleaved({"exits": ours(False), "full": ours(True), "transformers": other}, rounds=3 if quick else 9)
        each = median(times["exits"]) / len(some) * 1000
        question.rows.append(Row(f"{name}, batch {size}", each, "ms/text", ratio(times, "full", "exits"),
                                 "without exits", target))
        question.rows.append(Row(f"{name}, batch {size}", each, "ms/text", ratio(times, "transformers", "exits"),
                                 "transformers float32", against_transformers.get(size)))
    _set(run, exits, shut=False)


def _exit(run: TrainedRun, node: str) -> Exit:
    module = run.network.module_of(node)
    assert isinstance(module, Exit)
    return module


def _set(run: TrainedRun, exits: dict[str, float], *, shut: bool) -> None:
    for node, threshold in exits.items():
        _exit(run, node).threshold.fill_(NEVER if shut else threshold)


def _transformers() -> Callable[[list[str]], Any]:
    """The same encoder at full depth, as its users call it."""
    from transformers import AutoModel, AutoTokenizer

    folder = backbone_files(describe_backbone(DEFAULT_BACKBONE))
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)

    def run(part: list[str]) -> Any:
        with torch.inference_mode():
            return model(**tokenizer(part, padding=True, truncation=True, max_length=128, return_tensors="pt"))

    return run
