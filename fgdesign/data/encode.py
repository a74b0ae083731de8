"""Token ids of many texts, flat and without padding, and batches of rows of like length.

Knows a fast tokeniser object that is passed in; nothing of torch, files or labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fgdesign.errors import DataError

Ids = NDArray[np.uint16] | NDArray[np.uint32]

CHUNK = 16384  # texts per call: bounds the memory of the tokeniser's own results
WINDOW = 50  # batches that are sorted by length together
_one_at_a_time = Lock()  # the truncation length is a setting of the tokeniser object


@dataclass(frozen=True)
class Encoded:
    """N texts as token ids, laid end to end.

    Attributes:
        ids: uint16 (or uint32 for a vocabulary above 65536), all texts' ids with their special tokens.
        offsets: int64 (N + 1,); text i is ids[offsets[i]:offsets[i + 1]].
        segments: uint8, like ids: 0 in the first text, 1 in the second where the model tells them apart.
        truncated: bool (N,), texts that were longer than allowed.
    """

    ids: Ids
    offsets: NDArray[np.int64]
    segments: NDArray[np.uint8]
    truncated: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.truncated)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(N,) tokens per text."""
        return np.diff(self.offsets)


def encode(
    tokenizer: Any, texts: Sequence[str], texts_b: Sequence[str] | None = None, *, max_length: int
) -> Encoded:
    """Tokenise in one batch. The truncation length stays set on the tokeniser; its own calls set theirs.

    Args:
        tokenizer: a transformers fast tokeniser.
        texts: N texts.
        texts_b: N second texts, or None.
        max_length: tokens per text or pair, special tokens included; the longer text of a pair is cut.

    Raises:
        DataError: `max_length` has no room for a token beside the special ones.
    """
    special = tokenizer.num_special_tokens_to_add(pair=texts_b is not None)
    if max_length <= special:
        raise DataError(
            f"A maximum length of {max_length} has no room for text: {special} special tokens are always "
            f"there. Choose at least {special + 1}."
        )
    wide = len(tokenizer) > np.iinfo(np.uint16).max + 1
    dtype = np.dtype(np.uint32 if wide else np.uint16)
    ids: list[NDArray[Any]] = [np.empty(0, dtype)]
    segments = [np.empty(0, np.uint8)]
    offsets = np.zeros(len(texts) + 1, np.int64)
    truncated = np.zeros(len(texts), bool)
    backend = tokenizer.backend_tokenizer
    for start in range(0, len(texts), CHUNK):
        rows = slice(start, min(start + CHUNK, len(texts)))
        batch = texts[rows] if texts_b is None else list(zip(texts[rows], texts_b[rows], strict=True))
        with _one_at_a_time:
            _set_truncation(backend, max_length)
            found = backend.encode_batch_fast(batch)
        lists = [encoding.ids for encoding in found]
        offsets[rows.start + 1 : rows.stop + 1] = [len(row) for row in lists]
        truncated[rows] = [bool(encoding.overflowing) for encoding in found]
        ids.append(_flat(lists, dtype))
        segments.append(_flat([encoding.type_ids for encoding in found], np.uint8))
    return Encoded(np.concatenate(ids), np.cumsum(offsets), np.concatenate(segments), truncated)


def buckets(
    lengths: NDArray[Any], batch_size: int, *, seed: int, epoch: int, shuffle: bool, tokens: int = 0
) -> list[NDArray[np.int64]]:
    """Batches of row positions in which lengths are alike; every row is in exactly one.

    Shuffled: rows are mixed, sorted by length inside windows of 50 batches, and the batches are mixed
    again. Not shuffled: from the shortest to the longest. A pure function of its arguments.

    Args:
        lengths: (N,) tokens per row.
        batch_size: rows per batch; one batch may be smaller.
        seed, epoch: another pair, another order.
        tokens: where it is not 0, a batch holds what fits into so many tokens with padding, and at least one row.
    """
    rng = np.random.default_rng((seed, epoch)) if shuffle else None
    order = np.arange(len(lengths)) if rng is None else rng.permutation(len(lengths))
    window = batch_size * WINDOW if shuffle else max(1, len(lengths))
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(order), window):
        rows = order[start : start + window]
        rows = rows[np.argsort(np.asarray(lengths)[rows], kind="stable")]
        if tokens:
            batches += _fitting(rows, np.asarray(lengths)[rows], tokens)
        else:
            batches += [rows[place : place + batch_size] for place in range(0, len(rows), batch_size)]
    return [batches[place] for place in rng.permutation(len(batches))] if rng else batches


def _fitting(rows: NDArray[Any], lengths: NDArray[Any], tokens: int) -> list[NDArray[np.int64]]:
    """Rows of rising length, cut where one more row would make a padded batch larger than so many tokens."""
    batches, place = [], 0
    while place < len(rows):
        most = tokens // max(1, int(lengths[place])) + 1
        padded = lengths[place : place + most] * np.arange(1, len(lengths[place : place + most]) + 1)
        size = max(1, int(np.searchsorted(padded, tokens, side="right")))
        batches.append(rows[place : place + size])
        place += size
    return batches


def _set_truncation(backend: Any, max_length: int) -> None:
    """Cut at `max_length`, do not pad; nothing is touched where it is so already."""
    wanted = {"max_length": max_length, "stride": 0, "strategy": "longest_first", "direction": "right"}
    if backend.truncation != wanted:
        backend.enable_truncation(**wanted)
    if backend.padding is not None:
        backend.no_padding()


def _flat(rows: list[list[int]], dtype: Any) -> NDArray[Any]:
    total = sum(map(len, rows))
    return np.fromiter(chain.from_iterable(rows), dtype, total)
