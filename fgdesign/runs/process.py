"""Processes and locks of this machine: who is alive, who holds a file, how a group is ended. Knows nothing of runs."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil

DISK_FULL = "The disk is full: the run is put aside as it was. Free some space, and resume it."


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold a lock file, waiting for it; the system lets go at any death. A lock file is never deleted."""
    with path.open("a") as file:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


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


def is_alive(pid: int, mark: str) -> bool:
    """Whether the very process runs that had this mark."""
    return bool(pid and mark) and mark_of(pid) == mark


def is_disk_full(error: BaseException) -> bool:
    """Whether this was said because there is no room, by the system or by a library."""
    number = error.errno if isinstance(error, OSError) else None
    return number in (errno.ENOSPC, errno.EDQUOT) or "no space left on device" in str(error).lower()


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


def wait_until_gone(pid: int, mark: str, seconds: float) -> bool:
    """Whether the process ended within so many seconds."""
    end = time.monotonic() + seconds
    while is_alive(pid, mark):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
