"""One training run from start to report, in the process that calls it. Knows nothing of screens.

Leaves a run folder that can be resumed at any moment, and a model folder at the end.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from fgdesign.errors import DeviceError, FgdesignError, RunError
from fgdesign.graph.infer import summarise
from fgdesign.graph.spec import Graph
from fgdesign.graph.starters import load_graph
from fgdesign.model.device import default_folder, out_of_memory_advice, pick_device
from fgdesign.model.static import StaticCache
from fgdesign.model.stored import load_network, save_network
from fgdesign.runs.folder import Onlooker, RunFolder, new_run_path
from fgdesign.runs.prepare import DataChoice, Prepared, prepare, read_data
from fgdesign.runs.process import DISK_FULL, is_disk_full, myself
from fgdesign.runs.ranks import asked, require, require_all, train_together
from fgdesign.runs.request import versions, write_request
from fgdesign.runs.sinks import outbox
from fgdesign.runs.watch import watching, write_examples
from fgdesign.training import checkpoint
from fgdesign.training.alarms import alarms, names
from fgdesign.training.calibrate import pick_thresholds
from fgdesign.training.evaluate import answer_rows, as_outputs, report
from fgdesign.training.loop import Run, Stage, Stopped, fit, validation_opinions
from fgdesign.training.metrics import evaluate as measure
from fgdesign.training.metrics import judged_by
from fgdesign.training.rows import collect
from fgdesign.training.settings import Settings, settings_from
from fgdesign.training.shards import Group, RankLost
from fgdesign.training.stages import plan_stages, work_per_row

Say = Callable[[str], None]
STATUS_SECONDS = 0.3
SHOWN = ("accuracy", "macro_f1", "micro_f1", "log_loss", "pearson", "mae")
NO_MEMORY = ("out of memory", "can't allocate memory", "could not create a primitive")  # torch's, and oneDNN's
MESSAGES = {("succeeded", True): "Finished.", ("stopped", True): "Stopped; the best so far is kept.",
            ("stopped", False): "Stopped before anything was learned; there is no model.",
            ("paused", True): "Paused.", ("paused", False): "Paused."}


@dataclass
class Clock:
    """Seconds by phase."""

    seconds: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def all(self) -> dict[str, float]:
        return {**self.seconds, "total": time.perf_counter() - self.began}


def train(source: str | Path | Graph, choice: DataChoice, settings: Settings, *, out: str | Path | None = None,
          start: str | None = None, say: Say = print) -> RunFolder:
    """Train a graph on files and write the run folder. Raises FgdesignError; the folder then says why."""
    graph = load_graph(source)
    folder = RunFolder(Path(out) if out else new_run_path(graph.name))
    pick_device(settings.device)
    require(settings)
    folder.path.mkdir(parents=True, exist_ok=True)
    with folder.locked():
        write_request(folder, graph, asdict(choice), settings, start=start)
        if settings.processes == 1:
            return _carry_out(folder, say, None, Group())
    return train_together(folder, settings.processes, say)


def resume(folder: RunFolder, say: Say = print) -> RunFolder:
    """Go on with a run from its last whole checkpoint, or from its start. Raises FgdesignError."""
    if folder.status()["state"] == "succeeded":
        raise RunError(f"Run '{folder.path}' is finished. Train again with: fgdesign train")
    folder.unasked()
    processes = asked(folder)
    return carry_on(folder, say) if processes == 1 else train_together(folder, processes, say)


def carry_on(folder: RunFolder, say: Say = print, group: Group | None = None) -> RunFolder:
    """The same for a run that may be asked to stop already, by this process and its group. Raises FgdesignError."""
    group = group or Group()
    folder = folder if group.first else Onlooker(folder.path)
    with folder.locked():
        snapshot = _last_checkpoint(folder, say) if group.first else None
        if group.heard(lambda: snapshot is not None) and snapshot is None:
            snapshot = checkpoint.latest(folder.checkpoints)
        return _carry_out(folder, say, snapshot, group)


def _last_checkpoint(folder: RunFolder, say: Say) -> checkpoint.Snapshot | None:
    """From where a run goes on, the log cut to it; damaged checkpoints are set aside."""
    before = set(folder.checkpoints.glob("broken-*"))
    snapshot, begun = checkpoint.latest(folder.checkpoints), folder.log_size() > 0
    folder.cut_log(snapshot.state["log_size"] if snapshot else 0)
    for broken in sorted(set(folder.checkpoints.glob("broken-*")) - before):
        folder.log({"kind": "note", "message": f"A checkpoint was damaged and is set aside: {broken.name}."})
    if snapshot is None and begun:
        say("There is no whole checkpoint; starting from the beginning.")
    return snapshot


def _carry_out(folder: RunFolder, say: Say, snapshot: checkpoint.Snapshot | None, group: Group) -> RunFolder:
    clock = Clock()
    folder.write_status(state="preparing", stage="data", progress=0.0, seconds_left=None, message="Reading the data.",
                        latest=None, started=time.time(), **myself())
    try:
        with outbox(folder, folder.config().get("sinks", ()) if group.first else (), say) as box:
            state = _train(folder, say, clock, snapshot, group)
            if box is not None:
                box.complete = state == "succeeded"
    except RankLost:  # the one that ended knows why, or its end is seen from outside
        raise
    except BaseException as error:
        folder = RunFolder(folder.path)  # whoever fails says so
        if is_disk_full(error):
            folder.write_status(state="paused", message=DISK_FULL)
            raise RunError(f"{DISK_FULL} Then: fgdesign resume {folder.path}") from error
        folder.write_status(state="failed", message=_reason(folder, error))
        raise
    if not group.first:
        return folder
    done = {"progress": 1.0, "stage": "done"} if state != "paused" else {}
    bad = names((folder.report() or {}).get("alarms", ())) if done else ()
    message = MESSAGES[state, (folder.model / "config.json").is_file()] + (f" Alarm: {', '.join(bad)}." if bad else "")
    folder.write_status(state=state, seconds_left=None if state == "paused" else 0.0, message=message, **done)
    if state == "succeeded":  # nothing goes on from a checkpoint any more, and two are larger than the model
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
    return folder


def _reason(folder: RunFolder, error: BaseException) -> str:
    """Why a run failed, in words."""
    if isinstance(error, KeyboardInterrupt | BrokenPipeError):  # who started it has ended it, or is gone
        return f"Interrupted. Go on with: fgdesign resume {folder.path}"
    return str(error) if isinstance(error, FgdesignError) else f"{type(error).__name__}: {error}"


def _train(folder: RunFolder, say: Say, clock: Clock, snapshot: checkpoint.Snapshot | None, group: Group) -> str:
    config = folder.config()
    settings = settings_from(config["settings"])
    require(settings)
    require_all(settings, group.size)
    device = group.device(pick_device(settings.device))
    with _out_of_memory(settings, device), watching(folder, device) if group.first else nullcontext():
        return _learn(folder, config, settings, device, clock, say, snapshot, group)


@contextmanager
def _out_of_memory(settings: Settings, device: torch.device) -> Iterator[None]:
    """Turn what any device says when its memory is full into advice."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and not any(words in str(error).lower() for words in NO_MEMORY):
            raise
        raise DeviceError(out_of_memory_advice(settings.batch_size, device)) from None


def _learn(folder: RunFolder, config: dict[str, Any], settings: Settings, device: torch.device, clock: Clock, say: Say,
           snapshot: checkpoint.Snapshot | None, group: Group) -> str:
    note = _noter(folder, say)
    with clock.phase("data"):
        data, splits = read_data(DataChoice(**config["data"]))
        for message in (*data.notes, *splits.notes):
            note(message)
        _check_same_data(config, data.sha256)
        judged_by(data.task.kind, settings.metric)
    with clock.phase("build"):
        start, old = load_network(Path(config["start"]) / "model") if config.get("start") else (None, [])
        ready = prepare(folder.graph(), data, splits, settings, device=device, note=note,
                        start=start, start_labels=old)
        lengths = ready.parts["train"].inputs.lengths
        stages = plan_stages(ready.network, ready.goal, settings, len(lengths), len(ready.parts["valid"]),
                             float(lengths.mean()))
    config |= {"labels": list(data.labels), "task": data.task.kind, "data_sha256": data.sha256,
               "columns": asdict(data.columns), "graph_sha256": ready.graph.identity,
               "rows": {name: len(rows) for name, rows in ready.parts.items()}, "threads": torch.get_num_threads(),
               "tokens": float(lengths.mean()),
               "device": str(device), "name": Path(config["data"]["train"]).name}
    folder.write("config.json", config)
    write_examples(folder, ready)
    share = _static_share(ready, stages)
    with clock.phase("static"), group.lent():
        filled = group.heard(lambda: _fill(folder, ready, stages, device, note, share))
        if filled and not group.first:  # what the first has computed is read
            filled = _fill(folder, ready, stages, device, note, share)
    if not filled:
        return _ending(folder)
    run = Run(ready.network, ready.goal, ready.parts["train"], ready.parts["valid"], data.labels, settings, device,
              _logger(folder, say, share), lambda: folder.asked_to_stop,
              folder.checkpoints if group.first else None, folder.log_size, group=group)
    state = "succeeded"
    with clock.phase("training"):
        try:
            fit(run, stages, snapshot)
        except Stopped:
            state = _ending(folder)
            if state == "paused" or not run.best:
                return state
    if not group.first:
        return state
    for word in ready.network.lexicals().values():
        word.forget()
    if state == "stopped":  # a person waits: what was measured when it was best is enough
        save_model(ready, folder)
        folder.write("report.json", _about(folder, ready, run) | _as_logged(folder) | {
            "seconds": clock.all(), "state": state, "alarms": _alarms(folder)})
        return state
    folder.write_status(stage="report", message="Measuring.")
    with clock.phase("calibration"), group.lent():
        known = _known(run, stages)
        opinions = validation_opinions(run, known)
        threshold = pick_thresholds(ready.network, opinions, ready.parts["valid"].targets)
    save_model(ready, folder)
    with clock.phase("evaluation"), group.lent():
        result = _report(folder, ready, run, known, device)
    result |= {"seconds": clock.all(), "threshold": threshold, "state": state, "alarms": _alarms(folder)}
    folder.write("report.json", result)
    return state


def _alarms(folder: RunFolder) -> list[dict[str, Any]]:
    return [asdict(alarm) for alarm in alarms(folder.metrics())]


def _ending(folder: RunFolder) -> str:
    """How a run ends that was asked to."""
    return "paused" if folder.asked_to_pause else "stopped"


def _known(run: Run, stages: list[Stage]) -> tuple[str, ...]:
    """The static values of the stage that won: deeper ones where the pretrained layers stayed as they came."""
    if not stages:
        return ()
    return next((stage.known for stage in stages if stage.name == run.best_at["stage"]), stages[0].known)


def _fill(folder: RunFolder, ready: Prepared, stages: list[Stage], device: torch.device, note: Say,
          share: float) -> bool:
    """Compute and keep the static values that the stages, and what is measured after them, read.

    share: of all the work of the run. Returns whether it came to the end: it does not when asked to stop.
    """
    cache, network = StaticCache(default_folder()), ready.network
    ports = {port: None for stage in stages for port in stage.known}
    if not ports:
        return True
    rows_before, all_rows = 0, len(ready.parts["train"]) + len(ready.parts["valid"])
    for name in ("train", "valid"):
        def shown(done: int, rows: int, name: str = name, before: int = rows_before) -> None:
            folder.write_status(stage="static", progress=share * (before + done) / all_rows,
                                message=f"Computing the static part of the {name} rows: {done:,} of {rows:,}.")
            if folder.asked_to_stop:
                raise Stopped

        rows_before += len(ready.parts[name])
        inputs = ready.parts[name].inputs
        try:
            computed = cache.fill(network, inputs, tuple(ports), ready.tokenizer_hash, device, shown)
        except Stopped:
            return False
        note(f"Static part of {len(inputs):,} {name} rows: {computed:,} computed, the rest was known.")
    return True


def _static_share(ready: Prepared, stages: list[Stage]) -> float:
    """Which share of the run's work the static part is."""
    ports = tuple({port: None for stage in stages for port in stage.known})
    tokens = float(ready.parts["train"].inputs.lengths.mean())
    rows = len(ready.parts["train"]) + len(ready.parts["valid"])
    static = rows * work_per_row(ready.network, ports, (), tokens) if ports else 0.0
    return static / max(1.0, static + sum(stage.work for stage in stages))


def save_model(ready: Prepared, folder: RunFolder) -> None:
    """model/: safetensors, configuration and tokeniser, as transformers reads them; whole or not at all."""
    aside = folder.path / "model.new"
    shutil.rmtree(aside, ignore_errors=True)
    save_network(ready.network, ready.data.labels, aside)
    ready.tokenizer.save_pretrained(aside)
    shutil.rmtree(folder.model, ignore_errors=True)
    aside.rename(folder.model)


def _about(folder: RunFolder, ready: Prepared, run: Run) -> dict[str, Any]:
    """What `report.json` and `train --json` say about a run before anything is measured."""
    network, labels, task = ready.network, ready.data.labels, ready.data.task.kind
    totals = summarise(ready.graph, network.plan.classes)
    result: dict[str, Any] = {
        "run": str(folder.path), "name": folder.name, "graph": ready.graph.name, "task": task, "labels": list(labels),
        "parameters": sum(p.numel() for p in network.parameters()),
        "trained_parameters": sum(p.numel() for p in network.parameters() if p.requires_grad),
        "macs_per_token": totals.macs_per_token, "epochs": sum(run.epochs.values()), "best_at": run.best_at,
        "notes": [*ready.data.notes, *ready.splits.notes, *ready.notes], "versions": versions(), "hashes": {
            "graph": ready.graph.identity, "data": ready.data.sha256, "tokenizer": ready.tokenizer_hash},
    }
    return result | {"trained_share": result["trained_parameters"] / max(1, result["parameters"])}


def _as_logged(folder: RunFolder) -> dict[str, Any]:
    """The validation at which a run was best, as its log has it."""
    best = [entry for entry in folder.metrics() if entry["kind"] == "valid" and entry["best"]][-1]
    rows = int(best["metrics"].get("rows", 0))
    exits = [{"rows": round(entry["share"] * rows), **entry} for entry in best["exits"]]
    layers = {"mean_layers": sum(entry["share"] * entry["depth"] for entry in exits)} if exits else {}
    return {"valid": {**best["metrics"], **layers}, "routers": best["routers"], "exits": exits, **layers}


def _report(folder: RunFolder, ready: Prepared, run: Run, known: tuple[str, ...],
            device: torch.device) -> dict[str, Any]:
    """The same with all that is measured. The test part, else validation, is answered as in use."""
    network, labels, task = ready.network, ready.data.labels, ready.data.task.kind
    result = _about(folder, ready, run)
    for name, rows in ready.parts.items():
        if not len(rows):
            continue
        shown = answer_rows(network, rows.inputs, device, known=known if name != "test" else ())
        told = report(shown, rows.targets, task, labels, run.agreement)
        result[name] = {**told["metrics"], "mean_layers": told["mean_layers"]}
        if name != "train":
            result |= {"routers": told["routers"], "exits": told["exits"], "mean_layers": told["mean_layers"]}
    if network.nodes_of_role("exit"):
        result["full_depth"] = full_depth(ready, "test" if "test" in result else "valid", device)
    return result


def full_depth(ready: Prepared, part: str, device: torch.device) -> dict[str, Any]:
    """Metrics of one part when no row leaves early: what the exits are measured against."""
    network, rows = ready.network, ready.parts[part]
    logits = collect(network, rows.inputs, device, (network.answer,))[network.answer]
    told = measure(ready.data.task.kind, as_outputs(logits, ready.data.task.kind), rows.targets.numpy(),
                   ready.data.labels, threshold=float(network.decision))
    return {key: value for key, value in told.items() if isinstance(value, int | float)}


def _check_same_data(config: dict[str, Any], sha256: str) -> None:
    if config.get("data_sha256") not in (None, sha256):
        raise RunError("The data files have changed since this run began, so it cannot be resumed. Put the old files "
                       "back, or train anew.")


def _noter(folder: RunFolder, say: Say) -> Say:
    known = {entry["message"] for entry in folder.metrics() if entry["kind"] == "note"}  # before a resumption

    def note(message: str) -> None:
        if message not in known:
            folder.log({"kind": "note", "message": message})
        say(message)

    return note


def _logger(folder: RunFolder, say: Say, static: float) -> Callable[[dict[str, Any]], None]:
    """Log entries to the folder, the status file and the person. static: share of the work before the first stage."""
    started: dict[str, tuple[float, float]] = {}
    written = 0.0

    def log(entry: dict[str, Any]) -> None:
        nonlocal written
        if entry["kind"] != "tick":
            folder.log(entry)
        now = time.monotonic()
        if entry["kind"] == "note":
            say(entry["message"])
        elif entry["kind"] == "valid":
            shown = ", ".join(f"{key} {value:.4f}" for key, value in entry["metrics"].items() if key in SHOWN)
            say(f"{entry['stage']} epoch {entry['epoch'] + 1} step {entry['step']}: {shown}")
        elif entry["kind"] in ("step", "tick"):
            since, first = started.setdefault(entry["stage"], (now, entry["progress"]))
            gained, missing = entry["progress"] - first, 1 - entry["progress"]
            if now - written >= STATUS_SECONDS or not missing:
                folder.write_status(state="running", stage=entry["stage"], progress=1 - (1 - static) * missing,
                                    latest=entry | {"time": time.time()} if entry["kind"] == "tick" else None,
                                    seconds_left=(now - since) / gained * missing if gained else None,
                                    message=f"Stage {entry['stage']}, step {entry['step']} of {entry['of']}.")
                written = now

    return log
