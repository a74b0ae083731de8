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
from fgdesign.data.split_rule import SplitRule
from fgdesign.data.table import count, short
from fgdesign.data.task import numbers
from fgdesign.errors import DataError, choices

Rows = NDArray[np.int64]

BIN_ROWS = 20  # rows of a bin, at least, when numbers are stratified
BINS = 10
UNTIMED = 0.5  # share of rows without a time from which on a column holds none
FEWEST = 3  # a class with fewer rows is only trained on


@dataclass(frozen=True)
class Splits:
    """Row positions of the three parts, each sorted; disjoint. `notes` says what could not be kept."""

    train: Rows
    valid: Rows
    test: Rows
    notes: tuple[str, ...] = ()


def split(dataset: Dataset, rule: SplitRule | None = None) -> Splits:
    """Share rows out: by time, or so that every part has the same mix of labels and no text or group is in two parts.

    Rows are stratified by class, by the rarest label of a row with several, or by size of a number. The
    result is a function of the data and the rule.

    Raises:
        DataError: a column of the rule is not there or cannot be split by.
    """
    rule = rule or SplitRule()
    if rule.time:
        return by_time(dataset, rule)
    strata, notes = _strata(dataset)
    group = _groups(dataset)
    if rule.group:
        group = _joined(group, column_cells(dataset, rule.group), rule.group)
    sizes = np.bincount(group)
    copies = len(dataset) - len(sizes)
    if copies and not rule.group:
        verb = "repeats" if copies == 1 else "repeat"
        notes.append(f"{count(copies, 'row')} {verb} the text of another; all copies are in the same part.")
    order, keep = _order(sizes, strata[np.unique(group, return_index=True)[1]], rule.seed)
    part = np.zeros(len(sizes), np.int64)
    for number, share, name in ((2, rule.test, "test"), (1, rule.valid / (1 - rule.test), "validation")):
        taken = _take(sizes[order], keep, share)
        part[order[taken]] = number
        order, keep = order[~taken], keep[~taken]
        if share and not taken.any():
            notes.append(f"There are too few rows for a {name} part; it is empty.")
    train, valid_rows, test_rows = (np.flatnonzero(part[group] == number) for number in range(3))
    notes += _lacking(dataset, train, valid_rows, test_rows) if rule.group else []
    return Splits(train, valid_rows, test_rows, tuple(notes))


def by_time(dataset: Dataset, rule: SplitRule) -> Splits:
    """The newest rows test, those before them validate; rows of one time are all in one part. Raises DataError."""
    times = _times(column_cells(dataset, rule.time), rule.time)
    known = np.sort(times[~np.isnan(times)])
    notes = [] if len(known) == len(times) else [
        f"{count(len(times) - len(known), 'row')} without a time in '{short(rule.time)}'; they are trained on."
    ]  # fmt: skip
    rows = len(known)
    cuts = [known[max(0, round(rows * (1 - share)))] if share and round(rows * share) else np.inf
            for share in (rule.valid + rule.test, rule.test)]  # fmt: skip
    test = times >= cuts[1]
    valid = (times >= cuts[0]) & ~test & (rule.valid > 0)
    train = ~(test | valid)
    if not train.any():
        raise DataError(
            f"Column '{short(rule.time)}' has too few different times to split by. Choose another column, or split at "
            "random."
        )
    group = _groups(dataset)
    shared = len(np.intersect1d(group[train], group[~train]))
    if shared:
        also = "is also" if shared == 1 else "are also"
        notes.append(f"{count(shared, 'text')} of the training part {also} in a later part.")
    rows_of = (np.flatnonzero(train), np.flatnonzero(valid), np.flatnonzero(test))
    return Splits(*rows_of, (*notes, *_lacking(dataset, *rows_of)))


def _lacking(dataset: Dataset, *parts: Rows) -> list[str]:
    """What is said of labels that could be in all parts and are missing in one."""
    if dataset.task.kind != "single" or dataset.targets is None:
        return []
    targets, said = np.asarray(dataset.targets), []
    counts = np.array([np.bincount(targets[rows], minlength=len(dataset.labels)) for rows in parts])
    for name, rows, found in zip(("training", "validation", "test"), parts, counts, strict=True):
        enough = counts.sum(0) >= FEWEST
        gone = [dataset.labels[place] for place in np.flatnonzero(enough & (found == 0))]
        if len(rows) and gone:
            shown = ", ".join(f"'{short(label)}'" for label in gone[:3]) + (", ..." if len(gone) > 3 else "")
            said.append(f"The {name} part has no row of {count(len(gone), 'label')} ({shown}). Try another seed or "
                        "column, or larger shares.")  # fmt: skip
    return said


def column_cells(dataset: Dataset, name: str) -> list[str]:
    """The cells of a column. Raises DataError where there is none of this name."""
    if name not in dataset.frame:
        raise DataError(
            f"There is no column '{short(name)}' to split by. {choices(map(str, dataset.frame.columns), name)}"
        )
    return [cell.strip() for cell in dataset.frame[name].tolist()]


def _times(cells: list[str], name: str) -> NDArray[np.float64]:
    """(N,) numbers that grow with time, NaN where there is none: numbers as they are, dates as seconds."""
    found = numbers([cell for cell in cells if cell])
    if found is not None:
        times = np.full(len(cells), np.nan)
        times[[place for place, cell in enumerate(cells) if cell]] = found
    else:
        dates = pd.to_datetime(pd.Series(cells, dtype=object), errors="coerce", format="ISO8601", utc=True)
        times = dates.to_numpy("datetime64[ns]").astype(np.int64).astype(float)
        times[dates.isna().to_numpy()] = np.nan
    if np.isnan(times).mean() > UNTIMED:
        raise DataError(
            f"Column '{short(name)}' holds no times ('{short(next(filter(None, cells), ''))}'). Give numbers, or dates "
            "such as 2024-05-31 or 2024-05-31T12:00."
        )
    return times


def _joined(group: Rows, cells: list[str], name: str) -> Rows:
    """(N,) numbers of the groups that rows of the same text and rows of the same cell make together."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    filled = np.fromiter(map(bool, cells), bool, len(cells))
    codes = np.asarray(pd.factorize(np.array(cells, object))[0], np.int64) + group.max() + 1
    if len(np.unique(codes[filled])) + (~filled).sum() < FEWEST:
        raise DataError(
            f"Column '{short(name)}' has fewer than {FEWEST} groups, too few for three parts. Choose another column, "
            "or split at random."
        )
    size = int(codes.max()) + 1
    links = coo_matrix((np.ones(int(filled.sum())), (group[filled], codes[filled])), (size, size))
    component = connected_components(links, directed=False)[1][group]
    return np.asarray(pd.factorize(component)[0], np.int64)


def given_splits(
    train: Dataset, valid: Dataset | None = None, test: Dataset | None = None, rule: SplitRule | None = None
) -> tuple[Dataset, Splits]:
    """Splits when files are given: (all rows in one data set, the parts as positions in it).

    A missing validation part is taken from the training rows; a missing test part too, but only when
    no validation file is given either. Texts that are in two files are noted, not moved.
    """
    rule = rule or SplitRule()
    if valid is None and test is None:
        return train, split(train, rule)
    own = split(train, replace(rule, valid=rule.valid if valid is None else 0.0, test=0.0))
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
