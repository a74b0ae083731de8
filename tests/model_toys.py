"""A tiny encoder, a tiny tokeniser, toy texts, and networks with no weight left at a special value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from fgdesign.graph.backbones import BackboneInfo, describe_backbone
from fgdesign.graph.spec import Graph
from fgdesign.graph.starters import Sketch
from fgdesign.graph.validate import require_valid
from fgdesign.model.backbone import random_backbone
from fgdesign.model.blocks.merges import LogitMerge
from fgdesign.model.blocks.routers import Router
from fgdesign.model.build import plan
from fgdesign.model.choosing import Exit
from fgdesign.model.inputs import Inputs, make_inputs
from fgdesign.model.network import FunctionGraph, Outcome

CPU = torch.device("cpu")
TINY = BackboneInfo(
    "tiny", "bert", layers=4, width=16, heads=2, ffn_width=24, vocab_size=60, max_length=24, type_vocab=2,
    embedding_width=16, dropout=0.0, attention_dropout=0.0,
)
WORDS = [
    "amber", "boat", "candle", "door", "engine", "fiddle", "garden", "harbour", "island", "jacket", "kettle",
    "ladder", "meadow", "needle", "orchard", "pencil", "quarry", "ribbon", "saddle", "timber", "umbrella", "valley",
    "window", "yarn", "apron", "bridge", "copper", "dancer", "ember", "feather", "goose", "hammer", "ink", "jewel",
    "kite", "lemon", "mirror", "nest", "onion", "pebble",
]


def toy_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word; [CLS] text [SEP] and, for pairs, text [SEP] in segment 1."""
    vocabulary = {name: i for i, name in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])])
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
                                   sep_token="[SEP]")


def tiny_folder(folder: Path) -> Path:
    """A folder that describes the tiny encoder and has its tokeniser; no weights."""
    toy_tokenizer().save_pretrained(folder)
    config = {
        "model_type": "bert", "num_hidden_layers": TINY.layers, "hidden_size": TINY.width, "intermediate_size": 24,
        "num_attention_heads": TINY.heads, "vocab_size": TINY.vocab_size, "type_vocab_size": 2,
        "max_position_embeddings": TINY.max_length, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    }
    (folder / "config.json").write_text(json.dumps(config))
    describe_backbone.cache_clear()
    return folder


def toy_texts(count: int, seed: int = 0, most: int = 12) -> list[str]:
    """Texts of 1 to `most` words."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, most + 1))) for _ in range(count)]


def on_tiny(sketch: Sketch, folder: Path, task: str = "single") -> Graph:
    """The sketched graph on the tiny encoder; it must be valid."""
    graph = replace(sketch.graph("toy"), backbone=str(folder), task=task)
    require_valid(graph, 1 if task == "regression" else 3)
    return graph


def toy_network(graph: Graph, task: str = "single", classes: int = 3, *, shake: float = 0.3) -> FunctionGraph:
    """The graph on a random tiny encoder, every parameter and fitted number moved at random, in evaluation mode."""
    what = plan(graph, task=task, classes=classes, backbone=TINY)
    network = FunctionGraph(what, seed=0, pretrained=random_backbone(TINY, seed=1)).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(shake * torch.randn(parameter.shape, generator=generator))
        for module in network.modules():
            if isinstance(module, LogitMerge):
                module.weights.copy_(torch.rand(module.weights.shape, generator=generator) + 0.2)
            if "temperature" in dict(module.named_buffers(recurse=False)):
                module.temperature.fill_(1.3)
    fit_words(network, classes)
    return network


def fit_words(network: FunctionGraph, classes: int) -> None:
    """Fit word functions on random labels."""
    texts = toy_texts(40, seed=9)
    rng = np.random.default_rng(9)
    targets = {"single": rng.integers(0, classes, 40), "multi": rng.integers(0, 2, (40, classes)),
               "regression": rng.normal(size=40)}
    for module in network.lexicals().values():
        module.fit(texts, targets[network.plan.task])


def toy_inputs(network: FunctionGraph, texts: Sequence[str], texts_b: Sequence[str] | None = None,
               columns: dict[str, list[str]] | None = None) -> Inputs:
    return make_inputs(network, toy_tokenizer(), texts, texts_b, columns)


def answers(network: FunctionGraph, inputs: Inputs, rows: Sequence[int] | None = None,
            open_exits: bool = False) -> Tensor:
    """(n, C) logits of some rows, all by default, in one batch."""
    places = np.arange(len(inputs)) if rows is None else np.asarray(rows)
    with torch.inference_mode():
        outcome = network(inputs.batch(places, CPU), open_exits=open_exits)
        return network.logits(outcome, len(places))


def run(network: FunctionGraph, inputs: Inputs, **options: bool) -> Outcome:
    """All rows in one batch."""
    with torch.inference_mode():
        outcome: Outcome = network(inputs.batch(np.arange(len(inputs)), CPU), **options)
        return outcome


def spread_routers(network: FunctionGraph, inputs: Inputs) -> None:
    """Shift each router's scores so that no branch is best for all rows."""
    for node in network.nodes_of_role("router"):
        module = network.keys.get(node) and network.module_of(node)
        if isinstance(module, Router):
            scores = run(network, inputs).record.choices[node][1].scores * module.temperature
            last = module.scorer if isinstance(module.scorer, nn.Linear) else module.scorer[-1]
            with torch.no_grad():
                last.bias.sub_(scores.mean(0))


def halve_exits(network: FunctionGraph, inputs: Inputs) -> None:
    """Set each exit's threshold so that about half of the rows that reach it leave."""
    for node in network.nodes_of_role("exit"):
        sure = run(network, inputs).record.exits[node][1]
        module = network.module_of(node)
        assert isinstance(module, Exit)
        module.threshold.fill_(float(sure.sort().values[len(sure) // 2 - 1 : len(sure) // 2 + 1].mean()))
