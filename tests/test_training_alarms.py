"""Alarms on made-up logs: each fires on its own trouble, and stays silent on runs that go well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from fgdesign.training.alarms import Alarm, alarms

Log = list[dict[str, Any]]


def steps(losses: Sequence[float | None], stage: str = "tune", of: int = 0) -> Log:
    return [{"kind": "step", "stage": stage, "step": place, "of": of or len(losses), "loss": loss}
            for place, loss in enumerate(losses, 1)]


def known(losses: Sequence[float], auc: float = 0.9, **more: Any) -> Log:
    """Validations whose answers are more than guessed."""
    return [{**event, "metrics": {**event["metrics"], "roc_auc": auc}} for event in valid(losses, **more)]


def valid(losses: Sequence[float], *, best: Sequence[int] = (), stage: str = "tune", **more: Any) -> Log:
    return [{"kind": "valid", "stage": stage, "metrics": {"log_loss": loss}, "best": place in best, **more}
            for place, loss in enumerate(losses)]


def routed(loads: Sequence[Sequence[float]], entropy: float | None = 0.2) -> Log:
    return [{"kind": "valid", "stage": "tune", "metrics": {}, "best": True, "routers": {"gate": {
        "load": {f"branch_{i}": share for i, share in enumerate(load, 1)}, "entropy": entropy}}} for load in loads]


FALLING = [2.0 * 0.8**i + 0.1 for i in range(20)]
GROWN = [1.0, 0.5] + [0.4] * 10 + [1.5, 2.0, 2.5, 1.6, 2.0]
FLAT = [1.1, 1.09, 1.11, 1.1] * 5
NORMS: Log = [{"kind": "gradients", "stage": "tune", "nodes": {"head": 0.0}}]


@pytest.mark.parametrize(("log", "code", "said"), [
    (steps([1.0, 0.8, None]), "divergence", "no longer a number"),
    (steps([*FALLING, None]) + valid([0.6, 0.5, 0.7, 0.8], best=[0, 1]), "divergence", "no longer a number"),
    (steps(GROWN), "divergence", "has grown to 1.5, from 0.4"),
    (steps(GROWN) + known([0.5, 0.8]), "divergence", "has grown to 1.5"),
    (steps(GROWN) + known([0.5, 0.5], auc=0.52), "divergence", "has grown to 1.5"),
    (known([0.5], stage="probe", best=[0]) + steps(GROWN) + known([1.1]), "divergence", "has grown to 1.5"),
    (known([0.6], auc=0.85, stage="probe", best=[0]) + steps(FLAT[:5]) + known([1.1, 1.1], auc=0.6), "divergence",
     "ROC AUC 0.60 on the validation rows, 0.85 at its best"),
    (known([1.1], auc=0.55, stage="probe", best=[0]) + steps(FLAT) + known([1.1, 1.1], auc=0.55), "no-learning",
     "does not fall"),
    (known([0.6], stage="probe", best=[0]) + steps(FLAT) + known([0.7, 0.7]) + NORMS, "no-learning", "No gradient"),
    (steps(FALLING) + known([1.1, 1.4, 1.5], auc=0.5, best=[0]), "no-learning", "ROC AUC 0.50 on the validation rows"),
    (steps(FLAT) + valid([1.1, 1.1, 1.1]), "no-learning", "does not fall: 1.1 at first"),
    (steps(FLAT) + valid([1.1, 1.1]) + NORMS, "no-learning", "No gradient reaches any node"),
    (steps(FALLING) + valid([0.6, 0.5, 0.7, 0.8], best=[0, 1]), "overfitting", "0.8, 0.5 at its best"),
    (routed([(0.5, 0.3, 0.2), (0.95, 0.04, 0.01), (0.97, 0.02, 0.01)]), "collapse", "97% of the rows to branch_1"),
    (routed([(0.5, 0.5), (0.01, 0.99), (0.02, 0.98)]), "collapse", "98% of the rows to branch_2"),
], ids=["nan", "nan, by heart", "grown", "grown, worse", "grown, guessed", "grown, probe better", "lost", "guessed",
        "no gradient, known", "by heart, guessed", "flat", "no gradient", "overfits", "three branches", "two branches"])
def test_an_alarm_says_what_is_wrong_and_what_to_do(log: Log, code: str, said: str) -> None:
    found = alarms(log)
    assert [alarm.code for alarm in found] == [code]
    assert said in found[0].message and found[0].suggestion.endswith(".") and found[0].where in ("tune", "gate")


@pytest.mark.parametrize("log", [
    [], steps([2.0]), steps(FALLING) + valid([0.6, 0.5, 0.45], best=[0, 1, 2]),
    steps([0.9, 0.5, 0.52, 0.55, 0.6, 0.5, 0.58, 0.49, 0.6, 0.5, 0.55, 0.6]),
    steps(FLAT[:6]) + valid([1.1, 1.1]), steps(FLAT) + valid([1.1, 1.0], best=[1]),
    steps(FLAT[:12], of=100) + valid([1.1, 1.1]), steps(FALLING) + valid([0.6, 0.5, 0.7], best=[0, 1]),
    steps(FALLING) + valid([0.6, 0.5, 0.7, 0.51], best=[0, 1]),
    steps(list(reversed(FALLING[:5])) * 4) + valid([0.6, 0.5, 0.7, 0.8], best=[0]),
    routed([(0.5, 0.3, 0.2)] * 4), routed([(0.97, 0.03), (0.99, 0.01), (0.9, 0.1)]),
    routed([(0.99, 0.01)] * 4, entropy=None), routed([(0.99, 0.01)] * 2), routed([(1.0, 1.0, 0.0)] * 4),
    steps([-0.05, -0.08, 0.03, -0.07, -0.02, 0.05, -0.06, 0.02, 0.04, 0.0187, 0.03, 0.02]),
    steps(FLAT, "warm") + valid([1.1, 1.1, 1.1], stage="warm") + valid([0.9], best=[0]),
    steps([3.0, 2.9], "warm") + steps(FALLING, "tune"),
    known([0.64], stage="probe", best=[0]) + steps(GROWN) + known([0.65, 0.75]), steps(GROWN, of=100),
    known([0.64], stage="probe", best=[0]) + steps(FLAT) + known([0.7, 0.7]),
    steps(FALLING) + valid([0.6, 0.5, 0.55, 0.59], best=[0, 1]), steps(FALLING) + known([1.1, 1.1, 1.1], auc=0.58),
    steps(FALLING, "warm") + known([1.1] * 3, auc=0.5, stage="warm") + steps(FALLING) + known([0.9]),
    known([0.6], auc=0.85, stage="probe", best=[0]) + steps(FALLING) + known([1.1], auc=0.6) + known([0.6], auc=0.7),
    steps([*FALLING[10:15], *FALLING[:5], *FALLING[9:13], 0.1]) + valid([0.6, 0.5, 0.7, 0.8], best=[0]),
], ids=["nothing", "one step", "well", "noise", "too early", "better on validation", "a tenth of the way", "one worse",
        "back again", "loss rises too", "even", "once", "a rule", "two looks", "top two",
        "around nothing", "learns later", "two stages", "swings", "swings at first", "fitted before", "a little worse",
        "hard", "guessed in an earlier stage", "lost once", "one low batch"])
def test_a_run_that_goes_well_raises_none(log: Log) -> None:
    assert alarms(log) == []


def test_the_gravest_comes_first_and_stages_are_judged_alone() -> None:
    log = routed([(0.95, 0.04, 0.01)] * 3) + steps(FALLING) + valid([0.6, 0.5, 0.7, 0.8], best=[0, 1]) \
        + steps([1.0, None], "warm")
    found: list[Alarm] = alarms(log)
    assert [(alarm.code, alarm.where) for alarm in found] == [("divergence", "warm"), ("collapse", "gate"),
                                                              ("overfitting", "tune")]


def test_what_two_stages_suffer_from_is_said_once() -> None:
    worse = [0.6, 0.5, 0.7, 0.8]
    log = steps(FALLING, "warm") + valid(worse, stage="warm", best=[0, 1]) + steps(FALLING) + valid(worse)
    assert [(alarm.code, alarm.where) for alarm in alarms(log)] == [("overfitting", "tune")]


def test_a_real_run_is_judged_too(tiny_graph: Callable[[str], Any], tmp_path: Any) -> None:
    import pandas as pd
    from made_up_rows import write_rows

    import fgdesign as fg
    from fgdesign.runs.folder import RunFolder

    rows = pd.read_csv(write_rows(tmp_path / "rows.csv", 60))
    rows["label"] = rows["label"].sample(frac=1, random_state=0).to_numpy()  # nothing to learn
    rows.to_csv(tmp_path / "rows.csv", index=False)
    fg.train(tiny_graph("routed-experts"), tmp_path / "rows.csv", out=tmp_path / "run", epochs=6, patience=100,
             warm_epochs=0, rate=1.0, layer_rate=1.0, clip=0.0, schedule="constant", warm_up=0.0, device="cpu",
             batch_size=4)
    folder = RunFolder(tmp_path / "run")
    report = folder.report()
    assert report is not None and report["alarms"][0]["code"] == "divergence"
    assert folder.status()["state"] == "succeeded"
    assert folder.status()["message"].startswith("Finished. Alarm: Divergence")
    told = folder.examples()
    assert told is not None and told["rows"] == report["train"]["rows"] and len(told["examples"]) == 12
    assert {example["label"] for example in told["examples"]} == set(report["labels"])
    first = told["examples"][0]
    assert first["tokens"][0] == "[CLS]" and len(first["tokens"]) == first["length"] and not first["cut"]
