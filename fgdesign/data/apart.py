"""Work in a process of its own with limits on time and memory, so that no file can stop or fill the one that asks.

    run("fgdesign.data.jobs:keep", {"path": "x.csv"}, name="x.csv")

The function is one of ours, by module and name; its arguments and its result are JSON. It is called with `tell`
besides, which reports progress. Knows nothing of what is done.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fgdesign.errors import DataError, FgdesignError

Progress = Callable[[int, int], None]

SECONDS = 120.0
MEMORY = 2_300_000_000  # bytes of address space, of which the libraries themselves take half a gigabyte
CAREFUL = {  # small and single-threaded: two people's uploads share the machine with everybody
    "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "2", "TOKENIZERS_PARALLELISM": "false",
}  # fmt: skip
NICE = 10  # how far work steps back behind the pages and all that people wait for
AUTOGROUP = Path("/proc/self/autogroup")
EVERY = 0.2  # seconds between two reports of progress, so that who waits can stop waiting


def run(
    job: str, arguments: Mapping[str, Any], *, name: str, seconds: float = SECONDS, memory: int | None = MEMORY,
    progress: Progress | None = None,
) -> Any:
    """The result of a job.

    Args:
        job: "package.module:function".
        arguments: keywords of the function, as JSON holds them.
        name: how messages call the file.
        seconds: after which the process is ended.
        memory: bytes of address space it may have, None for any.
        progress: called several times a second with (parts done, parts); what it raises ends the process.

    Raises:
        DataError: the job refused the file, took too long or needed too much memory.
    """
    order = json.dumps({"job": job, "arguments": dict(arguments), "memory": memory})
    child = subprocess.Popen(
        [sys.executable, "-m", "fgdesign.data.apart"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env={**os.environ, **CAREFUL}, start_new_session=True,
    )  # fmt: skip
    try:
        with suppress(BrokenPipeError):
            assert child.stdin is not None
            child.stdin.write(order.encode())
            child.stdin.close()
        answer = _answer(child, time.monotonic() + seconds, progress)
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
    if answer is None:
        raise DataError(
            f"{name} was not done with after {seconds:g} s, the most that is waited. Take a part of it, or save it as "
            "plain CSV (UTF-8)."
        )
    if "result" in answer:
        return answer["result"]
    raise DataError(answer.get("refused") or _broken(name, memory, told="refused" in answer))


def step_back() -> None:
    """Let pages go first where cores are short.

    Where Linux shares the cores out by session (sched_autogroup), a process steps back behind others of its session
    only, and a session behind others by a number of its own.
    """
    if hasattr(os, "nice"):
        os.nice(max(0, NICE - os.nice(0)))
    if hasattr(os, "getsid") and os.getsid(0) == os.getpid():
        with suppress(OSError):
            AUTOGROUP.write_text(str(NICE), "ascii")


def _broken(name: str, memory: int | None, *, told: bool) -> str:
    if told and memory is not None:
        why = f"it needs more than {memory / 1e9:g} GB of memory, the most that is given to a file"
    else:
        room = "" if memory is None else f" in {memory / 1e9:g} GB of memory"
        why = f"the process that did ended without an answer{room}"
    return f"{name} cannot be worked on: {why}. Take a part of it, or save it as plain CSV (UTF-8)."


def _answer(child: subprocess.Popen[bytes], end: float, progress: Progress | None) -> dict[str, Any] | None:
    """The last thing the process says, {} where it ends without a word, None where it takes too long."""
    assert child.stdout is not None
    file, rest, part = child.stdout.fileno(), b"", (0, 1)
    while time.monotonic() < end:
        ready, _, _ = select.select([file], [], [], EVERY)
        chunk = os.read(file, 1 << 16) if ready else None
        if chunk == b"":
            return {}
        *lines, rest = (rest + (chunk or b"")).split(b"\n")
        for line in lines:
            said: dict[str, Any] = json.loads(line)
            if "part" not in said:
                return said
            part = said["part"], said["whole"]
        if progress is not None:
            progress(*part)
    return None


def _main() -> None:
    """What the process does: one order from standard input, one answer to standard output."""
    order = json.load(sys.stdin)
    _limit(order["memory"])
    step_back()
    gc.disable()  # it ends with its work; millions of cells would be walked through again and again
    speak, sys.stdout = sys.stdout, sys.stderr

    def say(**values: Any) -> None:
        speak.write(json.dumps(values) + "\n")
        speak.flush()

    try:
        module, _, name = order["job"].partition(":")
        work = getattr(importlib.import_module(module), name)
        say(result=work(**order["arguments"], tell=lambda part, whole: say(part=part, whole=whole)))
    except FgdesignError as error:
        say(refused=str(error))
    except MemoryError:
        say(refused="")


def _limit(memory: int | None) -> None:
    """Where the system can: no more memory than this, and no core file."""
    try:
        import resource
    except ImportError:  # Windows has no such limits; time is limited all the same
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory is not None:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


if __name__ == "__main__":
    _main()
