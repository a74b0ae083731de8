"""The process that trains one run: it has torch loaded before it is told which. Knows nothing of queues.

It reads one line, an order as JSON, from standard input, and ends without a word where that is closed instead: whoever
would have given the order is gone then, and has left the run to its successor.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from select import select

from fgdesign.data.apart import step_back
from fgdesign.errors import FgdesignError
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.process import is_disk_full
from fgdesign.runs.store import open_store

LOADED = (  # while it waits; without waiting, each where it is used, and scikit-learn is by few runs
    "pyarrow", "transformers.models.auto.tokenization_auto", "sklearn.feature_extraction.text", "sklearn.linear_model",
)
FULL = 74  # exit code where not even the reason could be written


@dataclass(frozen=True)
class Order:
    """What a worker is to do. root: of the workspace. attempt: of the run; another one is not touched."""

    root: str
    name: str
    path: str
    attempt: int
    slot: str

    def line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"


def serve(carry_out: Callable[[RunFolder], object]) -> int:
    """Wait for an order, carry it out, return the exit code."""
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return 0
    order = Order(**json.loads(line))
    folder = RunFolder(Path(order.path))
    _print_into(folder.path / "log.txt")
    if order.slot.startswith("cuda:"):
        os.environ["CUDA_VISIBLE_DEVICES"] = order.slot.removeprefix("cuda:")  # before the driver is first asked
    if not _is_ours(order):
        print("This run was given to another process.", flush=True)
        return 0
    return guarded(carry_out, folder)


def guarded(carry_out: Callable[[RunFolder], object], folder: RunFolder) -> int:
    """Carry out what is to be done with a run; an error becomes a line of its log, and the exit code."""
    try:
        carry_out(folder)
    except Exception as error:
        print(f"fgdesign: {error}" if isinstance(error, FgdesignError) else repr(error), flush=True)
        return FULL if is_disk_full(error) else 1
    return 0


def print_now(message: str) -> None:
    """Say it without waiting for more."""
    print(message, flush=True)


def _is_told() -> bool:
    """Whether the order has come, or will not."""
    return bool(select([sys.stdin], [], [], 0)[0])


def _is_ours(order: Order) -> bool:
    """Whether the store still has this very attempt; it is running then, unless someone wants it ended already."""
    store = open_store(Path(order.root))
    try:
        if store.change(order.name, ("starting",), of_attempt=order.attempt, state="running"):
            return True
        now = store.job(order.name)
        return now.state == "stopping" and now.attempt == order.attempt
    finally:
        store.engine.dispose()


def _print_into(file: Path) -> None:
    """All that this process says from now on goes to a file."""
    with file.open("ab") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)


def main() -> int:
    """Load what training needs, then serve."""
    from fgdesign.runs.job import carry_on
    from fgdesign.runs.ranks import asked, become

    def carry_out(folder: RunFolder) -> None:
        processes = asked(folder)
        if processes > 1:
            become(folder, processes)
        carry_on(folder, print_now)

    step_back()
    for name in LOADED:
        if _is_told():
            break
        import_module(name)
    return serve(carry_out)


if __name__ == "__main__":
    code = main()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)  # what torch would do on its way out is of no use
