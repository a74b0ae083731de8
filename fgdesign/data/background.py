"""Work that goes on whatever page is looked at: in a thread of this process, known by a key, with progress and an end.

What it comes to is kept on disk by the work itself; this only says how far it is. Begun twice under one key it is done
once. Knows no screens and nothing of what is done.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fgdesign.errors import FgdesignError

Progress = Callable[[int, int], None]

AT_ONCE = 2  # that run at the same time; the others wait
FORGOTTEN = 3600.0  # seconds after its end that nobody asks for it any more
BROKE = "This did not come to an end: {}. It is our fault; try again, or look into the app's log."


class Stopped(Exception):
    """Somebody does not want the work any more."""


@dataclass(eq=False)
class Job:
    """One piece of work.

    Attributes:
        key: what it is; title: for people; owner: who began it, in words of the caller.
        then: for whoever began it to call with the result.
        state: "waiting", "running", "done", "refused" or "stopped".
        part, whole: how far it is. result: where it is done. refused: why not, where it is not.
        began, ended: seconds since 1970.
    """

    key: str
    title: str
    owner: str
    work: Callable[[Progress], Any]
    then: Callable[[Any], None] | None = None
    state: str = "waiting"
    part: int = 0
    whole: int = 1
    result: Any = None
    refused: str = ""
    began: float = field(default_factory=time.time)
    ended: float = 0.0
    _unwanted: threading.Event = field(default_factory=threading.Event)

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ("done", "refused", "stopped")

    def stop(self) -> None:
        """End it where it next reports progress."""
        self._unwanted.set()

    def tell(self, part: int, whole: int) -> None:
        """How far the work is. Raises Stopped where nobody wants it any more."""
        self.part, self.whole = part, max(1, whole)
        if self._unwanted.is_set():
            raise Stopped

    def run(self) -> None:
        """Do the work as soon as there is a place; the thread's whole life."""
        try:
            while not _places.acquire(timeout=0.2):
                self.tell(0, 1)
            try:
                self.tell(0, 1)
                self.state = "running"
                self.result = self.work(self.tell)
                ended = "done"
            finally:
                _places.release()
        except Stopped:
            ended = "stopped"
        except FgdesignError as error:
            self.refused, ended = str(error), "refused"
        except Exception as error:
            logging.getLogger(__name__).exception("%s did not come to an end", self.title)
            self.refused, ended = BROKE.format(f"{type(error).__name__}: {error}"), "refused"
        self.ended = time.time()
        self.state = ended


_places = threading.BoundedSemaphore(AT_ONCE)
_jobs: dict[str, Job] = {}
_lock = threading.Lock()


def begin(
    key: str, title: str, work: Callable[[Progress], Any], *, owner: str = "",
    then: Callable[[Any], None] | None = None,
) -> Job:
    """Begin some work, or join what goes on under this key already."""
    with _lock:
        for old in [job for job in _jobs.values() if job.over and time.time() - job.ended > FORGOTTEN]:
            del _jobs[old.key]
        there = _jobs.get(key)
        if there is not None and not there.over:
            return there
        job = _jobs[key] = Job(key, title, owner, work, then)
    threading.Thread(target=job.run, name=f"background {key}", daemon=True).start()
    return job


def find(key: str) -> Job | None:
    """The work of this key, also where it is over."""
    return _jobs.get(key)


def jobs(owner: str) -> list[Job]:
    """All work of an owner, the oldest first."""
    with _lock:
        return sorted((job for job in _jobs.values() if job.owner == owner), key=lambda job: job.began)


def forget(job: Job) -> None:
    """What came of it is known; it is not shown any more."""
    with _lock:
        if _jobs.get(job.key) is job:
            del _jobs[job.key]
