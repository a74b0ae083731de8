"""What may be wrong with columns: empty, constant, doubled, or telling the label."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from fgdesign.data import alike
from fgdesign.data.case import Case
from fgdesign.data.clean import OFF, ON
from fgdesign.data.columns import has_known_name
from fgdesign.data.findings import Finding, about_rows
from fgdesign.data.repair import HUGE, Repair
from fgdesign.data.table import count, short

TELLING = 0.98  # share of rows whose label a column names, from which on it is telling
COVERED = 0.5  # share of rows whose value must come back, so that naming it is no accident
BEGINNING = re.compile(r"[^\d]*")
MOST_FLAGS = 4  # different cells of a column of yes and no
WORDS_OF_TEXT = 1.5  # ends of words, in the mean, from which on cells are texts
FEW_ROWS = 10  # with fewer, everything seems to tell the label


def check_columns(case: Case) -> Iterator[Finding]:
    """Findings about columns beside texts and label, and about their cells."""
    frame = case.table.frame
    used = {*case.text_columns, case.columns.label}
    others = [name for name in map(str, frame.columns) if name not in used]
    kinds = {name: int(frame[name].nunique()) for name in others}
    empty = [name for name in others if not frame[name].str.strip().any()]
    constant = [name for name in others if kinds[name] == 1 and name not in empty and len(frame) > 1]
    doubled = _doubled(case, [name for name in others if name not in (*empty, *constant)])
    told = [name for name in others if name not in (*empty, *constant, *doubled) and _tells(case, name)]
    for code, severity, names, what in (
        ("empty_columns", "warning", empty, "{} nothing in any row ({}). Drop {}."),
        ("constant_columns", "note", constant, "{} the same value in every row ({}), which tells nothing. Drop {}."),
        ("duplicate_columns", "warning", doubled, "{} the same cells as another column ({}). Drop {}."),
        ("telling_columns", "warning", told,
         "{} nearly always enough to know the label ({}). A rule that reads such a column learns nothing from the "
         "text. Drop {}, unless it is known before the label is."),
    ):  # fmt: skip
        if names:
            yield _about(code, severity == "note", names, what)
    yield from _flags(case, [name for name in others if kinds[name] <= MOST_FLAGS])
    huge = np.zeros(len(frame), bool)
    where = []
    for name in map(str, frame.columns):
        found = (frame[name].str.len() > HUGE).to_numpy(bool)
        where += [name] if found.any() else []
        huge |= found
    if where:
        yield about_rows(
            case.table, huge, "huge_cells", "warning",
            f"{{rows}} {{has a cell/have cells}} of more than {HUGE:,} characters ({{first}}); often a quote that "
            "never closes has swallowed other rows. Look there and correct {it/them}, or drop the rows.",
            where[0], Repair("drop_rows", tuple(where), "huge_cell"),
        )  # fmt: skip
    if case.columns.reasons:
        roles = (*case.text_columns, *([case.columns.label] if case.columns.label else []))
        unused = f" {count(len(others), 'other column')} not used: {_listed(others)}." if others else ""
        yield Finding(
            "columns", "note", f"{' '.join(case.columns.reasons)}{unused} Name the columns if this is wrong.",
            repair=Repair("choose_columns", roles) if others else None, others=_second_text(case, others, kinds),
        )  # fmt: skip


def _second_text(case: Case, others: list[str], kinds: Mapping[str, int]) -> tuple[Repair, ...]:
    """To read another column of texts as the second text, where there is none."""
    if case.columns.text_b is not None:
        return ()
    some = case.table.frame.iloc[case.some[:200]]
    found = [name for name in others if 2 * kinds[name] > len(case.table)
             and some[name].str.count(r"[^\W\d]\s").mean() >= WORDS_OF_TEXT]  # fmt: skip
    return tuple(Repair("read_as", (name,), "text_b") for name in found[:2])


def _flags(case: Case, names: list[str]) -> Iterator[Finding]:
    """Several columns of yes and no, the label's among them, that are one label each."""
    label = case.columns.label
    if label is None or has_known_name(label):
        return
    frame = case.table.frame
    cells = {name: frozenset(frame[name].str.strip().str.lower().unique().tolist()) for name in (label, *names)}
    flags = [name for name in map(str, frame.columns) if name in cells and ON & cells[name] and OFF & cells[name]
             and cells[name] <= ON | OFF]  # fmt: skip
    if label in flags and len(flags) > 1:
        yield Finding(
            "flag_columns", "warning",
            f"{count(len(flags), 'column')} have yes or no in every row ({_listed(flags)}), and only '{short(label)}' "
            "is read. If each is a label, join them, so that a row may have several.", label,
            repair=Repair("join_columns", tuple(flags)),
        )  # fmt: skip


def _about(code: str, is_note: bool, names: list[str], what: str) -> Finding:
    verb = "is" if code == "telling_columns" else "has"
    plural = "are" if code == "telling_columns" else "have"
    begin = f"{count(len(names), 'column')} {verb if len(names) == 1 else plural}"
    message = what.format(begin, _listed(names), "it" if len(names) == 1 else "them")
    return Finding(
        code, "note" if is_note else "warning", message, names[0], repair=Repair("drop_columns", tuple(names))
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{short(name)}'" for name in names[:5]) + (", ..." if len(names) > 5 else "")


def _doubled(case: Case, names: list[str]) -> list[str]:
    """Columns whose cells are those of an earlier column or of a text or label."""
    frame = case.table.frame
    some = frame.iloc[case.some[:200]]
    first: dict[tuple[str, ...], list[str]] = {}
    doubled = []
    for name in [*case.text_columns, *([case.columns.label] if case.columns.label else []), *names]:
        same = first.setdefault(tuple(some[name].tolist()), [])
        if name in names and any(frame[other].equals(frame[name]) for other in same):
            doubled.append(name)
        else:
            same.append(name)
    return doubled


def _tells(case: Case, name: str) -> bool:
    """Whether a column's values, or how they begin before the first digit, name the label of nearly every row."""
    if case.task_kind not in ("single", "multi") or case.columns.label is None:
        return False
    rows = case.some[case.labels[case.some] >= 0]
    labels = case.labels[rows]
    if len(rows) < FEW_ROWS or len(np.unique(labels)) < 2:
        return False
    cells = list(map(str.strip, case.table.frame[name].iloc[rows].tolist()))
    beginnings = [match[0] for cell in cells if (match := BEGINNING.match(cell)) is not None]
    return any(_name(alike.numbered(values), labels) for values in (cells, beginnings))


def _name(values: alike.Numbers, labels: alike.Numbers) -> bool:
    """Whether values that come back name the label, better than the most frequent label does."""
    often = np.bincount(values)[values] > 1
    if often.mean() < COVERED:
        return False
    values, labels = values[often], labels[often]
    pairs, sizes = np.unique(alike.paired(values, labels), return_counts=True)
    best = np.zeros(int(values.max()) + 1, np.int64)
    np.maximum.at(best, pairs // (int(labels.max(initial=0)) + 2), sizes)
    usual = np.bincount(labels).max() / len(labels)
    return bool(best.sum() / len(labels) >= max(TELLING, (1 + usual) / 2) and len(pairs) < 0.5 * len(labels))
