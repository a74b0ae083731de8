"""Processes and locks of this machine: who is alive, who holds a file, how a group is ended. Knows nothing of runs."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import psutil

ELSEWHERE = "FGDESIGN_ELSEWHERE"  # set for a run that a cluster carries out
LEADER = "FGDESIGN_LEADER"  # the process that began those that train a run together, and ends with them
ORPHAN_SECONDS = 0.5  # between two looks whether a parent is alive, where the system does not tell
PR_SET_PDEATHSIG = 1
NO_SPACE = ("no space left on device", "database or disk is full")  # as libraries and SQLite say it
DISK_FULL = "The disk is full: the run is put aside as it was. Free some space, and resume it."


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold a lock file, waiting for it; the system lets go at any death. A lock file is never deleted."""
    with wait_for_lock(path):
        yield


def wait_for_lock(path: Path) -> IO[str]:
    """The open file that holds the lock until it is closed, once no other holds it."""
    file = path.open("a")
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
    return file


def try_lock(path: Path) -> IO[str] | None:
    """The open file that holds the lock until it is closed, or None while another holds it."""
    file = path.open("a")
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
    return file


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock."""
    if not path.exists():
        return False
    file = try_lock(path)
    if file is None:
        return True
    file.close()
    return False


def mark_of(pid: int) -> str:
    """What tells a process from a later one of the same number; "" for none that runs.

    On Linux the ticks since boot at its start, and the boot: a clock that is set changes neither.
    """
    stat = Path(f"/proc/{pid}/stat")
    try:
        if sys.platform == "linux":
            state, *rest = stat.read_text("ascii", "replace").rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
            return "" if state in "ZX" else f"{rest[18]}@{boot}"
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except (OSError, psutil.Error):
        return ""


def myself() -> dict[str, Any]:
    """pid and mark of this process, or of its leader; none where those who look at the run are on another machine."""
    here, pid = not os.environ.get(ELSEWHERE), int(os.environ.get(LEADER) or os.getpid())
    return {"pid": pid if here else 0, "mark": mark_of(pid) if here else ""}


def team() -> list[psutil.Process]:
    """The processes that train this run: this one, or all that have the same leader."""
    leader = os.environ.get(LEADER)
    return psutil.Process(int(leader)).children() if leader else [psutil.Process()]


def die_with(parent: int) -> None:
    """End at once when the parent does, whatever ends it and whatever this process is at."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it was faster
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(ORPHAN_SECONDS)
    os._exit(1)


def is_alive(pid: int, mark: str) -> bool:
    """Whether the very process runs that had this mark."""
    return bool(pid and mark) and mark_of(pid) == mark


def is_disk_full(error: BaseException) -> bool:
    """Whether this was said because there is no room, by the system or by a library."""
    number = error.errno if isinstance(error, OSError) else None
    said = str(error).lower()
    return number in (errno.ENOSPC, errno.EDQUOT) or any(words in said for words in NO_SPACE)


def end_group(pid: int, mark: str) -> None:
    """Kill a process and all of its group at once, where it is the one meant."""
    if not is_alive(pid, mark):
        return
    if sys.platform == "win32":
        for process in (*psutil.Process(pid).children(recursive=True), psutil.Process(pid)):
            process.kill()
        return
    try:
        os.killpg(pid, signal.SIGKILL) if os.getpgid(pid) == pid else os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def end_orphans(pid: int) -> None:
    """Kill what a process that is dead has left of its group. Its number is nobody's while one of them lives."""
    if sys.platform != "win32" and pid > 0 and not mark_of(pid):
        with suppress(OSError):
            os.killpg(pid, signal.SIGKILL)


def wait_until_gone(pid: int, mark: str, seconds: float) -> bool:
    """Whether the process ended within so many seconds."""
    end = time.monotonic() + seconds
    while is_alive(pid, mark):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
