"""One of the processes that train a run together; torchrun starts it. Knows nothing of queues."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from fgdesign.data.apart import NICE, step_back
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.process import LEADER, die_with
from fgdesign.runs.ranks import MEETING
from fgdesign.runs.worker import guarded, print_now

LINGER = 10.0  # seconds in which who only lost another leaves it to that one to be the first that failed


def main(path: str) -> int:
    """Train along; returns the exit code."""
    die_with(int(os.environ[LEADER]))
    if os.nice(0) >= NICE:  # torchrun gave it a session of its own, which is to step back as its leader did
        step_back()
    from fgdesign.runs.job import carry_on
    from fgdesign.training.shards import RankLost, join

    def carry_out(folder: RunFolder) -> None:
        try:
            group = join(folder.config()["settings"]["device"], Path(os.environ[MEETING]))
            carry_on(folder, print_now if group.first else _silent, group)
        except RankLost:
            time.sleep(LINGER)
            raise

    return guarded(carry_out, RunFolder(Path(path)))


def _silent(message: str) -> None:
    """The first says it."""


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
