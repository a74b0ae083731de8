"""How an attempt came to its end, from what its folder says and how its process died. Knows nothing of the queue.

What a run wrote down with its last files counts, not the code it ended with: only a process that died without a word is
judged by other signs.
"""

from __future__ import annotations

import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from fgdesign.runs.folder import FINAL_STATES
from fgdesign.runs.process import DISK_FULL
from fgdesign.runs.store import AT_WORK, KEEPS, TURN, Job, Store
from fgdesign.runs.worker import FULL

MOST_DEATHS = 3  # one after another without a new checkpoint
BACK_OFF = 0.4  # seconds before another attempt, doubled each time
LEAST_ROOM = 1 << 20  # bytes that a disk has to have left for one not to be full
KERNEL = Path("/proc/vmstat")
ASKED = {"pause": ("paused", "Paused."), "cancel": ("cancelled", "Cancelled."), "resume": ("queued", TURN),
         "stop": ("stopped", "Stopped before it could save; it goes on from its last checkpoint by resume.")}
NO_MEMORY = ("Out of memory: the system ended it. Try a smaller batch size, a smaller max_length on the text node, or "
             "more frozen layers.")


@dataclass(frozen=True)
class Death:
    """How a process ended. code: negative for a signal, None where nobody knows. out_of_memory: the kernel's word."""

    code: int | None
    out_of_memory: bool = False

    @property
    def by_force(self) -> bool:
        return self.code in (None, -int(getattr(signal, "SIGKILL", 9)))

    @property
    def words(self) -> str:
        if self.code is None:
            return "Its process ended early"
        if self.code < 0:
            return f"Its process was ended by signal {-self.code} ({signal.Signals(-self.code).name})"
        return f"Its process ended with code {self.code} and without a word"


def settle(store: Store, job: Job, death: Death) -> str:
    """Write the end of an attempt into its folder and the store; returns the state."""
    state, message, deaths, wait = judge(job, death)
    told = job.folder.told()
    if told["state"] != state or told["attempt"] != job.attempt:
        job.folder.write_status(state=state, message=message, pid=0, attempt=job.attempt, seconds_left=None)
    if job.wanted == "resume" and state == "queued" and job.folder.asked_to_pause:
        job.folder.unasked()
    now = time.time()
    if store.change(job.name, AT_WORK, of_attempt=job.attempt, of_wish=job.wanted, state=state, message=message,
                    failures=deaths, pid=0, pid_mark="", slot="", ended=now if state in FINAL_STATES else 0.0,
                    not_before=now + wait if state == "queued" else 0.0):
        store.say(job.name, state, message)
    return state  # where something else is wished for by now, the next look settles it


def judge(job: Job, death: Death) -> tuple[str, str, int, float]:
    """State, message, deaths in a row and seconds to wait after an attempt whose process is gone."""
    told = job.folder.told()
    said = str(told["state"]) if told["attempt"] == job.attempt else ""
    if job.wanted == "cancel" and said != "succeeded":
        return *ASKED["cancel"], 0, 0.0
    if said == "paused" and told["message"] != DISK_FULL:  # what was asked for after it was put aside
        if job.wanted == "resume":
            return *ASKED["resume"], 0, 0.0
        if job.wanted == "stop":
            return ("queued", KEEPS, 0, 0.0) if job.folder.has_learned() else (*ASKED["cancel"], 0, 0.0)
    if said in FINAL_STATES or said == "paused":
        return said, str(told["message"]), 0, 0.0
    if job.state == "stopping" and job.wanted in ASKED:
        return *ASKED[job.wanted], 0, 0.0
    if death.code == FULL or shutil.disk_usage(job.path).free < LEAST_ROOM:
        return "paused", DISK_FULL, 0, 0.0
    if death.out_of_memory and death.by_force:
        return "failed", NO_MEMORY, 0, 0.0
    deaths = 1 if job.folder.newest_checkpoint() != job.reached else job.failures + 1
    if deaths >= MOST_DEATHS:
        message = f"{death.words}, {deaths} times without getting further. The log has its last words."
        return "failed", message, deaths, 0.0
    return "queued", f"{death.words}; it goes on from its last checkpoint.", deaths, BACK_OFF * 2 ** (deaths - 1)


def take_aside(job: Job) -> None:
    """Remove the model of a run that was cancelled."""
    if job.wanted == "cancel" and job.folder.told()["state"] == "cancelled":
        shutil.rmtree(job.folder.model, ignore_errors=True)


def memory_kills() -> int:
    """How many processes the kernel has ended on this machine because memory ran out; 0 where it does not say."""
    try:
        lines = KERNEL.read_text("ascii", "replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
