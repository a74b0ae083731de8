"""How time grows with rows, nodes, experts and tokens: seconds at each size, and the fitted exponent.

time ~ size ** exponent, fitted to all sizes by least squares on logarithms. Also drawn, as growth.svg.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.dispatch import WIDTH, routed
from benchmarks.measure import Question, Row, interleaved
from benchmarks.public import texts
from fgdesign.data.encode import encode
from fgdesign.graph.backbones import describe_backbone
from fgdesign.graph.spec import DEFAULT_BACKBONE, Graph
from fgdesign.graph.starters import Sketch
from fgdesign.graph.validate import validate
from fgdesign.model.backbone import load_backbone, load_tokenizer
from fgdesign.model.build import plan
from fgdesign.model.flows import Batch, Flow
from fgdesign.model.network import FunctionGraph
from fgdesign.runs.prepare import DataChoice, read_data

SIZES = {  # what grows: sizes, and those of a quick look
    "rows": ((1_000, 10_000, 100_000, 1_000_000), (100, 400)),
    "nodes": ((10, 30, 100, 300), (10, 30)),
    "experts": ((2, 4, 8, 16, 32, 64), (2, 4)),
    "tokens": ((8, 32, 128, 512), (8, 32)),
}
TITLES = {"rows": "a file read, checked, split and tokenised", "nodes": "a graph checked, built and run on 32 rows",
          "experts": "256 vectors through one of the experts each", "tokens": "8 texts through six layers"}
ROUNDS = 5


def measure(quick: bool) -> Question:
    """One row for each size, and one with the exponent."""
    question = Question("growth", "Growth: seconds against size, and the fitted exponent")
    curves: dict[str, list[tuple[int, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        made: dict[str, Callable[[int], Callable[[], Any]]] = {
            "rows": lambda size: _rows(Path(folder), size), "nodes": _nodes, "experts": _experts, "tokens": _tokens()}
        for what, make in made.items():
            sizes = SIZES[what][quick]
            once = what == "rows" or quick
            times = interleaved({str(size): make(size) for size in sizes}, rounds=1 if once else ROUNDS,
                                warm=0 if what == "rows" else 1)
            curves[what] = [(size, median(times[str(size)])) for size in sizes]
            question.rows += [Row(f"{size:,} {what}: {TITLES[what]}", seconds * 1000, "ms")
                              for size, seconds in curves[what]]
            question.rows.append(Row(f"{what}: exponent", exponent(curves[what]), ""))
    question.pictures["growth"] = picture(curves)
    return question


def exponent(curve: list[tuple[int, float]]) -> float:
    """The slope of log(seconds) over log(size)."""
    sizes, seconds = np.log(np.array(curve).T)
    return float(np.polyfit(sizes, seconds, 1)[0])


def _rows(folder: Path, count: int) -> Callable[[], Any]:
    """A file of so many different rows in eight classes."""
    file, tokenizer = folder / f"{count}.csv", load_tokenizer(describe_backbone(DEFAULT_BACKBONE))
    sentences = [text.replace('"', "'") for text in texts(min(count, 5000))]
    with file.open("w", encoding="utf-8") as out:
        out.write("text,label\n")
        for i in range(count):
            out.write(f'"{sentences[i % len(sentences)]} {i}",class {i % 8}\n')

    def work() -> None:
        data, _ = read_data(DataChoice(str(file)))
        encode(tokenizer, data.texts, max_length=64)

    return work


def chain(count: int) -> Graph:
    """Exactly `count` nodes: text, embeddings, a pool, functions one after the other, a head."""
    s = Sketch()
    port = s.add("pool", "pool", s.text())
    for i in range(count - 4):
        port = s.add(f"f_{i}", "linear", port, activation="tanh")
    s.add("head", "classifier", port)
    return s.graph("chain")


def _nodes(count: int) -> Callable[[], Any]:
    graph, rows = chain(count), torch.randn(32, WIDTH, generator=torch.Generator().manual_seed(0))

    def work() -> None:
        validate(graph)
        network = FunctionGraph(plan(graph, task="single", classes=2), pretrained=backbone).eval()
        with torch.inference_mode():
            network(Batch(32, given={"pool.out": Flow(rows)}))

    backbone = load_backbone(describe_backbone(DEFAULT_BACKBONE))
    return work


def _experts(count: int) -> Callable[[], Any]:
    network, port = routed(count, "vectors")
    batch = Batch(256, given={port: Flow(torch.randn(256, WIDTH, generator=torch.Generator().manual_seed(0)))})

    def work() -> None:
        with torch.inference_mode():
            network(batch, wanted=("merge.out",))

    return work


def _tokens() -> Callable[[int], Callable[[], Any]]:
    s = Sketch()
    s.add("head", "classifier", s.add("pool", "pool", s.layers(s.text(max_length=512), 1, 6)))
    what = plan(s.graph("long"), task="single", classes=2)
    network = FunctionGraph(what, pretrained=load_backbone(what.backbone)).eval()

    def make(length: int) -> Callable[[], Any]:
        ids = torch.randint(1000, 20_000, (8, 2, length), generator=torch.Generator().manual_seed(0))
        ids[:, 1] = 0

        def work() -> None:
            with torch.inference_mode():
                network(Batch(8, tokens={"text": Flow(ids)}))

        return work

    return make


def picture(curves: dict[str, list[tuple[int, float]]]) -> str:
    """All curves side by side on logarithmic axes, as SVG."""
    parts = [_panel(i, what, curve) for i, (what, curve) in enumerate(curves.items())]
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {len(parts) * 220} 200" font-family="sans-serif" '
            f'font-size="11"><rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n')


def _panel(place: int, what: str, curve: list[tuple[int, float]]) -> str:
    sizes, seconds = np.log(np.array(curve).T)
    x = place * 220 + 30 + 160 * (sizes - sizes.min()) / np.ptp(sizes)
    y = 150 - 110 * (seconds - seconds.min()) / max(np.ptp(seconds), 1e-9)
    dots = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3"/><text x="{a:.1f}" y="{b - 7:.1f}" text-anchor="middle">'
                   f'{s * 1000:.3g}</text>' for a, b, (_, s) in zip(x, y, curve, strict=True))
    ticks = "".join(f'<text x="{a:.1f}" y="168" text-anchor="middle">{size:,}</text>'
                    for a, (size, _) in zip(x, curve, strict=True))
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return (f'<text x="{place * 220 + 110}" y="16" text-anchor="middle">ms by {what}, exponent {exponent(curve):.2f}'
            f'</text><polyline points="{line}" fill="none" stroke="#0072b2"/>{dots}{ticks}')
