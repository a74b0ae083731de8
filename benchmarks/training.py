"""Training to quality: one command of ours against what a user would pick instead, from files to test accuracy.

Peers: full fine-tuning, LoRA and bottleneck adapters with the transformers Trainer, as run by default and at their
best, SetFit where it is installed, and logistic regression on sentence-transformers vectors. All see the same rows, and
the same validation rows choose their best weights. FGDESIGN_SEEDS says how many seeds (3), FGDESIGN_PEERS which peers
(names of CASES, joined by semicolons).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from benchmarks.measure import Question, Row, installed
from benchmarks.peers import FOLDER, Peer, peers_named, recorded, seconds_to_best
from benchmarks.public import Split, data_set
from benchmarks.records import Record, Unfinished
from fgdesign.api import train
from fgdesign.model.device import fast_dtype

SENTIMENT = {"full": 8.0, "lora": 8.0, "adapter": 8.0, "full, best": 3.0, "lora, best": 3.0, "adapter, best": 3.0}
INTENTS = dict.fromkeys(("full", "lora", "adapter"), 20.0) | dict.fromkeys(
    ("full, best", "lora, best", "adapter, best"), None)
CASES: dict[str, tuple[str, int, int, dict[str, float | None]]] = {  # data set, rows a class, epochs of peers, targets
    "sst2": ("sst2", 0, 2, dict(SENTIMENT)),
    "trec6": ("trec6", 0, 3, dict(SENTIMENT)),
    "banking77": ("banking77", 0, 4, INTENTS),
    "clinc150": ("clinc150", 0, 4, INTENTS),
    "banking77-few": ("banking77", 10, 20, INTENTS),
}


@dataclass
class Result:
    """curve: (seconds since the start, validation accuracy) of every validation. right: (test rows,) bool."""

    seconds: float
    right: np.ndarray
    curve: list[tuple[float, float]] = field(default_factory=list)

    @property
    def best(self) -> float:
        return max(accuracy for _, accuracy in self.curve)

    def reaches(self, accuracy: float) -> float | None:
        """Seconds until a validation stood at this accuracy; None where none did."""
        return next((seconds for seconds, found in self.curve if found >= accuracy - 1e-9), None)


@dataclass(frozen=True)
class Parts:
    """One data set. digest: of all its rows."""

    name: str
    train: pd.DataFrame
    valid: pd.DataFrame
    test: pd.DataFrame
    labels: list[str]

    @property
    def digest(self) -> str:
        tables = pd.concat([self.train, self.valid, self.test])[["text", "label"]]
        return hashlib.sha256(tables.to_csv().encode()).hexdigest()

    def targets(self, part: str) -> list[int]:
        return [self.labels.index(label) for label in getattr(self, part)["label"]]


def measure(quick: bool, case: str = "banking77-few") -> Question:
    """Seconds to each peer's own best validation accuracy, and test accuracies with a paired bootstrap."""
    name, per_class, epochs, targets = CASES[case]
    question = Question(f"training:{case}", f"Training to quality, {case}: from files to a tested model")
    files = data_set(name, question)
    if files is None:
        return question
    parts = parts_of(files, per_class)
    seeds = 1 if quick else int(os.environ.get("FGDESIGN_SEEDS", "3"))
    probes, trains = installed(question, "sentence_transformers"), installed(question, "accelerate", "peft")
    known = _records(question, parts, targets, epochs, seeds, train=not quick) if trains else {}
    mine, theirs = [], dict[tuple[str, int], float]()
    for seed in range(seeds):
        mine.append(_ours(parts, seed))
        for (peer, of), (one, record) in known.items():
            if of == seed:
                theirs[peer, of] = seconds_to_best(one, parts, record)()
    question.rows.append(Row("fgdesign train auto", median(run.seconds for run in mine), "s", note=_accuracies(mine)))
    if probes:
        _against_probe(question, mine, _probe(parts))
    if per_class and not quick and installed(question, "setfit"):
        fitted = _setfit(parts)
        gap, low, high = paired_interval(np.mean([run.right for run in mine], 0), fitted.right)
        question.rows.append(Row("SetFit", fitted.seconds, "s", note=f"test accuracy {fitted.right.mean():.4f}, "
                                 f"validation {fitted.best:.4f}; ours {gap:+.4f} ({low:+.4f} to {high:+.4f})"))
    for peer, target in targets.items():
        pairs = [(theirs[peer, seed], known[peer, seed][1], mine[seed]) for seed in range(seeds)
                 if (peer, seed) in theirs]
        if pairs:
            question.rows.append(_beside(peer, pairs, target))
    question.notes += [
        f"{len(parts.train):,} rows to learn from, {len(parts.valid):,} validate, {len(parts.test):,} test; "
        f"{seeds} seed{'s' * (seeds > 1)}. Ours is timed as a whole, on an empty cache. A peer's accuracies come from "
        "whole trainings, its seconds from its steps until its best validation and the pace of steps, spread over an "
        "epoch, timed in turn with ours.",
        f"Ours and peers at their best compute in {str(fast_dtype(torch.device('cpu'))).removeprefix('torch.')}, the "
        "others in float32. A peer at its best tries three learning rates, and only the best one's time counts."]
    return question


def parts_of(files: Split, per_class: int) -> Parts:
    """The rows of a data set; a tenth of those to learn from validates where no file is given."""
    learn, test = (pd.read_csv(file, dtype=str) for file in (files.train, files.test))
    if files.valid is None:
        learn, valid = train_test_split(learn, test_size=0.1, stratify=learn["label"], random_state=0)
    else:
        valid = pd.read_csv(files.valid, dtype=str)
    if per_class:
        learn = learn.groupby("label").head(per_class)
    name = f"{files.name}{f', {per_class} rows a class' if per_class else ''}"
    return Parts(name, learn.reset_index(drop=True), valid, test, sorted(learn["label"].unique()))


def _records(question: Question, parts: Parts, names: dict[str, float | None], epochs: int,
             seeds: int, *, train: bool) -> dict[tuple[str, int], tuple[Peer, Record]]:
    """The records of all peers, by name and seed; the question says which are not made to the end."""
    wanted = os.environ.get("FGDESIGN_PEERS", ";".join(names)).split(";")
    found: dict[tuple[str, int], tuple[Peer, Record]] = {}
    for seed in range(seeds):
        for name in (name for name in names if name in wanted):
            try:
                ones = [replace(peer, seed=seed) for peer in peers_named(name, epochs)]
                tried = [(one, recorded(one, parts, train=train)) for one in ones]
            except Unfinished as missing:
                question.notes.append(f"Left out so far: {missing}. Run this again to go on.")
                continue
            found[name, seed] = max(tried, key=lambda pair: pair[1].best)
    return found


def _ours(parts: Parts, seed: int) -> Result:
    """The command of ours with no setting chosen by hand, on a cold cache."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {part: Path(folder) / f"{part}.csv" for part in ("train", "valid", "test")}
        for part, path in paths.items():
            getattr(parts, part).to_csv(path, index=False)
        os.environ["FGDESIGN_CACHE"] = f"{folder}/cache"
        began = time.time()
        run = train("auto", paths["train"], valid=paths["valid"], out=Path(folder) / "run", seed=seed)
        seconds = time.time() - began
        curve = [(entry["time"] - began, entry["metrics"]["accuracy"]) for entry in run.folder.metrics()
                 if entry["kind"] == "valid"]
        told = run.predict(parts.test["text"].tolist())
    return Result(seconds, np.array([row["prediction"] for row in told]) == parts.test["label"].to_numpy(), curve)


def _probe(parts: Parts) -> Result:
    from sentence_transformers import SentenceTransformer

    began = time.time()
    encoder = SentenceTransformer(str(FOLDER), device="cpu")
    vectors = {part: encoder.encode(getattr(parts, part)["text"].tolist(), show_progress_bar=False)
               for part in ("train", "valid")}
    fits = [LogisticRegression(C=strength, max_iter=1000).fit(vectors["train"], parts.train["label"])
            for strength in (1.0, 10.0, 100.0)]
    best = max(fits, key=lambda fit: fit.score(vectors["valid"], parts.valid["label"]))
    seconds = time.time() - began
    accuracy = best.score(vectors["valid"], parts.valid["label"])
    right = best.predict(encoder.encode(parts.test["text"].tolist(), show_progress_bar=False))
    return Result(seconds, right == parts.test["label"].to_numpy(), [(seconds, accuracy)])


def _setfit(parts: Parts) -> Result:
    """Contrastive fine-tuning of pairs, then logistic regression, as its documentation shows for few rows."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    began = time.time()
    model = SetFitModel.from_pretrained(str(FOLDER))
    rows = Dataset.from_dict({"text": parts.train["text"].tolist(), "label": parts.targets("train")})
    Trainer(model=model, args=TrainingArguments(batch_size=16, num_epochs=1), train_dataset=rows).train()
    seconds = time.time() - began
    told = {part: np.asarray(model.predict(getattr(parts, part)["text"].tolist())) for part in ("valid", "test")}
    accuracy = float((told["valid"] == np.array(parts.targets("valid"))).mean())
    return Result(seconds, told["test"] == np.array(parts.targets("test")), [(seconds, accuracy)])


def paired_interval(a: np.ndarray, b: np.ndarray, rounds: int = 2000) -> tuple[float, float, float]:
    """Mean of a - b over rows and its 95 % interval, by a paired bootstrap."""
    gaps = np.asarray(a, float) - np.asarray(b, float)
    draws = np.random.default_rng(0).choice(gaps, (rounds, len(gaps))).mean(1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(gaps.mean()), float(low), float(high)


def _against_probe(question: Question, mine: list[Result], probe: Result) -> None:
    """Time, the test rows, and whether ours is ever below it on validation."""
    worst = min(run.best for run in mine)
    gap, low, high = paired_interval(np.mean([run.right for run in mine], 0), probe.right)
    question.rows += [
        Row("probe on sentence-transformers", probe.seconds, "s", note=f"test accuracy {probe.right.mean():.4f}, "
            f"validation {probe.best:.4f}; ours {gap:+.4f} ({low:+.4f} to {high:+.4f})"),
        Row("validation accuracy over the probe's, the worst seed", worst - probe.best, "", target=0.0)]


def _beside(what: str, pairs: list[tuple[float, Record, Result]], target: float | None) -> Row:
    """One peer: its seconds to its best, and how many times as long as ours to the same; a seed that never gets there
    counts as 0."""
    ratios = [seconds / ours if (ours := run.reaches(record.best)) else 0.0 for seconds, record, run in pairs]
    gap, low, high = paired_interval(np.mean([run.right for _, _, run in pairs], 0),
                                     np.mean([record.hits for _, record, _ in pairs], 0))
    records = [record for _, record, _ in pairs]
    note = (f"test accuracy {np.mean([r.hits.mean() for r in records]):.4f}, validation "
            f"{', '.join(f'{r.best:.4f}' for r in records)} ({records[0].name}); ours {gap:+.4f} "
            f"({low:+.4f} to {high:+.4f})")
    if 0.0 in ratios:
        note += f"; ours stays below its validation accuracy with {ratios.count(0.0)} of {len(ratios)} seeds"
    return Row(what, median(seconds for seconds, _, _ in pairs), "s", median(ratios),
               "time to the same validation accuracy", target, note=note)


def _accuracies(runs: list[Result]) -> str:
    return (f"test accuracy {np.mean([run.right.mean() for run in runs]):.4f}, validation "
            f"{', '.join(f'{run.best:.4f}' for run in runs)}")
