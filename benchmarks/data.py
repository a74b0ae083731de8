"""How long data sets take from a file to the doctor's findings, by rows and formats, and how much memory.

Each step runs in a fresh process, as it does behind the pages. Beside the reading of a CSV file stands
`pandas.read_csv` of the same file, of Parquet `pandas.read_parquet`, and so on: they read cells and nothing more, where
ours also finds out encoding, delimiter, header and ragged rows, and keeps the table in columns.
"""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Question, Row
from fgdesign.data import apart
from fgdesign.data.lengths import tokenizer_folder, tokens_read
from fgdesign.data.store import add
from fgdesign.graph import load_graph
from fgdesign.ui.data_profile import MEMORY, SECONDS
from fgdesign.views.numbers import plain

SUBJECTS = ("parcel", "invoice", "login", "refund", "screen", "battery", "delivery", "account")
ENDS = ("is late again", "was charged twice, and nobody answers", 'says "try later"', "works no more", "is fine")
LABELS = ("shipping", "billing", "access", "praise")
PEERS = {"csv": "read_csv(path, dtype=str, keep_default_na=False)", "tsv": "read_csv(path, sep='\\t', dtype=str)",
         "jsonl": "read_json(path, lines=True, dtype=False)", "parquet": "read_parquet(path)",
         "xlsx": "read_excel(path, dtype=str)"}  # fmt: skip
RUN = """
import json, re, sys, time
import pandas, pyarrow
from pathlib import Path
from fgdesign.data.jobs import keep_copy
start, path, status = time.perf_counter(), sys.argv[1], Path("/proc/self/status")
{code}
seconds = time.perf_counter() - start
most = re.search(r"VmHWM:\\s+(\\d+)", status.read_text()) if status.exists() else None
print(json.dumps([seconds, int(most[1]) / 1024 if most else float("nan")]))
"""
OURS = "keep_copy(path, path, lambda part, whole: None)"
ACCEPTED = 15.0  # seconds that a million rows may take until they are stored and read


@dataclass(frozen=True)
class Case:
    """One file. ending: its format; rows: in it."""

    ending: str
    rows: int

    def __str__(self) -> str:
        return f"{self.ending.upper()}, {plain(self.rows)} rows"


def measure(quick: bool) -> Question:
    """Seconds and memory of reading each format, and of a CSV file's whole way."""
    question = Question("data", "Data: from a file to the doctor's findings")
    many = 2_000 if quick else 1_000_000
    cases = [Case(ending, many) for ending in ("csv", "tsv", "jsonl", "parquet")]
    cases += [] if quick else [Case("csv", 2 * many)]
    if importlib.util.find_spec("openpyxl"):
        cases.append(Case("xlsx", many // 5))
    else:
        question.notes.append("Excel was left out, for openpyxl is not installed: pip install 'fgdesign[excel]'.")
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            path = made(case, Path(folder))
            question.rows.append(beside(case, path, rounds=1 if quick else 3))
            if case == cases[0]:
                question.rows += whole_way(case, path, Path(folder) / "store")
            path.unlink()
    question.notes.append("Times are of fresh processes, imports left out; memory is the most that each had.")
    return question


def beside(case: Case, path: Path, *, rounds: int) -> Row:
    """Reading and keeping a file, beside pandas."""
    peer = f"pandas.{PEERS[case.ending]}"
    told = []
    for _ in range(rounds):
        for copy in path.parent.glob("*.arrow"):
            copy.unlink()
        told.append((_fresh(OURS, path), _fresh(peer, path)))
    ours, theirs = (sorted(told, key=lambda pair: pair[side][0])[len(told) // 2][side] for side in (0, 1))
    size = path.stat().st_size / 2**20
    return Row(f"{case} ({size:.0f} MB) read and kept", ours[0], "s", theirs[0] / ours[0], f"pandas {theirs[0]:.3g} s",
               note=f"{ours[1]:.0f} MB of memory, pandas {theirs[1]:.0f}")


def whole_way(case: Case, path: Path, store: Path) -> list[Row]:
    """What happens to an upload: into the store, read in a process with limits, examined by the doctor, profiled."""
    start = time.perf_counter()
    with path.open("rb") as stream:
        file = add(stream, path.name, store)
    stored = time.perf_counter() - start
    apart.run("fgdesign.data.jobs:keep_copy", {"path": str(file.path), "name": file.name}, name=file.name)
    accepted = time.perf_counter() - start
    graph = load_graph("cheap-word-first")
    folder = tokenizer_folder(graph)
    asked: dict[str, Any] = {"path": str(file.path), "columns": {"text": None, "text_b": None, "label": None},
                             "task": "auto", "recipe": '{"format": "fgdesign.recipe/1", "repairs": []}', "test": None,
                             "tokenizer": None if folder is None else str(folder), "limit": tokens_read(graph)}
    start = time.perf_counter()
    told = apart.run("fgdesign.data.jobs:examine_file", asked, name=file.name, seconds=SECONDS, memory=MEMORY)
    examined = time.perf_counter() - start
    return [
        Row(f"{case} stored", stored, "s"),
        Row(f"{case} accepted: stored, and read in a process of its own", accepted, "s", target=ACCEPTED, higher=False),
        Row(f"{case} examined and profiled", examined, "s", note=f"{len(told['findings'])} findings"),
    ]


def _fresh(code: str, path: Path) -> tuple[float, float]:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", RUN.format(code=code), str(path)], text=True,
                          capture_output=True, check=True)
    seconds, memory = json.loads(done.stdout.splitlines()[-1])
    return seconds, memory


def rows_of(number: int) -> Iterator[tuple[str, str, str]]:
    """(text, label, day) of made-up rows: commas and quotes in some texts."""
    chance = random.Random(0)
    for row in range(number):
        subject, end = chance.choice(SUBJECTS), chance.choice(ENDS)
        yield f"The {subject} number {row} {end}.", chance.choice(LABELS), f"2026-{row % 12 + 1:02}-{row % 28 + 1:02}"


def made(case: Case, folder: Path) -> Path:
    """The file, written by pandas."""
    import pandas as pd

    path = folder / f"rows-{case.rows}.{case.ending}"
    frame = pd.DataFrame(rows_of(case.rows), columns=["text", "label", "day"])
    if case.ending in ("csv", "tsv"):
        frame.to_csv(path, index=False, sep="\t" if case.ending == "tsv" else ",")
    elif case.ending == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif case.ending == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_excel(path, index=False)
    return path
