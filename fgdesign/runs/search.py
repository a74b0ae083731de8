"""A search over settings and graph choices: what it is, and what people ask of it. One trial is one run of the queue.

A search is a folder of the workspace: searches/NAME with search.json (what was asked, its state), graph.json,
trials.json (every trial as it stands, for pages and terminals) and study.db (the study of Optuna). It is moved on by
`fgdesign.runs.trials`, which the supervisor calls; Optuna is needed there, and to begin one. States: running, pausing,
resuming, stopping, then paused, done, stopped or failed. A deleted one, and the runs of its trials, can be brought back
for a week. Knows nothing of torch or screens.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DBAPIError

from fgdesign.errors import FgdesignError, InputError, MissingExtraError, RunError, choices
from fgdesign.graph import require_valid
from fgdesign.graph.spec import Graph, load_file, to_json
from fgdesign.runs.folder import workspace
from fgdesign.runs.good_space import good_space
from fgdesign.runs.process import file_lock
from fgdesign.runs.request import check_request
from fgdesign.runs.space import Space, check_space, read_space, varied, write_space
from fgdesign.runs.store import ENDED, KEPT_SECONDS, WAITING, Store
from fgdesign.training.metrics import LOWER
from fgdesign.training.settings import Settings, settings_from

AT_WORK = ("running", "pausing", "resuming", "stopping")
OPEN = ("running", "paused")  # states of a trial that has not ended
MOST_TRIALS = 10_000
TRIALS = 20
DELETED = "deleted"  # a file that hides a search, with the names of the runs that were deleted with it


@dataclass(frozen=True)
class Search:
    """The folder of a search."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    def told(self) -> dict[str, Any]:
        """state, message, data, settings, space, trials, parallel, prune, higher, created. Raises RunError."""
        try:
            told: dict[str, Any] = json.loads((self.path / "search.json").read_text("utf-8"))
        except (OSError, ValueError):
            raise RunError(f"'{self.path}' is not a search: it has no search.json. List them with: fgdesign searches"
                           ) from None
        return told

    def write(self, **changes: Any) -> None:
        """Change fields of search.json, all at once for readers."""
        with file_lock(self.path / "turn"):
            self._write("search.json", json.dumps((self.told() if self.exists else {}) | changes, indent=1))

    def change(self, states: Iterable[str], **changes: Any) -> bool:
        """Change fields where the state is one of these; whether it was. What people ask meanwhile is not lost."""
        with file_lock(self.path / "turn"):
            told = self.told()
            if told["state"] not in states:
                return False
            self._write("search.json", json.dumps(told | changes, indent=1))
            return True

    @property
    def exists(self) -> bool:
        return (self.path / "search.json").is_file()

    @property
    def is_at_work(self) -> bool:
        """False also where search.json cannot be read."""
        try:
            return self.told()["state"] in AT_WORK
        except (RunError, KeyError):
            return False

    def graph(self) -> Graph:
        return load_file(self.path / "graph.json")

    def settings(self) -> Settings:
        return settings_from(self.told()["settings"])

    def space(self) -> Space:
        return read_space(self.told()["space"])

    def trials(self) -> list[dict[str, Any]]:
        """number, run, state (running, paused, done, pruned, failed, called off), value, values, params, message."""
        try:
            found: list[dict[str, Any]] = json.loads((self.path / "trials.json").read_text("utf-8"))
        except (OSError, ValueError):
            return []
        return found

    def write_trials(self, trials: list[dict[str, Any]]) -> None:
        """Write trials.json where it says something else."""
        if trials != self.trials():
            self._write("trials.json", json.dumps(trials))

    def best(self) -> dict[str, Any] | None:
        """The trial with the best value that was trained to its end, or None."""
        done = [trial for trial in self.trials() if trial["state"] == "done"]
        sign = 1 if self.told()["higher"] else -1
        return max(done, key=lambda trial: sign * trial["value"], default=None)

    def chosen(self, number: int) -> tuple[Graph, Settings]:
        """The graph and the settings of a trial. Raises InputError for one that is not there."""
        params = {str(trial["number"]): trial["params"] for trial in self.trials()}
        if str(number) not in params:
            raise InputError(f"Search '{self.name}' has no trial {number}. {choices(params, str(number))}")
        return varied(self.graph(), self.settings(), params[str(number)])

    def run_name(self, number: int) -> str:
        """What the run of a trial is called: always the same, so that none is submitted twice."""
        return f"{self.name}-{number:03d}"

    def hide(self, runs: list[str] | None) -> None:
        """Leave the search out of lists, with these runs of its trials; None puts it back."""
        (self.path / DELETED).unlink(missing_ok=True) if runs is None else self._write(DELETED, json.dumps(runs))

    def hidden(self) -> list[str] | None:
        """The runs that were hidden with the search; None where it is not hidden."""
        try:
            found: list[str] = json.loads((self.path / DELETED).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return found

    def _write(self, name: str, text: str) -> None:
        aside = self.path / f"{name}.new"
        aside.write_text(text, "utf-8")
        aside.replace(self.path / name)


def begin(store: Store, graph: Graph, data: Mapping[str, str | None], settings: Settings, *,
          space: Space | None = None, trials: int = TRIALS, parallel: int = 1, prune: bool = True) -> Search:
    """Begin a search; the supervisor goes on with it. Raises FgdesignError for what cannot be searched.

    Args: data: as in `Store.submit`. space: what may change, by default what is good for the graph. parallel: trials
        at a time. prune: whether a trial ends early that is worse than the middle of those before it.
    """
    require_optuna()
    require_valid(graph)
    check_request(graph, data, settings)
    check_count(trials, "trials", MOST_TRIALS)
    check_count(parallel, "parallel", 64)
    space = good_space(graph, settings) if space is None else space
    check_space(space, graph, settings)
    base = store.root / "searches"
    base.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = next(base / name for name in (f"search-{stamp}", *(f"search-{stamp}-{i}" for i in range(2, 1000)))
                if not (base / name).exists())
    path.mkdir()
    found = Search(path)
    (path / "graph.json").write_text(to_json(graph), "utf-8")
    absolute = {key: str(Path(value).absolute()) if key in ("train", "valid", "test") and value else value
                for key, value in data.items()}
    found.write(format="fgdesign.search/1", state="running", message="", data=absolute, settings=settings.as_dict(),
                space=json.loads(write_space(space)), trials=trials, parallel=parallel, prune=prune,
                higher=settings.metric not in LOWER, created=time.time())
    store.wake()
    return found


def stop(store: Store, search: Search) -> None:
    """Ask no more, and end the trials at hand. Raises RunError for one that has ended."""
    if not search.change((*AT_WORK, "paused"), state="stopping", message="Ending the trials at hand."):
        raise RunError(f"Search '{search.name}' is not at work: its state is '{search.told()['state']}'.")
    store.wake()


def pause(store: Store, search: Search) -> None:
    """Ask no more, and put the runs of the trials at hand aside. Raises RunError for one that does not run."""
    if not search.change(("running", "resuming"), state="pausing", message="Putting the trials at hand aside."):
        raise RunError(f"Search '{search.name}' cannot be paused: its state is '{search.told()['state']}'. It must be "
                       "running.")
    store.wake()


def resume(store: Store, search: Search, *, more: int = 0) -> None:
    """Go on with a search that is paused or ended, with so many trials more than were asked for. Raises RunError.

    Runs of its trials that were put aside go on from their very step.
    """
    require_optuna()
    wanted = search.told()["trials"] + more
    if more:
        check_count(wanted, "trials", MOST_TRIALS)
    if not (search.change(("pausing", "paused", "failed"), state="resuming", message="", trials=wanted)
            or search.change(("done", "stopped"), state="running", message="", trials=wanted)):
        raise RunError(f"Search '{search.name}' is at work already.")
    store.wake()


def delete(store: Store, search: Search) -> None:
    """Hide a search and the runs of its trials; `undelete` brings them back, for a week. Raises RunError at work."""
    if search.is_at_work:
        raise RunError(f"Search '{search.name}' is at work. Stop it first: fgdesign searches stop {search.name}")
    runs = [job.name for job in store.jobs(group=search.name, states=(*WAITING, *ENDED)) if job.trial is not None]
    search.hide(runs)
    for name in runs:
        store.delete(name)


def undelete(store: Store, search: Search) -> None:
    """Bring a deleted search back, with the runs that were deleted with it."""
    there = {job.name for job in store.jobs(group=search.name, deleted=True)}
    for name in search.hidden() or ():
        if name in there:
            store.undelete(name)
    search.hide(None)


def purge(root: Path, older: float = KEPT_SECONDS) -> list[str]:
    """Remove for good what was deleted so many seconds ago; returns the names. `Store.purge` does so with the runs."""
    old = [search for search in list_searches(root, deleted=True)
           if (search.path / DELETED).stat().st_mtime < time.time() - older]
    for search in old:
        shutil.rmtree(search.path, ignore_errors=True)
    return [search.name for search in old]


def list_searches(root: Path | None = None, *, deleted: bool = False) -> list[Search]:
    """Searches of a workspace, the newest first; `deleted` lists deleted ones instead."""
    found = sorted((root or workspace()).glob("searches/*/search.json"), reverse=True)
    return [Search(file.parent) for file in found if (Search(file.parent).hidden() is not None) == deleted]


def find_search(name: str, root: Path | None = None, *, deleted: bool = False) -> Search:
    """A search by its name; "last" is the newest. `deleted`: one of the deleted. Raises RunError."""
    found = list_searches(root, deleted=deleted)
    for search in found[:1] if name == "last" else (one for one in found if one.name == name):
        return search
    raise RunError(f"There is no search '{name}'. {choices((one.name for one in found), name)}")


def advance_all(store: Store) -> bool:
    """Move every search on that is at work; whether one is."""
    active = [search for search in list_searches(store.root) if search.is_at_work]
    for search in active:
        try:
            require_optuna()
            from fgdesign.runs.trials import advance

            advance(search, store)
        except (OSError, DBAPIError):
            raise  # tried again at the next look
        except Exception as error:
            words = str(error) if isinstance(error, FgdesignError) else f"{type(error).__name__}: {error}"
            search.write(state="failed", message=words)
    return bool(active)


def require_optuna() -> None:
    """Raises MissingExtraError where Optuna is not installed."""
    if find_spec("optuna") is None:
        raise MissingExtraError("optuna", "search")


def check_count(value: int, name: str, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InputError(f"{name} is {value!r}; it is a whole number between 1 and {most:,}.")
