"""The training loop, from cheap to dear, the best on validation kept.

    1. word functions are fitted
    2. heads are fitted in closed form on what they read with the backbone as it came
    3. "warm": everything but the backbone, on cached values
    4. "tune": everything that is drawn as trained, above a cached prefix
    5. temperatures, merge weights and exit thresholds on validation rows

Data order and noise are functions of (seed, stage, epoch, step), so a run resumed from a checkpoint ends with
the same bits. Knows nothing of files but for the checkpoint folder it is given.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fgdesign.data.encode import buckets
from fgdesign.errors import DeviceError
from fgdesign.model.blocks.heads import Head
from fgdesign.model.device import fast_dtype, out_of_memory_advice, precision
from fgdesign.model.network import FunctionGraph
from fgdesign.training import checkpoint
from fgdesign.training.calibrate import Opinions, calibrate, logit_ports
from fgdesign.training.evaluate import as_outputs
from fgdesign.training.fit import fit_linear
from fgdesign.training.losses import Objective
from fgdesign.training.metrics import evaluate as measure
from fgdesign.training.metrics import main_metric
from fgdesign.training.rows import Rows, collect
from fgdesign.training.settings import Settings

MOST_FIT_ROWS = 100_000
LOG_SECONDS = 0.3
Log = Callable[[dict[str, Any]], None]


class Stopped(Exception):
    """Someone asked the run to stop; what was best so far is kept."""


@dataclass
class Stage:
    """One part of training. known: static ports held by the rows. names: parameters that learn."""

    name: str
    known: tuple[str, ...]
    names: tuple[str, ...]
    epochs: int
    batch_size: int


@dataclass
class Run:
    """All that the loop moves. best: the winner's tensors and its score; agreement: of routers, in training."""

    network: FunctionGraph
    objective: Objective
    train: Rows
    valid: Rows
    labels: tuple[str, ...]
    settings: Settings
    device: torch.device
    log: Log
    should_stop: Callable[[], bool] = lambda: False
    folder: Path | None = None
    best: dict[str, Tensor] = field(default_factory=dict)
    best_score: float = -math.inf
    best_at: dict[str, Any] = field(default_factory=dict)
    agreement: dict[str, float] = field(default_factory=dict)
    done_steps: int = 0
    all_steps: int = 0
    saved: float = field(default_factory=time.monotonic)


def fit(run: Run, stages: list[Stage], resumed: checkpoint.Snapshot | None = None) -> None:
    """Run the stages and leave the best tensors in the network. Raises Stopped when asked to, best kept."""
    run.all_steps = sum(stage.epochs * steps_per_epoch(len(run.train), stage.batch_size) for stage in stages)
    position = resumed.state["position"] if resumed else None
    try:
        if resumed:
            _restore(run, resumed)
        else:
            fit_words(run)
            fit_heads(run, stages[0].known if stages else ())
            validate(run, stages[0].known if stages else (), {"stage": "probe", "epoch": 0, "step": 0})
        for number, stage in enumerate(stages):
            if position and number < position["stage"]:
                continue
            here = position if position and number == position["stage"] else None
            run_stage(run, number, stage, here, resumed if here else None)
    finally:
        if run.best:
            run.network.load_state_dict(run.best, strict=False)


def fit_words(run: Run) -> None:
    """Fit each word function on the training rows it will see."""
    for node, module in run.network.lexicals().items():
        run.log({"kind": "note", "message": f"Fitting the word function '{node}'."})
        second = run.train.inputs.texts_b
        texts = run.train.inputs.texts if second is None else [
            f"{a} {b}" for a, b in zip(run.train.inputs.texts, second, strict=True)]
        module.fit(texts, run.train.targets.numpy())
        module.to(run.device)


def fit_heads(run: Run, known: tuple[str, ...]) -> list[str]:
    """Fit linear heads by L-BFGS on what they read at the start. Returns the nodes that were fitted."""
    network, found = run.network, run.network.plan.found
    nodes = []
    for node in network.nodes_of_role("head"):
        module, source = network.module_of(node), network.plan.graph.into(node, "in")[0].source
        if isinstance(module, Head) and isinstance(module.hidden, nn.Identity) and module.out.weight.requires_grad:
            if not found.gates[source] and (not network.needed((source,), known, True).runs_backbone):
                nodes.append((node, module, source))
    if not nodes:
        return []
    run.log({"kind": "note", "message": "Fitting the heads in closed form."})
    ports = tuple(dict.fromkeys(source for _, _, source in nodes))
    train = collect(network, run.train.inputs, run.device, ports, known=known)
    valid = collect(network, run.valid.inputs, run.device, ports, known=known)
    for _, module, source in nodes:
        _fit_head(run, module, train[source], valid[source])
    return [node for node, _, _ in nodes]


def _fit_head(run: Run, module: Head, train: Tensor, valid: Tensor) -> None:
    rows, others = (~t.isnan().any(1) for t in (train, valid))
    if len(rows) > MOST_FIT_ROWS:
        rows &= torch.rand(len(rows), generator=torch.Generator().manual_seed(run.settings.seed)) < \
            MOST_FIT_ROWS / len(rows)
    if int(rows.sum()) < 2:
        return
    if not bool(others.any()):
        valid, others = train, rows
        valid_targets = run.train.targets
    else:
        valid_targets = run.valid.targets
    with torch.no_grad():
        features, valid_features = (module.norm(t[r].to(run.device)) for t, r in ((train, rows), (valid, others)))
    weight, bias, _ = fit_linear(features, run.train.targets[rows].to(run.device), module.out.out_features,
                                 run.objective.per_row, valid_features, valid_targets[others].to(run.device))
    with torch.no_grad():
        module.out.weight.copy_(weight)
        module.out.bias.copy_(bias)


def run_stage(run: Run, number: int, stage: Stage, position: dict[str, Any] | None,
              resumed: checkpoint.Snapshot | None) -> None:
    """Train the stage's parameters for its epochs; stop early when validation no longer improves."""
    if not stage.epochs:
        return
    network, settings = run.network, run.settings
    parameters = dict(network.named_parameters())
    groups = _groups(run, stage, parameters)
    optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=run.device.type == "cuda")
    if resumed:
        checkpoint.restore_optimiser(optimiser, resumed.group("optimiser"))
    per_epoch = steps_per_epoch(len(run.train), stage.batch_size)
    total = stage.epochs * per_epoch
    step = position["step"] if position else 0
    stale = position["stale"] if position else 0
    run.done_steps = position["done_steps"] if position else run.done_steps
    scaler = torch.amp.GradScaler(run.device.type, enabled=fast_dtype(run.device) == torch.float16)
    logged, losses = time.monotonic(), []
    every = max(1, math.ceil(per_epoch / settings.validations))
    network.train()
    for step, epoch, rows in _batches(run, stage, number, step, total, per_epoch):
        torch.manual_seed(hash((settings.seed, number, step)) & 0x7FFFFFFF)
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * rate_factor(step / total, settings.warm_up)
        losses.append(_step(run, stage, rows, optimiser, scaler))
        run.done_steps += 1
        if time.monotonic() - logged > LOG_SECONDS or step + 1 == total:
            where = {"stage": stage.name, "epoch": epoch, "step": step + 1, "of": total}
            run.log({"kind": "step", **where, "loss": float(np.mean([float(x) for x in losses])),
                     "lr": optimiser.param_groups[0]["lr"], "progress": run.done_steps / max(1, run.all_steps)})
            logged, losses = time.monotonic(), []
        if (step + 1) % every == 0 or step + 1 == total:
            where = {"stage": stage.name, "epoch": epoch, "step": step + 1}
            stale = 0 if validate(run, stage.known, where) else stale + 1
        here = {"stage": number, "name": stage.name, "step": step + 1, "stale": stale, "done_steps": run.done_steps}
        _maybe_save(run, optimiser, here)
        if run.should_stop():
            raise Stopped
        if stale >= settings.patience:
            run.log({"kind": "note", "message": f"Stage {stage.name} ended early: no gain in {stale} validations."})
            break
    run.all_steps -= max(0, total - step - 1)


def _batches(run: Run, stage: Stage, number: int, first: int, total: int,
             per_epoch: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """(step, epoch, rows) from step `first` on; a function of seed, stage and epoch alone."""
    step = first
    while step < total:
        epoch = step // per_epoch
        seed = run.settings.seed * 1009 + number
        order = buckets(run.train.inputs.lengths, stage.batch_size, seed=seed, epoch=epoch, shuffle=True)
        for rows in order[step % per_epoch:]:
            yield step, epoch, rows
            step += 1


def _step(run: Run, stage: Stage, rows: np.ndarray, optimiser: torch.optim.Optimizer,
          scaler: torch.amp.GradScaler) -> Tensor:
    """One forward, backward and update. Returns the loss."""
    network, ports = run.network, run.objective.ports
    needed = network.needed(ports, stage.known, open_exits=True)
    try:
        batch = run.train.inputs.batch(rows, run.device, given=needed.given, tokens=needed.reads_tokens)
        places = torch.from_numpy(rows)
        targets = run.train.targets[places].to(run.device, non_blocking=True)
        taught = {router: lesson[places].to(run.device) for router, lesson in run.train.taught.items()}
        with precision(run.device, fast_dtype(run.device)):
            outcome = network(batch, wanted=ports, open_exits=True)
        loss = run.objective(outcome, targets, taught)
        optimiser.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        if run.settings.clip:
            scaler.unscale_(optimiser)
            learned = [p for group in optimiser.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(learned, run.settings.clip)
        scaler.step(optimiser)
        scaler.update()
    except torch.OutOfMemoryError:
        raise DeviceError(out_of_memory_advice(len(rows), run.device)) from None
    for router, (_, choice) in outcome.record.choices.items():
        before = run.agreement.get(router, float(choice.agreement))
        run.agreement[router] = 0.95 * before + 0.05 * float(choice.agreement)
    return loss.detach()


def validate(run: Run, known: tuple[str, ...], where: dict[str, Any]) -> bool:
    """Measure on the validation rows, exits open; keep the tensors if it is the best so far. Returns whether it is."""
    opinions = validation_opinions(run, known)
    outputs = as_outputs(opinions.answer, run.network.plan.task)
    metrics = measure(run.network.plan.task, outputs, run.valid.targets.numpy(), run.labels)
    name, higher = main_metric(run.network.plan.task)
    score = metrics[name] if metrics[name] is not None else -math.inf
    score = score if higher or score == -math.inf else -score
    better = score > run.best_score
    if better:
        run.best_score, run.best_at = score, where
        run.best = {n: t.detach().cpu().clone() for n, t in learned_state(run.network).items()}
    shown = {key: value for key, value in metrics.items() if isinstance(value, float | int)}
    run.log({"kind": "valid", **where, "metrics": shown, "best": better,
             "routers": {router: {"agreement": share} for router, share in run.agreement.items()}})
    return better


def validation_opinions(run: Run, known: tuple[str, ...]) -> Opinions:
    """Logits of the validation rows, freshly calibrated."""
    values = collect(run.network, run.valid.inputs, run.device, logit_ports(run.network), known=known)

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return run.objective.per_row(logits.to(run.device), targets.to(run.device)).cpu()

    return calibrate(run.network, values, run.valid.targets, loss)


def learned_state(network: FunctionGraph) -> dict[str, Tensor]:
    """Tensors that training may change: learned parameters and fitted buffers."""
    learned = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    fixed = {name for name, _ in network.named_parameters()} - learned
    return {name: tensor for name, tensor in network.state_dict().items() if name not in fixed}


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Batches in one pass over the rows."""
    windows, rest = divmod(rows, batch_size)
    return windows + (1 if rest else 0)


def rate_factor(progress: float, warm_up: float) -> float:
    """Learning rate as a share of its peak: linear warm-up, then linear decay to zero."""
    if warm_up and progress < warm_up:
        return (progress + 1e-3) / warm_up
    return max(0.0, (1 - progress) / max(1e-9, 1 - warm_up))


def _groups(run: Run, stage: Stage, parameters: dict[str, nn.Parameter]) -> list[dict[str, Any]]:
    """Parameters by learning rate: pretrained weights, and all others."""
    keys = {run.network.keys[node] for node in run.network.pretrained_nodes()}
    prefixes = tuple(f"modules_by_key.{key}." for key in keys)
    rate = run.settings.warm_rate if stage.name == "warm" else run.settings.rate
    groups: dict[float, list[nn.Parameter]] = {}
    for name in stage.names:
        full = prefixes and name.startswith(prefixes) and ".down" not in name and ".up" not in name
        groups.setdefault(run.settings.layer_rate if full else rate, []).append(parameters[name])
    return [{"params": members, "lr": value, "base": value} for value, members in sorted(groups.items())]


def _maybe_save(run: Run, optimiser: torch.optim.Optimizer, position: dict[str, Any]) -> None:
    if run.folder is None or time.monotonic() - run.saved < run.settings.checkpoint_seconds:
        return
    snapshot = checkpoint.Snapshot()
    snapshot.put("model", learned_state(run.network))
    snapshot.put("best", run.best)
    snapshot.put("optimiser", checkpoint.optimiser_tensors(optimiser))
    snapshot.state = {"position": position, "best_score": run.best_score, "best_at": run.best_at,
                      "agreement": run.agreement, "settings": run.settings.as_dict()}
    checkpoint.save(run.folder, position["done_steps"], snapshot)
    run.saved = time.monotonic()


def _restore(run: Run, snapshot: checkpoint.Snapshot) -> None:
    fit_words(run)
    run.network.load_state_dict(snapshot.group("model"), strict=False)
    for module in run.network.lexicals().values():
        module.forget()
    run.best = snapshot.group("best")
    run.best_score, run.best_at = snapshot.state["best_score"], snapshot.state["best_at"]
    run.agreement = snapshot.state["agreement"]
