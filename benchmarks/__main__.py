"""Runs the benchmarks and writes docs/benchmarks.json and docs/benchmarks.md.

    python -m benchmarks [QUESTION ...] [--quick] [--out docs]

Each question is one file here with a function `measure(quick)`; one in several cases is asked as FILE:CASE, and FILE
stands for all of its cases. Knows nothing of what they time.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import traceback
from pathlib import Path

from benchmarks.measure import Question, machine, show, write
from benchmarks.records import Unfinished
from fgdesign.model.lanes import OTHERS, load

CASES = {"early_exit": ("banking77", "banking77-frozen", "sst2"),
         "training": ("sst2", "trec6", "banking77", "clinc150", "banking77-few"),
         "routing": ("sst2", "trec6", "banking77", "clinc150", "union"), "designs": ("sst2", "trec6", "banking77")}
QUESTIONS = (*(f"training:{case}" for case in CASES["training"]), "static_cache", "executor", "dispatch", "throughput",
             *(f"{file}:{case}" for file in ("early_exit", "routing", "designs") for case in CASES[file]),
             "latency", "weight", "growth", "insight", "jobs", "data")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("questions", nargs="*", default=list(QUESTIONS), metavar="QUESTION",
                        help=f"some of: {', '.join(QUESTIONS)}")
    parser.add_argument("--quick", action="store_true", help="fewer rows, rounds and data sets: does it run?")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "docs")
    options = parser.parse_args()
    unknown = sorted(set(options.questions) - set(QUESTIONS) - set(CASES))
    if unknown:
        parser.error(f"There is no benchmark {unknown[0]!r}. Choose from: {', '.join(QUESTIONS)}.")
    wanted = [name for name in QUESTIONS if {name, name.partition(":")[0]} & set(options.questions)]
    about, failed = machine(), []
    for name in wanted:
        start = time.perf_counter()
        try:
            found = ask(name, options.quick)
        except Unfinished as rest:
            failed.append(name)
            print(f"{name}: {rest}.", file=sys.stderr)
            continue
        except Exception:
            failed.append(name)
            traceback.print_exc()
            continue
        found.seconds = time.perf_counter() - start
        if options.quick:
            found.notes.append("A quick look: few rows and rounds, so take the ratios as rough.")
        found.notes += beside(load(), about["cores"])
        show(found)
        write([found], about, options.out)
    if failed:
        sys.exit(f"These questions broke off, the others are written: {', '.join(failed)}.")


def beside(wanted: float, cores: int) -> list[str]:
    """What to say where more threads wanted to run in the last minute than ours, one for each core."""
    return [] if wanted < cores + OTHERS else [
        f"Other work ran beside: a load of {wanted:.1f} on {cores} cores. Take the ratios as rough: what waits for "
        "a second thread suffers most, and where one text is answered, ours runs on one thread then and peers do not."]


def ask(name: str, quick: bool) -> Question:
    """Measure one question."""
    file, _, case = name.partition(":")
    found: Question = importlib.import_module(f"benchmarks.{file}").measure(quick, *([case] if case else []))
    return found


if __name__ == "__main__":
    main()
