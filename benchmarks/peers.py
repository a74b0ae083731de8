"""What a user would train instead, with the transformers Trainer: all weights, LoRA, bottleneck adapters.

Each as run by default (float32, random batches, the stock head) and at its best (bfloat16 where it is native, batches
of like length, mean pool). Where FGDESIGN_PIECE is set, training stops at the first validation after so many seconds
of this process, and the next process goes on: see `records`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from benchmarks.records import Record, Unfinished, place_of, read, write
from fgdesign.graph.backbones import backbone_files, describe_backbone
from fgdesign.graph.spec import DEFAULT_BACKBONE
from fgdesign.model.device import fast_dtype

FOLDER = backbone_files(describe_backbone(DEFAULT_BACKBONE))
LONGEST = 64
ROWS = 32
BOTTLENECK = 48
PACE_STEPS = 10  # timed ones, spread evenly over an epoch
LEAST_BETWEEN = 50  # steps between validations
UNTIMED = 2
STARTED = time.monotonic()
RATES = {"full": (1e-4, (5e-5, 1e-4, 2e-4)), "lora": (1e-3, (5e-4, 1e-3, 2e-3)),
         "adapter": (1e-3, (5e-4, 1e-3, 2e-3))}  # by default, and those that the best one tries


@dataclass(frozen=True)
class Peer:
    """One way of fine-tuning. method: full, lora or adapter. best: at its best, else as run by default."""

    method: str
    best: bool
    rate: float
    epochs: int
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{self.method}, best, rate {self.rate:g}" if self.best else self.method


def peers_named(name: str, epochs: int) -> list[Peer]:
    """"full" is one peer, "full, best" one for each of its learning rates."""
    method, _, best = name.partition(", ")
    first, rates = RATES[method]
    return [Peer(method, bool(best), rate, epochs) for rate in (rates if best else (first,))]


def recorded(peer: Peer, parts: Any, *, train: bool = True) -> Record:
    """The peer's record, training it as far as needed; with `train` False only one made before.

    Raises Unfinished when its piece of time is over.
    """
    place = place_of(parts.name, peer.name, peer, parts.digest)
    record = read(place, peer.name)
    if not record.right and not train:
        raise Unfinished(f"{peer.name} on {parts.name}, which a quick look does not train")
    if not record.right:
        _train(peer, parts, record, place)
    return record


def seconds_to_best(peer: Peer, parts: Any, record: Record) -> Callable[[], float]:
    """A work that times some steps and one validation, and returns the seconds that the peer takes to its best.

    These are: the time to its first step, its steps until then at the median pace, and its validations.
    """
    best = record.best_place
    steps = record.curve[best][0]

    def work() -> float:
        began = time.perf_counter()
        with _trainer(peer, parts, sample=PACE_STEPS + UNTIMED) as (trainer, _):
            clock = _pace(trainer)
            start = time.perf_counter() - began
            trainer.train()
            began = time.perf_counter()
            trainer.evaluate()
            return start + steps * float(np.mean(clock[UNTIMED:])) + (best + 1) * (time.perf_counter() - began)

    return work


def _train(peer: Peer, parts: Any, record: Record, place: Path) -> None:
    limit, began = float(os.environ.get("FGDESIGN_PIECE", "inf")), time.time()
    if time.monotonic() - STARTED > limit:
        raise Unfinished(f"{peer.name} on {parts.name} is still to be trained")
    before = record.seconds
    with _trainer(peer, parts, into=place / "checkpoint") as (trainer, sets):
        def validated(step: int, accuracy: float) -> bool:
            record.seconds = before + time.time() - began
            if accuracy > record.best:
                save_file(_learned(trainer.model), place / "best.safetensors")
            record.curve.append((step, record.seconds, accuracy))
            write(place, record)
            return time.monotonic() - STARTED > limit

        place.mkdir(parents=True, exist_ok=True)
        stopped = _watch(trainer, validated)
        last = sorted((place / "checkpoint").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
        record.curve = record.curve if last else []
        trainer.train(resume_from_checkpoint=str(last[-1]) if last else None)
        if stopped:
            raise Unfinished(f"{peer.name} on {parts.name} stands at step {trainer.state.global_step} of "
                             f"{trainer.state.max_steps}")
        trainer.model.load_state_dict(load_file(place / "best.safetensors"), strict=False)
        record.right = _hits(trainer, sets["test"], parts.targets("test"))
        write(place, record)
        shutil.rmtree(place / "checkpoint", ignore_errors=True)


def _hits(trainer: Any, rows: Any, targets: list[int]) -> list[int]:
    """Which rows are answered right, in their order, as 0 and 1."""
    trainer.args.train_sampling_strategy = "random"  # by length, it would sort what it predicts as well
    told = trainer.predict(rows)
    assert told.label_ids.tolist() == targets, "the rows were answered in another order"
    return [int(hit) for hit in told.predictions.argmax(1) == np.array(targets)]


@contextmanager
def _trainer(peer: Peer, parts: Any, *, into: Path | None = None, sample: int = 0) -> Iterator[tuple[Any, Any]]:
    """A Trainer, and the tokenised parts. sample: train so many batches only, spread over the first epoch's."""
    from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments

    torch.manual_seed(peer.seed)
    tokenizer, model = AutoTokenizer.from_pretrained(FOLDER), _model(peer, len(parts.labels))
    sets = {part: _tokenised(tokenizer, getattr(parts, part)["text"].tolist(), parts.targets(part))
            for part in (("train", "valid") if sample else ("train", "valid", "test"))}
    per_epoch = -(-len(sets["train"]) // ROWS)

    class Sampled(Trainer):  # type: ignore[misc]
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            order = super()._get_train_sampler(train_dataset)
            if not sample:
                return order
            rows = list(order)
            batches = [rows[i:i + ROWS] for i in range(0, len(rows) - ROWS + 1, ROWS)]
            some = np.linspace(0, len(batches) - 1, min(sample, len(batches))).round().astype(int)
            mixed = np.random.default_rng(0).permutation(some)
            return [row for place in mixed for row in batches[place]]

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            str(into or folder), num_train_epochs=peer.epochs, max_steps=sample or -1,
            per_device_train_batch_size=ROWS, per_device_eval_batch_size=64, learning_rate=peer.rate,
            warmup_steps=per_epoch * peer.epochs // 10, weight_decay=0.01, eval_strategy="no" if sample else "steps",
            eval_steps=max(LEAST_BETWEEN, per_epoch // 2), save_strategy="no", logging_strategy="no",
            report_to=[], use_cpu=True, disable_tqdm=True, seed=peer.seed,
            bf16=peer.best and fast_dtype(torch.device("cpu")) == torch.bfloat16,
            train_sampling_strategy="group_by_length" if peer.best else "random")
        yield Sampled(model=model, args=arguments, train_dataset=sets["train"], eval_dataset=sets["valid"],
                      data_collator=DataCollatorWithPadding(tokenizer), compute_metrics=_accuracy), sets


def _accuracy(told: Any) -> dict[str, float]:
    return {"accuracy": float((told.predictions.argmax(1) == told.label_ids).mean())}


def _watch(trainer: Any, validated: Callable[[int, float], bool]) -> list[bool]:
    """Call back after each validation; where it says True, save and stop. Returns a list, filled when stopped."""
    from transformers import TrainerCallback

    stopped: list[bool] = []

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **rest: Any) -> None:
            if validated(state.global_step, metrics["eval_accuracy"]) and state.global_step < state.max_steps:
                control.should_save = control.should_training_stop = True
                stopped.append(True)

    trainer.add_callback(Watch())
    return stopped


def _pace(trainer: Any) -> list[float]:
    """Seconds of each step, filled while it trains: data, forward, backward, update."""
    from transformers import TrainerCallback

    seconds: list[float] = []
    last = [0.0]

    class Pace(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *args: Any, **rest: Any) -> None:
            last[0] = time.perf_counter()

        def on_step_end(self, *args: Any, **rest: Any) -> None:
            now = time.perf_counter()
            seconds.append(now - last[0])
            last[0] = now

    trainer.add_callback(Pace())
    return seconds


def _learned(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}


def _model(peer: Peer, classes: int) -> Any:
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(FOLDER, num_labels=classes)
    if peer.best:
        model.classifier = _MeanHead(model)
    if peer.method == "lora":
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=8, target_modules=["query", "value"]))
    elif peer.method == "adapter":
        model.bert.requires_grad_(False)
        for layer in model.bert.encoder.layer:
            for output in (layer.attention.output, layer.output):
                output.dense = torch.nn.Sequential(output.dense, _Bottleneck(output.dense.out_features))
    return model


class _Bottleneck(torch.nn.Module):
    """x + up(gelu(down(x))), after the attention and the feed-forward network (Houlsby et al. 2019)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down, self.up = torch.nn.Linear(width, BOTTLENECK), torch.nn.Linear(BOTTLENECK, width)
        torch.nn.init.zeros_(self.up.weight)
        torch.nn.init.zeros_(self.up.bias)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = value + self.up(torch.nn.functional.gelu(self.down(value)))
        return out


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


def _tokenised(tokenizer: Any, texts: list[str], targets: list[int]) -> list[dict[str, Any]]:
    told = tokenizer(texts, truncation=True, max_length=LONGEST)
    return [{"input_ids": ids, "attention_mask": mask, "labels": target}
            for ids, mask, target in zip(told["input_ids"], told["attention_mask"], targets, strict=True)]
