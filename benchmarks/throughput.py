"""Texts of mixed length to pooled vectors: ours against sentence-transformers and ONNX Runtime, tokenising included."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.measure import Question, Row, installed, interleaved, ratio
from benchmarks.public import texts
from fgdesign.graph.backbones import backbone_files, describe_backbone
from fgdesign.graph.spec import DEFAULT_BACKBONE
from fgdesign.graph.starters import Sketch
from fgdesign.model import quantised
from fgdesign.model.backbone import load_backbone, load_tokenizer
from fgdesign.model.build import plan
from fgdesign.model.device import fast_dtype
from fgdesign.model.inputs import make_inputs
from fgdesign.model.network import FunctionGraph
from fgdesign.training.rows import collect

BATCH = 32
LONGEST = 128
CPU = torch.device("cpu")
FOLDER = backbone_files(describe_backbone(DEFAULT_BACKBONE))


def pooled() -> tuple[FunctionGraph, Any]:
    """A graph that ends in the mean pool of the last layer, and the tokeniser."""
    s = Sketch()
    s.add("head", "classifier", s.add("pool", "pool", s.layers(s.text(max_length=LONGEST), 1, 6)))
    what = plan(s.graph("pooled"), task="single", classes=2)
    return FunctionGraph(what, pretrained=load_backbone(what.backbone)).eval(), load_tokenizer(what.backbone)


def measure(quick: bool) -> Question:
    """Texts a second of each engine, and how near the vectors are to ours."""
    question = Question("throughput", "Throughput: texts of mixed length to vectors, tokenising included")
    rows = texts(128 if quick else 768)
    network, tokenizer = pooled()
    def ours() -> np.ndarray:
        return collect(network, make_inputs(network, tokenizer, rows), CPU, ("pool.out",))["pool.out"].numpy()

    contenders: dict[str, Callable[[], Any]] = {"ours": ours}
    if quantised.engine():
        whole = pooled()[0]
        whole.quantise()
        contenders["ours, int8"] = lambda: collect(whole, make_inputs(whole, tokenizer, rows), CPU,
                                                   ("pool.out",))["pool.out"].numpy()
    with tempfile.TemporaryDirectory() as folder:
        if installed(question, "sentence_transformers"):
            contenders["sentence-transformers"] = _sentence_transformers(rows)
        if installed(question, "onnxruntime", "onnxscript"):
            contenders["ONNX Runtime float32"] = _onnx(Path(folder), rows)
        times = interleaved(contenders, rounds=3 if quick else 5)
        near = {name: _cosine(ours(), np.asarray(work())) for name, work in contenders.items()}
    for name, taken in times.items():
        target = {"sentence-transformers": 3.3, "ONNX Runtime float32": 1.0}.get(name)
        found = None if name == "ours" else ratio(times, name, "ours")
        question.rows.append(Row(f"{name}, {fast_dtype(CPU)}" if name == "ours" else name, len(rows) / median(taken),
                                 "texts/s", found, "" if name == "ours" else "ours (times faster)", target,
                                 note=f"cosine to ours {near[name]:.5f}"))
    if fast_dtype(CPU) == torch.float32:
        question.notes.append("This processor has no native bfloat16, so all engines compute in float32 and the "
                              "target of 3.3, which rests on bfloat16, is out of reach: what is left is batching.")
    return question


def _sentence_transformers(rows: list[str]) -> Callable[[], Any]:
    from sentence_transformers import SentenceTransformer

    peer = SentenceTransformer(str(FOLDER), device="cpu")
    peer.max_seq_length = LONGEST
    return lambda: peer.encode(rows, batch_size=BATCH, show_progress_bar=False, normalize_embeddings=False)


def _onnx(folder: Path, rows: list[str]) -> Callable[[], Any]:
    """Sorted batches of the same size through ONNX Runtime."""
    import onnxruntime
    from transformers import AutoModel, AutoTokenizer

    encoder, tokenizer = AutoModel.from_pretrained(FOLDER).eval(), AutoTokenizer.from_pretrained(FOLDER)
    file = folder / "encoder.onnx"
    sample = tokenizer(rows[:2], padding=True, return_tensors="pt")
    names = ("input_ids", "attention_mask")
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    torch.onnx.export(encoder, tuple(sample[name] for name in names), str(file), input_names=list(names), dynamo=True,
                      dynamic_shapes=({0: batch, 1: length}, {0: batch, 1: length}), verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def run() -> np.ndarray:
        out = np.zeros((len(rows), encoder.config.hidden_size), np.float32)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for start in range(0, len(order), BATCH):
            part = order[start:start + BATCH]
            fed = tokenizer([rows[i] for i in part], padding=True, truncation=True, max_length=LONGEST,
                            return_tensors="np")
            hidden = session.run(None, {name: fed[name] for name in names})[0]
            mask = fed["attention_mask"][..., None]
            out[part] = (hidden * mask).sum(1) / mask.sum(1)
        return out

    return run


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)))
