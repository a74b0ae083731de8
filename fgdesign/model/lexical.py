"""The word function: TF-IDF over word n-grams and a logistic regression, run as a look-up.

Fitted by scikit-learn, kept as tensors (terms, weights), run without it: a dictionary look-up and a
small product. Knows nothing of graphs or files.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

WORD = re.compile(r"\w\w+|[^\W\d_]", re.UNICODE)
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


def terms_of(text: str, ngrams: int) -> list[str]:
    """Words, then runs of two words and so on up to `ngrams`, joined by a blank."""
    tokens = words(text)
    found = list(tokens)
    for n in range(2, ngrams + 1):
        found += [" ".join(tokens[i:i + n]) for i in range(len(tokens) - n + 1)]
    return found


class Lexical(nn.Module):
    """Log-probabilities of classes from the words of a text.

    Buffers: terms (bytes,) uint8, the V terms joined by line feeds; idf (V,); weight (V, C); bias (C,);
    temperature, which divides the logits and is fitted on validation (Guo et al. 2017).

    Args: terms_bytes, vocabulary, classes: sizes of the buffers, 1, 1, C before fitting. kind: the task.
    """

    terms: Tensor
    idf: Tensor
    weight: Tensor
    bias: Tensor
    temperature: Tensor

    def __init__(self, *, classes: int, kind: str, ngrams: int, min_count: int, max_terms: int, strength: float,
                 vocabulary: int = 0, terms_bytes: int = 0) -> None:
        super().__init__()
        self.kind, self.ngrams, self.min_count = kind, ngrams, min_count
        self.max_terms, self.strength = max_terms, strength
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
    def _look_up(self) -> tuple[dict[str, int], np.ndarray, np.ndarray, np.ndarray]:
        names = bytes(self.terms.cpu().numpy()).decode("utf-8").split("\n") if len(self.terms) else []
        weight, idf = self.weight.cpu().numpy(), self.idf.cpu().numpy()
        return {name: i for i, name in enumerate(names)}, idf, weight, self.bias.cpu().numpy()

    def forget(self) -> None:
        """Drop the look-up table after the buffers changed."""
        self.__dict__.pop("_look_up", None)

    def forward(self, texts: Sequence[str]) -> Tensor:
        """(n, C) float32 log-probabilities, multi-label logits, or values, for n texts."""
        index, idf, weight, bias = self._look_up
        out = np.empty((len(texts), len(bias)), np.float32)
        out[:] = bias
        for row, text in enumerate(texts):
            counts: dict[int, int] = {}
            for term in terms_of(text, self.ngrams):
                place = index.get(term)
                if place is not None:
                    counts[place] = counts.get(place, 0) + 1
            if not counts:
                continue
            ids = np.array(list(counts))
            values = idf[ids]
            if len(counts) < sum(counts.values()):
                values = np.array([1 + math.log(n) for n in counts.values()], np.float32) * values
            out[row] += (values / np.sqrt(values @ values)) @ weight[ids]
        logits = torch.from_numpy(out).to(self.bias.device) / self.temperature
        return torch.log_softmax(logits, -1) if self.kind == "single" else logits

    def contributions(self, text: str, label: int) -> tuple[list[tuple[int, int]], np.ndarray, float]:
        """What each word of a text adds to the logit of one class, beyond the mean of the other classes.

        Exact: the logits are a sum over terms; the share of a run of words is split among them evenly.
        Returns: spans (start, end) of W words, shares (W,) float64, and their sum.
        """
        index, idf, weight, _ = self._look_up
        names = words(text)
        shares = np.zeros(len(names))
        places: dict[int, list[range]] = {}
        for n in range(1, self.ngrams + 1):
            for i in range(len(names) - n + 1):
                term = index.get(" ".join(names[i:i + n]))
                if term is not None:
                    places.setdefault(term, []).append(range(i, i + n))
        if places:
            ids = np.array(list(places))
            values = np.array([1 + math.log(len(at)) for at in places.values()]) * idf[ids]
            values /= np.linalg.norm(values)
            others = np.delete(weight, label, 1).mean(1) if weight.shape[1] > 1 else np.zeros(len(weight))
            added = values * (weight[:, label] - others)[ids] / float(self.temperature)
            for share, at in zip(added, places.values(), strict=True):
                for run in at:
                    shares[list(run)] += share / len(at) / len(run)
        return word_spans(text), shares, float(shares.sum())

    def fit(self, texts: Sequence[str], targets: np.ndarray) -> None:
        """Fit on texts and targets: (N,) int64, (N, C) of zeros and ones, or (N,) float. Deterministic."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        few = len(texts) < 50
        vectoriser = TfidfVectorizer(analyzer=self._analyse, min_df=1 if few else self.min_count, sublinear_tf=True,
                                     max_features=self.max_terms, dtype=np.float32)
        try:
            features = vectoriser.fit_transform(texts)
            names, idf = list(vectoriser.get_feature_names_out()), vectoriser.idf_
        except ValueError:  # no term is frequent enough: what is left is how frequent the classes are
            features, names, idf = np.zeros((len(texts), 1)), [], np.zeros(0)
        weight, bias = self._solve(features, targets, len(self.bias))
        weight = weight[:len(names)]
        self.terms = torch.from_numpy(np.frombuffer("\n".join(names).encode(), np.uint8).copy())
        self.idf, self.weight, self.bias = (torch.from_numpy(np.asarray(a, np.float32)) for a in (idf, weight, bias))
        self.temperature = torch.ones(())
        self.forget()

    def _analyse(self, text: str) -> list[str]:
        return terms_of(text, self.ngrams)

    def _solve(self, features: Any, targets: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
        """Weights (V, C) and bias (C,) of a logistic or ridge regression."""
        from sklearn.linear_model import LogisticRegression, Ridge

        if self.kind == "regression":
            ridge = Ridge(alpha=1.0 / self.strength).fit(features, targets)
            return np.atleast_2d(ridge.coef_).T, np.atleast_1d(ridge.intercept_)
        columns = targets.T if self.kind == "multi" else [targets]
        weight, bias = np.zeros((features.shape[1], classes)), np.full(classes, -10.0)
        for label, column in enumerate(columns):
            present = np.unique(column)
            if len(present) < 2:
                only = int(present[0])
                bias[label if self.kind == "multi" else only] = 10.0 if only or self.kind == "single" else -10.0
                continue
            model = LogisticRegression(C=self.strength, max_iter=300, tol=1e-3).fit(features, column)
            if self.kind == "multi":
                weight[:, label], bias[label] = model.coef_[0], model.intercept_[0]
            elif len(present) == 2:
                weight[:, present[1]], bias[present] = model.coef_[0], [0.0, model.intercept_[0]]
            else:
                weight[:, present], bias[present] = model.coef_.T, model.intercept_
        return weight, bias
