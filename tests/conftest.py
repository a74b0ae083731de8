"""What many tests share: a tiny pretrained encoder on disk, made-up rows, and places of their own to write to."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_rows import EXTRA, TOPICS

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("FGDESIGN_PRECISION", "float32")  # the same numbers on every machine; bfloat16 has its own tests

LAYERS, WIDTH = 6, 32
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random BERT of six layers, 32 wide, and a WordPiece tokenizer for the rows of `rows_of`."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("backbone")
    spoken = sorted({word for texts in (*TOPICS.values(), EXTRA) for text in texts for word in text.split()})
    letters = [mark + char for char in "abcdefghijklmnopqrstuvwxyz0123456789" for mark in ("", "##")]
    vocab = [*SPECIAL, *dict.fromkeys((*spoken, *letters))]
    (folder / "vocab.txt").write_text("\n".join(vocab), "utf-8")
    BertTokenizerFast(vocab={word: i for i, word in enumerate(vocab)}).save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        config = BertConfig(vocab_size=len(vocab), hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=4,
                            intermediate_size=48, max_position_embeddings=64, initializer_range=0.2)
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_graph(tiny_backbone: Path) -> Callable[[str], object]:
    """A starter by name, over the tiny encoder."""
    from fgdesign.graph import load_graph

    return lambda name: replace(load_graph(name), backbone=str(tiny_backbone))


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing is read from or written to the home folder of who runs the tests."""
    monkeypatch.setenv("FGDESIGN_WORKSPACE", str(tmp_path_factory.getbasetemp() / "workspace"))
    monkeypatch.setenv("FGDESIGN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("FGDESIGN_SUPERVISOR", "off")  # a test that needs one starts and ends it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: while they run, an event loop runs beside them that other tests could not share."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
