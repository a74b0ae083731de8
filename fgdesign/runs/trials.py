"""Moves a search on: asks Optuna for trials, submits their runs, reports what they measure, prunes, tells the end.

Everything that is known stands in the study and in the store of runs, and each step is one that may be done again: a
process that dies between two is followed by one that comes to the same end. A trial's run has a name of its own, so
none is submitted twice; the sampler begins each trial with a seed of its own, so a search that was interrupted asks
what it would have asked. Knows nothing of torch or screens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, Trial, TrialState

from fgdesign.errors import FgdesignError, RunError
from fgdesign.graph import require_valid
from fgdesign.runs import store as jobs
from fgdesign.runs.compare import judged
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.process import try_lock
from fgdesign.runs.search import Search
from fgdesign.runs.space import Choice, as_drawn, varied
from fgdesign.runs.store import Job, Store

STARTUP = 8  # trials at random before the sampler learns from them
FEWEST = 4  # trials that were measured before one is pruned
UNTOUCHED = 2  # validations in which none is pruned
NAMES = {TrialState.RUNNING: "running", TrialState.WAITING: "waiting", TrialState.COMPLETE: "done",
         TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
BUSY_SECONDS = 75


def advance(search: Search, store: Store) -> None:
    """Do all that is due now. Raises OSError where the study cannot be reached at the moment."""
    held = try_lock(search.path / "lock")
    if held is None:
        return
    with held:
        try:
            _advance(search, store)
        except StorageInternalError as error:
            raise OSError(f"The study of {search.name}: {error}") from error


def _advance(search: Search, store: Store) -> None:
    told, study = search.told(), open_study(search)
    for frozen in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        job = _job(store, search.run_name(frozen.number))
        if job is not None:
            if job.group_name != search.name:  # who submitted it did not get so far
                store.regroup(job.name, search.name, frozen.number)
            _follow(study, frozen, job, store, told["state"])
        elif told["state"] == "stopping":
            _tell(study, frozen.number, "called off")
        elif told["state"] != "pausing":
            study.sampler = sampler_of(search, frozen.number)
            _submit(search, study, Trial(study, frozen._trial_id), store)
    if told["state"] == "running":
        _ask(search, study, store, told)
    found = study.get_trials(deepcopy=False)
    at_hand = {trial.number: _job(store, search.run_name(trial.number)) for trial in found
               if trial.state == TrialState.RUNNING}
    search.write_trials([_plain(search, trial, at_hand.get(trial.number)) for trial in found
                         if trial.state != TrialState.WAITING])
    _conclude(search, told, _count(found), list(at_hand.values()))


def _conclude(search: Search, told: Mapping[str, Any], count: int, at_hand: list[Job | None]) -> None:
    """Say where the search stands, unless people asked for something else meanwhile. at_hand: runs, None where none."""
    state = told["state"]
    if not at_hand and state == "stopping":
        search.change((state,), state="stopped", message="Stopped.")
    elif not at_hand and count >= told["trials"]:
        best = search.best()
        search.change((state,), state="done",
                      message="Every trial failed; the table says why." if best is None else "Finished.")
    elif state == "pausing" and all(job is None or job.state == "paused" for job in at_hand):
        search.change((state,), state="paused", message="Paused.")
    elif state == "resuming" and not any(job and (job.state == "paused" or _is_being_paused(job)) for job in at_hand):
        search.change((state,), state="running", message="")


def _ask(search: Search, study: optuna.Study, store: Store, told: Mapping[str, Any]) -> None:
    """As many new trials as may run; the first is the graph and the settings as they are."""
    space = search.space()
    if not study.get_trials(deepcopy=False):
        study.enqueue_trial(as_drawn(space, search.graph(), search.settings()))
    while True:
        trials = study.get_trials(deepcopy=False)
        flying = sum(trial.state == TrialState.RUNNING for trial in trials)
        if flying >= told["parallel"] or _count(trials) >= told["trials"]:
            return
        study.sampler = sampler_of(search, sum(trial.state != TrialState.WAITING for trial in trials))
        _submit(search, study, study.ask(), store)


def _count(trials: list[FrozenTrial]) -> int:
    """Trials that count: not those that somebody called off."""
    return sum(trial.state != TrialState.WAITING and trial.user_attrs.get("end") != "called off" for trial in trials)


def _submit(search: Search, study: optuna.Study, trial: Trial, store: Store) -> None:
    """Queue the run of a trial; a trial whose graph cannot be trained ends at once."""
    params = {}
    for place, (name, choice) in enumerate(search.space().items()):
        study.sampler = sampler_of(search, trial.number, place)  # the same, whatever was drawn before a death
        params[name] = suggest(trial, name, choice)
    try:
        graph, settings = varied(search.graph(), search.settings(), params)
        require_valid(graph)
    except FgdesignError as error:
        _tell(study, trial.number, "failed", str(error))
        return
    name = search.run_name(trial.number)
    store.submit(graph, search.told()["data"], settings.as_dict(), group=search.name, trial=trial.number,
                 out=store.root / "runs" / name)


def _follow(study: optuna.Study, frozen: FrozenTrial, job: Job, store: Store, state: str) -> None:
    """Report what was measured; end a trial that is not worth it, and tell of one that ended. state: of the search."""
    best = bests(job.folder)
    study.sampler = optuna.samplers.RandomSampler(0)  # nothing is asked here
    trial = Trial(study, frozen._trial_id)
    for step, value in enumerate(best):
        if value is not None and step not in frozen.intermediate_values:
            trial.report(value, step)
    if job.state in jobs.ENDED or job.deleted_at:
        _end(study, frozen, job)
    elif state == "stopping":
        _stop(store, job)
    elif state == "pausing" and job.state not in ("paused", "stopping"):
        _wish(store.pause, job)
    elif state == "resuming" and job.state == "paused":
        _wish(store.resume, job)
    elif best and not frozen.user_attrs.get("pruned") and trial.should_prune():
        trial.set_user_attr("pruned", True)
        _stop(store, job)
    elif frozen.user_attrs.get("pruned") and job.state != "stopping":
        _stop(store, job)


def _stop(store: Store, job: Job) -> None:
    """The ordinary stop, also of one that is just being put aside."""
    if job.state != "stopping" or _is_being_paused(job):
        _wish(store.stop, job)


def _wish(ask: Callable[[str], None], job: Job) -> None:
    """Ask for something; what just ended is seen at the next look."""
    with suppress(RunError):
        ask(job.name)


def _is_being_paused(job: Job) -> bool:
    return job.state == "stopping" and job.wanted == "pause"


def _end(study: optuna.Study, frozen: FrozenTrial, job: Job) -> None:
    """What the end of a run means for its trial."""
    if job.state == "cancelled" or job.deleted_at:
        _tell(study, frozen.number, "called off", "Its run was cancelled.")
        return
    value = final(job.folder) if job.state == "succeeded" else None
    if value is not None:
        study.tell(frozen.number, value)
    elif job.state == "stopped" and study.get_trials(deepcopy=False)[frozen.number].intermediate_values:
        study.tell(frozen.number, state=TrialState.PRUNED)
    else:
        _tell(study, frozen.number, "failed", job.message or "It was not measured.")


def _tell(study: optuna.Study, number: int, end: str, message: str = "") -> None:
    """End a trial without a value."""
    storage, trial = study._storage, study.get_trials(deepcopy=False)[number]
    for name, value in (("end", end), ("message", message[:2000])):
        storage.set_trial_user_attr(trial._trial_id, name, value)
    study.tell(number, state=TrialState.FAIL)


def bests(run: RunFolder) -> list[float | None]:
    """The best value of the metric that a run is judged by, up to each of its validations."""
    metric, higher = judged(run)
    found: list[float | None] = []
    for event in run.metrics():
        if event["kind"] == "valid":
            known = [value for value in (found[-1] if found else None, event["metrics"].get(metric))
                     if value is not None]
            found.append((max if higher else min)(known, default=None))
    return found


def final(run: RunFolder) -> float | None:
    """What a trial that ran to its end is worth: the metric on the validation rows, as in use."""
    value = (run.report() or {}).get("valid", {}).get(judged(run)[0])
    return None if value is None else float(value)


def importance(search: Search) -> dict[str, float]:
    """How much of the metric each choice decides, from 0 to 1 in sum; empty before enough trials are through."""
    study = open_study(search)
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(done) < FEWEST or len({trial.value for trial in done}) < 2:
        return {}
    return dict(optuna.importance.get_param_importances(study))


def suggest(trial: Trial, name: str, choice: Choice) -> Any:
    """The value of a choice in a trial: the one it has, or a new one where who asked did not get so far."""
    if choice.low is None or choice.high is None:
        return trial.suggest_categorical(name, choice.values)
    if choice.whole:
        return trial.suggest_int(name, int(choice.low), int(choice.high), log=choice.log)
    return trial.suggest_float(name, float(choice.low), float(choice.high), log=choice.log)


def sampler_of(search: Search, number: int, place: int = 0) -> optuna.samplers.BaseSampler:
    """Tree-structured Parzen estimators (Bergstra et al. 2011), with a seed of their own for each draw."""
    seed = np.random.SeedSequence([int(search.told()["settings"]["seed"]), number, place]).generate_state(1)[0]
    return optuna.samplers.TPESampler(seed=int(seed), n_startup_trials=STARTUP)


def open_study(search: Search) -> optuna.Study:
    """The study of a search; made where it is not there."""
    told = search.told()
    return _opened(search.path / "study.db", search.name, bool(told["higher"]), bool(told["prune"]))


@lru_cache(maxsize=8)
def _opened(file: Path, name: str, higher: bool, prune: bool) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{file}",
                                         engine_kwargs={"connect_args": {"timeout": BUSY_SECONDS}})
    pruner = optuna.pruners.MedianPruner(FEWEST, UNTOUCHED) if prune else optuna.pruners.NopPruner()
    return optuna.create_study(study_name=name, storage=storage, pruner=pruner, load_if_exists=True,
                               direction="maximize" if higher else "minimize")


def _job(store: Store, name: str) -> Job | None:
    try:
        return store.job(name)
    except RunError:
        return None


def _plain(search: Search, trial: FrozenTrial, job: Job | None) -> dict[str, Any]:
    """A trial as pages and terminals read it. job: its run, where it has not ended."""
    state = trial.user_attrs.get("end") or NAMES[trial.state]
    if job is not None and job.state == "paused":
        state = job.state
    return {"number": trial.number, "run": search.run_name(trial.number), "state": state,
            "value": trial.value if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) else None,
            "values": [trial.intermediate_values[step] for step in sorted(trial.intermediate_values)],
            "params": trial.params, "message": trial.user_attrs.get("message", "")}
