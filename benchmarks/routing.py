"""Does routing earn its keep: words first, then layers until one is sure, beside every control.

Controls: the net alone with no words and no exits; the word function alone (always cheap); the same graph with its
exits held shut (always full); its routes shuffled among the rows (random at the same share); both opinions at full
depth. The test says who is right on the same rows.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.early_exit import paired, speed
from benchmarks.measure import Question, Row
from benchmarks.public import Split, data_set
from benchmarks.trained import trained
from fgdesign.graph.spec import Graph
from fgdesign.graph.starters import Sketch
from fgdesign.model.inputs import make_inputs
from fgdesign.runs.trained import TrainedRun
from fgdesign.training.rows import collect

UNITED = ("sst2", "trec6", "banking77")
MOST_LAYERS = 2.5
AGAINST_FULL = {1: 2.0, 32: 1.5}
AGAINST_TRANSFORMERS = {1: 4.0}
SHUFFLES = 20


def net_alone() -> Graph:
    """The encoder of cheap-word-first and two-opinions, with one head."""
    s = Sketch()
    s.add("head", "classifier", s.add("pool", "pool", s.layers(s.layers(s.text(), 1, 2), 3, 6, "full")))
    return s.graph("net-alone")


def measure(quick: bool, case: str = "banking77") -> Question:
    """One data set, or "union" of three: accuracies, layers, speed."""
    question = Question(f"routing:{case}", f"Routing that earns its keep, {case}: cheap-word-first beside its controls")
    with tempfile.TemporaryDirectory() as folder:
        found = [files for name in (UNITED if case == "union" else (case,)) if (files := data_set(name, question))]
        if case == "union" and len(found) == len(UNITED):
            _case(question, _union(found, Path(folder)), quick)
        elif case != "union" and found:
            _case(question, found[0], quick)
    question.notes.append("One seed. Thresholds, temperatures and merge weights come from validation rows alone. p is "
                          "the exact McNemar test on the test rows. The route is by how sure a cheap opinion is, so "
                          "shuffled routes are also the random ones at the same share.")
    return question


def _union(parts: list[Split], folder: Path) -> Split:
    """All rows in one label space; a fixed tenth of the training rows validates where no file is given."""
    tables: dict[str, list[pd.DataFrame]] = {"train": [], "valid": [], "test": []}
    for split in parts:
        learn = pd.read_csv(split.train, dtype=str)
        valid = learn.sample(frac=0.1, random_state=0) if split.valid is None else pd.read_csv(split.valid, dtype=str)
        learn = learn.drop(valid.index) if split.valid is None else learn
        for name, table in (("train", learn), ("valid", valid), ("test", pd.read_csv(split.test, dtype=str))):
            tables[name].append(table.assign(label=split.name + ": " + table["label"]))
    files = {name: folder / f"union_{name}.csv" for name in tables}
    for name, file in files.items():
        pd.concat(tables[name]).to_csv(file, index=False)
    return Split("union", files["train"], files["test"], files["valid"])


def _case(question: Question, files: Split, quick: bool) -> None:
    test = pd.read_csv(files.test)
    texts, truth = test["text"].astype(str).tolist(), test["label"].astype(str).to_numpy()
    graphs = {"cheap-word-first": "cheap-word-first", "net alone": net_alone(), "two-opinions": "two-opinions"}
    runs = {name: trained(files, graph) for name, graph in graphs.items()}
    right = {name: np.array([row["prediction"] for row in run.predict(texts)]) == truth for name, run in runs.items()}
    run, alone = runs["cheap-word-first"], right["net alone"]
    told = run.predict(texts)
    layers = float(np.mean([row["layers"] for row in told]))
    each = opinions(run, texts, truth)
    random = shuffled(each, places(run, told))
    controls = {"always cheap, the words alone": each[0], "always full, exits held shut": each[-1],
                "net alone, no words": alone, "two-opinions": right["two-opinions"]}
    routed = right["cheap-word-first"]
    question.rows += [
        Row(f"{files.name}: accuracy of cheap-word-first", float(routed.mean()), "",
            note=f"against the net alone: {paired(routed, alone)}"),
        Row(f"{files.name}: layers a text", layers, "of 6", target=MOST_LAYERS, higher=False),
        *(Row(f"{files.name}: {name}", float(one.mean()), "", note="" if one is alone else paired(one, alone))
          for name, one in controls.items()),
        _at_one_depth(files.name, each, layers),
        Row(f"{files.name}: routes shuffled", random, "",
            note=f"{100 * (random - float(routed.mean())):+.1f} points; mean of {SHUFFLES}"),
    ]
    speed(question, run, files.name, texts, AGAINST_FULL, AGAINST_TRANSFORMERS, quick)


def opinions(run: TrainedRun, texts: list[str], truth: np.ndarray) -> np.ndarray:
    """(E + 1, n) bool: what each exit in turn, and the last answer, would get right."""
    network = run.network
    inputs = make_inputs(network, run.tokenizer, texts)
    ports = [network.plan.graph.into(node, "logits")[0].source for node in network.nodes_of_role("exit")]
    ports.append(network.answer)
    values = collect(network, inputs, torch.device("cpu"), list(dict.fromkeys(ports)))
    return np.stack([np.array(run.labels)[values[port].argmax(1).numpy()] == truth for port in ports])


def places(run: TrainedRun, told: list[dict[str, Any]]) -> np.ndarray:
    """(n,) which of `opinions` answered each row."""
    exits = [*run.network.nodes_of_role("exit"), None]
    return np.array([exits.index(row["exit"]) for row in told])


def shuffled(each: np.ndarray, taken: np.ndarray) -> float:
    """Accuracy where every row is answered where another row left: the same shares, chosen at random."""
    rng, rows = np.random.default_rng(0), np.arange(len(taken))
    return float(np.mean([each[rng.permutation(taken), rows].mean() for _ in range(SHUFFLES)]))


def _at_one_depth(name: str, each: np.ndarray, layers: float) -> Row:
    """Every row answered after the same number of layers, at least as many as the routes call on average."""
    depth = min(len(each) - 1, math.ceil(layers))
    return Row(f"{name}: all rows after {depth} layers", float(each[depth].mean()), "", note="no cheaper")
