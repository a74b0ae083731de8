"""How many tokens texts have, by the tokeniser of a pretrained encoder, counted only where it matters.

A text has no more tokens than bytes and no fewer than words, so that most texts need no counting. Knows nothing of
torch and transformers: tokenizer.json is read by the tokenizers library.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fgdesign.data.languages import SCRIPTS, WITHOUT_SPACES, script_of_rows
from fgdesign.errors import BackboneError, DataError
from fgdesign.graph.backbones import backbone_files, describe_backbone
from fgdesign.graph.infer import params_of
from fgdesign.graph.spec import DEFAULT_BACKBONE, Graph

CHUNK = 10_000  # texts
TOKENS_PER_WORD = 1.3  # of English; a rough rule where no tokeniser is at hand
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
    return TokenCounter(tokenizer, DEFAULT_BACKBONE if folder == tokenizer_folder(Graph("")) else str(folder))


@functools.lru_cache(2)
def counter_named(name: str) -> TokenCounter:
    """The counter of a backbone. Raises DataError where its tokeniser is not on this machine."""
    folder = tokenizer_folder(Graph("", backbone=name))
    if folder is None:
        raise DataError(
            f"Tokens cannot be counted as the recipe says: the tokeniser of {name} is not on this machine. Put it "
            "there, or take the repair of long texts out of the recipe."
        )
    return token_counter(folder)


def about_tokens(texts: Sequence[str], scripts: NDArray[np.int8] | None = None) -> NDArray[np.float64]:
    """(N,) about as many tokens as texts have, by their words; by their characters where words have no spaces.

    Args: scripts: (N,) of `script_of_rows`, where they are known already.
    """
    spaceless = [place for place, script in enumerate(SCRIPTS) if script[0] in WITHOUT_SPACES]
    words = np.fromiter((text.count(" ") + 1 for text in texts), np.int64, len(texts)) * TOKENS_PER_WORD
    characters = np.fromiter(map(len, texts), np.int64, len(texts))
    return np.where(np.isin(script_of_rows(texts) if scripts is None else scripts, spaceless), characters, words)


class TokenCounter:
    """Counts tokens, special ones included. name: of the backbone that reads them so, "" where nobody said."""

    def __init__(self, tokenizer: object, name: str = "") -> None:
        self._tokenizer, self.name = tokenizer, name
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
        sizes = np.fromiter((len(text) if text.isascii() else len(text.encode("utf-8", "replace")) for text in texts),
                            np.int64, len(texts))  # fmt: skip
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
