"""The training loop: what is kept, when it ends, and that a resumed run ends with the same bits."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from made_up_rows import write_rows

from fgdesign.graph import Graph
from fgdesign.model.device import available
from fgdesign.model.static import StaticCache
from fgdesign.runs.prepare import DataChoice, Prepared, prepare, read_data
from fgdesign.training import checkpoint, loop
from fgdesign.training.closed_form import fit_heads, fit_words
from fgdesign.training.loop import (
    Run,
    Stage,
    Stopped,
    fit,
    learned_state,
    run_stage,
    validate,
    warm_up_of,
    wins,
)
from fgdesign.training.metrics import luck_of
from fgdesign.training.optimise import rate_factor
from fgdesign.training.order import order_of
from fgdesign.training.settings import Settings
from fgdesign.training.stages import plan_stages, validations_of

QUICK = Settings(epochs=1, warm_epochs=2, batch_size=16, checkpoint_seconds=0)


class Crash(Exception):
    """The process died here."""


@dataclass
class Bench:
    """A prepared run in memory, its log as lines."""

    ready: Prepared
    stages: list[Stage]
    settings: Settings
    device: torch.device
    log: list[dict[str, Any]] = field(default_factory=list)

    def run(self, folder: Path | None = None, should_stop: Callable[[], bool] = lambda: False) -> Run:
        parts, data = self.ready.parts, self.ready.data
        return Run(self.ready.network, self.ready.goal, parts["train"], parts["valid"], data.labels, self.settings,
                   self.device, self.log.append, should_stop, folder, lambda: len(self.log))

    def lines(self) -> list[dict[str, Any]]:
        return [entry for entry in self.log if entry["kind"] not in ("note", "tick")]


@pytest.fixture
def bench(tiny_graph: Callable[[str], Graph], tmp_path: Path) -> Callable[..., Bench]:
    def make(graph: str | Graph, settings: Settings = QUICK, device: str = "cpu", cached: bool = True) -> Bench:
        data, splits = read_data(DataChoice(str(write_rows(tmp_path / "rows.csv", 90))))
        drawn, where = tiny_graph(graph) if isinstance(graph, str) else graph, torch.device(device)
        ready = prepare(drawn, data, splits, settings, device=where, note=lambda message: None)
        stages = plan_stages(ready.network, ready.goal, settings, len(splits.train), len(splits.valid), 8.0)
        if not cached:
            stages = [replace(stage, known=()) for stage in stages]
        ports = tuple({port: None for stage in stages for port in stage.known})
        for name in ("train", "valid"):
            StaticCache(tmp_path / "cache").fill(ready.network, ready.parts[name].inputs, ports, "tiny", where)
        return Bench(ready, stages, settings, where)

    return make


def state_of(run: Run) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in run.network.state_dict().items()}


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert not [name for name in one if not torch.equal(one[name], other[name])]


@pytest.mark.parametrize("device", available())
@pytest.mark.parametrize("name", ["routed-experts", "cheap-word-first"])
def test_a_run_learns_and_keeps_its_best(bench: Callable[..., Bench], name: str, device: str) -> None:
    made = bench(name, replace(QUICK, epochs=3), device)
    run = made.run()
    fit(run, made.stages)
    valid = [entry for entry in made.log if entry["kind"] == "valid"]
    order = [["probe", "warm", "tune"].index(entry["stage"]) for entry in valid]
    assert order == sorted(order) and order[0] == 0 and order[-1] == 2
    scores, losses = ([entry["metrics"][name] for entry in valid] for name in ("macro_f1", "log_loss"))
    equals = max(scores) - luck_of("single", "auto", len(run.valid))
    best = min((place for place, score in enumerate(scores) if score >= equals), key=losses.__getitem__)
    assert run.best_at == {key: valid[best][key] for key in ("stage", "epoch", "step")}
    assert [entry["best"] for entry in valid][best] and not any(entry["best"] for entry in valid[best + 1:])
    learned = learned_state(run.network)
    assert_same({key: tensor.cpu() for key, tensor in learned.items()}, run.best)
    steps = [entry for entry in made.log if entry["kind"] == "step"]
    assert [entry["progress"] for entry in steps] == sorted(entry["progress"] for entry in steps)
    assert steps[-1]["progress"] == pytest.approx(1.0) and all(math.isfinite(entry["loss"]) for entry in steps)


def test_heads_are_the_same_one_after_the_other_and_side_by_side(bench: Callable[..., Bench]) -> None:
    before, found = torch.get_num_threads(), []
    for threads in (1, 2):
        made = bench("cheap-word-first")
        run = made.run()
        torch.set_num_threads(threads)
        try:
            fit_words(run)
            nodes = fit_heads(run, made.stages[0].known)
        finally:
            torch.set_num_threads(before)
        assert len(nodes) > 1
        found.append({node: run.network.module_of(node).out.weight.detach() for node in nodes})
        assert all(weight.any() for weight in found[-1].values())
    assert found[0].keys() == found[1].keys()
    for node, weight in found[0].items():
        torch.testing.assert_close(found[1][node], weight, atol=1e-3, rtol=1e-3)


def test_every_validation_tells_of_routers_and_exits(bench: Callable[..., Bench]) -> None:
    made = bench("routed-experts")
    fit(made.run(), made.stages)
    told = [entry["routers"]["router"] for entry in made.log if entry["kind"] == "valid"]
    assert all(sum(router["load"].values()) == pytest.approx(1) and 0 <= router["entropy"] <= 1 for router in told)
    assert told[0]["agreement"] is None and 0 < told[-1]["agreement"] <= 1
    made = bench("early-exit")
    fit(made.run(), made.stages)
    exits = next(entry["exits"] for entry in made.log if entry["kind"] == "valid")
    assert [(entry["node"], entry["depth"]) for entry in exits] == [("exit_1", 1), ("exit_3", 3), ("answer", 6)]
    assert sum(entry["share"] for entry in exits) == pytest.approx(1)


def test_a_run_that_only_harms_keeps_what_it_began_with(bench: Callable[..., Bench]) -> None:
    made = bench("routed-experts", replace(QUICK, rate=1.0, warm_rate=1.0, layer_rate=1.0, clip=0.0, epochs=2))
    run = made.run()
    fit(run, made.stages)
    score = run.best_score
    first = next(entry for entry in made.log if entry["kind"] == "valid")
    assert run.best_score >= (first["metrics"]["macro_f1"], -round(first["metrics"]["log_loss"], 2))
    run.best = {}
    validate(run, made.stages[-1].known, {})
    assert run.best_score == pytest.approx(score, abs=0.011)


def test_a_stage_without_gain_ends_early(bench: Callable[..., Bench]) -> None:
    still = replace(QUICK, rate=0.0, warm_rate=0.0, layer_rate=0.0, epochs=9, patience=2, validations=1)
    made = bench("textbook-sentiment", still)
    run = made.run()
    fit(run, made.stages)
    assert run.best_at["stage"] == "probe" and run.epochs == {"warm": 2}
    notes = [entry["message"] for entry in made.log if entry["kind"] == "note"]
    assert "Stage warm ended early: no gain in 2 validations." in notes


def test_a_trial_decides_whether_layers_are_tuned(bench: Callable[..., Bench], tmp_path: Path) -> None:
    made = bench("auto", replace(QUICK, epochs=2))
    assert [(stage.name, stage.epochs, stage.trial) for stage in made.stages] == [("warm", 0, 0), ("tune", 2, 48)]
    harm = replace(QUICK, epochs=2, rate=1.0, layer_rate=1.0, clip=0.0, trial=3)
    made = bench("auto", harm)
    run = made.run(tmp_path / "checkpoints")
    fit(run, made.stages)
    steps = [entry["step"] for entry in made.log if entry["kind"] == "step"]
    assert max(steps) == 3 and run.best_at["stage"] == "probe"
    assert made.log[-1] == {"kind": "note", "message": "Stage tune gained nothing in a trial of 3 steps; what stood "
                                                       "before it is kept."}
    again = bench("auto", harm)  # a run resumed from the checkpoint of step 3 does not go on either
    fit(again.run(tmp_path / "checkpoints"), again.stages, checkpoint.latest(tmp_path / "checkpoints"))
    assert not [entry for entry in again.log if entry["kind"] == "step"]


def test_a_trial_that_gains_goes_on_to_the_end(bench: Callable[..., Bench]) -> None:
    made = bench("auto", replace(QUICK, epochs=2, trial=3, layer_rate=0.01))
    run = made.run()
    run.best, run.best_score, run.best_at = {"none": torch.zeros(())}, (-1.0, 0.0), {"stage": "probe"}
    run_stage(run, made.stages, 1, None)
    assert max(entry["step"] for entry in made.log if entry["kind"] == "step") == 10
    assert run.best_at["stage"] == "tune"


@pytest.mark.parametrize(("loss", "last"), [(1e3, 10), (0.0, 3)])
def test_a_trial_goes_on_where_the_loss_fell_though_the_metric_did_not(bench: Callable[..., Bench], loss: float,
                                                                       last: int) -> None:
    made = bench("auto", replace(QUICK, epochs=2, trial=3))
    run = made.run()
    run.best, run.best_score, run.best_at = {"none": torch.zeros(())}, (2.0, 0.0), {"stage": "probe"}
    run.best_loss = loss
    run_stage(run, made.stages, 1, None)
    assert max(entry["step"] for entry in made.log if entry["kind"] == "step") == last


@pytest.mark.parametrize(("measured", "kept"), [
    ([(0.900, 0.30), (0.903, 0.29)], 1),
    ([(0.900, 0.30), (0.899, 0.25)], 1),  # as good, and surer
    ([(0.900, 0.30), (0.899, 0.31)], 0),
    ([(0.900, 0.30), (0.905, 0.35)], 0),
    ([(0.900, 0.30), (0.915, 0.35)], 1),  # more than luck
    ([(0.900, 0.30), (0.885, 0.10)], 0),
    ([(0.900, 0.30), (0.893, 0.25), (0.888, 0.20)], 1),  # luck is not added up
    ([(0.900, 0.30), (0.900, 0.304)], 0),
    ([(0.900, 0.30), (0.900, 0.28)], 1),
])
def test_between_models_all_but_as_good_the_loss_decides(measured: list[tuple[float, float]], kept: int) -> None:
    assert luck_of("single", "auto", 100) == pytest.approx(0.01)
    best, highest = 0, -1.0
    for place, (value, loss) in enumerate(measured):
        highest, (before, before_loss) = max(highest, value), measured[best]
        if wins((value, -round(loss, 2)), loss, (before, -round(before_loss, 2)), before_loss, highest, 0.01):
            best = place
    assert best == kept


def test_losses_and_numbers_are_no_luck() -> None:
    assert luck_of("single", "log_loss", 100) == luck_of("regression", "auto", 100) == 0.0
    assert luck_of("multi", "accuracy", 400) == pytest.approx(0.005)


def test_what_is_kept_is_an_average_and_training_goes_on_from_the_weights_themselves(
        bench: Callable[..., Bench]) -> None:
    own, told = {}, {}  # two steps an epoch: the average begins with the fourth step
    for averaging in (0.0, 0.9):
        made = bench("textbook-sentiment", replace(QUICK, epochs=4, warm_epochs=0, validations=1, averaging=averaging))
        run, stage = made.run(), made.stages[-1]
        run_stage(run, made.stages, len(made.stages) - 1, None)
        own[averaging] = {n: p.detach().clone() for n, p in run.network.named_parameters() if n in stage.names}
        told[averaging] = [entry["metrics"]["log_loss"] for entry in made.log if entry["kind"] == "valid"]
    assert_same(own[0.0], own[0.9])
    assert [one == other for one, other in zip(told[0.0], told[0.9], strict=True)] == [True, True, False, False]


def test_a_trial_climbs_to_the_peak_rate_in_its_first_half_whatever_comes_after() -> None:
    assert [warm_up_of(0.1, trial, 1000) for trial in (0, 48, 400)] == [0.1, 0.024, 0.1]
    assert warm_up_of(0.0, 48, 1000) == 0.0


def test_validations_take_a_quarter_of_the_steps_time_at_most() -> None:
    assert [validations_of(Settings(), 4, rows, 1000) for rows in (9000, 4000, 770)] == [4, 3, 1]
    assert validations_of(replace(Settings(), validations=7), 4, 770, 1000) == 7


@pytest.mark.parametrize("name", ["cheap-word-first", "routed-experts"])
def test_exits_and_routers_are_trained_without_a_trial(bench: Callable[..., Bench], name: str) -> None:
    assert [stage.trial for stage in bench(name).stages] == [0, 0]


def test_a_stop_is_heard_at_once_and_leaves_the_best(bench: Callable[..., Bench]) -> None:
    made = bench("routed-experts")
    run = made.run(should_stop=lambda: True)
    with pytest.raises(Stopped):
        fit(run, made.stages)
    assert run.best_at["stage"] == "probe" and not [entry for entry in made.log if entry["kind"] == "step"]


def test_where_the_metric_is_undefined_something_is_kept(bench: Callable[..., Bench]) -> None:
    made = bench("textbook-sentiment")
    for part in made.ready.parts.values():  # a regression whose validation rows are all alike has no correlation
        part.targets = torch.full((len(part),), 2.0)
    run = made.run()
    run.network.plan = replace(run.network.plan, task="regression")
    run.objective = replace(run.objective, task="regression")
    fit(run, [])
    assert run.best and run.best_at["stage"] == "probe"
    assert made.log[-1]["metrics"].keys() == {"rows", "mae", "rmse"}


def interrupted(made: Bench, folder: Path, after: int, kind: type[Exception]) -> checkpoint.Snapshot | None:
    """Run until a stop was asked for `after` times, after steps and in validations, then die or be stopped."""
    count = iter(range(10_000))

    def should_stop() -> bool:
        reached = next(count) >= after
        if reached and kind is Crash:
            raise Crash
        return reached

    with pytest.raises(kind):
        fit(made.run(folder, should_stop), made.stages)
    return checkpoint.latest(folder)


SUMMED = replace(QUICK, batch_tokens=90, accumulate=2, schedule="cosine", rates="expert*=0.01", label_smoothing=0.1)


@pytest.mark.parametrize(("name", "settings"), [("routed-experts", QUICK), ("routed-experts", SUMMED),
                                                ("two-opinions", QUICK)])
def test_a_resumed_run_ends_with_the_same_bits(bench: Callable[..., Bench], tmp_path: Path, name: str,
                                               settings: Settings) -> None:
    whole = bench(name, settings)
    reference = whole.run(tmp_path / "whole")
    fit(reference, whole.stages)
    lengths = reference.train.inputs.lengths
    total = sum(order_of(lengths, stage.epochs, stage.batch_size, settings, place).total
                for place, stage in enumerate(whole.stages))
    for after, kind, lose in ((1, Stopped, 0), (2, Crash, 0), (total - 1, Crash, 1), (total, Stopped, 0)):
        folder = tmp_path / f"{after}-{kind.__name__}"
        broken = bench(name, settings)
        snapshot = interrupted(broken, folder, after, kind)
        for newest in sorted(folder.glob("step-*"))[-1:] * lose:
            shutil.rmtree(newest)
            snapshot = checkpoint.latest(folder)
        assert snapshot is not None or (kind, after) == (Crash, 2)  # it may die before anything was saved
        again = bench(name, settings)
        again.log = broken.log[:snapshot.state["log_size"]] if snapshot else []
        run = again.run(folder)
        fit(run, again.stages, snapshot)
        assert again.lines() == whole.lines(), (after, kind)
        assert_same(state_of(run), state_of(reference))
        assert (run.best_at, run.best_score, run.epochs) == (reference.best_at, reference.best_score, reference.epochs)


def test_a_run_that_ended_early_ends_so_again(bench: Callable[..., Bench], tmp_path: Path) -> None:
    still = replace(QUICK, rate=0.0, warm_rate=0.0, layer_rate=0.0, epochs=4, patience=1, validations=1)
    whole = bench("textbook-sentiment", still)
    fit(whole.run(tmp_path / "whole"), whole.stages)
    snapshot = checkpoint.latest(tmp_path / "whole")
    assert snapshot is not None and snapshot.state["position"]["stale"] == 1
    again = bench("textbook-sentiment", still)
    again.log = whole.log[:snapshot.state["log_size"]]
    fit(again.run(), again.stages, snapshot)
    assert again.log == whole.log


def test_a_checkpoint_from_before_averages_is_gone_on_with(bench: Callable[..., Bench], tmp_path: Path) -> None:
    made = bench("textbook-sentiment")
    snapshot = interrupted(made, tmp_path, 3, Stopped)
    assert snapshot is not None
    for name in ("loss", "best_loss"):
        del snapshot.state[name]
    snapshot.tensors = {name: tensor for name, tensor in snapshot.tensors.items() if not name.startswith("average/")}
    again = bench("textbook-sentiment")
    run = again.run()
    fit(run, again.stages, snapshot)
    assert run.best and math.isfinite(run.loss)


@pytest.mark.parametrize(("name", "close"), [("textbook-sentiment", 1e-4), ("routed-experts", 0.02)])
def test_cached_values_train_the_same(bench: Callable[..., Bench], name: str, close: float) -> None:
    losses: list[list[float]] = []
    for cached in (True, False):
        made = bench(name, cached=cached)
        run = made.run()
        for number in range(len(made.stages)):
            run_stage(run, made.stages, number, None)
        assert any(stage.known for stage in made.stages) == cached
        losses.append([entry["loss"] for entry in made.log if entry["kind"] == "step"])
    assert losses[0] == pytest.approx(losses[1], rel=close)


def test_summed_gradients_are_those_of_one_large_batch(bench: Callable[..., Bench]) -> None:
    """Batches are of like length, so the rows differ; one step over all rows is the same whatever the batches."""
    losses = []
    for settings in (replace(QUICK, epochs=2, batch_size=90, precision="float32"),
                     replace(QUICK, epochs=2, batch_size=16, accumulate=6, precision="float32")):
        made = bench("textbook-sentiment", settings)
        stages = [replace(stage, batch_size=settings.batch_size) for stage in made.stages]
        run = made.run()
        run_stage(run, stages, 0, None)
        steps = [entry for entry in made.log if entry["kind"] == "step"]
        assert [entry["step"] for entry in steps] == [1, 2]
        losses.append([entry["loss"] for entry in steps])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3) and losses[0][1] < losses[0][0]


def test_a_step_tells_rates_and_gradients(bench: Callable[..., Bench]) -> None:
    made = bench("routed-experts", replace(QUICK, epochs=2))
    fit(made.run(), made.stages)
    steps = [entry for entry in made.log if entry["kind"] == "step"]
    assert {tuple(entry["rates"]) for entry in steps} == {("all others",), ("pretrained layers", "all others")}
    looked = [entry for entry in made.log if entry["kind"] == "gradients"]
    warm, tune = (next(e for e in looked if e["stage"] == name) for name in ("warm", "tune"))
    assert "layer_6" in tune["nodes"] and "router" in tune["nodes"].keys() & warm["nodes"].keys()
    assert not any(node.startswith("layer") for node in warm["nodes"])
    assert all(math.isfinite(norm) and norm >= 0 for entry in looked for norm in entry["nodes"].values())


def test_slow_steps_are_told_between_the_lines_of_the_log(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LOGGED_STEPS", 2)
    made = bench("routed-experts", replace(QUICK, warm_epochs=4))
    start = state_of(made.run())
    monkeypatch.setattr(loop, "TICK_SECONDS", math.inf)  # none is slow
    fit(made.run(), made.stages)
    assert not [entry for entry in made.log if entry["kind"] == "tick"]
    lines, made.log = made.lines(), []
    made.ready.network.load_state_dict(start)
    monkeypatch.setattr(loop, "TICK_SECONDS", 0.0)
    fit(made.run(), made.stages)
    assert made.lines() == lines
    warm = [entry for entry in made.log if entry["kind"] in ("tick", "step") and entry["stage"] == "warm"]
    assert [entry["step"] for entry in warm] == list(range(1, warm[-1]["of"] + 1))
    assert {entry["kind"] for entry in warm} == {"tick", "step"}
    assert all(entry["rates"] and 0 < entry["progress"] <= 1 and math.isfinite(entry["loss"]) for entry in warm)


def test_stages_go_from_cheap_to_dear(bench: Callable[..., Bench]) -> None:
    found = {name: [(stage.name, stage.epochs) for stage in bench(name).stages] for name in
             ("routed-experts", "linear-probe", "gcn-experts", "words-only", "early-exit")}
    assert found == {"routed-experts": [("warm", 2), ("tune", 1)], "linear-probe": [("warm", 0)],
                     "gcn-experts": [("warm", 1)], "words-only": [], "early-exit": [("warm", 0)]}
    warm, tune = bench("routed-experts").stages
    assert warm.work < tune.work and set(warm.names) < set(tune.names)


def test_the_rate_climbs_and_falls() -> None:
    factors = [rate_factor(step / 20, 0.1) for step in range(21)]
    assert factors[0] < 0.05 and max(factors) == pytest.approx(1.0) == factors[2] and factors[20] == 0
    assert factors[2:] == sorted(factors[2:], reverse=True) and rate_factor(0.0, 0.0) == 1.0
