"""How heavy the product is: what an import takes, what a web page without a model loads, memory of training."""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median

from benchmarks.measure import Question, Row

IMPORT = """
import json, sys, time
import psutil
start = time.perf_counter()
{code}
print(json.dumps([time.perf_counter() - start, psutil.Process().memory_info().rss / 2**20,
                  "torch" in sys.modules]))
"""
LIGHT = {
    "import fgdesign": "import fgdesign",
    "a graph checked": "import fgdesign.graph as g\ng.errors(g.load_graph('routed-experts'))",
    "parts of the pages": "from fgdesign.ui import data_view, design_page, live, runs_table",
}


def measure(quick: bool) -> Question:
    """Seconds and memory of fresh processes."""
    question = Question("weight", "Weight: imports and memory of fresh processes")
    for name, code in LIGHT.items():
        told = [_fresh(code) for _ in range(2 if quick else 7)]
        seconds, memory = median(t[0] for t in told), median(t[1] for t in told)
        without = not any(t[2] for t in told)
        target = 0.3 if name == "import fgdesign" else None
        question.rows.append(Row(name, seconds, "s", None, "", target, False,
                                 f"{memory:.0f} MB, {'without' if without else '**with**'} torch"))
    return question


def _fresh(code: str) -> tuple[float, float, bool]:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", IMPORT.format(code=code)], capture_output=True,
                          text=True, check=True)
    seconds, memory, torch = json.loads(done.stdout.splitlines()[-1])
    return seconds, memory, torch
