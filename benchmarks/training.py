"""Training to quality: one command of ours against what a user would pick instead, from files to test accuracy.

Peers: full fine-tuning and LoRA with the transformers Trainer, as run by default and at their best (length-grouped,
mean pool, bfloat16 where the processor has it), and logistic regression on sentence-transformers vectors. All see the
same rows, and the same validation rows choose their best weights.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from benchmarks.measure import Question, Row, installed
from benchmarks.public import Split, data_set
from fgdesign.api import train
from fgdesign.graph.backbones import backbone_files, describe_backbone
from fgdesign.graph.spec import DEFAULT_BACKBONE
from fgdesign.model.device import fast_dtype

# data set, rows a class (0: all), and how many times faster than each peer
CASES = (("sst2", 0, {"full": 8.0, "full, best": 3.0, "lora": 8.0, "lora, best": 3.0}),
         ("trec6", 0, {"full": 8.0, "lora": 8.0}),
         ("banking77", 0, {"full": 20.0, "lora": 20.0}),
         ("clinc150", 0, {"full": 20.0, "lora": 20.0}),
         ("banking77", 10, {"full": 20.0, "lora": 20.0}))
LONGEST = 64
EPOCHS = {"sst2": 2, "trec6": 3, "banking77": 4, "clinc150": 4}
FOLDER = backbone_files(describe_backbone(DEFAULT_BACKBONE))


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
    train: pd.DataFrame
    valid: pd.DataFrame
    test: pd.DataFrame
    labels: list[str]

    def targets(self, part: str) -> list[int]:
        return [self.labels.index(label) for label in getattr(self, part)["label"]]


def measure(quick: bool) -> Question:
    """Seconds to the peer's own best validation accuracy, and test accuracies with a paired bootstrap."""
    question = Question("training", "Training to quality: from files to a tested model")
    probes = installed(question, "sentence_transformers")
    trains = installed(question, "accelerate", "peft")
    for name, per_class, targets in CASES[-1:] if quick else CASES:
        files = data_set(name, question)
        if files is None:
            continue
        parts = _parts(files, per_class)
        title = f"{name}{f', {per_class} rows a class' if per_class else ''}"
        mine = _ours(parts)
        question.rows.append(Row(f"{title}: fgdesign train auto", mine.seconds, "s", note=_accuracy(mine)))
        if probes:
            question.rows.append(_beside(f"{title}: probe on sentence-transformers", mine, _probe(parts), None))
        for peer, target in targets.items() if trains else ():
            other = _peer(parts, EPOCHS[name] * (5 if per_class else 1), lora=peer.startswith("lora"),
                          best="best" in peer)
            question.rows.append(_beside(f"{title}: {peer}", mine, other, target))
    question.notes.append(f"All compute in {fast_dtype(torch.device('cpu'))} or, the default runs, float32. The ratio "
                          "is the peer's seconds to its best validation accuracy over our seconds to the same.")
    return question


def _parts(files: Split, per_class: int) -> Parts:
    learn, test = (pd.read_csv(file, dtype=str) for file in (files.train, files.test))
    if files.valid is None:
        learn, valid = train_test_split(learn, test_size=0.1, stratify=learn["label"], random_state=0)
    else:
        valid = pd.read_csv(files.valid, dtype=str)
    if per_class:
        learn = learn.groupby("label").head(per_class)
    return Parts(learn.reset_index(drop=True), valid, test, sorted(learn["label"].unique()))


def _ours(parts: Parts) -> Result:
    """The command of ours with no setting chosen by hand, on a cold cache."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {part: Path(folder) / f"{part}.csv" for part in ("train", "valid", "test")}
        for part, path in paths.items():
            getattr(parts, part).to_csv(path, index=False)
        os.environ["FGDESIGN_CACHE"] = f"{folder}/cache"
        began = time.time()
        run = train("auto", paths["train"], valid=paths["valid"], out=Path(folder) / "run")
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


def _peer(parts: Parts, epochs: int, *, lora: bool, best: bool) -> Result:
    """Fine-tuning by the Trainer; at its best it may try three learning rates, and the best one's time counts."""
    rates = ((5e-4, 1e-3, 2e-3) if lora else (5e-5, 1e-4, 2e-4)) if best else ((1e-3,) if lora else (1e-4,))
    found = [_fine_tuned(parts, epochs, rate, lora=lora, best=best) for rate in rates]
    return max(found, key=lambda result: result.best)


def _fine_tuned(parts: Parts, epochs: int, rate: float, *, lora: bool, best: bool) -> Result:
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    curve: list[tuple[float, float]] = []

    class Clock(TrainerCallback):
        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **rest: Any) -> None:
            curve.append((time.time() - began, metrics["eval_accuracy"]))

    torch.manual_seed(0)
    began = time.time()
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    model = AutoModelForSequenceClassification.from_pretrained(FOLDER, num_labels=len(parts.labels))
    if best:
        model.classifier = _MeanHead(model)
    if lora:
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=8, target_modules=["query", "value"]))
    sets = {part: _tokenised(tokenizer, getattr(parts, part)["text"].tolist(), parts.targets(part))
            for part in ("train", "valid", "test")}
    with tempfile.TemporaryDirectory() as folder:
        per_epoch = -(-len(sets["train"]) // 32)
        arguments = TrainingArguments(
            folder, num_train_epochs=epochs, per_device_train_batch_size=32, per_device_eval_batch_size=64,
            learning_rate=rate, warmup_steps=per_epoch * epochs // 10, weight_decay=0.01, eval_strategy="steps",
            eval_steps=max(1, per_epoch // 2), save_strategy="no", logging_strategy="no", report_to=[], use_cpu=True,
            disable_tqdm=True, seed=0, bf16=best and fast_dtype(torch.device("cpu")) == torch.bfloat16,
            train_sampling_strategy="group_by_length" if best else "random")
        keeper = _best_weights()
        trainer = Trainer(model=model, args=arguments, train_dataset=sets["train"], eval_dataset=sets["valid"],
                          data_collator=DataCollatorWithPadding(tokenizer), callbacks=[Clock(), keeper],
                          compute_metrics=lambda told: {
                              "accuracy": float((told.predictions.argmax(1) == told.label_ids).mean())})
        trainer.train()
        seconds = time.time() - began
        model.load_state_dict(keeper.weights, strict=False)
        guesses = trainer.predict(sets["test"]).predictions.argmax(1)
    return Result(seconds, guesses == np.array(parts.targets("test")), curve)


def _tokenised(tokenizer: Any, texts: list[str], targets: list[int]) -> list[dict[str, Any]]:
    told = tokenizer(texts, truncation=True, max_length=LONGEST)
    return [{"input_ids": ids, "attention_mask": mask, "labels": target}
            for ids, mask, target in zip(told["input_ids"], told["attention_mask"], targets, strict=True)]


class _MeanHead(torch.nn.Module):
    """The stock head reads the pooler's output; this one reads the mean of the hidden states, caught on their way."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.out = torch.nn.Linear(model.config.hidden_size, model.config.num_labels)
        self.hidden: list[torch.Tensor] = []
        self.mask: list[torch.Tensor] = []
        model.bert.encoder.register_forward_hook(lambda _, __, told: self._keep(self.hidden, told[0]))
        model.bert.register_forward_pre_hook(
            lambda _, args, kwargs: self._keep(self.mask, kwargs["attention_mask"]), with_kwargs=True)

    @staticmethod
    def _keep(place: list[torch.Tensor], value: torch.Tensor) -> None:
        place[:] = [value]

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        weight = self.mask[0].to(pooled.dtype).unsqueeze(-1)
        out: torch.Tensor = self.out((self.hidden[0] * weight).sum(1) / weight.sum(1))
        return out


def _best_weights() -> Any:
    from transformers import TrainerCallback

    class Keeper(TrainerCallback):
        """Keeps the weights of the best validation in memory."""

        def __init__(self) -> None:
            self.best, self.weights = -1.0, {}

        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **rest: Any) -> None:
            if metrics["eval_accuracy"] > self.best:
                self.best = metrics["eval_accuracy"]
                self.weights = {name: value.detach().clone() for name, value in rest["model"].state_dict().items()}

    return Keeper()


def paired_interval(a: np.ndarray, b: np.ndarray, rounds: int = 2000) -> tuple[float, float, float]:
    """Mean of a - b over rows and its 95 % interval, by a paired bootstrap."""
    gaps = a.astype(float) - b.astype(float)
    draws = np.random.default_rng(0).choice(gaps, (rounds, len(gaps))).mean(1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(gaps.mean()), float(low), float(high)


def _beside(what: str, mine: Result, other: Result, target: float | None) -> Row:
    theirs, ours = other.reaches(other.best), mine.reaches(other.best)
    gap, low, high = paired_interval(mine.right, other.right)
    note = f"{_accuracy(other)}; ours {gap:+.4f} ({low:+.4f} to {high:+.4f})"
    if ours is None or theirs is None:
        return Row(what, other.seconds, "s", note=f"{note}; ours never stood at its best validation accuracy "
                                                 f"({mine.best:.4f} against {other.best:.4f})",
                   target=target, ratio=0.0 if target else None, against="time to the same validation accuracy")
    return Row(what, theirs, "s", theirs / ours, "time to the same validation accuracy", target, note=note)


def _accuracy(result: Result) -> str:
    return f"test accuracy {result.right.mean():.4f}, validation {result.best:.4f}"
