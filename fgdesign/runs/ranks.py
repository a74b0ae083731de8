"""Starts a run that several processes of this machine train together: one torchrun for it, without restarts.

As a program, it is that torchrun: all that it began dies with it, and it dies as the first of them died, so that who
looks after a run sees one process. Whoever looks after runs begins it again, from the last checkpoint. Knows nothing
of queues, and of torch only as that program.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fgdesign.errors import DeviceError, FgdesignError, RunError
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.process import LEADER, die_with, myself
from fgdesign.training.settings import Settings

GRACE = 5.0  # seconds that processes have to end after a signal
LOOPBACK = {"linux": "lo", "darwin": "lo0"}
MEETING = "FGDESIGN_MEETING"  # a file by which the processes find each other
DONE = ("succeeded", "stopped", "paused")


def asked(folder: RunFolder) -> int:
    """How many processes a run asks for."""
    try:
        return int(folder.config()["settings"].get("processes", 1))
    except (FgdesignError, KeyError):
        return 1


def hindrance(settings: Settings, gpus: int) -> str:
    """Why so many processes cannot train on the device that is set, in words; "" where they can."""
    count, device = settings.processes, settings.device
    if count == 1:
        return ""
    if sys.platform == "win32":
        return f"{count} processes are asked, and on Windows a run is trained by one. Set processes to 1."
    if ":" in device or device == "mps":
        return (f"{count} processes are asked, and device {device} is one. Choose device cuda or cpu, or set processes "
                "to 1.")
    if device != "cpu" and (gpus or device == "cuda") and gpus < count:
        return (f"{count} processes are asked, each on a GPU of its own, and there {'is' if gpus == 1 else 'are'} "
                f"{gpus} here. Set processes to {max(1, gpus)}, or choose device cpu.")
    return ""


def require(settings: Settings) -> None:
    """Raises DeviceError with the choices where so many processes cannot train here."""
    import torch

    words = hindrance(settings, torch.cuda.device_count())
    if words:
        raise DeviceError(words)


def require_all(settings: Settings, joined: int) -> None:
    """Raises RunError where a run would silently be trained by others than were asked."""
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if not settings.processes == started == joined:
        raise RunError(f"This run asks for {settings.processes} processes, but {started} was started and {joined} "
                       "joined. Start it without torchrun: fgdesign train and fgdesign resume start them themselves.")


def line(folder: RunFolder, processes: int, *, parent: int = 0) -> list[str]:
    """The command that trains a run by so many processes. parent: the process with which it ends."""
    return [sys.executable, "-m", "fgdesign.runs.ranks", str(folder.path.absolute()), str(processes), str(parent)]


def become(folder: RunFolder, processes: int) -> None:
    """Let this process be that command; it keeps its number, its group and what looks after it."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    words = line(folder, processes)
    os.execv(words[0], words)


def train_together(folder: RunFolder, processes: int, say: Callable[[str], None]) -> RunFolder:
    """Start the command and wait for it. Raises RunError where it comes to no good end; the folder then says why."""
    folder.write_status(state="preparing", stage="start", message=f"Starting {processes} processes.", **myself())
    with (folder.path / "log.txt").open("ab") as errors:
        child = subprocess.Popen(line(folder, processes, parent=os.getpid()), stdout=subprocess.PIPE, stderr=errors,
                                 text=True, start_new_session=True)
    try:
        with child:
            _relay(child, say)
    except BaseException:
        if folder.told()["state"] not in DONE:
            folder.write_status(state="failed", message=f"Interrupted. Go on with: fgdesign resume {folder.path}")
        raise
    told_last = folder.told()
    if told_last["state"] in DONE and child.returncode == 0:
        return folder
    if told_last["state"] not in ("failed", *DONE):
        folder.write_status(state="failed", message="The processes that trained ended early, with code "
                            f"{child.returncode}. Go on with: fgdesign resume {folder.path}")
    raise RunError(str(folder.told()["message"]))


def _relay(child: subprocess.Popen[str], say: Callable[[str], None]) -> None:
    """Hand on what it says until it ends; where this process is to end before, it ends too."""
    assert child.stdout is not None
    try:
        for told in child.stdout:
            say(told.rstrip("\n"))
        child.wait()
    except BaseException:
        child.terminate()
        try:
            child.wait(GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
        raise


def threads(processes: int) -> int:
    """How many threads each process has: its share of those that are set, or of the cores."""
    return max(1, int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1) // processes)


def _settle_environment(processes: int, place: Path) -> None:
    """What the processes find: their leader, their threads, where they meet, and that all are on this machine."""
    os.environ[LEADER] = str(os.getpid())
    os.environ[MEETING] = str(place / "meeting")
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    os.environ["OMP_NUM_THREADS"] = str(threads(processes))
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        if sys.platform in LOOPBACK:
            os.environ.setdefault(name, LOOPBACK[sys.platform])


def main(path: str, processes: str, parent: str) -> int:
    """Be the torchrun of a run; the exit code is that of the first process that failed."""
    if int(parent):
        die_with(int(parent))
    with TemporaryDirectory(prefix="fgdesign-") as place:
        _settle_environment(int(processes), Path(place))
        code = _torchrun(path, processes, Path(place))
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if code != -signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    return code


def _torchrun(path: str, processes: str, place: Path) -> int:
    """The same, negative for a signal.

    What torchrun notes down for itself, pickled, is in a file of a folder of its own: by default it would open a port.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    torchrun: Any = import_module("torch.distributed.run")
    try:
        torchrun.run(torchrun.parse_args(
            ["--nnodes", "1", "--rdzv-backend", "c10d", "--rdzv-endpoint", str(place / "torchrun"), "--rdzv-conf",
             "store_type=file", "--rdzv-id", place.name, "--local-addr", "127.0.0.1", "--nproc-per-node", processes,
             "--max-restarts", "0", "--module", "fgdesign.runs.rank", path]))
    except ChildFailedError as error:
        return int(error.get_first_failure()[1].exitcode)
    except SignalException as error:
        return 128 + error.sigval
    return 0


if __name__ == "__main__":
    ended = main(*sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(ended)  # what torch would do on its way out is of no use
