"""The word function: TF-IDF over runs of words and of characters, and a logistic regression, run as a look-up.

Fitted by `lexical_fit`, kept as tensors (terms, weights), run as a dictionary look-up and a small product. Knows
nothing of graphs or files.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache, partial

import numpy as np
import torch
from torch import Tensor, nn

from fgdesign.model.lexical_fit import Terms, pays, solve, terms

WORD = re.compile(r"\w\w+|[^\W\d_]", re.UNICODE)
RUN = "~"  # what a run of characters begins with
LONGEST = 4  # characters of a run, where they are found to pay
LETTERS = 100  # of a word, of which runs are made
KEPT = 2 ** 13  # words whose runs are kept: texts say the same ones again
HAN = re.compile(r"([\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])")


def words(text: str) -> list[str]:
    """Lower-case words without accents; each Han, kana or hangul character is a word."""
    return WORD.findall(_plain(text))


def _plain(text: str) -> str:
    if text.isascii():  # nothing below would change it
        return text.lower()
    plain = unicodedata.normalize("NFKD", text).lower()
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    return HAN.sub(r" \1 ", unicodedata.normalize("NFC", plain))


def word_spans(text: str) -> list[tuple[int, int]]:
    """Where each of `words(text)` stands in the text; the whole text where its characters only make sense together."""
    pieces = [_plain(char) for char in text]
    origin = [place for place, piece in enumerate(pieces) for _ in piece]
    found = list(WORD.finditer("".join(pieces)))
    if [match.group() for match in found] != words(text):
        return [(0, len(text))] * len(words(text))
    return [(origin[match.start()], origin[match.end() - 1] + 1) for match in found]


def terms_of(text: str, ngrams: int, characters: int = 0) -> list[str]:
    """Words, then runs of two words and so on up to `ngrams`, joined by a blank; then each word's `runs_of`."""
    names = words(text)
    found = joined(names, ngrams)
    for name in names if characters else ():
        found += runs_of(name, characters)
    return found


def joined(names: Sequence[str], longest: int) -> list[str]:
    """Words, and runs of two to so many of them joined by a blank."""
    found = list(names)
    for n in range(2, longest + 1):
        found += [" ".join(names[i:i + n]) for i in range(len(names) - n + 1)]
    return found


@lru_cache(KEPT)
def runs_of(word: str, longest: int) -> tuple[str, ...]:
    """Runs of two to so many characters of a word and its two ends, marked so that none looks like a word."""
    whole = f"<{word[:LETTERS]}>"
    return tuple(RUN + whole[i:i + n] for n in range(2, longest + 1) for i in range(len(whole) - n + 1))


class LookUp:
    """The terms of a word function and where a text has them. names, idf: (V,). weight: (V, C)."""

    def __init__(self, names: Sequence[str], idf: np.ndarray, weight: np.ndarray, ngrams: int) -> None:
        self.index, self.idf, self.weight, self.ngrams = {name: i for i, name in enumerate(names)}, idf, weight, ngrams
        self.longest = max((len(name) - len(RUN) for name in names if name.startswith(RUN)), default=0)
        self._known: dict[str, tuple[int, ...]] = {}

    def _within(self, word: str) -> tuple[int, ...]:
        """The terms that are runs of a word's characters."""
        if (found := self._known.get(word)) is None:
            if len(self._known) >= KEPT:
                self._known.clear()
            found = tuple(self.index[run] for run in runs_of(word, self.longest) if run in self.index)
            self._known[word] = found
        return found

    def counts(self, names: Sequence[str]) -> Mapping[int, int]:
        """How often a text of these words has each term."""
        index = self.index
        found = [index[term] for term in joined(names, self.ngrams) if term in index]
        for name in names if self.longest else ():
            found += self._within(name)
        return Counter(found)

    def places(self, names: Sequence[str]) -> dict[int, list[range]]:
        """Which words of a text make each term, each time; a run of characters is made by its word."""
        found: dict[int, list[range]] = {}
        for n in range(1, self.ngrams + 1):
            for i in range(len(names) - n + 1):
                if (term := self.index.get(" ".join(names[i:i + n]))) is not None:
                    found.setdefault(term, []).append(range(i, i + n))
        for i, name in enumerate(names if self.longest else ()):
            for term in self._within(name):
                found.setdefault(term, []).append(range(i, i + 1))
        return found

    def values(self, counts: Mapping[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Ids of terms and their TF-IDF, of length one together."""
        ids, often = np.fromiter(counts, np.int64, len(counts)), np.fromiter(counts.values(), np.float32, len(counts))
        values = self.idf[ids] * (1 + np.log(often))
        return ids, values / np.sqrt(values @ values)


class Lexical(nn.Module):
    """Log-probabilities of classes from the words of a text.

    Buffers: terms (bytes,) uint8, the V terms joined by line feeds; idf (V,); weight (V, C); bias (C,);
    temperature, which divides the logits and is fitted on validation (Guo et al. 2017).

    Args: terms_bytes, vocabulary, classes: sizes of the buffers, 0, 0, C before fitting. kind: the task. characters:
        the longest run of characters that is a term, 0 for none, -1 where it is found to pay.
    """

    terms: Tensor
    idf: Tensor
    weight: Tensor
    bias: Tensor
    temperature: Tensor

    def __init__(self, *, classes: int, kind: str, ngrams: int, min_count: int, max_terms: int, strength: float,
                 characters: int = 0, vocabulary: int = 0, terms_bytes: int = 0) -> None:
        super().__init__()
        self.kind, self.ngrams, self.min_count = kind, ngrams, min_count
        self.max_terms, self.strength, self.characters = max_terms, strength, characters
        self.register_buffer("terms", torch.zeros(terms_bytes, dtype=torch.uint8))
        self.register_buffer("idf", torch.zeros(vocabulary))
        self.register_buffer("weight", torch.zeros(vocabulary, classes))
        self.register_buffer("bias", torch.zeros(classes))
        self.register_buffer("temperature", torch.ones(()))
        self.register_load_state_dict_post_hook(lambda module, _: module.forget())

    @property
    def sizes(self) -> dict[str, int]:
        """What a new object needs to take this one's buffers."""
        return {"vocabulary": len(self.idf), "terms_bytes": len(self.terms)}

    @cached_property
    def _look_up(self) -> LookUp:
        names = bytes(self.terms.cpu().numpy()).decode("utf-8").split("\n") if len(self.terms) else []
        return LookUp(names, self.idf.cpu().numpy(), self.weight.cpu().numpy(), self.ngrams)

    def forget(self) -> None:
        """Drop the look-up table after the buffers changed."""
        self.__dict__.pop("_look_up", None)

    def forward(self, texts: Sequence[str]) -> Tensor:
        """(n, C) float32 log-probabilities, multi-label logits, or values, for n texts."""
        table = self._look_up
        out = np.tile(self.bias.cpu().numpy(), (len(texts), 1))
        for row, text in enumerate(texts):
            counts = table.counts(words(text))
            if counts:
                ids, values = table.values(counts)
                out[row] += values @ table.weight[ids]
        logits = torch.from_numpy(out).to(self.bias.device) / self.temperature
        return torch.log_softmax(logits, -1) if self.kind == "single" else logits

    def contributions(self, text: str, label: int) -> tuple[list[tuple[int, int]], np.ndarray, float]:
        """What each word of a text adds to the logit of one class, beyond the mean of the other classes.

        Exact: the logits are a sum over terms; the share of a run of words is split among them evenly,
        that of a run of characters is its word's.
        Returns: spans (start, end) of W words, shares (W,) float64, and their sum.
        """
        table, names = self._look_up, words(text)
        shares, weight = np.zeros(len(names)), table.weight
        places = table.places(names)
        if places:
            ids, values = table.values({term: len(at) for term, at in places.items()})
            others = np.delete(weight, label, 1).mean(1) if weight.shape[1] > 1 else np.zeros(len(weight))
            added = values * (weight[:, label] - others)[ids] / float(self.temperature)
            for share, at in zip(added, places.values(), strict=True):
                for run in at:
                    shares[list(run)] += share / len(at) / len(run)
        return word_spans(text), shares, float(shares.sum())

    def fit(self, texts: Sequence[str], targets: np.ndarray) -> None:
        """Fit on texts and targets: (N,) int64, (N, C) of zeros and ones, or (N,) float. Deterministic."""
        classes, plain, more = len(self.bias), self._counted(0), self._counted(LONGEST)
        if self.characters > 0:
            plain = self._counted(self.characters)
        elif self.characters < 0 and pays(texts, targets, classes, self.kind, self.strength, plain, more):
            plain = more
        found = plain(texts)
        weight, self.bias = solve(found.features, targets, classes, self.kind, self.strength)
        self.terms = torch.from_numpy(np.frombuffer("\n".join(found.names).encode(), np.uint8).copy())
        self.idf, self.weight = torch.from_numpy(found.idf), weight[:len(found.names)].contiguous()
        self.temperature = torch.ones(())
        self.forget()

    def _counted(self, characters: int) -> Callable[[Sequence[str]], Terms]:
        """How texts are counted with runs of so many characters."""
        return partial(terms, analyse=partial(terms_of, ngrams=self.ngrams, characters=characters),
                       fewest=self.min_count, most=self.max_terms)
