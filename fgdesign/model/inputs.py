"""Rows made ready for a network: tokens, raw texts, and static values already known; cut into batches.

Knows nothing of files, labels or training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from fgdesign.data.encode import Encoded, encode
from fgdesign.model.device import moved
from fgdesign.model.flows import Batch, Flow
from fgdesign.model.network import FunctionGraph
from fgdesign.model.steer import Steer


class Tokenise(Protocol):
    """As `encode` does it, or looks it up."""

    def __call__(self, tokenizer: Any, texts: Sequence[str], texts_b: Sequence[str] | None = None, *,
                 max_length: int) -> Encoded: ...


class Values(Protocol):
    """Values of one port for N rows, in memory or on disk."""

    def flow(self, rows: np.ndarray, device: torch.device) -> Flow: ...


@dataclass(frozen=True)
class Vectors:
    """Values of a port in memory: (N, D)."""

    values: Tensor

    def flow(self, rows: np.ndarray, device: torch.device) -> Flow:
        return Flow(moved(self.values[torch.from_numpy(rows)].float(), device))


@dataclass
class Inputs:
    """N rows for one network.

    tokens: per text node. static: per port what is already known. steer: what the network is made to do otherwise.
    """

    texts: Sequence[str]
    texts_b: Sequence[str] | None
    tokens: Mapping[str, Encoded]
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    static: dict[str, Values] = field(default_factory=dict)
    steer: Steer | None = None

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def lengths(self) -> np.ndarray:
        """(N,) tokens of the longest view of each row; words where nothing reads tokens."""
        views = [encoded.lengths for encoded in self.tokens.values()]
        return np.max(views, axis=0) if views else np.array([text.count(" ") + 1 for text in self.texts])

    @cached_property
    def hashes(self) -> list[bytes]:
        """16 bytes per row that stand for its texts; no second text is not an empty one."""
        rows = self.texts if self.texts_b is None else zip(self.texts, self.texts_b, strict=True)
        return [hashlib.sha256(repr(row).encode()).digest()[:16] for row in rows]

    def batch(self, rows: np.ndarray, device: torch.device, *, given: Sequence[str] = (), tokens: bool = True) -> Batch:
        """Some rows as a batch; `given` ports come from what is known, `tokens` False leaves the ids out."""
        return Batch(
            size=len(rows),
            tokens={node: token_flow(encoded, rows, device) for node, encoded in self.tokens.items()} if tokens else {},
            given={port: self.static[port].flow(rows, device) for port in given},
            texts=[self.texts[i] for i in rows],
            texts_b=None if self.texts_b is None else [self.texts_b[i] for i in rows],
            columns={name: [column[i] for i in rows] for name, column in self.columns.items()},
            device=device,
            steer=self.steer,
        )


def token_flow(encoded: Encoded, rows: np.ndarray, device: torch.device) -> Flow:
    """(n, 2, T) ids and segments padded to the longest row, and the mask (None where nothing is padded)."""
    if len(rows) == 1:  # nothing to pad
        part = slice(encoded.offsets[rows[0]], encoded.offsets[rows[0] + 1])
        one = np.stack([encoded.ids[part], encoded.segments[part]]).astype(np.int64)
        return Flow(moved(torch.from_numpy(one[None]), device))
    starts, lengths = encoded.offsets[rows], encoded.lengths[rows]
    longest = int(lengths.max(initial=1))
    real = np.arange(longest) < lengths[:, None]
    places = np.where(real, starts[:, None] + np.arange(longest), 0)
    both = np.stack([encoded.ids[places], encoded.segments[places]], 1).astype(np.int64)
    both[~np.broadcast_to(real[:, None], both.shape)] = 0
    value = moved(torch.from_numpy(both), device)
    return Flow(value, None if real.all() else moved(torch.from_numpy(real), device))


def make_inputs(network: FunctionGraph, tokenizer: object, texts: Sequence[str], texts_b: Sequence[str] | None = None,
                columns: Mapping[str, Sequence[str]] | None = None, *, tokenise: Tokenise = encode) -> Inputs:
    """Tokenise texts as the network's text nodes want them; equal views are made once."""
    views: dict[tuple[str, int], Encoded] = {}
    tokens = {}
    for node_id, column, longest in network.views:
        if (column, longest) not in views:
            first = texts_b if column == "second" and texts_b is not None else texts
            second = texts_b if column == "all" else None
            views[column, longest] = tokenise(tokenizer, first, second, max_length=longest)
        tokens[node_id] = views[column, longest]
    return Inputs(texts, texts_b, tokens, columns or {})
