"""What many tests share: a tiny pretrained encoder on disk, made-up rows, and places of their own to write to."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

LAYERS, WIDTH = 6, 32
TOPICS = {
    "parcel": ("where is my parcel", "the parcel came late", "my box was lost on the way", "track the delivery van"),
    "refund": ("i want my money back", "refund the broken lamp", "you charged me twice", "cancel and pay me back"),
    "praise": ("what a lovely shop", "the staff were kind and fast", "great lamp and fair price", "i love this store"),
}
EXTRA = ("today", "please", "now", "again", "for the third time", "thanks", "from the shop in town", "since monday",
         "and soon", "with the blue label")
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


def rows_of(count: int) -> list[tuple[str, str]]:
    """(text, topic) of `count` different made-up rows, the three topics in turn."""
    names = list(TOPICS)
    rows = []
    for i in range(count):
        topic, turn = names[i % 3], i // 3
        base, extra = TOPICS[topic][turn % 4], EXTRA[turn // 4 % 10]
        rows.append((f"{base} {extra}" + (f" {turn // 40}" if turn >= 40 else ""), topic))
    return rows


def write_rows(path: Path, count: int = 60) -> Path:
    """A CSV of `rows_of` with the columns text and label."""
    lines = [f"{text},{label}" for text, label in rows_of(count)]
    path.write_text("\n".join(["text,label", *lines]) + "\n", "utf-8")
    return path
