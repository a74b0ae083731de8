"""The static cache: time to the first step on known data, bytes, speed from disk beside memory, memory."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from benchmarks.measure import Question, Row, interleaved, ratio
from benchmarks.public import texts
from fgdesign.data.encode import encode
from fgdesign.data.known_tokens import KnownTokens
from fgdesign.graph.spec import Graph
from fgdesign.graph.starters import Sketch
from fgdesign.model.backbone import load_backbone, load_tokenizer
from fgdesign.model.build import plan
from fgdesign.model.device import fast_dtype, precision
from fgdesign.model.flows import Flow
from fgdesign.model.inputs import Inputs, make_inputs
from fgdesign.model.network import FunctionGraph
from fgdesign.model.static import StaticCache
from fgdesign.runs.prepare import tokenizer_hash

CPU = torch.device("cpu")
ROWS = 10_000
BATCH = 32


class InMemory:
    """Values of a sequence port as tensors in memory, cut as a batch needs them."""

    def __init__(self, stored: Any, count: int) -> None:
        flows = [stored.flow(np.array([row]), CPU) for row in range(count)]
        self.values = [flow.value[0].to(torch.bfloat16) for flow in flows]

    def flow(self, rows: np.ndarray, device: torch.device) -> Flow:
        spans = [self.values[row] for row in rows]
        longest = max(len(span) for span in spans)
        value = torch.zeros(len(rows), longest, spans[0].shape[1])
        for i, span in enumerate(spans):
            value[i, : len(span)] = span
        lengths = torch.tensor([len(span) for span in spans])
        mask = None if bool((lengths == longest).all()) else torch.arange(longest) < lengths[:, None]
        return Flow(value, mask)


def tuned(lowest: int, hidden: int = 32) -> Graph:
    """Layers from `lowest` on are trained; the ones below are static."""
    s = Sketch()
    top = s.layers(s.layers(s.text(max_length=64), 1, lowest - 1), lowest, 6, "full")
    s.add("head", "classifier", s.add("expert", "ffn", s.add("pool", "pool", top), hidden=hidden))
    return s.graph("tuned")


def network_of(graph: Graph) -> FunctionGraph:
    what = plan(graph, task="single", classes=2)
    return FunctionGraph(what, pretrained=load_backbone(what.backbone))


def measure(quick: bool) -> Question:
    """On texts of mixed length, distinct by a number in front."""
    question = Question("static_cache", "Static cache: values that never change, computed once")
    count = 96 if quick else ROWS
    rows = [f"{i} {text}" for i, text in enumerate(texts(count))]
    network = network_of(tuned(3))
    tokenizer = load_tokenizer(network.plan.backbone)
    ports = network.needed((), network.plan.found.frontier, True).given
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as aside:
        cache, tokens = StaticCache(Path(folder)), KnownTokens(Path(aside), tokenizer_hash(tokenizer))
        inputs = make_inputs(network, tokenizer, rows, tokenise=tokens.encode)
        start = time.perf_counter()
        cache.fill(network, inputs, ports, "tokenizer", CPU)
        first = time.perf_counter() - start
        question.rows.append(Row(f"{count} texts through two layers, the first time", first, "s"))
        for what, tokenise in (("found", tokens.encode), ("tokenised", encode)):
            seconds = _known(cache, network, lambda tokenise=tokenise: make_inputs(
                network, tokenizer, rows, tokenise=tokenise), ports)
            question.rows.append(Row(f"{count} known texts: {what}, values found, first step", seconds, "s",
                                     target=1 if what == "found" else None, higher=False))
        bytes_per_token = _bytes(Path(folder)) / int(inputs.lengths.sum())
        question.rows.append(Row("bytes a token", bytes_per_token, "B", bytes_per_token / (384 * 2), "width x 2", 1.05,
                                 higher=False))
        _speed(question, network, inputs, ports, quick)
        _memory(question, network, inputs, ports)
        changed = network_of(tuned(3, hidden=64))
        again = make_inputs(changed, tokenizer, rows)
        computed = cache.fill(changed, again, ports, "tokenizer", CPU)
        question.rows.append(Row("rows computed anew after a change above the frontier", computed, "rows", None, "", 0,
                                 higher=False))
    return question


def _known(cache: StaticCache, network: FunctionGraph, ready: Callable[[], Inputs], ports: tuple[str, ...]) -> float:
    """Seconds from texts to the end of the first training step, everything static known."""
    start = time.perf_counter()
    inputs = ready()
    cache.fill(network, inputs, ports, "tokenizer", CPU)
    _step(network, inputs, ports, np.arange(BATCH))
    return time.perf_counter() - start


def _speed(question: Question, network: FunctionGraph, inputs: Inputs, ports: tuple[str, ...], quick: bool) -> None:
    """Training steps whose values come from the memory-mapped cache, from memory, and are computed anew."""
    count = min(len(inputs), 2000)
    in_memory = replace(inputs, static={port: InMemory(inputs.static[port], count) for port in ports})
    order = np.argsort(inputs.lengths[:count], kind="stable")
    starts = np.random.default_rng(0).permutation(count // BATCH)[: 3 if quick else 8] * BATCH
    batches = [order[start:start + BATCH] for start in starts]

    def steps(source: Inputs, known: tuple[str, ...]) -> Any:
        return lambda: [_step(network, source, known, rows) for rows in batches]

    times = interleaved({"mapped": steps(inputs, ports), "memory": steps(in_memory, ports), "anew": steps(inputs, ())},
                        rounds=3 if quick else 9)
    each = np.median(times["mapped"]) / len(batches) * 1000
    question.rows.append(Row("training step from the mapped cache", each, "ms", ratio(times, "memory", "mapped"),
                             "the same tensors in memory", 0.95))
    question.rows.append(Row("training step from the mapped cache", each, "ms", ratio(times, "anew", "mapped"),
                             "computing them anew"))


def _memory(question: Question, network: FunctionGraph, inputs: Inputs, ports: tuple[str, ...]) -> None:
    """Memory of the process's own, mapped files not counted, after a tenth of the rows and after all of them.

    Every batch is read; every tenth is learned from.
    """
    batches = [np.sort(rows) for rows in np.array_split(np.argsort(inputs.lengths), max(1, len(inputs) // BATCH))]
    order = np.random.default_rng(0).permutation(len(batches) - 1)
    held = []
    for place, batch in enumerate([len(batches) - 1, *order]):  # the longest texts first: they set how much is needed
        inputs.batch(batches[batch], CPU, given=ports, tokens=False)
        if place % 10 == 0:
            _step(network, inputs, ports, batches[batch])
            held.append(_own_bytes())
    tenth = max(held[: max(1, len(held) // 10)])
    question.rows.append(Row("own memory after all rows", max(held) / 2**20, "MB", max(held) / tenth,
                             "after a tenth of them", 1.1, higher=False, note="mapped files left out"))


def _own_bytes() -> int:
    """Anonymous memory of this process; all of its memory where the system does not tell them apart."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    kilobytes = next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)
    return kilobytes * 1024 or int(psutil.Process().memory_info().rss)


def _step(network: FunctionGraph, inputs: Inputs, known: tuple[str, ...], rows: np.ndarray) -> None:
    needed = network.needed((), known, True)
    batch = inputs.batch(rows, CPU, given=needed.given, tokens=needed.reads_tokens)
    network.train()
    with precision(CPU, fast_dtype(CPU)):
        outcome = network(batch, open_exits=True)
    torch.autograd.backward(network.logits(outcome, len(rows)).sum())
    network.zero_grad(set_to_none=True)


def _bytes(folder: Path) -> int:
    return sum(os.path.getsize(file) for file in folder.rglob("*") if file.is_file())
