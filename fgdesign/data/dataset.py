"""Texts and targets made from a table: what a graph learns from. Knows nothing of torch or tokenisers."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fgdesign.data.columns import Columns, choose_columns
from fgdesign.data.read import read_table
from fgdesign.data.table import Table, count, short
from fgdesign.data.task import (
    KINDS,
    MAYBE_MISSING,
    MISSING,
    POINT_ZERO,
    SEPARATOR,
    Kind,
    Task,
    as_kind,
    detect_task,
    first_not_number,
    label_names,
    numbers,
    parts,
)
from fgdesign.errors import DataError, choices

__all__ = ["Columns", "Dataset", "Task", "choose_columns", "detect_task", "load_dataset"]

NOTHING_TO_READ = re.compile(r"[\s\x00-\x1f\u00ad\u200b-\u200f\u202a-\u202e\u2060\ufeff]*")
WHOLE = re.compile(r"[+-]?\d+")
MANY_LABELS = 20  # rows from which on a label that never comes back is refused

Targets = NDArray[np.int64] | NDArray[np.float32]


@dataclass(frozen=True)
class Dataset:
    """Rows that can be learnt from or answered.

    Attributes:
        texts: N texts, none empty.
        texts_b: N second texts (may be empty), or None.
        targets: int64 (N,) class numbers, float32 (N, C) zeros and ones, float32 (N,) numbers, or None.
        task: the kind, and the names of the C labels.
        columns: where texts and labels were read.
        frame: the N rows with all columns of the file, index 0..N-1.
        row_numbers: (N,) int64 rows of the file as a person counts them.
        notes: plain sentences: what was left out, and what looks odd.
    """

    texts: list[str]
    texts_b: list[str] | None
    targets: Targets | None
    task: Task
    columns: Columns
    frame: pd.DataFrame
    row_numbers: NDArray[np.int64]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the C labels; empty for a regression."""
        return self.task.labels

    @cached_property
    def sha256(self) -> str:
        """Hash of what is learnt from: texts, second texts, targets and label names."""
        content = [self.texts, self.texts_b, self.task.kind, self.labels]
        digest = hashlib.sha256(json.dumps(content).encode())
        if self.targets is not None:
            digest.update(np.ascontiguousarray(self.targets).tobytes())
        return digest.hexdigest()

    def subset(self, indices: NDArray[Any] | Sequence[int]) -> Dataset:
        """The rows at `indices` (numbers or a mask, in their order), with the same task and no notes."""
        rows = np.arange(len(self))[np.asarray(indices, None if len(indices) else np.int64)]
        return replace(
            self,
            texts=[self.texts[row] for row in rows],
            texts_b=None if self.texts_b is None else [self.texts_b[row] for row in rows],
            targets=None if self.targets is None else self.targets[rows],
            frame=self.frame.iloc[rows].reset_index(drop=True),
            row_numbers=self.row_numbers[rows],
            notes=(),
        )


def load_dataset(
    source: Table | str | Path | IO[bytes],
    *,
    text: str | None = None,
    text_b: str | None = None,
    label: str | None = None,
    task: str = "auto",
    labels: Sequence[str] | None = None,
    require_label: bool = True,
    columns: Sequence[str] = (),
) -> Dataset:
    """Read a file (or take a table) and make texts and targets of it.

    Rows with an empty text, or without a usable label, are left out and noted.

    Args:
        source: what `read_table` reads, or its result.
        text, text_b, label: column names; what is None is guessed.
        task: "auto", or the kind of task.
        labels: the label names of a trained model or of the training file, for a file that is only
            measured; rows with other labels are left out. Give () for a regression.
        require_label: False to read texts only; a label column is then read only if `label` names it.
        columns: other columns that must be there.

    Raises:
        DataError: the file cannot be read, a column is missing, or the labels cannot be used.
    """
    if task not in ("auto", *KINDS):
        raise DataError(f"There is no task '{task}'. {choices(('auto', *KINDS), task)}")
    table = source if isinstance(source, Table) else read_table(source)
    chosen = choose_columns(table, text=text, text_b=text_b, label=label, columns=columns)
    if not require_label and label is None:
        chosen = replace(chosen, label=None)
    if require_label and chosen.label is None:
        raise DataError(
            "No column seems to hold labels. Name the label column. "
            f"{choices(name for name in map(str, table.frame.columns) if name != chosen.text)}"
        )
    notes = [*table.notes, *chosen.reasons]
    kept = _rows_with_text(table, chosen, notes)
    if chosen.label is None:
        what = Task(as_kind("single" if task == "auto" else task), tuple(labels or ()), "No labels are read.")
        targets: Targets | None = None
    else:
        kept, targets, what = _targets(table, chosen.label, kept, task, labels, notes)
        notes.append(what.reason)
    return _assemble(table, chosen, kept, targets, what, notes)


def _assemble(
    table: Table, chosen: Columns, kept: NDArray[Any], targets: Targets | None, task: Task, notes: list[str]
) -> Dataset:
    frame = table.frame.iloc[kept].reset_index(drop=True)
    second = None if chosen.text_b is None else frame[chosen.text_b].tolist()
    without = 0 if second is None else sum(1 for cell in second if NOTHING_TO_READ.fullmatch(cell))
    if without:
        notes.append(f"{count(without, 'row')} without a second text; kept, the second text is empty there.")
    return Dataset(
        texts=frame[chosen.text].tolist(),
        texts_b=second,
        targets=targets,
        task=task,
        columns=chosen,
        frame=frame,
        row_numbers=table.row_numbers[kept],
        notes=tuple(notes),
    )


def _rows_with_text(table: Table, chosen: Columns, notes: list[str]) -> NDArray[np.int64]:
    """Positions of the rows whose text is not empty."""
    cells = table.frame[chosen.text].tolist()
    readable = (cell[:1].isalnum() or not NOTHING_TO_READ.fullmatch(cell) for cell in cells)
    filled = np.fromiter(readable, bool, len(cells))
    _note_left_out(table, np.flatnonzero(~filled), "an empty text", notes)
    if not filled.any():
        raise DataError(f"Column '{chosen.text}' has no text in any row. Name another text column.")
    return np.flatnonzero(filled)


def _targets(
    table: Table, name: str, kept: NDArray[np.int64], task: str, known: Sequence[str] | None, notes: list[str]
) -> tuple[NDArray[np.int64], Targets, Task]:
    """(kept rows, their targets, task)."""
    cells = table.frame[name].str.strip().to_numpy(object)
    words = _missing_words(set(cells[kept]), known)
    missing = np.fromiter((cell in words for cell in cells[kept]), bool, len(kept))
    written = sorted(set(cells[kept[missing]]) - {""})
    _note_left_out(
        table, kept[missing], "no label", notes, "; written as " + ", ".join(written) if written else ""
    )
    kept = kept[~missing]
    found: list[str] = cells[kept].tolist()
    if not found:
        raise DataError(f"Column '{name}' has no label in any row with a text. Name another label column.")
    if known is None and len(found) < 2:
        raise DataError("Only 1 row has a text and a label; at least 2 are needed. Add labelled rows.")
    what = _decide(found, task, known)
    if what.kind == "regression":
        return kept, _as_numbers(table, name, kept, found), what
    found = _without_point_zero(found, what.kind, known, notes)
    if known is None:
        what = replace(what, labels=label_names(found, what.kind))
        _check_classes(name, found, what)
        _note_variants(what.labels, notes)
    usable = _usable(found, what)
    unknown = next((f", '{short(cell)}'" for cell, use in zip(found, usable, strict=True) if not use), "")
    _note_left_out(table, kept[~usable], "a label that is not known", notes, unknown)
    if not usable.any():
        shown = choices(what.labels, found[0])
        raise DataError(
            f"No row has a known label; row {table.row_numbers[kept[0]]} has '{short(found[0])}'. {shown}"
        )
    found = [cell for cell, use in zip(found, usable, strict=True) if use]
    return kept[usable], _as_classes(found, what), what


def _decide(found: list[str], task: str, known: Sequence[str] | None) -> Task:
    detected = detect_task(found)
    if known is not None:
        several = any(len(parts(cell)) > 1 and cell not in known for cell in found)
        guess: Kind = "regression" if not known else "multi" if several else "single"
        kind = guess if task == "auto" else as_kind(task)
        return Task(kind, tuple(known), "The labels are those of the training data.")
    if task in ("auto", detected.kind):
        return detected
    return Task(as_kind(task), (), f"The task was set to '{task}'.")


def _as_numbers(table: Table, name: str, kept: NDArray[np.int64], found: list[str]) -> NDArray[np.float32]:
    values = numbers(found)
    if values is None:
        bad = first_not_number(found)
        raise DataError(
            f"Row {table.row_numbers[kept[bad]]} has '{short(found[bad])}' in label column '{name}', "
            "which is no number; a regression needs numbers. Correct the row, or choose task 'single'."
        )
    return values.astype(np.float32)


def _usable(found: list[str], task: Task) -> NDArray[np.bool_]:
    """Rows whose label, or at least one of whose labels, is known."""
    known = set(task.labels)
    if task.kind == "single":
        return np.fromiter((cell in known for cell in found), bool, len(found))
    return np.fromiter((not known.isdisjoint(parts(cell)) for cell in found), bool, len(found))


def _as_classes(found: list[str], task: Task) -> Targets:
    place = {label: number for number, label in enumerate(task.labels)}
    if task.kind == "single":
        return np.fromiter((place[cell] for cell in found), np.int64, len(found))
    targets = np.zeros((len(found), len(place)), np.float32)
    for row, cell in enumerate(found):
        targets[row, [place[part] for part in parts(cell) if part in place]] = 1.0
    return targets


def _without_point_zero(
    found: list[str], kind: Kind, known: Sequence[str] | None, notes: list[str]
) -> list[str]:
    """Class numbers written as "1.0" become "1": programs add the ".0" when a column has gaps."""
    names = set(label_names(found, kind))
    plain = {name: match[1] for name in names if (match := POINT_ZERO.fullmatch(name))}
    if known is not None:
        plain = {name: whole for name, whole in plain.items() if name not in known and whole in known}
    elif any(name not in plain and not WHOLE.fullmatch(name) for name in names):
        return found
    if not plain:
        return found
    first = min(plain)
    notes.append(f"Labels that are whole numbers are written without '.0': '{first}' is '{plain[first]}'.")
    if kind == "single":
        return [plain.get(cell, cell) for cell in found]
    return [SEPARATOR.join(plain.get(part, part) for part in parts(cell)) for cell in found]


def _check_classes(name: str, found: list[str], task: Task) -> None:
    if len(task.labels) == 1:
        raise DataError(
            f"Every label in column '{name}' is '{task.labels[0]}'; a classifier needs at least 2 different "
            "labels. Add rows of another label, or name another label column."
        )
    if task.kind == "single" and len(task.labels) == len(found) > MANY_LABELS:
        raise DataError(
            f"Column '{name}' has {count(len(found), 'label')} and no two rows share one, so nothing can be "
            "learnt from it. Name another label column, or choose task 'regression' if they are numbers."
        )


def _note_variants(labels: Iterable[str], notes: list[str]) -> None:
    """Warn of labels that are the same but for case, inner white space or how accents are encoded."""
    alike: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        alike[" ".join(unicodedata.normalize("NFKC", label).casefold().split())].append(label)
    found = [variants for variants in alike.values() if len(variants) > 1]
    if found:
        shown = "; ".join(", ".join(f"'{short(label)}'" for label in variants) for variants in found[:3])
        more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
        notes.append(
            f"Labels that look alike count as different ones: {shown}{more}. Write them the same way."
        )


def _missing_words(cells: set[str], known: Sequence[str] | None) -> frozenset[str]:
    """What stands for no label in this column."""
    words = MISSING | MAYBE_MISSING if cells & MISSING else MISSING
    return words.difference(known or ())


def _note_left_out(table: Table, rows: NDArray[Any], what: str, notes: list[str], more: str = "") -> None:
    if not len(rows):
        return
    verb, rest = ("has", "it is") if len(rows) == 1 else ("have", "they are")
    where = f"first: row {table.row_numbers[rows[0]]}{more}"
    notes.append(f"{count(len(rows), 'row')} {verb} {what} ({where}); {rest} left out.")
