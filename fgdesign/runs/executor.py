"""Where runs are carried out: processes of this machine, one of them warm, in slots by device.

Another place to run (a cluster) offers the calls of `Executor`. Knows nothing of the queue.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from fgdesign.errors import InputError, choices
from fgdesign.runs.process import end_group, end_orphans, is_alive, mark_of
from fgdesign.runs.worker import Order

COMMAND = (sys.executable, "-m", "fgdesign.runs.worker")
SLOTS = "FGDESIGN_SLOTS"
PLACE = "FGDESIGN_EXECUTOR"
PLACES = ("local", "ray")
KINDS = ("cuda", "mps", "cpu")  # the fastest first


@dataclass
class Worker:
    """A process that waits for an order. mark: tells it from a later one of the same pid."""

    process: subprocess.Popen[bytes]
    mark: str

    @property
    def pid(self) -> int:
        return self.process.pid

    def order(self, order: Order) -> None:
        """Tell it what to do; it goes on without us from then on."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(order.line())
            self.process.stdin.close()
        except OSError:
            return  # it has died; that is seen like any other death

    def dismiss(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        self.process.stdin.close()


class AtWork(Protocol):
    """Something that waits for an order."""

    mark: str

    @property
    def pid(self) -> int:
        """Its number on this machine, or 0."""

    def order(self, order: Order) -> None:
        """Tell it what to do."""

    def dismiss(self) -> None:
        """Let it end."""


class Executor(Protocol):
    """What the supervisor needs of a place where runs are carried out."""

    def warm(self) -> None:
        """Have something ready for the next run."""

    def take(self) -> AtWork:
        """Something that waits for an order."""

    def is_alive(self, pid: int, mark: str) -> bool:
        """Whether a worker is at work, be it of ours or of a supervisor before."""

    def exit_code(self, pid: int) -> int | None:
        """How a worker ended, negative for a signal; None where nobody knows."""

    def kill(self, pid: int, mark: str) -> None:
        """End a worker and all it began, at once."""

    def clear(self, pid: int) -> None:
        """End what a worker that died has left at work."""

    def close(self) -> None:
        """Let what is ready go; what works goes on."""


# A trainer and a server share the cores: a thread without work soon sleeps, but not between the products of one text.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "10000"}


class LocalExecutor:
    """Processes of this machine, each with a process group of its own."""

    def __init__(self, command: Sequence[str] = COMMAND, *, threads: int | None = None,
                 log: Path | None = None) -> None:
        self.command, self.log = command, log
        self.environment = {**os.environ, **WAITING, "TOKENIZERS_PARALLELISM": "true"}
        if threads:
            self.environment["OMP_NUM_THREADS"] = str(threads)
        self._spare: Worker | None = None
        self._ours: dict[int, subprocess.Popen[bytes]] = {}

    def warm(self) -> None:
        if self._spare is None or self._spare.process.poll() is not None:
            self._spare = self._spawn()

    def take(self) -> Worker:
        self.warm()
        worker, self._spare = self._spare, None
        assert worker is not None
        self._ours[worker.pid] = worker.process
        return worker

    def is_alive(self, pid: int, mark: str) -> bool:
        process = self._ours.get(pid)
        return is_alive(pid, mark) if process is None else process.poll() is None

    def exit_code(self, pid: int) -> int | None:
        process = self._ours.pop(pid, None)
        return None if process is None else process.poll()

    def kill(self, pid: int, mark: str) -> None:
        end_group(pid, mark)

    def clear(self, pid: int) -> None:
        end_orphans(pid)

    def close(self) -> None:
        if self._spare is not None:
            self._spare.dismiss()
            self._spare = None

    def _spawn(self) -> Worker:
        with (self.log or Path(os.devnull)).open("ab") as log:
            process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=log, stderr=log,
                                       env=self.environment, start_new_session=True)
        return Worker(process, mark_of(process.pid))


def executor_wanted(command: Sequence[str], *, threads: int | None, log: Path) -> Executor:
    """The place that FGDESIGN_EXECUTOR names: this machine, or "ray". Raises FgdesignError where it cannot be used."""
    place = os.environ.get(PLACE) or PLACES[0]
    if place not in PLACES:
        raise InputError(f"{PLACE}: there is no place '{place}' for runs. {choices(PLACES, place)}")
    if place == "ray":
        from fgdesign.runs.cluster import RayExecutor

        return RayExecutor()
    return LocalExecutor(command, threads=threads, log=log)


def slots_of_machine(wanted: str | None = None) -> tuple[str, ...]:
    """Names of the slots, one run each: "cuda:0" for each GPU, one "cpu".

    wanted: other numbers by device, such as "cpu=2,cuda:0=1"; FGDESIGN_SLOTS where not given. Raises InputError.
    """
    wanted = os.environ.get(SLOTS, "") if wanted is None else wanted
    if not wanted:
        return (*(f"cuda:{number}" for number in _gpus()), *(("mps",) if sys.platform == "darwin" else ()), "cpu")
    slots: list[str] = []
    for part in wanted.split(","):
        found = re.fullmatch(r"\s*(cpu|mps|cuda:\d+)\s*=\s*(\d{1,2})\s*", part)
        if found is None:
            raise InputError(f"{SLOTS}: '{part}' is no number of slots. Write devices with numbers: cpu=2,cuda:0=1")
        slots += [found[1]] * int(found[2])
    if not slots:
        raise InputError(f"{SLOTS}: '{wanted}' leaves no slot to run in. Give one at least: cpu=1")
    return tuple(slots)


def pick_slot(device: str, slots: Sequence[str], used: Mapping[str, int], processes: int = 1) -> str | None:
    """A free slot for a run on a device, or None; "auto" takes the fastest kind that this machine has.

    Several processes take a GPU each: "cuda:0,1". On the CPU they share one slot. A device that is not here, and more
    GPUs than there are, get any slot: training itself says what is wrong.
    """
    kinds = [kind for kind in KINDS if any(slot.startswith(kind) for slot in slots)]
    kind = device.partition(":")[0]
    if kind not in kinds:
        kind = kinds[0] if kind == "auto" else kinds[-1]
    fitting = [slot for slot in dict.fromkeys(slots) if slot.startswith(kind)]
    exact = [slot for slot in fitting if slot == device]
    free = [slot for slot in exact or fitting if used.get(slot, 0) < slots.count(slot)]
    if kind == "cuda" and processes > 1 and len(fitting) >= processes:
        numbers = [slot.removeprefix("cuda:") for slot in free[:processes]]
        return f"cuda:{','.join(numbers)}" if len(free) >= processes else None
    return free[0] if free else None


def slots_in(slot: str) -> list[str]:
    """The slots that a run holds: cuda:0 and cuda:1 of "cuda:0,1"."""
    kind, _, numbers = slot.partition(":")
    return [f"{kind}:{number}" for number in numbers.split(",")] if numbers else [slot]


def _gpus() -> list[str]:
    """Numbers of the GPUs that CUDA would see, asked without loading torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [one.strip() for one in visible.split(",") if one.strip().isdecimal()]
    tool = shutil.which("nvidia-smi")
    return [] if tool is None else list(_gpus_told_by(tool))


@lru_cache(maxsize=1)
def _gpus_told_by(tool: str) -> tuple[str, ...]:
    """The same as a program says it, which is asked once."""
    try:
        told = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(str(number) for number in range(sum(line.startswith("GPU ") for line in told.splitlines())))
