"""Runs the benchmarks and writes docs/benchmarks.json and docs/benchmarks.md.

    python -m benchmarks [QUESTION ...] [--quick] [--out docs]

Each question is one file here with a function `measure(quick)`. Knows nothing of what they time.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import traceback
from pathlib import Path

from benchmarks.measure import Question, machine, show, write

QUESTIONS = ("training", "static_cache", "executor", "dispatch", "throughput", "early_exit", "routing", "latency",
             "weight", "growth", "insight", "jobs")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("questions", nargs="*", default=list(QUESTIONS), metavar="QUESTION",
                        help=f"some of: {', '.join(QUESTIONS)}")
    parser.add_argument("--quick", action="store_true", help="fewer rows, rounds and data sets: does it run?")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "docs")
    options = parser.parse_args()
    unknown = sorted(set(options.questions) - set(QUESTIONS))
    if unknown:
        parser.error(f"There is no benchmark {unknown[0]!r}. Choose from: {', '.join(QUESTIONS)}.")
    about, failed = machine(), []
    for name in options.questions:
        start = time.perf_counter()
        try:
            found: Question = importlib.import_module(f"benchmarks.{name}").measure(options.quick)
        except Exception:
            failed.append(name)
            traceback.print_exc()
            continue
        found.seconds = time.perf_counter() - start
        if options.quick:
            found.notes.append("A quick look: few rows and rounds, so take the ratios as rough.")
        show(found)
        write([found], about, options.out)
    if failed:
        sys.exit(f"These questions broke off, the others are written: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
