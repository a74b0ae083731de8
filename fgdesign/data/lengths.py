"""How many tokens texts have, by the tokeniser of a pretrained encoder, counted only where it matters.

A text has no more tokens than bytes and no fewer than words, so that most texts need no counting. Knows nothing of
torch and transformers: tokenizer.json is read by the tokenizers library.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fgdesign.errors import BackboneError, DataError
from fgdesign.graph.backbones import backbone_files, describe_backbone
from fgdesign.graph.infer import params_of
from fgdesign.graph.spec import DEFAULT_BACKBONE, Graph

CHUNK = 10_000  # texts
LONG = 40  # characters of a text for each token of the limit: what stands behind cannot matter


def tokens_read(graph: Graph) -> int:
    """Tokens of a text that a graph reads: the least that any of its text nodes does; 256 where it has none."""
    limits = [int(str(params_of(node)["max_length"])) for node in graph.nodes if node.type == "text/1"]
    return min(limits, default=256)


def tokenizer_folder(graph: Graph) -> Path | None:
    """The folder with the tokeniser of a graph's backbone; None where it would have to be fetched or is not there."""
    if graph.backbone != DEFAULT_BACKBONE and not Path(graph.backbone).expanduser().is_dir():
        return None
    try:
        folder = backbone_files(describe_backbone(graph.backbone))
    except BackboneError:
        return None
    return folder if (folder / "tokenizer.json").is_file() else None


def token_counter(folder: Path) -> TokenCounter:
    """The counter for an encoder's folder. Raises BackboneError where it has no tokenizer.json."""
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing more precise
        raise BackboneError(
            f"Tokens cannot be counted: {file} cannot be read ({error}). Save the tokenizer there in its fast form."
        ) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return TokenCounter(tokenizer)


class TokenCounter:
    """Counts tokens, special ones included."""

    def __init__(self, tokenizer: object) -> None:
        self._tokenizer = tokenizer
        self._by_words = type(getattr(tokenizer, "model", None)).__name__ == "WordPiece"
        self._known: dict[str, int] = {}

    def count(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """(N,) tokens of each text."""
        found = []
        for start in range(0, len(texts), CHUNK):
            part = self._tokenizer.encode_batch_fast(list(texts[start : start + CHUNK]))  # type: ignore[attr-defined]
            found += [len(item.ids) for item in part]
        return np.asarray(found, np.int64)

    def against(self, texts: Sequence[str], limit: int) -> NDArray[np.int64]:
        """(N,) tokens of each text where they are near the limit; elsewhere a number on the right side of it.

        Raises:
            DataError: the limit is no number of tokens.
        """
        if limit < 1:
            raise DataError(f"The limit of {limit} tokens is below 1. Give one from 1 on.")
        special = int(self.count([""])[0])
        sizes = np.fromiter((len(text.encode("utf-8", "replace")) for text in texts), np.int64, len(texts))
        found = sizes + special
        open_ = np.flatnonzero(found > limit)
        words = np.fromiter((len(texts[row].split()) for row in open_.tolist()), np.int64, len(open_)) + special
        long = words > limit
        found[open_[long]] = words[long]
        rows = open_[~long]
        found[rows] = self._sums([texts[row][: LONG * limit] for row in rows.tolist()], special)
        return found

    def _sums(self, texts: Sequence[str], special: int) -> NDArray[np.int64]:
        """(N,) tokens of each text; of WordPiece as the sum over its words, each distinct one counted once."""
        if not self._by_words:
            return self.count(texts)
        found = np.empty(len(texts), np.int64)
        for start in range(0, len(texts), CHUNK):
            words = [text.split() for text in texts[start : start + CHUNK]]
            new = list({word for line in words for word in line}.difference(self._known))
            self._known.update(zip(new, (self.count(new) - special).tolist(), strict=True))
            known = self._known.__getitem__
            found[start : start + len(words)] = [special + sum(map(known, line)) for line in words]
        return found
