"""The supervisor of a workspace: begins what waits, looks after what runs, takes up again what died.

One process at a time, elected by a lock that the system drops at any death. It holds nothing that the store and the
run folders do not say: a run goes on while no supervisor is there, and the next one adopts it. Whatever happens to a
run is first written to its folder and then to the store, by a change that holds only for the same attempt; after a
kill between the two, the next look comes to the same end. Knows nothing of torch or screens.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

from sqlalchemy.exc import DBAPIError

from fgdesign.runs.executor import COMMAND, Executor, executor_wanted, pick_slot, slots_in, slots_of_machine
from fgdesign.runs.folder import workspace
from fgdesign.runs.process import is_locked, try_lock
from fgdesign.runs.ranks import asked
from fgdesign.runs.search import advance_all, purge
from fgdesign.runs.settle import Death, memory_kills, settle, take_aside
from fgdesign.runs.store import WAKE, Job, Store, open_store
from fgdesign.runs.worker import Order

LOCK, LOG, PID = "supervisor.lock", "supervisor.log", "supervisor.pid"
SWITCH = "FGDESIGN_SUPERVISOR"  # "off": nobody starts one on demand
TICK = 0.15  # seconds between two looks at the wake file and the processes
LOOK = 5.0  # seconds after which the store is looked at in any case
SEARCH_LOOK = 1.0  # the same while a search is at work, whose trials may be pruned
TIDY = 3600.0  # seconds between two looks for what was deleted long ago
WARM_AFTER = 2.0  # seconds before a worker is made ready, so that a page that opens comes first
WARM_AGAIN = 4.0  # the same after a run was given the one before, so that its first step comes first
VISIT = 60.0  # seconds between two visits of an app
IDLE = 180.0  # seconds without work or visits after which one that was started on demand ends
GRACE = {"cancel": 0.0, "pause": 1.5, "resume": 1.5, "stop": 1.5}  # seconds a run has to end by itself
SAVING = 60.0  # the same for a stop of a run that has learned something, which it saves
ELECTIONS = 20  # tries to become the supervisor
LONGEST_WAIT = 60.0  # seconds before another attempt, also where a clock was set back


class Supervisor:
    """One look after another at a store; `run` does it until it is told to end."""

    def __init__(self, store: Store, executor: Executor, slots: Sequence[str]) -> None:
        self.store, self.executor, self.slots = store, executor, slots
        self.ending = False
        self._watched: dict[str, Job] = {}
        self._wished: dict[str, float] = {}
        self._asked: dict[tuple[str, int], int] = {}
        self._searching = False
        self._memory_kills = memory_kills()
        self._warm_at = time.monotonic() + WARM_AFTER
        self._tidied = time.monotonic() - TIDY

    def run(self, idle: float | None = None) -> None:
        """Look after the store until `ending` is set, or nothing was to be done for `idle` seconds."""
        seen, looked, busy = -1.0, -LOOK, time.monotonic()
        while not self.ending:
            now, woken = time.monotonic(), self._woken()
            due = now - looked >= (SEARCH_LOOK if self._searching else LOOK)
            if woken != seen or due or self._something_ended() or self._wished:
                busy = now if woken != seen else busy
                seen, looked = woken, now
                try:
                    busy = now if self.look() else busy
                except (DBAPIError, OSError) as error:  # a locked store, a full disk: tried again at the next look
                    print(f"{time.ctime()} {error}", flush=True)
            if now > self._warm_at:
                self.executor.warm()
            if idle is not None and now - busy > idle:
                return
            time.sleep(TICK)

    def look(self) -> bool:
        """See to everything once; whether anything is at work or waits."""
        if time.monotonic() - self._tidied >= TIDY:
            self._tidied = time.monotonic()
            self.store.purge()
            purge(self.store.root)
        active = self.store.active()
        for job in active:
            if not self.executor.is_alive(job.pid, job.pid_mark):
                self._settle(job)
            elif job.state == "stopping":
                self._end(job)
        for job in self.store.waiting():
            if job.folder.told()["state"] != job.state:  # who put it there did not get so far
                job.folder.write_status(state=job.state, message=job.message, pid=0, managed=True)
        self._searching = advance_all(self.store)
        self._begin()
        active = self.store.active()
        self._watched = {job.name: job for job in active}
        self._wished = {name: since for name, since in self._wished.items() if name in self._watched}
        for job in active:
            if time.time() - job.heartbeat > LOOK:
                self.store.change(job.name, (job.state,), of_attempt=job.attempt, heartbeat=time.time())
        return bool(active or self._searching or self.store.queue())

    def _woken(self) -> float:
        try:
            return (self.store.root / WAKE).stat().st_mtime_ns
        except OSError:
            return 0.0

    def _something_ended(self) -> bool:
        return any(not self.executor.is_alive(job.pid, job.pid_mark) for job in self._watched.values())

    def _begin(self) -> None:
        """Give free slots to what waits, in its order; GPUs are kept free for a run that needs more than are."""
        used = Counter(one for other in self.store.active() for one in slots_in(other.slot))
        gpus = [slot for slot in self.slots if slot.startswith("cuda")]
        for job in self.store.queue():
            if 0 < job.not_before - time.time() < LONGEST_WAIT:
                continue
            processes = self._processes(job) if gpus else 1  # elsewhere they share one slot
            slot = pick_slot(job.device, self.slots, used, processes)
            if slot is None and processes > 1 and job.device != "cpu":
                used.update(gpus)
            if slot is not None and self._start(job, slot):
                used.update(slots_in(slot))

    def _processes(self, job: Job) -> int:
        """How many processes a waiting run asks for; read once for each attempt, for many runs may wait."""
        key = (job.name, job.attempt)
        if key not in self._asked:
            self._asked[key] = asked(job.folder)
        return self._asked[key]

    def _start(self, job: Job, slot: str) -> bool:
        """Begin an attempt; whether it was. Only then is the worker told: one that dies before leaves no second."""
        worker, attempt, now = self.executor.take(), job.attempt + 1, time.time()
        begun = self.store.change(
            job.name, ("queued",), of_attempt=job.attempt, state="starting", wanted="run", attempt=attempt, slot=slot,
            pid=worker.pid, pid_mark=worker.mark, started=job.started or now, heartbeat=now, message="",
            reached=job.folder.newest_checkpoint())
        if not begun:
            worker.dismiss()
            return False
        job.folder.write_status(state="preparing", stage="start", message="Starting.", pid=worker.pid,
                                mark=worker.mark, attempt=attempt, started=now, managed=True)
        where = "" if ":" in job.device else slot
        worker.order(Order(str(self.store.root), job.name, job.path, attempt, where))
        self._warm_at = time.monotonic() + WARM_AGAIN
        self.store.say(job.name, "started", f"Attempt {attempt} on {slot}.")
        return True

    def _end(self, job: Job) -> None:
        """Carry out a wish: by itself within its time, else by force where nothing is lost by it."""
        now = time.monotonic()
        waited = now - self._wished.setdefault(job.name, now)
        learned = job.wanted == "stop" and job.folder.has_learned()
        if waited >= (SAVING if learned else GRACE.get(job.wanted, 0.0)):
            self.executor.kill(job.pid, job.pid_mark)

    def _settle(self, job: Job) -> None:
        """Write down how an attempt came to its end, once nothing of it is at work."""
        self.executor.clear(job.pid)
        kills = memory_kills()
        death = Death(self.executor.exit_code(job.pid), out_of_memory=kills > self._memory_kills)
        self._memory_kills = kills
        settle(self.store, job, death)
        take_aside(job)


def supervise(root: Path | None = None, *, idle: float | None = None, command: Sequence[str] = COMMAND,
              slots: Sequence[str] | None = None) -> bool:
    """Be the supervisor of a workspace until a signal ends it; False where another is at work already.

    Args: idle: as in `Supervisor.run`. command: starts a worker. slots: as in `slots_of_machine`. Raises InputError.
    """
    root = (root or workspace()).absolute()
    root.mkdir(parents=True, exist_ok=True)
    slots = slots_of_machine() if slots is None else slots
    cpu = slots.count("cpu")
    threads = max(1, (os.cpu_count() or 1) // cpu) if cpu > 1 else None
    held = _elected(root)
    while held is not None:
        (root / PID).write_text(str(os.getpid()))
        with held, closing(executor_wanted(command, threads=threads, log=root / LOG)) as executor:
            supervisor = Supervisor(open_store(root), executor, slots)

            def end(number: int, frame: FrameType | None, supervisor: Supervisor = supervisor) -> None:
                supervisor.ending = True

            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, end)
            supervisor.run(idle)
        if supervisor.ending or not supervisor.store.queue():
            return True
        held = _elected(root)  # something was asked for while it ended
    return False


def ensure(root: Path | None = None) -> None:
    """Start a supervisor where none is at work; one that is stays awake."""
    root = (root or workspace()).absolute()
    root.mkdir(parents=True, exist_ok=True)
    (root / WAKE).touch()
    if os.environ.get(SWITCH) == "off" or is_locked(root / LOCK):
        return
    with (root / LOG).open("ab") as log:
        subprocess.Popen([sys.executable, "-m", "fgdesign", "supervise", "--idle", str(IDLE)], stdout=log, stderr=log,
                         stdin=subprocess.DEVNULL, start_new_session=True,
                         env={**os.environ, "FGDESIGN_WORKSPACE": str(root)})


def _elected(root: Path) -> Any:
    """The lock of a workspace, or None; who only looks whether it is held has it for a moment."""
    for _ in range(ELECTIONS):
        held = try_lock(root / LOCK)
        if held is not None:
            return held
        time.sleep(0.05)
    return None
