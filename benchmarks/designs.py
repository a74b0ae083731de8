"""What could stand before the layers: other cheap functions and other exits than those of cheap-word-first.

Each design is trained alike and shown beside its own controls: the first function alone (always cheap), its exits held
shut (always full), and its routes shuffled among the rows, which are random ones at the same share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.early_exit import paired
from benchmarks.measure import Question, Row, interleaved
from benchmarks.public import Split, data_set
from benchmarks.routing import net_alone, opinions, places, shuffled
from benchmarks.trained import trained
from fgdesign.graph.spec import Graph
from fgdesign.graph.starters import Sketch
from fgdesign.model.inputs import make_inputs
from fgdesign.training.evaluate import answer_rows

LAYERS, TIMED = 6, 96


def _climb(s: Sketch, hidden: str, cheap: str, answers: list[str], after: tuple[int, ...]) -> None:
    """The layers, with an exit after some of them whose head is joined with a cheap opinion, and the answer."""
    for index in range(1, LAYERS + 1):
        hidden = s.layers(hidden, index, index, "full" if index > 2 else "frozen")
        if index in (*after, LAYERS):
            head = s.add(f"head_{index}", "classifier", s.add(f"pool_{index}", "pool", hidden))
            opinion = s.add(f"opinion_{index}", "merge", head, cheap, rows="shared")
            if index < LAYERS:
                hidden = _leave(s, f"exit_{index}", hidden, opinion, answers)
    s.add("answer", "answer", *answers, opinion)


def _leave(s: Sketch, name: str, held: str, opinion: str, answers: list[str]) -> str:
    """An exit; returns where its other rows go on."""
    s.add(name, "exit", held, logits=opinion)
    answers.append(f"{name}.answer")
    return f"{name}.next"


def _words(s: Sketch, answers: list[str], characters: int = 0) -> tuple[str, str]:
    """Words with an exit of their own; returns their opinion and the embeddings of the rows that go on."""
    text = s.add("text", "text")
    words = s.add("words", "lexical", text, characters=characters)
    return words, s.add("embeddings", "embeddings", _leave(s, "exit_0", text, words, answers))


def words_first(name: str, characters: int = 0, after: tuple[int, ...] = (1, 2, 3, 4, 5)) -> Graph:
    """cheap-word-first, with runs of characters or fewer exits."""
    s, answers = Sketch(), list[str]()
    words, hidden = _words(s, answers, characters)
    _climb(s, hidden, words, answers, after)
    return s.graph(name)


def bag_first() -> Graph:
    """The mean of the static embeddings and a linear map in the place of the words."""
    s, answers = Sketch(), list[str]()
    hidden = s.add("embeddings", "embeddings", s.add("text", "text"))
    bag = s.add("bag", "classifier", s.add("pool_0", "pool", hidden))
    _climb(s, _leave(s, "exit_0", hidden, bag, answers), bag, answers, (1, 2, 3, 4, 5))
    return s.graph("bag-first")


def words_and_bag() -> Graph:
    """Words; then words and bag together; then the layers: two cheap functions of different kinds in turn."""
    s, answers = Sketch(), list[str]()
    words, hidden = _words(s, answers)
    bag = s.add("bag", "classifier", s.add("pool_0", "pool", hidden))
    both = s.add("opinion_0", "merge", bag, words, rows="shared")
    _climb(s, _leave(s, "exit_bag", hidden, both, answers), words, answers, (1, 2, 3, 4, 5))
    return s.graph("words-and-bag")


def student() -> Graph:
    """Words; then a layer of its own that learns from the last answer, beside frozen layers; then the layers."""
    s, answers = Sketch(), list[str]()
    words, hidden = _words(s, answers)
    own = s.add("student", "encoder_layer", hidden, index=1, tuning="full")
    opinion = s.add("opinion_s", "merge", s.add("head_s", "classifier", s.add("pool_s", "pool", own)), words,
                    rows="shared")
    _climb(s, _leave(s, "exit_s", hidden, opinion, answers), words, answers, (2, 3, 4, 5))
    graph = s.graph("student")
    return graph.with_nodes(replace(node, params={**node.params, "weights": "copy"}) if node.id == "student" else node
                            for node in graph.nodes)


DESIGNS: dict[str, Callable[[], Graph]] = {
    "words first": lambda: words_first("words-first"),
    "words, exits after 2 and 4": lambda: words_first("words-two-exits", after=(2, 4)),
    "words and characters first": lambda: words_first("characters-first", characters=4),
    "bag first": bag_first,
    "words, then words and bag": words_and_bag,
    "words, then a student": student,
}


QUICK = ("words first", "bag first")


def measure(quick: bool, case: str = "trec6") -> Question:
    """One data set, every design; two of them in a quick look."""
    question = Question(f"designs:{case}", f"What could stand before the layers, {case}")
    files = data_set(case, question)
    if files is not None:
        _case(question, files, quick)
    question.notes.append("One seed. Milliseconds a text are of designs in turn, the same texts one at a time. p is "
                          "the exact McNemar test on the test rows, against the net alone.")
    return question


def _case(question: Question, files: Split, quick: bool) -> None:
    test = pd.read_csv(files.test)
    texts, truth = test["text"].astype(str).tolist(), test["label"].astype(str).to_numpy()
    alone = np.array([row["prediction"] for row in trained(files, net_alone()).predict(texts)]) == truth
    question.rows.append(Row(f"{files.name}: the net alone", float(alone.mean()), "", note=f"{LAYERS} layers"))
    runs = {name: trained(files, DESIGNS[name]()) for name in (QUICK if quick else DESIGNS)}
    some = texts[:8 if quick else TIMED]

    def one_by_one(run: Any) -> Callable[[], Any]:
        def work() -> None:
            for text in some:
                answer_rows(run.network, make_inputs(run.network, run.tokenizer, [text]), torch.device("cpu"))

        return work

    times = interleaved({name: one_by_one(run) for name, run in runs.items()}, rounds=2 if quick else 7)
    for name, run in runs.items():
        told, each = run.predict(texts), opinions(run, texts, truth)
        right = np.array([row["prediction"] for row in told]) == truth
        question.rows.append(Row(
            f"{files.name}: {name}", float(right.mean()), "",
            note=f"{np.mean([row['layers'] for row in told]):.2f} layers, {1000 * median(times[name]) / len(some):.2f} "
                 f"ms/text; {paired(right, alone)}; always cheap {each[0].mean():.4f}, always full "
                 f"{each[-1].mean():.4f}, shuffled {shuffled(each, places(run, told)):.4f}"))
