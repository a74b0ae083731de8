"""The names of labels taken out of texts, so that a text does not tell its own. Knows strings only."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

WORD = re.compile(r"[^\W_]+")
LEFT_BEFORE = " \t:;,.|/>)]-\u2013\u2014_"  # what a name at the beginning leaves behind
Words = Mapping[str, Sequence[tuple[str, ...]]]


def label_words(labels: Iterable[str]) -> Words:
    """First word of a label -> the words of all labels that begin so, the longest first."""
    found: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for label in labels:
        if words := tuple(map(_plain, WORD.findall(label))):
            found[words[0]].append(words)
    return {first: sorted(names, key=len, reverse=True) for first, names in found.items()}


def without_labels(text: str, names: Words) -> str:
    """The text without the names, whatever their case and the signs between their words.

    What is left between is joined by single spaces; a text without any name stays as it is.
    """
    while (shorter := _once(text, names)) != text:  # what stood on both sides of a name may be one too
        text = shorter
    return text


def _once(text: str, names: Words) -> str:
    words = [(_plain(found[0]), found.start(), found.end()) for found in WORD.finditer(text)]
    pieces, done, at = [], 0, 0
    while at < len(words):
        plain, start, _ = words[at]
        long = next((len(name) for name in names.get(plain, ()) if _stands(name, words, at)), 0)
        if long:
            pieces.append(text[done:start])
            done = words[at + long - 1][2]
        at += max(1, long)
    if not pieces:
        return text
    pieces.append(text[done:])
    whole = " ".join(piece.strip() for piece in pieces if piece.strip())
    return whole.lstrip(LEFT_BEFORE) if not pieces[0].strip() else whole


def _stands(name: tuple[str, ...], words: Sequence[tuple[str, int, int]], at: int) -> bool:
    return len(words) - at >= len(name) and all(words[at + place][0] == word for place, word in enumerate(name))


def _plain(word: str) -> str:
    return unicodedata.normalize("NFKC", word).casefold()
