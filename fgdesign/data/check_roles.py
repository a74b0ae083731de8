"""Which other columns could be read as the label, and what makes a test table's columns and labels those of a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from fgdesign.data import alike
from fgdesign.data.case import Case
from fgdesign.data.clean import plain_number
from fgdesign.data.columns import choose_columns, has_known_name, plain_name
from fgdesign.data.findings import Finding
from fgdesign.data.repair import SIGNS, Repair
from fgdesign.data.split import FEWEST
from fgdesign.data.table import Table, short
from fgdesign.data.task import MISSING, detect_task, without_point_zero
from fgdesign.errors import DataError

MOST = 3  # columns that are offered
NAME = "label"  # of a column that is added
LONG = 60  # characters of a label, in the mean, from which on it is none


def other_labels(case: Case) -> tuple[Repair, ...]:
    """To read another column as the label, the likeliest first: at least two labels in it can be split."""
    used = {*case.text_columns, case.columns.label}
    found = [(rank, name) for name in map(str, case.table.frame.columns)
             if name not in used and (rank := _rank(case, name)) is not None]  # fmt: skip
    return tuple(Repair("read_as", (name,), "label") for _, name in sorted(found, key=lambda pair: pair[0])[:MOST])


def _rank(case: Case, name: str) -> tuple[bool, int] | None:
    """How unlikely a column holds labels; None where nothing could be learnt from it."""
    cells = case.table.frame[name].iloc[case.some].str.strip()
    cells = cells[~cells.isin(list(MISSING))]
    if not len(cells) or cells.str.len().mean() > LONG:
        return None
    sizes = cells.value_counts()
    plain = [plain_number(cell) for cell in cells.tolist()]
    if detect_task(plain if all(plain) else cells.tolist()).kind == "regression":
        counted = len(sizes) == len(cells) and cells.str.isdecimal().all()  # numbers of rows
        return None if counted else (not has_known_name(name), len(cells))
    enough = int((sizes >= FEWEST).sum()) > 1 and len(sizes) <= len(cells) // 2
    return (not has_known_name(name), len(sizes)) if enough else None


def empty_label(case: Case) -> Repair | None:
    """To add a column that a person fills in."""
    return None if NAME in case.table.frame else Repair("add_column", (NAME,))


def shorter_labels(case: Case) -> tuple[Repair, ...]:
    """To keep of labels such as "billing/refund" what stands before the sign, where that makes labels that return."""
    if case.task_kind != "single" or case.columns.label is None:
        return ()
    for rule, sign in SIGNS.items():
        sizes = pd.Series([cell.partition(sign)[0].strip() or cell for cell in case.cells if cell]).value_counts()
        if sum(sign in name for name in case.sizes) * 2 > len(case.sizes) and int((sizes >= FEWEST).sum()) > 1:
            return (Repair("shorten_labels", (case.columns.label,), rule),)
    return ()


def check_test_columns(case: Case, test: Table, absent: list[str]) -> Finding:
    """Columns that the test table does not have, under the names that they may have there."""
    repair = _named_as_there(case, test, absent)
    return Finding(
        "test_columns", "error",
        f"The test table has no column '{short(absent[0])}'. Name its columns as they are named here, or these as "
        "there.", absent[0], repair=repair,
    )  # fmt: skip


def _named_as_there(case: Case, test: Table, absent: list[str]) -> Repair | None:
    free = [name for name in map(str, test.frame.columns) if name not in case.table.frame]
    by_name = {plain_name(name): name for name in reversed(free)}
    pairs = {name: by_name[plain_name(name)] for name in absent if plain_name(name) in by_name}
    try:
        there = choose_columns(test)
    except DataError:
        there = None
    for role in ("text", "text_b", "label"):
        name, other = getattr(case.columns, role), getattr(there, role, None)
        if name in absent and name not in pairs and other in free and other not in pairs.values():
            pairs[name] = other
    apart = pairs.keys() == set(absent) and pairs.keys().isdisjoint(pairs.values())
    return Repair("rename", names=tuple(pairs.items())) if apart else None


def check_test_labels(case: Case, other: Case) -> Iterator[Finding]:
    """Labels of the test table that are nowhere here: some are only spelt otherwise, rows of others can go there."""
    known = set(map(without_point_zero, case.sizes))
    unknown = sorted(name for name in other.sizes if without_point_zero(name) not in known) if case.sizes else []
    if not unknown:
        return
    spelt = {alike.same_label(name): alike.tidy(name) for name in sorted(unknown, key=lambda name: other.sizes[name])}
    names = tuple((alike.tidy(name), spelt[alike.same_label(name)]) for name in sorted(case.sizes)
                  if alike.same_label(name) in spelt and name not in other.sizes
                  and alike.tidy(name) != spelt[alike.same_label(name)])  # fmt: skip
    mended = set(dict(names).values())
    new = tuple(name for name in unknown if alike.tidy(name) not in mended)
    shown = ", ".join(f"'{short(name)}'" for name in unknown[:3]) + (", ..." if len(unknown) > 3 else "")
    rows, label = int(other.rows_with(unknown).sum()), case.columns.label or ""
    some = len(new) < len(unknown) or not bool(other.rows_with(new).all())
    found = Finding(
        "test_labels", "warning",
        f"The test table has labels that are not in this one ({shown}; {rows:,} of its rows): they can never be "
        "answered right. Write the labels the same way in both, or drop such rows there.", label,
        repair=Repair("merge_labels", (label,), names=names) if names else None,
    )  # fmt: skip
    yield replace(found, there=Repair("drop_classes", (label,), labels=new) if new and some else None)
