"""What is wrong with a table, what to do about it, and the repairs that do it. Changes nothing; knows no files.

The findings of `examine` carry repairs; a recipe of the accepted ones is applied by `fgdesign.data.mend.apply`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain

import numpy as np

from fgdesign.data import alike
from fgdesign.data.case import Case
from fgdesign.data.check_columns import check_columns
from fgdesign.data.check_labels import check_labels
from fgdesign.data.check_roles import check_test_columns, check_test_labels, other_labels, shorter_labels
from fgdesign.data.check_texts import check_texts
from fgdesign.data.columns import choose_columns
from fgdesign.data.dataset import load_dataset
from fgdesign.data.findings import Finding, Severity, about_rows, with_ways, worst_first
from fgdesign.data.lengths import TokenCounter
from fgdesign.data.letters import other_encodings
from fgdesign.data.mend import apply
from fgdesign.data.recipe import Recipe
from fgdesign.data.repair import Repair
from fgdesign.data.rows import column_names
from fgdesign.data.sheets import about_sheets
from fgdesign.data.table import MOST_ROWS, Note, Table, first_row, short
from fgdesign.errors import DataError

MOST_KEYS = 20_000  # texts that a recipe names
ROUNDS = 6  # a repair may bring up another finding; after so many rounds nothing new comes
READING: tuple[tuple[str, str, Severity], ...] = (  # what a reader's note has in it, code, severity
    ("is a guess: if letters", "encoding_guess", "warning"),
    ("were replaced by", "bad_bytes", "warning"),
    ("Fewer cells than", "short_rows", "warning"),
    ("More cells than", "long_rows", "warning"),
    ("opens and never closes", "open_quote", "warning"),
    ("do not follow the rules", "quotes", "warning"),
    ("has very many lines", "many_lines", "warning"),
    ("zero byte", "zero_bytes", "warning"),
    ("without a result", "formulas", "warning"),
    ("with the name of another", "column_names", "warning"),
    ("without a name", "column_names", "note"),
    ("of the workbook", "sheets", "warning"),
    ("looks like data", "no_header", "note"),
    ("stands again further down", "repeated_header", "note"),
    ("stands above the header", "title", "note"),
)


def examine(
    table: Table,
    *,
    text: str | None = None,
    text_b: str | None = None,
    label: str | None = None,
    task: str = "auto",
    test: Table | None = None,
    counter: TokenCounter | None = None,
    limit: int = 256,
) -> tuple[Finding, ...]:
    """All findings, errors first.

    Args:
        table: N rows, as they were read.
        text, text_b, label: column names; what is None is guessed.
        task: "auto", or the kind of task.
        test: another table to be tested on: texts that are in both are found.
        counter: of tokens; without it words are counted.
        limit: tokens that the graph reads.

    Raises:
        DataError: a named column is not there.
    """
    for name in (text, text_b, label):
        if name is not None and name not in table.frame:
            choose_columns(table, text=text, text_b=text_b, label=label)
    found = list(_reading(table))
    try:
        columns = choose_columns(table, text=text, text_b=text_b, label=label)
    except DataError as error:
        return worst_first([*found, Finding("columns", "error", str(error))])
    case = Case(table, columns, task, counter, limit)
    for check in (check_labels, check_texts, check_columns):
        found += check(case)
    if test is not None:
        found += _against(case, test)
    if all(finding.severity != "error" for finding in found):
        found += _refused(case)
    return worst_first(found)


def proposed(findings: tuple[Finding, ...]) -> Recipe:
    """The repairs of all errors and warnings, but those that only a person accepts; those of notes are taste."""
    return Recipe().with_repairs(
        finding.repair for finding in findings
        if finding.repair is not None and finding.severity != "note" and not finding.repair.of_choice
    )  # fmt: skip


def full_recipe(
    table: Table,
    recipe: Recipe,
    *,
    text: str | None = None,
    text_b: str | None = None,
    label: str | None = None,
    task: str = "auto",
    test: Table | None = None,
) -> Recipe:
    """The recipe with the proposed repairs of what it leaves, and of what those bring up in turn.

    Args:
        table: as it was read.
        recipe: what is accepted already.
        text, text_b, label, task, test: as `examine` takes them.

    Raises:
        DataError: the recipe does not fit the table.
    """
    columns = {"text": text, "text_b": text_b, "label": label}
    for _ in range(ROUNDS):
        mended, _ = apply(recipe, table)
        more = proposed(examine(mended, **recipe.renamed(columns), task=task, test=test))
        longer = _possible(recipe, more, table)
        if longer == recipe:
            break
        recipe = longer
    return recipe


def _possible(recipe: Recipe, more: Recipe, table: Table) -> Recipe:
    """The recipe with those of the further repairs that leave rows."""
    try:
        apply(recipe.with_repairs(more.repairs), table)
    except DataError:
        for repair in more.repairs:
            try:
                apply(recipe.with_repairs([repair]), table)
            except DataError:
                continue
            recipe = recipe.with_repairs([repair])
        return recipe
    return recipe.with_repairs(more.repairs)


def _reading(table: Table) -> Iterator[Finding]:
    """What the reader decided and repaired, as findings."""
    for note in table.notes:
        code, severity = next(
            ((code, severity) for words, code, severity in READING if words in note), ("reading", "note")
        )
        about = note if isinstance(note, Note) else Note(note)
        if code == "no_header":
            yield from _first_row(table, about)
        elif code == "encoding_guess":
            yield from _guess(table, about)
        elif code == "sheets":
            yield from about_sheets(table, about)
        elif about.mark:
            yield from _misread(table, about, code, severity)
        else:
            yield Finding(code, severity, str(note), rows=about.rows, count=about.total)


def _first_row(table: Table, note: Note) -> Iterator[Finding]:
    """The first row that was read as data, with the other reading, and names of the usual kind; until it has names."""
    if not len(table.marks.get("no_header", ())) or table.row_numbers[0] != note.rows[0]:
        return
    names = [str(name) for name in table.frame.columns]
    if not any(name.startswith("column_") for name in names):
        return
    first = column_names([str(table.frame[name].iloc[0]) for name in names], [])
    ways: list[Repair | None] = []
    with suppress(DataError):  # a cell such as "NA" names no column
        pairs = tuple((old, new) for old, new in zip(names, first, strict=True) if old != new and len(table) > 1)
        ways.append(Repair("header", names=pairs))
    with suppress(DataError):
        found = choose_columns(table)
        roles = {found.text: "text", found.text_b: "text_b", found.label: "label"}
        ways.append(Repair("rename", names=tuple((old, new) for old, new in roles.items() if old in names)))
    yield with_ways(Finding("no_header", "note", str(note), rows=note.rows, count=1), ways)


def _misread(table: Table, note: Note, code: str, severity: Severity) -> Iterator[Finding]:
    """What the reader did to rows, as long as they are in the table."""
    all_rows = table.marks[note.mark].tolist()
    left = table.row_numbers[np.isin(table.row_numbers, all_rows)].tolist()
    if left:
        said = str(note).replace(first_row(all_rows), first_row(left))
        drop = None if len(left) == len(table) else Repair("drop_misread", rule=note.mark)
        yield Finding(code, severity, said, "", tuple(left[:MOST_ROWS]), len(left), drop)


def _guess(table: Table, note: Note) -> Iterator[Finding]:
    """The encoding that was guessed, with the others that are likely; nothing where another one was chosen."""
    if not note.startswith(f"{table.encoding} is a guess"):
        return
    at = np.flatnonzero(np.isin(table.row_numbers, note.rows))
    columns = [table.frame[name].iloc[at].tolist() for name in map(str, table.frame.columns)]
    cells = [*map(str, table.frame.columns), *chain.from_iterable(columns)]
    others = other_encodings(cells, table.encoding)
    shown = ", ".join(f"'{short(now, 24)}' would be '{short(then, 24)}' as {name}" for name, now, then in others)
    more = f" {shown}." if others else ""
    ways = [Repair("reread", names=((table.encoding, name),)) for name, *_ in others]
    yield Finding(
        "encoding_guess", "warning", f"{note}{more}", rows=note.rows, count=note.total,
        repair=ways[0] if ways else None, others=tuple(ways[1:]),
    )  # fmt: skip


def _against(case: Case, test: Table) -> Iterator[Finding]:
    """Texts that are also in the test table, and its labels that are nowhere here."""
    columns = case.columns
    needed = [*case.text_columns, *([columns.label] if columns.label else [])]
    absent = [name for name in needed if name not in test.frame]
    if absent:
        yield check_test_columns(case, test, absent)
        return
    tested = set(alike.text_keys(test.frame, case.text_columns))
    leaks = case.has_text & np.fromiter((key in tested for key in case.keys), bool, len(case.keys))
    if leaks.any():
        both = sorted({key for key, leak in zip(case.keys, leaks, strict=True) if leak})
        share = len(both) / len(tested)
        digests = tuple(map(alike.digest, both)) if len(both) <= MOST_KEYS and not leaks.all() else ()
        yield about_rows(
            case.table, leaks, "leaks", "warning",
            f"{{rows}} {{has a text/have texts}} of the test table too ({{first}}), {share:.1%} of its texts: its "
            "score would be too good. Take {it/them} out of one of the two.", columns.text,
            Repair("drop_texts", case.text_columns, keys=digests) if digests else None,
        )  # fmt: skip
    yield from check_test_labels(case, replace(case, table=test))


def _refused(case: Case) -> Iterator[Finding]:
    """What still keeps the table from being learnt from, whatever the checks did not know.

    Two rows of each label with a text and two without show it as well as all do.
    """
    columns, kinds = case.columns, alike.paired(case.labels, case.has_text.astype(np.int64))
    keep = ~alike.repeats(kinds)
    keep[np.flatnonzero(~keep)[~alike.repeats(kinds[~keep])]] = True
    few = replace(case.table, frame=case.table.frame[keep], row_numbers=case.table.row_numbers[keep])
    try:
        load_dataset(few, text=columns.text, text_b=columns.text_b, label=columns.label, task=case.task_kind or "auto")
    except DataError as error:
        found = Finding("not_learnable", "error", str(error), columns.label or "")
        yield with_ways(found, [*shorter_labels(case), *other_labels(case)])
