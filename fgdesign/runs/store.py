"""The record of all runs of a workspace: the queue, what people say about runs, what happened. Knows nothing of torch.

How a page uses it:

    store = open_store()                                # cached; cheap to call on every rerun
    run = store.submit(graph, {"train": file, "label": "topic"}, {"epochs": 3}, priority=1, owner="ann")
    for job in store.jobs(search="tickets", states=AT_WORK): ...     # frozen Job rows; job.folder is the RunFolder
    store.pause(run.name); store.resume(run.name)       # also stop, cancel, retry; each raises RunError with the reason
    store.reorder(run.name, before=other.name)          # also set_priority
    store.tag(run.name, ["good"]); store.note(run.name, "..."); store.star(run.name)
    store.delete(run.name); store.undelete(run.name)    # a deleted run can be brought back for a week
    store.move(run.name, -1); store.events(run.name)    # one place up in the queue; what happened to it

A submitted run is begun by the supervisor (`fgdesign.runs.supervisor.ensure` starts one). Curves, progress and reports
are read from the run's folder as ever: a run stays whole when its folder is copied.
States: queued -> starting -> running -> succeeded, failed or stopped; paused and cancelled by people; stopping while
a wish is carried out. Runs of `fgdesign train` in a terminal are adopted when the list is read.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Row, Select, and_, func, select, update

from fgdesign.errors import RunError, choices
from fgdesign.graph.spec import Graph
from fgdesign.runs.folder import RunFolder, list_runs, new_run_path, workspace
from fgdesign.runs.request import check_request, write_request
from fgdesign.runs.schema import happening, job, open_engine
from fgdesign.training.settings import settings_from

AT_WORK = ("starting", "running", "stopping")
WAITING = ("queued", "paused")
ENDED = ("succeeded", "failed", "cancelled", "stopped")
STATES = (*WAITING, *AT_WORK, *ENDED)
TURN = "Waiting for its turn."
KEEPS = "It is to stop: its best so far is kept as soon as it has its turn."
KEPT_SECONDS = 7 * 24 * 3600.0  # how long a deleted run can be brought back
WAITS = {"state": "queued", "stage": "", "progress": 0.0, "seconds_left": None, "message": TURN, "pid": 0,
         "started": 0.0, "managed": True}
WAKE = "wake"  # a file whose time tells the supervisor that something was asked


@dataclass(frozen=True)
class Job:
    """A run as the store knows it. Times are seconds since 1970; 0 where it has not happened."""

    name: str
    path: str
    state: str
    wanted: str
    managed: bool
    priority: int
    position: float
    device: str
    slot: str
    attempt: int
    failures: int
    reached: str
    not_before: float
    handle: str
    pid: int
    pid_mark: str
    heartbeat: float
    created: float
    started: float
    ended: float
    message: str
    owner: str
    group_name: str
    trial: int | None
    starred: bool
    tags: tuple[str, ...]
    note: str
    deleted_at: float | None

    @property
    def words(self) -> str:
        """What a search looks through."""
        return " ".join((self.name, self.note, self.group_name, *self.tags)).lower()

    @property
    def folder(self) -> RunFolder:
        return RunFolder(Path(self.path))


COLUMNS = [job.c[field.name] for field in fields(Job)]


class Store:
    """All questions and changes; every change is one transaction that holds only where the state still allows it."""

    def __init__(self, engine: Engine, root: Path) -> None:
        self.engine, self.root = engine, root
        self._reads = engine.execution_options(reads=True)

    def submit(self, graph: Graph, data: Mapping[str, str | None], settings: Mapping[str, Any] | None = None, *,
               priority: int = 0, group: str = "", owner: str = "", tags: Sequence[str] = (), note: str = "",
               start: str | None = None, trial: int | None = None,
               out: Path | None = None) -> RunFolder:
        """Put a run into the queue. Raises InputError for wrong settings or data; nothing is left behind then."""
        chosen = settings_from(dict(settings or {}))
        check_request(graph, data, chosen)
        stem = re.sub(r"[^A-Za-z0-9]+", "-", graph.name).strip("-").lower()[:40] or "graph"
        folder = RunFolder((out or new_run_path(stem, self.root)).absolute())
        other = self.find(folder.name)
        if other is not None and other.path != str(folder.path):
            raise RunError(f"There is a run '{folder.name}' already, in '{other.path}'. Choose another name for --out.")
        write_request(folder, graph, data, chosen, start=start, status=WAITS)
        now = time.time()
        self._add(folder, submitted=True, state="queued", managed=True, priority=priority, position=now,
                  device=chosen.device, created=now, owner=owner, group_name=group, tags=json.dumps(list(tags)),
                  note=note, trial=trial)
        self.say(folder.name, "queued")
        self.wake()
        return folder

    def jobs(self, *, states: Iterable[str] | None = None, search: str = "", tag: str = "", group: str = "",
             starred: bool = False, owner: str = "", deleted: bool = False) -> list[Job]:
        """Runs, the newest first; only those that fit all that is asked. `deleted` lists deleted ones instead."""
        self.adopt()
        asked = select(*COLUMNS).where(job.c.deleted_at.is_not(None) if deleted else job.c.deleted_at.is_(None))
        if states is not None:
            asked = asked.where(job.c.state.in_(list(states)))
        for column, value in ((job.c.group_name, group), (job.c.owner, owner)):
            asked = asked.where(column == value) if value else asked
        if starred:
            asked = asked.where(job.c.starred)
        found = self._jobs(asked.order_by(job.c.created.desc(), job.c.id.desc()))
        words = search.lower().split()
        return [one for one in found if (not tag or tag in one.tags) and all(word in one.words for word in words)]

    def at_hand(self) -> tuple[list[Job], list[Job], list[Job]]:
        """What holds a slot, what waits for one in its order, and what is put aside: as of one moment."""
        found = self._jobs(select(*COLUMNS).where(job.c.state.in_((*AT_WORK, *WAITING)), job.c.deleted_at.is_(None))
                           .order_by(job.c.priority.desc(), job.c.position, job.c.id))
        mine, queued = [one for one in found if one.managed], [one for one in found if one.state == "queued"]
        return [one for one in mine if one.state in AT_WORK], queued, [one for one in mine if one.state == "paused"]

    def queue(self) -> list[Job]:
        """What waits for a slot, in the order in which it will be begun."""
        return self.at_hand()[1]

    def active(self) -> list[Job]:
        """Managed runs that hold a slot."""
        return self.at_hand()[0]

    def waiting(self) -> list[Job]:
        """Managed runs that wait or are put aside."""
        return self._jobs(select(*COLUMNS).where(job.c.state.in_(WAITING), job.c.managed))

    def find(self, name: str) -> Job | None:
        """One run, or None where the record has none of that name."""
        return next(iter(self._jobs(select(*COLUMNS).where(job.c.name == name))), None)

    def job(self, name: str) -> Job:
        """One run. Raises RunError where there is none of that name."""
        found = self.find(name)
        if found is None:
            self.adopt()
            found = self.find(name)
        if found is None:
            raise RunError(f"There is no run '{name}' in the store. List runs with: fgdesign runs")
        return found

    def pause(self, name: str) -> None:
        """Put a run aside; it goes on from the very step by `resume`."""
        self._wish(name, "pause", "paused", "Paused.")

    def stop(self, name: str) -> None:
        """End a run after its present step, the best so far kept: at its next turn where it waits.

        One that has learned nothing yet and waits is cancelled.
        """
        self._wish(name, "stop", "cancelled", "Cancelled before it learned anything.")

    def cancel(self, name: str) -> None:
        """End a run at once and keep no model of it."""
        self._wish(name, "cancel", "cancelled", "Cancelled.")

    def resume(self, name: str) -> None:
        """Queue a run that is paused, is being paused or ended without success; it goes on from its last checkpoint."""
        if self.job(name).deleted_at:
            raise RunError(f"Run '{name}' is deleted. Bring it back first.")
        if self.change(name, ("stopping",), of_wish="pause", wanted="resume"):  # seen once it is aside
            return self.say(name, "resumed")
        one, allowed = self.job(name), ("paused", "failed", "cancelled", "stopped")
        if (one.state, one.wanted) == ("stopping", "resume"):
            return
        one.folder.unasked() if one.state in allowed else None
        self._moved(one, allowed, "go on with it", state="queued", wanted="run", managed=True, failures=0,
                    not_before=0.0, message=TURN, ended=0.0, handle="", pid=0, pid_mark="")
        one.folder.write_status(state="queued", message=TURN, pid=0, managed=True)
        self.say(name, "resumed")
        self.wake()

    def retry(self, name: str) -> None:
        """Queue a run that failed, was stopped or cancelled, from its beginning."""
        one = self.job(name)
        if one.state in ("failed", "cancelled", "stopped") and not one.deleted_at:
            one.folder.forget()
        self.resume(name)

    def set_priority(self, name: str, priority: int) -> None:
        """The higher, the sooner."""
        self._set(name, priority=priority)
        self.wake()

    def reorder(self, name: str, before: str | None) -> None:
        """Put a waiting run before another in the queue, or at the end of its priority."""
        one, queue = self.job(name), [other for other in self.queue() if other.name != name]
        names = [other.name for other in queue]
        if before is None or before not in names:
            if before is not None:
                raise RunError(f"Run '{before}' does not wait in the queue. {choices(names, before)}")
            last = max((other.position for other in queue if other.priority == one.priority), default=one.position)
            self._set(name, position=last + 1.0)
            return
        target = queue[names.index(before)]
        earlier = [other for other in queue[:names.index(before)] if other.priority == target.priority]
        low = earlier[-1].position if earlier else target.position - 2.0
        self._set(name, priority=target.priority, position=(low + target.position) / 2)

    def move(self, name: str, by: int) -> None:
        """Let a waiting run change places with the one before (-1) or after it (1); at the ends nothing happens."""
        queue = self.queue()
        place = next((number for number, other in enumerate(queue) if other.name == name), None)
        if place is None:
            raise RunError(f"Run '{name}' does not wait in the queue. {choices((one.name for one in queue), name)}")
        if 0 <= place + by < len(queue):
            one, other = queue[place], queue[place + by]
            self._set(one.name, priority=other.priority, position=other.position)
            self._set(other.name, priority=one.priority, position=one.position)

    def tag(self, name: str, tags: Sequence[str]) -> None:
        """Give a run these tags, and no others."""
        self._set(name, tags=json.dumps(list(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))))

    def note(self, name: str, text: str) -> None:
        """Write down what a person has to say about a run."""
        self._set(name, note=text)

    def regroup(self, name: str, group: str, trial: int | None = None) -> None:
        """Count a run among a group, as this trial of a search where it is one."""
        self._set(name, group_name=group, trial=trial)

    def star(self, name: str, on: bool = True) -> None:
        """Mark a run, or take the mark away."""
        self._set(name, starred=on)

    def delete(self, name: str) -> None:
        """Hide a run; `undelete` brings it back, for a week. Raises RunError while it is at work."""
        one = self.job(name)
        if not self.change(name, (*WAITING, *ENDED), deleted_at=time.time()):
            raise RunError(f"Cannot delete it: run '{name}' is {self.job(name).state}. Stop it first.")
        one.folder.hide(True)
        self.say(name, "deleted")

    def undelete(self, name: str) -> None:
        """Bring a deleted run back as it was."""
        self.job(name).folder.hide(False)
        self._set(name, deleted_at=None)
        self.say(name, "undeleted")

    def purge(self, older: float = KEPT_SECONDS) -> list[str]:
        """Remove for good what was deleted so many seconds ago; returns the names."""
        old = self._jobs(select(*COLUMNS).where(job.c.deleted_at < time.time() - older))
        for one in old:
            one.folder.remove()
            with self.engine.begin() as connection:
                for table, column in ((happening, happening.c.run), (job, job.c.name)):
                    connection.execute(table.delete().where(column == one.name))
        return [one.name for one in old]

    def events(self, name: str | None = None, since: int = 0) -> list[dict[str, Any]]:
        """What happened, the oldest first: id, run, time, kind, message."""
        asked = select(happening).where(happening.c.id > since).order_by(happening.c.id)
        with self._reads.connect() as connection:
            rows = connection.execute(asked if name is None else asked.where(happening.c.run == name))
            return [dict(row._mapping) for row in rows]

    def adopt(self) -> None:
        """Take runs into the record that were begun without it, and see how those of terminals are."""
        with self._reads.connect() as connection:
            rows = connection.execute(select(job.c.name, and_(~job.c.managed, job.c.state.in_(AT_WORK))))
            known: dict[str, bool] = {name: at_work for name, at_work in rows}
        for folder in list_runs(self.root):
            if known.get(folder.name, True):
                status = folder.status()
                told = {"state": as_state(status["state"]), "message": status["message"], "pid": status["pid"]}
                if folder.name in known:
                    self.change(folder.name, AT_WORK, **told)
                else:  # a submitted one is there where who submitted it did not get so far
                    self._add(folder, managed=status["managed"], created=status["started"] or time.time(),
                              position=time.time(), started=status["started"],
                              owner="" if status["managed"] else "terminal", **told)

    def change(self, name: str, states: Iterable[str], *, of_attempt: int | None = None, of_wish: str | None = None,
               **values: Any) -> bool:
        """Change a row where its state is one of these, its attempt and its wish the ones meant; whether it was."""
        changed = update(job).where(job.c.name == name, job.c.state.in_(list(states))).values(**values)
        if of_attempt is not None:
            changed = changed.where(job.c.attempt == of_attempt)
        if of_wish is not None:
            changed = changed.where(job.c.wanted == of_wish)
        with self.engine.begin() as connection:
            return connection.execute(changed).rowcount == 1

    def say(self, name: str, kind: str, message: str = "") -> None:
        """Note that something happened to a run."""
        with self.engine.begin() as connection:
            connection.execute(happening.insert().values(run=name, time=time.time(), kind=kind, message=message))

    def wake(self) -> None:
        """Tell the supervisor that something was asked."""
        file = self.root / WAKE
        file.touch()
        os.utime(file)

    def _wish(self, name: str, wish: str, at_rest: str, message: str) -> None:
        """Ask for something to be done with a run that is at work; one that waits is dealt with here."""
        while not ((one := self.job(name)).state == "stopping" and one.wanted == wish):  # from another page, say
            if self._met(one, wish, at_rest, message):
                break
            time.sleep(0.01)  # its state changed under the wish: another look
        else:
            return
        self.say(name, wish)
        self.wake()

    def _met(self, one: Job, wish: str, at_rest: str, message: str) -> bool:
        """Write a wish down for a run in the state that was seen; False where it is in another by now."""
        if one.state in ENDED or (one.state == "paused" and wish == "pause"):
            raise RunError(f"Run '{one.name}' is not at work: its state is '{one.state}'.")
        if one.state in AT_WORK:
            met = self.change(one.name, AT_WORK, state="stopping", wanted=wish) or not one.managed
            if met:
                one.folder.stop("pause" if wish == "pause" else "stop")
            return met
        if wish == "stop" and one.folder.has_learned() and (one.state == "paused" or not one.folder.asked_to_stop):
            one.folder.stop()  # seen once it is at work again
            at_rest, message = "queued", KEEPS
        met = self.change(one.name, (one.state,), state=at_rest, message=message,
                          ended=0.0 if at_rest == "queued" else time.time())
        if met:
            one.folder.write_status(state=at_rest, message=message, pid=0)
        return met

    def _moved(self, one: Job, states: Iterable[str], wish: str, **values: Any) -> None:
        if not self.change(one.name, states, **values):
            raise RunError(f"Cannot {wish}: run '{one.name}' is {self.job(one.name).state}. It must be one of: "
                           f"{', '.join(states)}.")

    def _set(self, name: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            if not connection.execute(update(job).where(job.c.name == name).values(**values)).rowcount:
                raise RunError(f"There is no run '{name}' in the store. List runs with: fgdesign runs")

    def _add(self, folder: RunFolder, *, submitted: bool = False, **values: Any) -> None:
        """Put a run in once; one just submitted may have been adopted by another reader already."""
        with self.engine.begin() as connection:
            if not connection.scalar(select(func.count()).where(job.c.name == folder.name)):
                connection.execute(job.insert().values(name=folder.name, path=str(folder.path.absolute()), **values))
            elif submitted:
                kept = {name: value for name, value in values.items() if name != "state"}
                connection.execute(update(job).where(job.c.name == folder.name, job.c.attempt == 0).values(**kept))

    def _jobs(self, asked: Select[Any]) -> list[Job]:
        with self._reads.connect() as connection:
            return [_job(row) for row in connection.execute(asked)]


def as_state(status: str) -> str:
    """A state of status.json as the store names it."""
    return "running" if status == "preparing" else status if status in STATES else "failed"


def _job(row: Row[Any]) -> Job:
    return Job(**{**row._mapping, "tags": tuple(json.loads(row.tags))})


def open_store(root: Path | None = None) -> Store:
    """The store of a workspace: FGDESIGN_STORE where it is set, else fgdesign.db in the workspace."""
    place = (root or workspace()).absolute()
    return _opened(os.environ.get("FGDESIGN_STORE") or str(place / "fgdesign.db"), place)


@lru_cache(maxsize=8)
def _opened(where: str, root: Path) -> Store:
    root.mkdir(parents=True, exist_ok=True)
    return Store(open_engine(where), root)
