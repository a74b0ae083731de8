"""What explaining costs and is worth: rows traced, interventions over the cache, and whether shown words matter."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import torch

from benchmarks.measure import Question, Row, interleaved, ratio
from benchmarks.public import data_set, texts
from fgdesign.api import train
from fgdesign.data import Dataset
from fgdesign.data.columns import Columns
from fgdesign.data.task import Task
from fgdesign.graph import load_graph
from fgdesign.graph.infer import wiring
from fgdesign.insight.ablation import Bench, all_changes
from fgdesign.insight.answered_set import answered
from fgdesign.insight.faithful import faithfulness
from fgdesign.insight.statistics import paired_bootstrap
from fgdesign.model.backbone import load_backbone, load_tokenizer
from fgdesign.model.build import plan
from fgdesign.model.inputs import make_inputs
from fgdesign.model.network import FunctionGraph
from fgdesign.training.evaluate import answer_rows

CPU = torch.device("cpu")
TRACED, INTERVENED, SHOWN, LEARNED = 10_000, 1_000, 150, 4_000
TASK = Task("single", ("no", "yes"), "")


class Routed:
    """The starter of routed experts, not trained: the same work for every answer."""

    def __init__(self) -> None:
        what = plan(load_graph("routed-experts"), task="single", classes=2)
        self.network = FunctionGraph(what, pretrained=load_backbone(what.backbone)).eval()
        self.tokenizer, self.device = load_tokenizer(what.backbone), CPU
        self.labels, self.task = list(TASK.labels), "single"


def measure(quick: bool) -> Question:
    """Tracing against answering alone; seconds of an intervention on many rows; shown words against random ones."""
    question = Question("insight", "Explaining: traced rows, interventions, and whether shown words carry the answer")
    model = Routed()
    _traced(question, model, 200 if quick else TRACED)
    _intervened(question, model, 60 if quick else INTERVENED)
    for graph in ("linear-probe", "cheap-word-first")[: 1 if quick else 2]:
        _shown(question, graph, quick)
    return question


def _rows(count: int) -> Dataset:
    some = texts(count)
    return Dataset(some, None, np.arange(count) % 2, TASK, Columns("text", None, None, ()),
                   pd.DataFrame({"text": some}), np.arange(2, count + 2))


def _traced(question: Question, model: Routed, count: int) -> None:
    """`answered` notes answer, route and calls of every row; beside it the answers alone."""
    data = _rows(count)
    times = interleaved({
        "plain": lambda: answer_rows(model.network, make_inputs(model.network, model.tokenizer, data.texts), CPU),
        "traced": lambda: answered(model, data)}, rounds=3, warm=0)
    question.rows.append(Row(f"{count} rows traced", count / median(times["traced"]), "texts/s",
                             ratio(times, "plain", "traced"), "plain answers (speed ratio)", 0.9, True,
                             "routed-experts, tokenising included"))


def _intervened(question: Question, model: Routed, count: int) -> None:
    """Each change above the frontier alone, after the values that no change reaches were computed once."""
    start = time.perf_counter()
    bench = Bench(model, _rows(count), count)
    first = time.perf_counter() - start
    above = {"router", *wiring(model.network.plan.graph).successors("router")}
    taken = []
    for node, _, change in all_changes(model):
        if node in above:
            start = time.perf_counter()
            bench.score(change)
            taken.append(time.perf_counter() - start)
    told = f"slowest of {len(taken)}: {max(taken):.2f} s; once before, for all of them: {first:.1f} s"
    question.rows.append(Row(f"one intervention above the frontier on {count} rows", median(taken), "s", None, "", 5.0,
                             False, told))


def _shown(question: Question, graph: str, quick: bool) -> None:
    """Comprehensiveness and sufficiency on sst2, with paired intervals against random words."""
    files = data_set("sst2", question)
    if files is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        few = pd.read_csv(files.train).head(48 if quick else LEARNED)
        few.to_csv(Path(folder) / "train.csv", index=False)
        run = train(graph, Path(folder) / "train.csv", out=Path(folder) / "run", device="cpu")
        some = pd.read_csv(files.test)["text"].astype(str).tolist()[: 6 if quick else SHOWN]
        table = faithfulness(run, some)
    for name, sign, said in (("comprehensiveness", 1, "fall without the shown words, less that without random ones"),
                             ("sufficiency", -1, "fall with random words alone, less that with the shown ones")):
        gain = paired_bootstrap(sign * (table[name] - table[f"random_{name}"]).to_numpy())
        question.rows.append(Row(f"sst2, {graph}: {name}", gain.low, "", None, "", 0.0, True,
                                 f"{said}: {gain.value:+.3f} (95 % {gain.low:+.3f} to {gain.high:+.3f}); shown "
                                 f"{table[name].mean():.3f}, random {table[f'random_{name}'].mean():.3f}, "
                                 f"{len(table)} texts"))
