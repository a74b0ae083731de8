"""Which rows train, which choose the model and which test it. Knows nothing of files, models or torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fgdesign.data.dataset import Dataset
from fgdesign.data.table import count, short
from fgdesign.errors import DataError

Rows = NDArray[np.int64]

BIN_ROWS = 20  # rows of a bin, at least, when numbers are stratified
BINS = 10
FEWEST = 3  # a class with fewer rows is only trained on


@dataclass(frozen=True)
class Splits:
    """Row positions of the three parts, each sorted; disjoint. `notes` says what could not be kept."""

    train: Rows
    valid: Rows
    test: Rows
    notes: tuple[str, ...] = ()


def split(dataset: Dataset, *, valid: float = 0.125, test: float = 0.125, seed: int = 0) -> Splits:
    """Share rows out so that every part has the same mix of labels and no text is in two parts.

    Rows are stratified by class, by the rarest label of a row with several, or by size of a number. The
    result is a function of the data and the seed.

    Args:
        dataset: with or without targets.
        valid: share of the rows to validate on, from 0 on.
        test: share of the rows to test on, from 0 on; valid + test is below 1.
        seed: another seed, another split.

    Raises:
        DataError: the shares are out of range.
    """
    if min(valid, test) < 0 or not valid + test < 1:
        raise DataError(
            f"The shares {valid:g} for validation and {test:g} for test leave no rows to train on or are "
            "negative. Choose shares from 0 on whose sum is below 1."
        )
    strata, notes = _strata(dataset)
    group = _groups(dataset)
    sizes = np.bincount(group)
    if copies := len(dataset) - len(sizes):
        verb = "repeats" if copies == 1 else "repeat"
        notes.append(f"{count(copies, 'row')} {verb} the text of another; all copies are in the same part.")
    order, keep = _order(sizes, strata[np.unique(group, return_index=True)[1]], seed)
    part = np.zeros(len(sizes), np.int64)
    for number, share, name in ((2, test, "test"), (1, valid / (1 - test), "validation")):
        taken = _take(sizes[order], keep, share)
        part[order[taken]] = number
        order, keep = order[~taken], keep[~taken]
        if share and not taken.any():
            notes.append(f"There are too few rows for a {name} part; it is empty.")
    train, valid_rows, test_rows = (np.flatnonzero(part[group] == number) for number in range(3))
    return Splits(train, valid_rows, test_rows, tuple(notes))


def given_splits(
    train: Dataset, valid: Dataset | None = None, test: Dataset | None = None, *, seed: int = 0
) -> tuple[Dataset, Splits]:
    """Splits when files are given: (all rows in one data set, the parts as positions in it).

    A missing validation part is taken from the training rows; a missing test part too, but only when
    no validation file is given either. Texts that are in two files are noted, not moved.
    """
    if valid is None and test is None:
        return train, split(train, seed=seed)
    own = split(train, valid=0.125 if valid is None else 0.0, test=0.0, seed=seed)
    parts = [part for part in (train, valid, test) if part is not None]
    whole = join(parts)
    starts = np.cumsum([0, *map(len, parts)])
    valid_rows = own.valid if valid is None else np.arange(starts[1], starts[2])
    test_rows = np.empty(0, np.int64) if test is None else np.arange(starts[-2], starts[-1])
    notes = list(own.notes) if valid is None else []
    for name, other in (("validation", valid), ("test", test)):
        shared = len(set(_keys(train)) & set(_keys(other))) if other is not None else 0
        if shared:
            also = "is also" if shared == 1 else "are also"
            notes.append(f"{count(shared, 'text')} of the training file {also} in the {name} file.")
    return whole, Splits(own.train, valid_rows, test_rows, tuple(notes))


def join(parts: list[Dataset]) -> Dataset:
    """One data set of the rows of several, in order, with the task and columns of the first.

    Raises:
        DataError: the parts do not have the same kind of task and label names.
    """
    first = parts[0]
    for part in parts[1:]:
        same = (part.task.kind, part.labels) == (first.task.kind, first.labels)
        if not same or (part.targets is None) != (first.targets is None):
            raise DataError(
                f"The files have different tasks or labels: {_described(first)}, {_described(part)}. "
                "Read the other files with the labels of the training file."
            )
        if (part.texts_b is None) != (first.texts_b is None):
            raise DataError("One file has a second text and another has none. Name the same columns in both.")
    targets: list[NDArray[Any]] = [part.targets for part in parts if part.targets is not None]
    return replace(
        first,
        texts=[text for part in parts for text in part.texts],
        texts_b=None if first.texts_b is None else [text for part in parts for text in part.texts_b or ()],
        targets=np.concatenate(targets) if targets else None,
        frame=pd.concat([part.frame for part in parts], ignore_index=True).fillna(""),
        row_numbers=np.concatenate([part.row_numbers for part in parts]),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _described(dataset: Dataset) -> str:
    return f"{dataset.task.kind} with {count(len(dataset.labels), 'label')}"


def _keys(dataset: Dataset) -> Iterable[str]:
    """What makes two rows the same text: case and white space do not count."""
    if dataset.texts_b is None:
        return (" ".join(text.split()).casefold() for text in dataset.texts)
    pairs = zip(dataset.texts, dataset.texts_b, strict=True)
    return (
        "\n".join((" ".join(text.split()), " ".join(text_b.split()))).casefold() for text, text_b in pairs
    )


def _groups(dataset: Dataset) -> Rows:
    """(N,) a number for each row, from 0 on, the same for rows of the same text."""
    seen: dict[str, int] = {}
    return np.fromiter((seen.setdefault(key, len(seen)) for key in _keys(dataset)), np.int64, len(dataset))


def _strata(dataset: Dataset) -> tuple[Rows, list[str]]:
    """(N,) the stratum of each row, -1 for one that is only trained on; and notes."""
    targets = dataset.targets
    if targets is None:
        return np.zeros(len(dataset), np.int64), []
    if dataset.task.kind == "regression":
        bins = int(np.clip(len(dataset) // BIN_ROWS, 1, BINS))
        edges = np.quantile(targets, np.linspace(0, 1, bins + 1)[1:-1])
        return np.searchsorted(edges, targets, side="right").astype(np.int64), []
    if dataset.task.kind == "multi":
        frequency = np.where(targets > 0, targets.sum(0), np.inf)
        strata = frequency.argmin(1).astype(np.int64)
    else:
        strata = targets.astype(np.int64)
    sizes = Counter(strata.tolist())
    rare = sorted(label for label, size in sizes.items() if size < FEWEST)
    if not rare:
        return strata, []
    shown = ", ".join(f"'{short(dataset.labels[label])}'" for label in rare[:3])
    shown += ", ..." if len(rare) > 3 else ""
    few = f"{count(len(rare), 'label')} with fewer than {FEWEST} rows ({shown})"
    return np.where(np.isin(strata, rare), -1, strata), [f"{few}: those rows are all in the training part."]


def _order(sizes: Rows, strata: Rows, seed: int) -> tuple[Rows, NDArray[np.bool_]]:
    """Groups stratum by stratum, shuffled inside, large ones first; with whether each must stay in train.

    The first group of each stratum stays, so that every label is trained on. Groups that are only trained
    on (stratum -1) are not in the order.

    Args:
        sizes: (G,) rows of each group.
        strata: (G,) stratum of each group.
    """
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    order = np.lexsort((shuffled, -sizes, strata))
    order = order[strata[order] >= 0]
    return order, np.diff(strata[order], prepend=-1) != 0


def _take(sizes: Rows, keep: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """Which of the ordered groups to take: evenly along the order, about `share` of their rows."""
    taken = np.zeros(len(sizes), bool)
    owed = 0.0
    for place, (size, stays) in enumerate(zip(sizes.tolist(), keep.tolist(), strict=True)):
        owed += share * size
        if owed >= size / 2 and not stays and share:
            taken[place] = True
            owed -= size
    free = np.flatnonzero(~keep)
    if share and len(free) and not taken.any():
        taken[free[-1]] = True
    return taken
