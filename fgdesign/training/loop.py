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
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fgdesign.model.device import precision, step_dtype
from fgdesign.model.network import FunctionGraph, Outcome
from fgdesign.training import checkpoint
from fgdesign.training.adamw import AdamW
from fgdesign.training.average import Average
from fgdesign.training.calibrate import Opinions, calibrate, exit_shares, logit_ports, pick_thresholds
from fgdesign.training.closed_form import fit_heads, fit_words
from fgdesign.training.evaluate import Answers, as_outputs, no_answers, note_routes, router_report
from fgdesign.training.losses import Objective
from fgdesign.training.metrics import evaluate as measure
from fgdesign.training.metrics import judged_by, loss_of, luck_of
from fgdesign.training.optimise import gradient_norms, make_optimiser, rate_factor, set_rates
from fgdesign.training.order import order_of
from fgdesign.training.rows import Rows, collect
from fgdesign.training.settings import Settings
from fgdesign.training.shards import Group

LOGGED_STEPS = 400  # lines per stage, about at most
LOGGED_GRADIENTS = 60
TICK_SECONDS = 1.0  # between two lines of slow steps it is told how far they are
UNDEFINED = -2.0  # the score of an undefined metric: below every other
Log = Callable[[dict[str, Any]], None]


class Stopped(Exception):
    """Someone asked the run to stop; what was best so far is kept."""


@dataclass
class Stage:
    """One part of training. known: static ports held by the rows. names: parameters that learn.

    validations: per epoch. work: of all its steps, in any unit that stages share. trial: steps after which it ends
    unless it has gained.
    """

    name: str
    known: tuple[str, ...]
    names: tuple[str, ...]
    epochs: int
    batch_size: int
    validations: int
    work: float = 1.0
    trial: int = 0


@dataclass
class Run:
    """All that the loop moves.

    log: takes what happens; of kind "tick" is what only those who watch need: how far a slow run is between two lines.
    log_size: how long the log is, kept with each checkpoint. best: the winner's tensors; best_score: the metric it is
    judged by, and its loss; highest: that metric, of all that were measured. loss: of the last validation, best_loss:
    the winner's.
    agreement: of routers, in training. epochs: begun, by stage. group: the processes that train it together; only the
    first of them validates, so only there is `best` filled.
    """

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
    log_size: Callable[[], int] = lambda: 0
    best: dict[str, Tensor] = field(default_factory=dict)
    best_score: tuple[float, float] = (UNDEFINED, 0.0)
    best_at: dict[str, Any] = field(default_factory=dict)
    highest: float = UNDEFINED
    loss: float = math.inf
    best_loss: float = math.inf
    agreement: dict[str, float] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    saved: float = field(default_factory=time.monotonic)
    group: Group = field(default_factory=Group)


def fit(run: Run, stages: list[Stage], resumed: checkpoint.Snapshot | None = None) -> None:
    """Run the stages and leave the best tensors in the network. Raises Stopped when asked to, best kept."""
    first = resumed.state["position"]["stage"] if resumed else 0
    try:
        if resumed:
            _restore(run, resumed)
        else:
            _begin(run, stages[0].known if stages else ())
            if run.group.heard(run.should_stop):
                raise Stopped
        for number in range(first, len(stages)):
            run_stage(run, stages, number, resumed if number == first else None)
    finally:
        if run.best:
            run.network.load_state_dict(run.best, strict=False)


def _begin(run: Run, known: tuple[str, ...]) -> None:
    """Fit what is fitted in closed form, once for all processes, and measure it."""
    if run.group.first:
        with run.group.lent():
            fit_words(run)
            fit_heads(run, known)
    run.group.hand_out(lambda: learned_state(run.network), lambda given: _take(run, given))
    validate(run, known, {"stage": "probe", "epoch": 0, "step": 0})


def run_stage(run: Run, stages: Sequence[Stage], number: int, resumed: checkpoint.Snapshot | None) -> None:
    """Train one stage's parameters for its epochs; stop early when validation no longer improves."""
    stage, settings = stages[number], run.settings
    orders = [order_of(run.train.inputs.lengths, other.epochs, other.batch_size, settings, place)
              for place, other in enumerate(stages[:number + 1])]
    total = orders[-1].total
    if not total:
        return
    optimiser = make_optimiser(run.network, stage.names, settings, warm=stage.name == "warm")
    dtype = step_dtype(run.device, settings.precision)
    scaler = torch.amp.GradScaler(run.device.type, enabled=dtype == torch.float16)
    average = Average(run.network, stage.names, settings.averaging)
    at: dict[str, Any] = {"step": 0, "stale": 0, "losses": []}
    if resumed:
        at = resumed.state["position"]
        average.restore(resumed.group("average"), at["step"])
        optimiser.restore(resumed.group("optimiser"))
        scaler.load_state_dict(resumed.state["scaler"])
    stale, losses, told = at["stale"], list(at["losses"]), time.monotonic()
    if at.get("due"):  # the validation in which the run was stopped
        stale = 0 if _validate_average(run, stage, average, at["due"]) else stale + 1
    log_every, look_every = max(1, total // LOGGED_STEPS), max(1, total // LOGGED_GRADIENTS)
    check_every = math.ceil(total / stage.epochs / stage.validations)
    earlier = sum(order.total for order in orders[:-1])
    warm_up = warm_up_of(settings.warm_up, stage.trial, total)
    run.network.train()
    for step, epoch, batches in orders[-1].steps(at["step"]):
        if stale >= settings.patience:
            run.log({"kind": "note", "message": f"Stage {stage.name} ended early: no gain in {stale} validations."})
            break
        if step and step == stage.trial and run.best_at["stage"] != stage.name and run.loss >= run.best_loss:
            run.log({"kind": "note", "message": f"Stage {stage.name} gained nothing in a trial of {step} steps; what "
                                                "stood before it is kept."})
            break
        torch.manual_seed(hash((settings.seed, number, step, *run.group.salt)) & 0x7FFFFFFF)
        rates = set_rates(optimiser, rate_factor(step / total, warm_up, settings.schedule))
        where, last = {"stage": stage.name, "epoch": epoch, "step": step + 1}, step + 1 == total
        look = (step + 1) % look_every == 0 or last
        loss, norms = _step(run, stage, batches, optimiser, scaler, dtype, look)
        average.after(step + 1)
        losses.append(loss)
        run.epochs[stage.name] = epoch + 1
        if look:
            run.log({"kind": "gradients", **where, "nodes": norms})
        line = (step + 1) % log_every == 0 or last
        if line or time.monotonic() - told >= TICK_SECONDS:
            told = time.monotonic()
            run.log({"kind": "step" if line else "tick", **where, "of": total, "rates": rates,
                     "loss": float(np.mean([float(x) for x in losses])),
                     "progress": _progress(stages, number, (step + 1) / total)})
            if line:
                losses = []
        stopping, due = False, None
        if (step + 1) % check_every == 0 or last or step + 1 == stage.trial:
            try:
                stale = 0 if _validate_average(run, stage, average, where) else stale + 1
            except Stopped:
                stopping, due = True, where
        stopping = stopping or run.group.heard(run.should_stop)
        position = {"stage": number, "step": step + 1, "stale": stale, "losses": [float(x) for x in losses],
                    "due": due}
        _maybe_save(run, optimiser, scaler, average, position, earlier + step + 1, now=stopping)
        if stopping:
            raise Stopped


def _validate_average(run: Run, stage: Stage, average: Average, where: dict[str, Any]) -> bool:
    """Measure the average of the weights; see `validate`."""
    with average.in_place():
        return validate(run, stage.known, where)


def warm_up_of(share: float, trial: int, total: int) -> float:
    """Share of a stage's steps in which its rate climbs: as set, but a trial is made at its peak from half-way on."""
    return min(share, trial / 2 / total) if trial else share


def _progress(stages: Sequence[Stage], number: int, share: float) -> float:
    """How much of the work of all stages is done, 0..1, when `share` of this one is."""
    done = sum(stage.work for stage in stages[:number]) + share * stages[number].work
    return done / max(1e-9, sum(stage.work for stage in stages))


def _step(run: Run, stage: Stage, batches: Sequence[np.ndarray], optimiser: AdamW,
          scaler: torch.amp.GradScaler, dtype: torch.dtype, look: bool) -> tuple[Tensor, dict[str, float]]:
    """Forward and backward of each batch, and one update. Returns the mean loss and, to `look` at, gradient norms."""
    optimiser.zero_grad()
    mover: Any = optimiser  # the scaler is written for torch's own, of which it uses no more than ours has
    total, rows = torch.zeros((), device=run.device), sum(map(len, batches))
    for batch in map(run.group.shard, batches):
        if not len(batch):
            scaler.scale(total)  # it has to know its device all the same
            continue
        loss = _loss(run, stage, batch, dtype) * (len(batch) / rows)
        torch.autograd.backward(scaler.scale(loss))
        total += loss.detach()
    learned = optimiser.parameters
    run.group.add(learned, total)
    if run.settings.clip or look:
        scaler.unscale_(mover)
    norms = gradient_norms(run.network, stage.names) if look else {}
    if run.settings.clip:
        torch.nn.utils.clip_grad_norm_(learned, run.settings.clip)
    scaler.step(mover)
    scaler.update()
    return total, norms


def _loss(run: Run, stage: Stage, rows: np.ndarray, dtype: torch.dtype) -> Tensor:
    """The loss of one batch, its graph still open."""
    network, ports = run.network, run.objective.ports
    needed = network.needed(ports, stage.known, open_exits=True)
    batch = run.train.inputs.batch(rows, run.device, given=needed.given, tokens=needed.reads_tokens)
    places = torch.from_numpy(rows)
    targets = run.train.targets[places].to(run.device, non_blocking=True)
    taught = {router: lesson[places].to(run.device) for router, lesson in run.train.taught.items()}
    with precision(run.device, dtype):
        outcome = network(batch, wanted=ports, open_exits=True)
    for router, (_, choice) in outcome.record.choices.items():
        before = run.agreement.get(router, float(choice.agreement))
        run.agreement[router] = 0.95 * before + 0.05 * float(choice.agreement)
    return run.objective(outcome, targets, taught)


def validate(run: Run, known: tuple[str, ...], where: dict[str, Any]) -> bool:
    """Measure on the validation rows, exits open; keep the tensors if it is the best so far. Returns whether it is.

    The first process does it, and all go on from what it decides and calibrates. Raises Stopped in all of them.
    """
    def measured() -> Any:
        try:
            with run.group.lent():
                return _measure(run, known, where), run.best_at, run.loss, run.best_loss
        except Stopped:
            return None

    told = run.group.heard(measured)
    if told is None:
        raise Stopped
    better, run.best_at, run.loss, run.best_loss = told
    run.group.hand_out(lambda: learned_state(run.network, parameters=False), lambda given: _take(run, given))
    return bool(better)


def _measure(run: Run, known: tuple[str, ...], where: dict[str, Any]) -> bool:
    """The same in this process."""
    network, targets = run.network, run.valid.targets
    routes = no_answers(network, len(run.valid))
    opinions = validation_opinions(run, known, routes)
    task = network.plan.task
    outputs = as_outputs(opinions.answer, task)
    pick_thresholds(network, opinions, targets)
    metrics = measure(task, outputs, targets.numpy(), run.labels, threshold=float(network.decision))
    score, loss = _score(task, run.settings.metric, metrics), metrics[loss_of(task)]
    run.loss = math.inf if loss is None else loss
    run.highest = max(run.highest, run.best_score[0], score[0])
    luck = luck_of(task, run.settings.metric, len(targets))
    better = not run.best or wins(score, run.loss, run.best_score, run.best_loss, run.highest, luck)
    if better:
        run.best_score, run.best_at, run.best_loss = score, where, run.loss
        run.best = {n: t.detach().cpu().clone() for n, t in learned_state(network).items()}
    shown = {key: value for key, value in metrics.items() if isinstance(value, float | int)}
    routers = {name: router_report(routes, name, run.agreement.get(name)) for name in routes.called}
    run.log({"kind": "valid", **where, "metrics": shown, "best": better,
             "routers": {name: told for name, told in routers.items() if told["rows"]},
             "exits": exit_shares(network, opinions, targets)})
    return better


def _score(task: str, metric: str, metrics: dict[str, Any]) -> tuple[float, float]:
    """The metric that decides, and what decides between equals: the loss to two digits. Higher is better."""
    name, higher = judged_by(task, metric)
    value, loss = metrics[name], metrics[loss_of(task)]
    main = UNDEFINED if value is None else value if higher else -value
    return main, -sys.float_info.max if loss is None else -round(loss, 2)


def wins(score: tuple[float, float], loss: float, best: tuple[float, float], best_loss: float, highest: float,
         luck: float) -> bool:
    """Whether a model takes the place of the best: of two that are all but as good as the highest, by its loss."""
    if min(score[0], best[0]) >= highest - luck and score[0] != best[0]:
        return loss < best_loss
    return score > best


def validation_opinions(run: Run, known: tuple[str, ...], routes: Answers | None = None) -> Opinions:
    """Logits of the validation rows, freshly calibrated; routes taken on the way are noted in `routes`."""
    plain = replace(run.objective, class_weights=None, smoothing=0.0)  # as likely as the rows are, not as weighted

    def see(outcome: Outcome, rows: np.ndarray) -> None:
        if routes and run.best and run.should_stop():
            raise Stopped  # this validation is made again when the run goes on; the first one gives a stop its best
        if routes:
            note_routes(routes, outcome, rows)

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return plain.per_row(logits.to(run.device), targets.to(run.device)).cpu()

    values = collect(run.network, run.valid.inputs, run.device, logit_ports(run.network), known=known, see=see)
    return calibrate(run.network, values, run.valid.targets, loss)


def learned_state(network: FunctionGraph, *, parameters: bool = True) -> dict[str, Tensor]:
    """Tensors that training may change: learned parameters, where they are wanted, and fitted buffers."""
    fixed = {name for name, parameter in network.named_parameters() if not (parameters and parameter.requires_grad)}
    return {name: tensor for name, tensor in network.state_dict().items() if name not in fixed}


def _maybe_save(run: Run, optimiser: AdamW, scaler: torch.amp.GradScaler, average: Average,
                position: dict[str, Any], number: int, *, now: bool) -> None:
    if run.folder is None or not (now or time.monotonic() - run.saved >= run.settings.checkpoint_seconds):
        return
    snapshot = checkpoint.Snapshot()
    snapshot.put("model", learned_state(run.network))
    snapshot.put("best", run.best)
    snapshot.put("average", average.values)
    snapshot.put("optimiser", optimiser.tensors())
    snapshot.state = {"position": position, "log_size": run.log_size(), "scaler": scaler.state_dict(),
                      "best_score": run.best_score, "best_at": run.best_at, "loss": run.loss, "highest": run.highest,
                      "best_loss": run.best_loss, "agreement": run.agreement, "epochs": run.epochs}
    checkpoint.save(run.folder, number, snapshot)
    run.saved = time.monotonic()


def _restore(run: Run, snapshot: checkpoint.Snapshot) -> None:
    _take(run, snapshot.group("model"))
    run.best = snapshot.group("best")
    main, loss = snapshot.state["best_score"]
    run.best_score, run.best_at = (main, loss), snapshot.state["best_at"]
    run.highest = snapshot.state.get("highest", main)  # checkpoints of before lack it
    run.loss = snapshot.state.get("loss", math.inf)
    run.best_loss = snapshot.state.get("best_loss", math.inf)
    run.agreement, run.epochs = snapshot.state["agreement"], snapshot.state["epochs"]


def _take(run: Run, model: Mapping[str, Tensor]) -> None:
    """Let the network hold these of its learned tensors."""
    network = run.network
    for node, module in network.lexicals().items():  # fitted buffers have sizes of their own
        for name, _ in module.named_buffers():
            setattr(module, name, model[f"modules_by_key.{network.keys[node]}.{name}"].to(run.device))
        module.forget()
    network.load_state_dict(model, strict=False)
