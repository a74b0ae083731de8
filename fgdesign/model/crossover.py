"""Which of several ways to compute the same is fastest here: measured once for each size, and kept on disk.

The file belongs to one machine and one torch, so that a run repeats itself to the bit there. Where FGDESIGN_PRECISION
is set, two machines are to compute alike, and nothing is measured. Knows nothing of what is computed.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import torch

from fgdesign.model.device import default_folder

ROUNDS = 9
HOPELESS = 2.0  # times the best: not tried again
REPEATED_BELOW = 1e-3  # seconds; shorter work is run several times for one reading
Ways = Mapping[str, Callable[[], object]]


def fastest(size: str, ways: Ways) -> str:
    """The fastest of the ways at a size; the first where nothing is to be measured."""
    if os.environ.get("FGDESIGN_PRECISION", "auto") != "auto":
        return next(iter(ways))
    size = f"{size}: {', '.join(ways)}"
    file, known = _known(os.environ.get("FGDESIGN_CACHE"), torch.get_num_threads())
    if known.get(size) not in ways:
        known[size] = measured(ways)
        _keep(file, known)
    return known[size]


def measured(ways: Ways) -> str:
    """Run all in turn, the slow ones once, and give the one with the least time."""
    once = {name: min(_seconds(run, 1) for _ in range(2)) for name, run in ways.items()}
    least = min(once.values())
    left = {name: [once[name]] for name in ways if once[name] <= HOPELESS * least + 1e-4}
    if len(left) > 1:
        times = max(1, round(REPEATED_BELOW / max(least, 1e-6)))
        for _ in range(ROUNDS):
            for name, taken in left.items():
                taken.append(_seconds(ways[name], times))
    return min(left, key=lambda name: min(left[name]))


def _seconds(run: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - start) / times


@cache
def _known(folder: str | None, threads: int) -> tuple[Path, dict[str, str]]:
    """The file of this machine, and the fastest way by size as it was when it was read. folder: FGDESIGN_CACHE."""
    machine = f"{platform.node()} {platform.machine()} {os.cpu_count()} {torch.__version__} {threads}"
    file = default_folder() / f"fastest-{hashlib.sha256(machine.encode()).hexdigest()[:12]}.json"
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        found = {}
    return file, {str(size): str(way) for size, way in found.items()} if isinstance(found, dict) else {}


def _keep(file: Path, known: Mapping[str, str]) -> None:
    """Write what is known; where the disk refuses, this process knows it all the same."""
    aside = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps(dict(known), indent=1, sort_keys=True), "utf-8")
        aside.replace(file)
    except OSError:
        return
