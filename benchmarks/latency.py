"""One text through the Python API, end to end: p50 and p99, against transformers; and what a trace costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.measure import Question, Row, interleaved, ratio
from benchmarks.public import texts
from benchmarks.throughput import pooled
from fgdesign.graph.backbones import backbone_files, describe_backbone
from fgdesign.graph.spec import DEFAULT_BACKBONE
from fgdesign.insight.tracing import trace
from fgdesign.model.inputs import make_inputs
from fgdesign.training.evaluate import answer_rows

CPU = torch.device("cpu")


def measure(quick: bool) -> Question:
    """The same encoder and depth for both; the trace beside the plain answer."""
    from transformers import AutoModel, AutoTokenizer

    question = Question("latency", "Latency: one text at a time, tokenising included")
    rows = texts(20 if quick else 200)
    network, tokenizer = pooled()
    folder = backbone_files(describe_backbone(DEFAULT_BACKBONE))
    peer, words = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    turn = {"ours": 0, "traced": 0, "transformers": 0}

    def next_text(name: str) -> list[str]:
        turn[name] += 1
        return [rows[turn[name] % len(rows)]]

    def ours() -> Any:
        return answer_rows(network, make_inputs(network, tokenizer, next_text("ours")), CPU)

    def traced() -> Any:
        return trace(network, make_inputs(network, tokenizer, next_text("traced")), 0, CPU)

    def transformers() -> Any:
        with torch.inference_mode():
            return peer(**words(next_text("transformers"), return_tensors="pt"))

    times = interleaved({"ours": ours, "transformers": transformers, "traced": traced},
                        rounds=30 if quick else 400, warm=5)
    for name, taken in times.items():
        p50, p99 = np.percentile(taken, [50, 99]) * 1000
        against = {"transformers": ("ours (times faster)", 1.0, True), "traced": ("ours (time ratio)", 1.1, False)}
        text, target, higher = against.get(name, ("", None, True))
        found = None if name == "ours" else ratio(times, name, "ours")
        question.rows.append(Row(name, float(p50), "ms", found, text, target, higher, f"p99 {p99:.1f} ms"))
    return question
