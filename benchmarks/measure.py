"""Times contenders in turn, so that whatever else the machine does meets all of them, and writes what was found.

Knows nothing of what is timed.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import platform
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from fgdesign.runs.executor import WAITING

for _name, _value in WAITING.items():  # before torch is imported: all contenders as our own commands run
    os.environ.setdefault(_name, _value)
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

Work = Callable[[], Any]


@dataclass(frozen=True)
class Row:
    """One measured thing. target: what the ratio should reach; higher says whether more is better."""

    what: str
    value: float
    unit: str
    ratio: float | None = None
    against: str = ""
    target: float | None = None
    higher: bool = True
    note: str = ""

    @property
    def held(self) -> bool | None:
        """Whether the target holds; None without one."""
        if self.target is None:
            return None
        reached = self.value if self.ratio is None else self.ratio
        return reached >= self.target if self.higher else reached <= self.target


@dataclass
class Question:
    """What one benchmark asks, and the rows that answer it. pictures: SVG by name."""

    name: str
    title: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    pictures: dict[str, str] = field(default_factory=dict)


def interleaved(contenders: Mapping[str, Work], *, rounds: int, warm: int = 1) -> dict[str, list[float]]:
    """Seconds of each contender, one list entry per round; every round runs all of them, each time in another order."""
    names = list(contenders)
    for _ in range(warm):
        for name in names:
            contenders[name]()
    found: dict[str, list[float]] = {name: [] for name in names}
    gc.collect()
    gc.disable()
    try:
        order = random.Random(0)  # any may follow any: what one leaves in the caches meets all the others
        for _ in range(rounds):
            for name in order.sample(names, len(names)):
                start = time.perf_counter()
                contenders[name]()
                found[name].append(time.perf_counter() - start)
    finally:
        gc.enable()
    return found


def ratio(times: Mapping[str, Sequence[float]], slow: str, fast: str) -> float:
    """How many times faster `fast` is than `slow`: the median over rounds of the ratio inside a round."""
    return median(a / b for a, b in zip(times[slow], times[fast], strict=True))


def repeated(work: Work, times: int) -> Work:
    """The same work several times, for what is too short to time once."""
    def run() -> None:
        for _ in range(times):
            work()

    return run


def installed(question: Question, *modules: str) -> bool:
    """Whether a peer's packages are there; where they are not, the question says so."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        question.notes.append(f"Left out, for {' and '.join(missing)} is not installed: pip install 'fgdesign[bench]'.")
    return not missing


def machine() -> dict[str, Any]:
    """What this was measured on."""
    import psutil
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    from fgdesign.model.device import fast_dtype, pick_device

    return {
        "processor": model or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "vector units": next((name for name in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if name in flags), ""),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "precision": str(fast_dtype(pick_device())).removeprefix("torch."),
        "busy": round(psutil.cpu_percent(interval=1.0)),
    }


def write(questions: Sequence[Question], about: Mapping[str, Any], folder: Path) -> None:
    """benchmarks.json and benchmarks.md in a folder; questions measured earlier and not now stay."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "benchmarks.json"
    kept = json.loads(file.read_text("utf-8")) if file.exists() else {}
    for name in {question.name.partition(":")[0] for question in questions if ":" in question.name}:
        kept.pop(name, None)  # from before it was asked case by case
    for question in questions:
        for name, picture in question.pictures.items():
            (folder / f"{name}.svg").write_text(picture, "utf-8")
        kept[question.name] = {**asdict(question), "pictures": sorted(question.pictures), "machine": dict(about)}
    file.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    (folder / "benchmarks.md").write_text(_markdown(kept), "utf-8")


def _markdown(kept: Mapping[str, Any]) -> str:
    lines = ["# Benchmarks", "", "Written by `make bench`. Ratios are medians over rounds in which all contenders ran "
             "in turn in one process tree, on the same rows and threads. Above 1 is faster than what stands beside it, "
             "unless the target is an upper bound.", ""]
    for told in kept.values():
        where = told["machine"]
        lines += [f"## {told['title']}", "", f"{where['processor']}, {where['cores']} cores ({where['vector units']}), "
                  f"GPU {where['gpu']}, torch {where['torch']}, {where['threads']} threads, fastest native precision "
                  f"{where.get('precision', 'not noted')}; "
                  f"{where['busy']} % busy with other work when it began.", "",
                  "| what | value | ratio | against | target | held |", "|---|---|---|---|---|---|"]
        lines += [_line(Row(**row)) for row in told["rows"]]
        lines += ["", *(f"![{name}]({name}.svg)" for name in told.get("pictures", ())),
                  *(f"- {note}" for note in told["notes"]), ""]
    return "\n".join(lines).rstrip() + "\n"


def _line(row: Row) -> str:
    sign = "≥" if row.higher else "≤"
    held = {None: "", True: "yes", False: "**no**"}[row.held]
    shown = [row.what, f"{row.value:.4g} {row.unit}", "" if row.ratio is None else f"{row.ratio:.2f}", row.against,
             "" if row.target is None else f"{sign} {row.target:g}", held + (f" {row.note}" if row.note else "")]
    return "| " + " | ".join(shown) + " |"


def show(question: Question) -> None:
    """Print a question's rows."""
    print(f"\n{question.title}  ({question.seconds:.0f} s)")
    for row in question.rows:
        print(_line(row))
    for note in question.notes:
        print(f"- {note}")
