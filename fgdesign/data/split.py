"""Which rows train, which choose the model and which test it. Knows nothing of files, models or torch."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

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
    if not (0 <= valid and 0 <= test and valid + test < 1):
        raise DataError(
            f"The shares {valid:g} for validation and {test:g} for test leave no rows to train on or are "
            "negative. Choose shares from 0 on whose sum is below 1."
        )
    strata, notes = _strata(dataset)
    groups = _groups(dataset)
    if copies := len(dataset) - len(groups):
        verb = "repeats" if copies == 1 else "repeat"
        notes.append(f"{count(copies, 'row')} {verb} the text of another; all copies are in the same part.")
    order = _stratified_order(groups, strata, np.random.default_rng(seed))
    part = np.zeros(len(dataset), np.int64)
    left = order
    for number, share, name in ((2, test, "test"), (1, valid / (1 - test), "validation")):
        taken = _take(left, share)
        left = [(group, keep) for place, (group, keep) in enumerate(left) if place not in taken]
        for place in taken.values():
            part[place] = number
        if share and not taken:
            notes.append(f"There are too few rows for a {name} part; it is empty.")
    train, valid_rows, test_rows = (np.flatnonzero(part == number) for number in range(3))
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
    own = split(train, test=0.0, seed=seed) if valid is None else Splits(np.arange(len(train)), *_nothing(2))
    parts = [part for part in (train, valid, test) if part is not None]
    whole = join(parts)
    starts = np.cumsum([0, *map(len, parts)])
    valid_rows = own.valid if valid is None else np.arange(starts[1], starts[2])
    test_rows = np.arange(starts[-2], starts[-1]) if test is not None else _nothing(1)[0]
    notes = list(own.notes)
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
                f"The files have different tasks or labels: {first.task.kind} with "
                f"{count(len(first.labels), 'label')}, {part.task.kind} with {count(len(part.labels), 'label')}. "
                "Read the other files with the labels of the training file."
            )
        if (part.texts_b is None) != (first.texts_b is None):
            raise DataError("One file has a second text and another has none. Name the same columns in both.")
    targets = [part.targets for part in parts if part.targets is not None]
    return replace(
        first,
        texts=[text for part in parts for text in part.texts],
        texts_b=None if first.texts_b is None else [text for part in parts for text in part.texts_b or ()],
        targets=np.concatenate(targets) if targets else None,
        frame=pd.concat([part.frame for part in parts], ignore_index=True).fillna(""),
        row_numbers=np.concatenate([part.row_numbers for part in parts]),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _nothing(parts: int) -> list[Rows]:
    return [np.empty(0, np.int64) for _ in range(parts)]


def _keys(dataset: Dataset) -> Iterable[tuple[str, str]]:
    """What makes two rows the same text: case and white space do not count."""
    second = dataset.texts_b or [""] * len(dataset)
    for text, text_b in zip(dataset.texts, second, strict=True):
        yield " ".join(text.split()).casefold(), " ".join(text_b.split()).casefold()


def _groups(dataset: Dataset) -> list[list[int]]:
    """Rows with the same text, together."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, key in enumerate(_keys(dataset)):
        groups[key].append(row)
    return list(groups.values())


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
    few = f"{count(len(rare), 'label')} with fewer than {FEWEST} rows ({shown}{', ...' if len(rare) > 3 else ''})"
    return np.where(np.isin(strata, rare), -1, strata), [f"{few}: those rows are all in the training part."]


def _stratified_order(
    groups: list[list[int]], strata: Rows, rng: np.random.Generator
) -> list[tuple[list[int], bool]]:
    """Groups stratum by stratum, shuffled inside, large ones first; with whether it must stay in train.

    The first group of each stratum stays, so that every label is trained on. Rows that are only trained
    on are not in the order.
    """
    by_stratum: dict[int, list[list[int]]] = defaultdict(list)
    for group in groups:
        if strata[group[0]] >= 0:
            by_stratum[int(strata[group[0]])].append(group)
    order: list[tuple[list[int], bool]] = []
    for stratum in sorted(by_stratum):
        members = by_stratum[stratum]
        shuffled = [members[place] for place in rng.permutation(len(members))]
        shuffled.sort(key=len, reverse=True)
        order += [(group, place == 0) for place, group in enumerate(shuffled)]
    return order


def _take(order: list[tuple[list[int], bool]], share: float) -> dict[int, list[int]]:
    """Position -> rows of the groups to take: evenly along the order, about `share` of their rows."""
    taken: dict[int, list[int]] = {}
    owed = 0.0
    for place, (group, keep) in enumerate(order):
        owed += share * len(group)
        if not keep and owed >= len(group) / 2:
            taken[place] = group
            owed -= len(group)
    free = [place for place, (_, keep) in enumerate(order) if not keep]
    if share and not taken and free:
        taken[free[-1]] = order[free[-1]][0]
    return taken
