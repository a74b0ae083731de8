"""Graphs to start from: each says when to use it and what to expect. Built here, never stored.

Knows nothing of torch or Streamlit.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgdesign.errors import GraphError, choices
from fgdesign.graph.spec import Edge, Graph, Node, load_file

LAYERS = 6


@dataclass(frozen=True)
class Starter:
    """A starter graph: its name, one line, and one paragraph on when to use it and what to expect."""

    name: str
    title: str
    about: str
    graph: Graph


class Sketch:
    """Gathers nodes and edges. `add` returns the node's `out` port, ready to be an input."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []

    def add(self, node_id: str, kind: str, *inputs: str, tuning: str | None = None, by: str | None = None,
            logits: str | None = None, weights: tuple[float, ...] = (), **params: Any) -> str:
        self.nodes.append(Node(node_id, f"{kind}/1", params, None, tuning))
        for i, source in enumerate(inputs):
            self.edges.append(Edge(source, f"{node_id}.in", weights[i] if weights else None))
        for port, extra in (("by", by), ("logits", logits)):
            if extra:
                self.edges.append(Edge(extra, f"{node_id}.{port}"))
        return f"{node_id}.out"

    def text(self, **params: Any) -> str:
        return self.add("embeddings", "embeddings", self.add("text", "text", **params))

    def layers(self, source: str, first: int, last: int, tuning: str = "frozen") -> str:
        for index in range(first, last + 1):
            source = self.add(f"layer_{index}", "encoder_layer", source, index=index,
                              tuning=None if tuning == "frozen" else tuning)
        return source

    def graph(self, name: str) -> Graph:
        return Graph(name, tuple(self.nodes), tuple(self.edges))


def _linear_probe() -> Graph:
    s = Sketch()
    pool = s.add("pool", "pool", s.layers(s.text(), 1, LAYERS))
    s.add("classifier", "classifier", pool, dropout=0.0)
    return s.graph("linear-probe")


def _auto() -> Graph:
    s = Sketch()
    hidden = s.layers(s.layers(s.text(), 1, 2), 3, LAYERS, "full")
    head = s.add("head", "classifier", s.add("pool", "pool", hidden), dropout=0.0)
    s.add("opinion", "merge", head, s.add("words", "lexical", "text.out"), rows="shared")
    return s.graph("auto")


def _words_only() -> Graph:
    s = Sketch()
    s.add("words", "lexical", s.add("text", "text"))
    return s.graph("words-only")


def _two_opinions() -> Graph:
    s = Sketch()
    hidden = s.layers(s.layers(s.text(), 1, 2), 3, LAYERS, "full")
    head = s.add("head", "classifier", s.add("pool", "pool", hidden))
    words = s.add("words", "lexical", "text.out")
    s.add("opinion", "merge", head, words, rows="shared")
    return s.graph("two-opinions")


def _cheap_word_first() -> Graph:
    s = Sketch()
    text = s.add("text", "text")
    words = s.add("words", "lexical", text)
    s.add("exit_0", "exit", text, logits=words)
    hidden, answers = s.add("embeddings", "embeddings", "exit_0.next"), ["exit_0.answer"]
    for index in range(1, LAYERS + 1):
        hidden = s.layers(hidden, index, index, "full" if index > 2 else "frozen")
        head = s.add(f"head_{index}", "classifier", s.add(f"pool_{index}", "pool", hidden))
        opinion = s.add(f"opinion_{index}", "merge", head, words, rows="shared")
        if index < LAYERS:
            s.add(f"exit_{index}", "exit", hidden, logits=opinion)
            hidden = f"exit_{index}.next"
            answers.append(f"exit_{index}.answer")
    s.add("answer", "answer", *answers, opinion)
    return s.graph("cheap-word-first")


def _early_exit() -> Graph:
    s = Sketch()
    hidden, answers = s.text(), []
    for index in range(1, LAYERS + 1):
        hidden = s.layers(hidden, index, index)
        if index in (1, 3):
            head = s.add(f"head_{index}", "classifier", s.add(f"pool_{index}", "pool", hidden))
            s.add(f"exit_{index}", "exit", hidden, logits=head)
            hidden = f"exit_{index}.next"
            answers.append(f"exit_{index}.answer")
    head = s.add(f"head_{LAYERS}", "classifier", s.add(f"pool_{LAYERS}", "pool", hidden))
    s.add("answer", "answer", *answers, head)
    return s.graph("early-exit")


def _grow() -> Graph:
    s = Sketch()
    lower = s.layers(s.text(), 1, 2)
    tap = s.add("domain", "pool", lower)
    pool = s.add("pool", "pool", s.layers(lower, 3, LAYERS))
    s.add("router", "router", pool, by=tap, branches=2, teacher="domain")
    known = s.add("head_known", "classifier", "router.branch_1", tuning="frozen")
    new = s.add("head_new", "classifier", "router.branch_2")
    s.add("answer", "answer", known, new)
    return s.graph("grow")


def _textbook() -> Graph:
    s = Sketch()
    x = s.add("x", "pool", s.layers(s.text(), 1, 2))
    one, two = s.add("f_1", "linear", x), s.add("f_2", "linear", x)
    s.add("answer", "classifier", s.add("y_2", "activation", s.add("y_1", "add", x, one, two), function="sigmoid"),
          norm=False, dropout=0.0)
    return s.graph("textbook-sentiment")


def _layer_taps() -> Graph:
    s = Sketch()
    hidden, taps = s.text(), []
    for index in range(1, LAYERS + 1):
        hidden = s.layers(hidden, index, index)
        if index in (2, 4, 6):
            taps.append(s.add(f"tap_{index}", "pool", hidden, method="attention"))
    s.add("classifier", "classifier", s.add("concat", "concat", *taps))
    return s.graph("layer-taps")


def _experts(s: Sketch, router: str, count: int, **params: Any) -> list[str]:
    return [s.add(f"expert_{i}", "ffn", f"{router}.branch_{i}", **params) for i in range(1, count + 1)]


def _routed_experts() -> Graph:
    s = Sketch()
    pool = s.add("pool", "pool", s.layers(s.layers(s.text(), 1, 3), 4, LAYERS, "full"))
    s.add("router", "router", pool, branches=5)
    merged = s.add("merge", "gcn_merge", *_experts(s, "router", 4, hidden=96), "router.branch_5")
    s.add("classifier", "classifier", merged)
    return s.graph("routed-experts")


def _gcn_experts() -> Graph:
    s = Sketch()
    pool = s.add("pool", "pool", s.layers(s.text(), 1, LAYERS), method="attention")
    s.add("router", "router", pool, branches=6, k=2)
    merged = s.add("merge", "gcn_merge", *_experts(s, "router", 6, hidden=96), adjacency="learned")
    s.add("classifier", "classifier", merged)
    return s.graph("gcn-experts")


def _adapter_stack() -> Graph:
    s = Sketch()
    hidden = s.layers(s.layers(s.text(), 1, 3), 4, LAYERS, "adapter")
    s.add("classifier", "classifier", s.add("pool", "pool", hidden))
    return s.graph("adapter-stack")


def _rule_and_learned() -> Graph:
    s = Sketch()
    pool = s.add("pool", "pool", s.layers(s.text(), 1, LAYERS))
    s.add("by_length", "rule_router", pool, branches=2, default=2, rules=[{"when": "length", "at_most": 6, "to": 1}])
    short = s.add("short", "adapter", "by_length.branch_1")
    s.add("router", "router", "by_length.branch_2", branches=3)
    learned = s.add("learned", "merge", *_experts(s, "router", 3, hidden=96))
    s.add("classifier", "classifier", s.add("merge", "merge", short, learned))
    return s.graph("rule-and-learned")


def _lora_upper_half() -> Graph:
    s = Sketch()
    pool = s.add("pool", "pool", s.layers(s.layers(s.text(), 1, 3), 4, LAYERS, "lora"))
    s.add("router", "router", pool, branches=3)
    merged = s.add("merge", "merge", *_experts(s, "router", 2, hidden=96), "router.branch_3")
    s.add("classifier", "classifier", merged)
    return s.graph("lora-upper-half")


def _sentence_pairs() -> Graph:
    s = Sketch()
    sides = []
    for side, column in (("a", "text"), ("b", "second")):
        hidden = s.add(f"embeddings_{side}", "embeddings", s.add(f"text_{side}", "text", column=column))
        for index in range(1, LAYERS + 1):
            hidden = s.add(f"{side}_layer_{index}", "encoder_layer", hidden, index=index)
        sides.append(s.add(f"unit_{side}", "normalise", s.add(f"pool_{side}", "pool", hidden)))
    product = s.add("product", "multiply", *sides)
    difference = s.add("difference", "add", *sides, weights=(1.0, -1.0))
    distance = s.add("distance", "activation", difference, function="abs")
    s.add("head", "classifier", s.add("both", "concat", product, distance), norm=False)
    return s.graph("sentence-pairs")


_BUILDERS: tuple[tuple[str, str, Callable[[], Graph]], ...] = (
    ("Cheap word first", "The default. A word function answers the rows it is sure of for the price of a look-up; the "
     "others climb through BERT and leave at the first layer whose head, joined with the words' opinion, is sure "
     "enough. Use it for tickets, reviews and news in any number of classes. Expect the accuracy of the whole encoder "
     "at a third to a half of its layers.", _cheap_word_first),
    ("Two opinions", "The word function and the fine-tuned encoder, joined at full depth. Use it where accuracy counts "
     "and time does not; it is also the control of cheap-word-first. Expect a little more than either alone.",
     _two_opinions),
    ("Grow", "A new task beside an old one, without forgetting. Train it once on the first task; then train it again "
     "from that run on data with both: the old head stays frozen, a new head learns, and a router learns from the "
     "column 'domain' (or from the answers) who is asked. Expect the old task untouched, in seconds.", _grow),
    ("Auto", "One head over the encoder, joined with a word function, and a short trial that decides whether tuning "
     "layers 3 to 6 pays beyond that. Use it where nothing shall be chosen by hand. Expect fine-tuned accuracy on "
     "sentiment, and a probe's seconds on intents; never less than the probe on validation.", _auto),
    ("Linear probe", "Frozen encoder, mean of the last layer, one linear map. Use it first on intents: little beats it "
     "there, and it trains in seconds. Expect several points less than fine-tuning on sentiment.", _linear_probe),
    ("Textbook sentiment", "Three classes over the first two layers: y1 = x + F1(x) + F2(x), y2 = sigma(y1), "
     "y = W y2 + b. Use it to learn how a graph is built. Expect modest accuracy.", _textbook),
    ("Layer taps", "Layers 2, 4 and 6, each pooled by a learned attention, side by side. Use it to read frozen layers "
     "cheaply. Expect half of what fine-tuning adds over the probe, in a fraction of its time.", _layer_taps),
    ("Routed experts", "Layers 1 to 3 frozen and cached, 4 to 6 fine-tuned, then one of four experts or the straight "
     "way for each row, merged by graph convolution. Use it on sentiment. Expect nearly full fine-tuning; the gain "
     "comes from the trained layers, the router shows how rows differ.", _routed_experts),
    ("GCN experts", "Frozen encoder, two of six experts for each row, merged by a learned graph convolution. Use it to "
     "study routing: a run takes seconds. Expect the accuracy of one expert of the same size.", _gcn_experts),
    ("Early exit", "Frozen encoder with heads after layers 1, 3 and 6; a row leaves as soon as a head is sure. Use it "
     "on intents and questions. Expect two to three times less compute at the same accuracy.", _early_exit),
    ("Adapter stack", "Bottleneck adapters in layers 4 to 6, all else frozen. Use it where many small models must "
     "share one backbone. Expect most of fine-tuning with under 2 % of its parameters.", _adapter_stack),
    ("Rule and learned", "Short texts take a way of their own by rule; the others are routed by a learned router. Use "
     "it where you know something the model does not. Expect clear routes more than accuracy.", _rule_and_learned),
    ("LoRA upper half", "LoRA updates in layers 4 to 6 and a router over two experts and the straight way. Use it to "
     "keep what is stored for a task tiny. Expect less than full fine-tuning in the same number of epochs.",
     _lora_upper_half),
    ("Sentence pairs", "Both texts through the same frozen encoder, compared by product and absolute difference. Use "
     "it for similarity and duplicates. Expect good rank correlation in seconds.", _sentence_pairs),
    ("Words only", "TF-IDF and logistic regression, no encoder at all. Use it as the price to beat. Expect to be "
     "surprised on keyword-like classes.", _words_only),
)


def _starters() -> dict[str, Starter]:
    made = (Starter(graph.name, title, about, graph) for title, about, build in _BUILDERS for graph in (build(),))
    return {starter.name: starter for starter in made}


STARTERS: dict[str, Starter] = _starters()
DEFAULT = "cheap-word-first"


def load_graph(source: str | Path | Graph) -> Graph:
    """A starter by name, a graph file by path, or a graph as it is. Raises GraphError with the choices."""
    if isinstance(source, Graph):
        return source
    if str(source) in STARTERS:
        return STARTERS[str(source)].graph
    if os.path.isfile(source):  # unlike Path.is_file, False for names no file can have
        return load_file(source)
    raise GraphError(f"'{source}' is neither a graph file nor a starter. {choices(STARTERS, str(source))}")
