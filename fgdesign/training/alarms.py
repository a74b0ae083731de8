"""What goes wrong in a training run, found in what it logged: each with what it means and what to change.

Pure functions of the logged lines, so that a page, a report and a terminal say the same. Knows nothing of torch,
files or screens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Events = Sequence[Mapping[str, Any]]
NAMES = {"divergence": "Divergence", "collapse": "Router collapse", "no-learning": "No learning",
         "overfitting": "Overfitting"}  # by code, the gravest first
FULL = {2: 0.97}  # share of the rows on one branch from which a router has collapsed, by branches
FULL_OF_MANY = 0.9
TWICE = 2  # validations one after another before something counts as lasting
DIVERGED = (0.75, 0.6)  # how far a loss has to rise above its best: at least, and as a share of all it had fallen
WINDOW = 5  # logged losses whose mean counts, so that one batch does not
FEW_POINTS = 10  # logged losses before anything is said of a stage
STILL = 0.02  # share by which a loss has to fall to count as learning
LOOKED = 0.3  # share of a stage after which no learning is said
WORSE = 0.2  # share by which a validation loss rises above its best
HOLDS = 1.5  # times its best up to which a validation loss says that a training loss only swings
KNOWING = {"roc_auc": 0.65, "pearson": 0.3}  # validation figures above which answers are more than guessed
LOST = 0.5  # share of the best's distance from a guess
GUESSING = {"roc_auc": ("ROC AUC", 0.55, 0.5), "pearson": ("Pearson's r", 0.1, 0.0)}  # below which not; of a guess


@dataclass(frozen=True)
class Alarm:
    """code: collapse, divergence, no-learning or overfitting. where: the stage or router it is about."""

    code: str
    where: str
    message: str
    suggestion: str


def alarms(events: Events) -> list[Alarm]:
    """All that is wrong by what was logged so far; the gravest first."""
    found = []
    for stage in dict.fromkeys(event["stage"] for event in events if event["kind"] == "step"):
        steps = [event for event in events if event["kind"] == "step" and event["stage"] == stage]
        valid = [event for event in events if event["kind"] == "valid" and event["stage"] == stage]
        alarm = (divergence(stage, steps, valid, events) or no_learning(stage, steps, valid, events)
                 or overfitting(stage, steps, valid))
        found += [alarm] if alarm else []
    found = list({alarm.code: alarm for alarm in found}.values())  # of two stages the later one says it
    return sorted([*found, *collapses(events)], key=lambda alarm: list(NAMES).index(alarm.code))


def names(told: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """What the alarms of a report are called, each once."""
    return tuple(dict.fromkeys(NAMES[one["code"]] for one in told if one["code"] in NAMES))


def divergence(stage: str, steps: Events, valid: Events, events: Events) -> Alarm | None:
    """A loss that is no number, or that stays far above its best. Router losses may make it negative.

    Layers that begin to move under heads fitted before make it swing for some steps; validation tells that apart.
    """
    lower = "Train again with a lower learning rate (a third of it) or stronger clipping."
    if any(not _is_number(event["loss"]) for event in steps):
        return Alarm("divergence", stage, f"The loss of stage {stage} is no longer a number.", lower)
    lost = _lost(valid, events) if stage == _last_stage(events) else ""
    if lost:
        return Alarm("divergence", stage, f"Stage {stage} has lost what was known: {lost}.", lower)
    losses = [event["loss"] for event in steps]
    if len(losses) < FEW_POINTS:
        return None
    means = [sum(losses[i:i + WINDOW]) / WINDOW for i in range(len(losses) - WINDOW)]
    best, last = min(means), min(losses[-WINDOW:])
    swings = _holds(valid[-1], events) if valid else steps[-1]["step"] < steps[-1].get("of", 0)  # not told yet
    if last > best + max(DIVERGED[0], DIVERGED[1] * (means[0] - best)) and not swings:
        return Alarm("divergence", stage, f"The loss of stage {stage} has grown to {last:.3g}, from {best:.3g} at its "
                     "best.", lower)
    return None


def no_learning(stage: str, steps: Events, valid: Events, events: Events) -> Alarm | None:
    """Answers that stay guesses, or a loss that does not fall while no validation beats what the run began with."""
    losses = [event["loss"] for event in steps]
    if len(losses) < FEW_POINTS or len(valid) < TWICE or steps[-1]["step"] < LOOKED * steps[-1].get("of", 0):
        return None
    best = [event for event in events if event["kind"] == "valid" and event.get("best")]
    guessed = _guessed(valid) if stage == _last_stage(events) and not (best and _knows(best[-1])) else ""
    if guessed:
        return Alarm("no-learning", stage, f"After {len(valid)} validations of stage {stage} the answers are still "
                     f"guesses: {guessed}.", "See in Data whether labels fit their texts; more rows or a higher "
                     "learning rate (three times) may help too.")
    part = max(3, len(losses) // 5)
    first, last = sum(losses[:part]) / part, sum(losses[-part:]) / part
    if any(event["stage"] != "probe" for event in best) or last < first - STILL * abs(first):
        return None
    still = all(not norm for event in events if event["kind"] == "gradients" and event["stage"] == stage
                for norm in event["nodes"].values())
    if still and any(event["kind"] == "gradients" for event in events):
        return Alarm("no-learning", stage, f"No gradient reaches any node in stage {stage}.",
                     "See in Design whether what is trained lies on the way to the answer.")
    if best and _knows(best[-1]):
        return None  # what was fitted before any step is hard to beat
    return Alarm("no-learning", stage, f"The loss of stage {stage} does not fall: {first:.3g} at first, {last:.3g} "
                 "now.", "Raise the learning rate (three times), or see in Data whether labels fit their texts.")


def overfitting(stage: str, steps: Events, valid: Events) -> Alarm | None:
    """A training loss that falls while the validation loss has risen for some validations."""
    known = _losses(valid)
    if len(known) < 1 + TWICE or len(steps) < FEW_POINTS:
        return None
    best = min(known[:-TWICE])
    if any(loss < best * (1 + WORSE) + 0.01 for loss in known[-TWICE:]):
        return None
    told = [event["loss"] for event in steps]
    if sum(told[-WINDOW:]) >= sum(told[:WINDOW]):
        return None
    return Alarm("overfitting", stage, f"Stage {stage} learns its rows by heart: validation loss {known[-1]:.3g}, "
                 f"{best:.3g} at its best, while the training loss falls.",
                 "The best model is kept, so a stop loses nothing; fewer epochs, label smoothing 0.1 or more rows "
                 "make the next run better.")


def collapses(events: Events) -> list[Alarm]:
    """Learned routers that send nearly all rows to one branch, validation after validation."""
    told: dict[str, list[Mapping[str, Any]]] = {}
    for event in events:
        for name, router in event.get("routers", {}).items() if event["kind"] == "valid" else ():
            if router.get("entropy") is not None:
                told.setdefault(name, []).append(router["load"])
    found = []
    for name, loads in told.items():
        full = FULL.get(len(loads[-1]), FULL_OF_MANY)
        if len(loads) > TWICE and all(_top(load)[1] > full for load in loads[-TWICE:]):
            branch, share = _top(loads[-1])
            found.append(Alarm("collapse", name, f"Router '{name}' sends {share:.0%} of the rows to {branch}; the "
                               "other branches learn nothing.", "Raise its balance loss (0.1) or its "
                               "mutual-information loss, or take the router out: Routes tells whether it earns its "
                               "keep."))
    return found


def _losses(valid: Events) -> list[float]:
    """Of validations: what falls as answers get better."""
    losses = [event["metrics"].get("log_loss", event["metrics"].get("rmse")) for event in valid]
    return [loss for loss in losses if _is_number(loss)]


def _last_stage(events: Events) -> str:
    return next(str(event["stage"]) for event in reversed(events) if event["kind"] == "step")


def _guessed(valid: Events) -> str:
    """What says that the last validations are no better than guesses, in words; "" where nothing does."""
    for name, (words, least, guess) in GUESSING.items():
        told = [event["metrics"].get(name) for event in valid[-1 - TWICE:]]
        if len(told) > TWICE and all(_is_number(value) and value < least for value in told):
            return f"{words} {told[-1]:.2f} on the validation rows, a guess has {guess:g}"
    return ""


def _lost(valid: Events, events: Events) -> str:
    """What says that the last validations have lost half of what the best of the run knew, in words, or ""."""
    for name, (words, _, guess) in GUESSING.items():
        told = [event["metrics"].get(name) for event in events if event["kind"] == "valid" and _knows(event)]
        best = max((value for value in told if _is_number(value)), default=guess)
        least, last = guess + LOST * (best - guess), [event["metrics"].get(name) for event in valid[-TWICE:]]
        if best > guess and len(last) == TWICE and all(_is_number(value) and value < least for value in last):
            return f"{words} {last[-1]:.2f} on the validation rows, {best:.2f} at its best"
    return ""


def _knows(valid: Mapping[str, Any]) -> bool:
    """Whether the answers of a validation are more than guessed."""
    return any((valid["metrics"].get(name) or 0.0) >= least for name, least in KNOWING.items())


def _holds(valid: Mapping[str, Any], events: Events) -> bool:
    """Whether a validation is about as good as the best of the run."""
    now, all_of_them = _losses([valid]), _losses([event for event in events if event["kind"] == "valid"])
    return bool(now) and _knows(valid) and now[0] <= HOLDS * min(all_of_them)


def _top(load: Mapping[str, float]) -> tuple[str, float]:
    """The fullest branch and its share; where several are called for a row, of all calls."""
    branch = max(load, key=lambda name: load[name])
    return branch, load[branch] / max(1.0, sum(load.values()))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
