"""Token ids that are kept on disk: the same as made anew, whatever happened to the files."""

from __future__ import annotations

import errno
import os
import random
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from fgdesign.data import known_tokens
from fgdesign.data.encode import Encoded, encode
from fgdesign.data.known_tokens import FEWEST, KnownTokens

TEXTS = [f"parcel {i % 7} is late" if i % 3 else "" for i in range(FEWEST)]


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    words = ["[UNK]", "parcel", "is", "late", *map(str, range(7))]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts were tokenised, call by call."""
    counts: list[int] = []

    def counted(tokenizer: Any, texts: Any, *others: Any, **length: int) -> Encoded:
        counts.append(len(texts))
        return encode(tokenizer, texts, *others, **length)

    monkeypatch.setattr(known_tokens, "encode", counted)
    return counts


def same(one: Encoded, other: Encoded) -> bool:
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in fields(Encoded)]
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


def test_what_is_known_is_not_made_again(tmp_path: Path, tokenizer: Any, made: list[int]) -> None:
    kept = KnownTokens(tmp_path / "tokens", "mine")
    for _ in range(2):
        assert same(kept.encode(tokenizer, TEXTS, max_length=3), encode(tokenizer, TEXTS, max_length=3))
    assert made == [FEWEST]
    others: list[tuple[KnownTokens, list[str], list[str] | None, int]] = [
        (kept, TEXTS, None, 4), (kept, TEXTS[::-1], None, 3), (KnownTokens(kept.folder, "another"), TEXTS, None, 3),
        (kept, ["".join(TEXTS[:2]), "", *TEXTS[2:]], None, 3)]
    for place, texts, second, length in others:
        assert same(place.encode(tokenizer, texts, second, max_length=length),
                    encode(tokenizer, texts, second, max_length=length))
    assert len(made) == 5
    kept.encode(tokenizer, TEXTS[:-1], max_length=3)  # few are made each time
    assert len(made) == 6 and len(list(kept.folder.iterdir())) == 5


def test_a_second_text_is_another_table(tmp_path: Path, made: list[int]) -> None:
    kept = KnownTokens(tmp_path, "mine")
    names = {kept._name(*pair, 8) for pair in ((TEXTS, None), (TEXTS, TEXTS), (TEXTS + TEXTS, None),
                                               (["\ud800a"], None), (["\ud800"], ["a"]))}
    assert len(names) == 5


@pytest.mark.parametrize("damage", [lambda data: data[:-200], lambda data: b"", lambda data: b"PK\x03\x04",
                                    lambda data: data[:500] + bytes([data[500] ^ 255]) + data[501:]])
def test_a_damaged_file_is_made_anew(tmp_path: Path, tokenizer: Any, made: list[int], damage: Any) -> None:
    kept = KnownTokens(tmp_path, "mine")
    right = kept.encode(tokenizer, TEXTS, max_length=5)
    [file] = tmp_path.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert same(kept.encode(tokenizer, TEXTS, max_length=5), right) and len(made) == 2
    assert same(kept.encode(tokenizer, TEXTS, max_length=5), right) and len(made) == 2


def test_no_damaged_byte_brings_an_error_or_wrong_tokens(tmp_path: Path) -> None:
    right = Encoded(np.arange(300, dtype=np.uint16), np.arange(11) * 30, np.zeros(300, np.uint8), np.zeros(10, bool))
    kept, file = KnownTokens(tmp_path, "mine"), tmp_path / "one.npz"
    kept._keep(file, right)
    whole, draw = file.read_bytes(), random.Random(0)
    for _ in range(1000):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        file.write_bytes(damaged)
        found = known_tokens._read(file)
        assert found is None or same(found, right)


def test_what_was_used_longest_ago_goes_first(tmp_path: Path, tokenizer: Any, made: list[int]) -> None:
    kept = KnownTokens(tmp_path, "mine")
    for age, length in enumerate((4, 5, 6)):
        kept.encode(tokenizer, TEXTS, max_length=length)
        newest = max(tmp_path.iterdir(), key=lambda file: file.stat().st_mtime)
        os.utime(newest, (time.time() - 900 + 100 * age,) * 2)
    kept.encode(tokenizer, TEXTS, max_length=4)  # used again
    size = max(file.stat().st_size for file in tmp_path.iterdir())
    KnownTokens(tmp_path, "mine", limit=3 * size).encode(tokenizer, TEXTS, max_length=7)
    made.clear()
    for length in (4, 6, 7):
        kept.encode(tokenizer, TEXTS, max_length=length)
    assert not made
    kept.encode(tokenizer, TEXTS, max_length=5)
    assert made == [FEWEST]


def test_a_full_disk_costs_nothing_but_time(tmp_path: Path, tokenizer: Any, made: list[int],
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    right = encode(tokenizer, TEXTS, max_length=5)
    assert same(KnownTokens(tmp_path, "mine").encode(tokenizer, TEXTS, max_length=5), right)
    assert list(tmp_path.iterdir()) == []
