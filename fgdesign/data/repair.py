"""A repair of a table as data. Knows nothing of how it is done, and of recipes.

A repair names a rule, never row numbers, so that it fits next month's file too:

    read_sheet        sheets              another sheet of the workbook is the table
    join_sheets       sheets              rows of further sheets of the same columns come below; "sheet" tells of which
    reread            names               letters that were read as one encoding are read as another, the paired one
    header            names               the first row, which was read as data, is that of the names
    read_as           column, rule        the column is read as the text, the second text or the label; cells stay
    join_columns      columns             columns of 0 and 1 become one, "labels", with the names of those that are 1
    add_column        column              an empty column to be filled in, where there is none of this name
    drop_misread      rule                rows where the reader had to do this: too few cells, an open quote, ...
    mend_encoding     columns             UTF-8 that was read as cp1252 and saved so becomes what it was
    clean_texts       columns, rule       tags and entities of HTML, or signs that nobody sees, go out of texts
    drop_rows         columns, rule       rows where the rule holds in any of the columns
    keep_script       column, rule        rows in another script than this one go, to set a few rows apart
    drop_long         columns, most, by   rows with a text of more tokens, counted as a backbone does or by words
    strip_labels      column              spaces at the ends of labels go, those inside become single
    split_labels      column, rule        several labels in a cell, as a list or with commas, are joined by "|"
    plain_numbers     column              labels such as "12 %" or "$1,234.50" are written as numbers
    shorten_labels    column, rule        of a label what stands before a sign stays
    merge_labels      column, names       labels get the name they are paired with
    drop_classes      column, labels      rows with these labels; of several labels only these go
    take_out          texts, labels       the names of these labels go out of the texts
    drop_texts        texts, keys         rows with these texts, told apart by short hashes: a test table has them too
    drop_conflicts    texts..., label     all rows of a text that has different labels
    drop_duplicates   texts..., label     all but the first row of the same text and label
    mean_labels       texts..., label     rows of the same text get the mean of their numbers
    cap_classes       texts..., label, most   at most so many times the rows of the smallest label; which, the texts say
    drop_columns      columns             the columns; those that are not there do not matter
    choose_columns    columns             all other columns go
    rename            names               columns get other names
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fgdesign.data.languages import SCRIPTS
from fgdesign.data.letters import encoding_name
from fgdesign.data.table import count, short
from fgdesign.data.task import MISSING
from fgdesign.errors import DataError, choices

KINDS: dict[str, frozenset[str]] = {  # in the order of application: the fields that each one needs
    "read_sheet": frozenset({"sheets"}),
    "join_sheets": frozenset({"sheets"}),
    "reread": frozenset({"names"}),
    "header": frozenset({"names"}),
    "read_as": frozenset({"columns", "rule"}),
    "join_columns": frozenset({"columns"}),
    "add_column": frozenset({"columns"}),
    "drop_misread": frozenset({"rule"}),
    "mend_encoding": frozenset({"columns"}),
    "clean_texts": frozenset({"columns", "rule"}),
    "strip_labels": frozenset({"columns"}),
    "split_labels": frozenset({"columns", "rule"}),
    "plain_numbers": frozenset({"columns"}),
    "shorten_labels": frozenset({"columns", "rule"}),
    "merge_labels": frozenset({"columns", "names"}),
    "drop_classes": frozenset({"columns", "labels"}),
    "take_out": frozenset({"columns", "labels"}),
    "drop_rows": frozenset({"columns", "rule"}),
    "keep_script": frozenset({"columns", "rule"}),
    "drop_long": frozenset({"columns", "most", "by"}),
    "drop_texts": frozenset({"columns", "keys"}),
    "drop_conflicts": frozenset({"columns"}),
    "mean_labels": frozenset({"columns"}),
    "drop_duplicates": frozenset({"columns", "rule"}),
    "cap_classes": frozenset({"columns", "most"}),
    "drop_columns": frozenset({"columns"}),
    "choose_columns": frozenset({"columns"}),
    "rename": frozenset({"names"}),
}
SIGNS = {"slash": "/", "colon": ":", "greater": ">", "dash": " - ", "dot": ".", "hyphen": "-", "underscore": "_"}
RULES: dict[str, dict[str, str]] = {  # kind -> rule -> what a person reads; in the order of application
    "read_as": {"text": "the text", "text_b": "the second text", "label": "the label"},
    "clean_texts": {
        "markup": "Take tags and entities of HTML out of the texts",
        "hidden": "Take signs that nobody sees out of the texts",
    },
    "shorten_labels": {
        name: f"Keep of each label what stands before the first '{sign.strip()}'" for name, sign in SIGNS.items()
    },
    "drop_misread": {
        "short_row": "Drop rows with fewer cells than the header",
        "surplus_row": "Drop rows with more cells than the header",
        "joined_row": "Drop rows that were joined again",
        "open_quote": "Drop rows with a quote that never closes",
        "quotes": "Drop rows with quotes against the rules",
        "many_lines": "Drop rows with a cell of very many lines",
        "zero_bytes": "Drop rows that had zero bytes",
        "bad_bytes": "Drop rows with bytes that are no letters",
        "no_result": "Drop rows with a formula without a result",
    },
    "drop_rows": {
        "empty_text": "Drop rows without a text",
        "no_label": "Drop rows without a label",
        "no_number": "Drop rows whose label is no number",
        "lost_letters": "Drop rows with lost letters",
        "huge_cell": "Drop rows with a huge cell",
        "other_script": "Drop rows in another script than most",
        "other_language": "Drop rows in another language than most",
    },
    "keep_script": {name.lower(): f"Keep only rows in {name} script" for name, *_ in SCRIPTS},
    "split_labels": {
        "list": "Join labels that are written as lists by '|'",
        "comma": "Join labels that have commas between them by '|'",
        "semicolon": "Join labels that have semicolons between them by '|'",
    },
    "drop_duplicates": {
        "same": "Drop repeated rows",
        "near": "Drop rows that repeat a text but for its punctuation",
    },
}
FIELDS = ("columns", "rule", "names", "labels", "keys", "most", "by", "sheets")
OF_SHEETS = ("read_sheet", "join_sheets")
ONE_COLUMN = frozenset({"strip_labels", "split_labels", "merge_labels", "drop_classes", "read_as", "add_column",
                         "shorten_labels", "plain_numbers", "keep_script"})
TEXTS_AND_LABEL = frozenset({"drop_conflicts", "mean_labels", "cap_classes"})
OF_CHOICE = frozenset((  # kinds and rules
    "reread", "drop_misread", "take_out", "drop_long", "mean_labels", "cap_classes", "lost_letters", "no_number",
    "header", "read_as", "add_column", "shorten_labels", "join_columns", "clean_texts",
    "plain_numbers", "read_sheet", "join_sheets", "keep_script",
))  # fmt: skip
WORDS = "words"  # what counts tokens where no tokeniser is at hand
JOINED, NEITHER = "labels", "none"  # the column that others are joined to, and its label of rows with none of them
HUGE = 20_000  # characters of a cell from which on it is huge


@dataclass(frozen=True)
class Repair:
    """One repair.

    Attributes:
        kind: one of KINDS.
        columns: names; where texts and a label are needed the label stands last.
        rule: one of RULES of this kind, "" where the kind has none.
        names: (old, new) pairs of labels or columns.
        labels: names of classes.
        keys: `alike.digest` of texts.
        most: a number, 0 where the kind has none.
        by: what counts tokens: the name of a backbone, or WORDS.
        sheets: names of sheets.

    Raises:
        DataError: the kind or rule is unknown, or a field lacks or is not wanted.
    """

    kind: str
    columns: tuple[str, ...] = ()
    rule: str = ""
    names: tuple[tuple[str, str], ...] = ()
    labels: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    most: int = 0
    by: str = ""
    sheets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DataError(f"There is no repair '{short(self.kind)}'. {choices(KINDS, self.kind)}")
        for field in FIELDS:
            if bool(getattr(self, field)) != (field in KINDS[self.kind]):
                verb = "needs" if field in KINDS[self.kind] else "has no"
                raise DataError(f"Repair '{self.kind}' {verb} '{field}'. {choices(KINDS[self.kind])}")
        if self.rule and self.rule not in RULES[self.kind]:
            raise DataError(
                f"Repair '{self.kind}' has no rule '{short(self.rule)}'. {choices(RULES[self.kind], self.rule)}"
            )
        if self.kind == "read_sheet" and len(self.sheets) != 1:
            raise DataError(f"Repair 'read_sheet' names {count(len(self.sheets), 'sheet')}; it needs exactly 1.")
        if self.most < 0:
            raise DataError(f"Repair '{self.kind}' has 'most' {self.most}; it needs a number from 1 on.")
        self._check_columns()
        self._check_names()

    def _check_columns(self) -> None:
        number = len(self.columns)
        if (self.kind in ONE_COLUMN and number != 1) or (self.kind in TEXTS_AND_LABEL and number < 2):
            wanted = "exactly 1 column" if self.kind in ONE_COLUMN else "a text column and the label column"
            raise DataError(f"Repair '{self.kind}' names {count(number, 'column')}; it needs {wanted}.")

    def _check_names(self) -> None:
        old, new = {first for first, _ in self.names}, {second for _, second in self.names}
        if both := sorted(old & new):
            raise DataError(
                f"Repair '{self.kind}' gives '{short(both[0])}' a new name and also uses it as a new name. "
                "Name the last one directly."
            )
        for name in new:
            if name != " ".join(name.split()) or name in MISSING:
                raise DataError(
                    f"Repair '{self.kind}' has the new name '{short(name)}', which is empty, stands for a gap "
                    "or has needless spaces. Give a plain name."
                )
        if self.kind in ("rename", "header") and len(new) < len(self.names):
            raise DataError(f"Repair '{self.kind}' gives two columns the same name. Give each its own.")
        for name in (*old, *new) if self.kind == "reread" else ():
            encoding_name(name)

    def __str__(self) -> str:
        listed = self.sheets or self.labels or self.columns
        shown = ", ".join(f"'{short(name)}'" for name in listed[:3]) + (", ..." if len(listed) > 3 else "")
        pairs = ", ".join(f"'{short(old, 24)}' to '{short(new, 24)}'" for old, new in self.names[:3])
        pairs += f" and {len(self.names) - 3} more" if len(self.names) > 3 else ""
        return {
            "read_sheet": f"Read the sheet {shown}",
            "join_sheets": f"Add the rows of the sheets {shown}" if len(listed) > 1 else f"Add the rows of {shown}",
            "reread": f"Read letters as another encoding: {pairs}",
            "header": f"Take the first row as names of columns: {pairs}",
            "read_as": f"Read {shown} as {RULES['read_as'].get(self.rule)}",
            "join_columns": f"Join columns of 0 and 1 as labels: {shown}",
            "add_column": f"Add an empty column {shown}",
            "clean_texts": f"{RULES['clean_texts'].get(self.rule)}",
            "plain_numbers": f"Write {shown} as plain numbers",
            "shorten_labels": f"{RULES['shorten_labels'].get(self.rule)}",
            "drop_misread": f"{RULES['drop_misread'].get(self.rule)}",
            "mend_encoding": f"Read letters in {shown} as they were meant",
            "strip_labels": f"Remove needless spaces from labels in {shown}",
            "split_labels": f"{RULES['split_labels'].get(self.rule)}",
            "merge_labels": f"Rename labels: {pairs}",
            "drop_classes": f"Drop the rows of {shown}",
            "take_out": f"Take the names of labels out of the texts: {shown}",
            "drop_rows": f"{RULES['drop_rows'].get(self.rule)} in {shown}",
            "keep_script": f"{RULES['keep_script'].get(self.rule)} in {shown}",
            "drop_long": f"Drop rows of more than {count(self.most, 'token')} in {', '.join(self.columns)}, counted by "
            f"{short(self.by, 60)}",
            "drop_texts": f"Drop {count(len(self.keys), 'text')} that the test table has too",
            "drop_conflicts": "Drop all rows of texts with different labels",
            "mean_labels": "Give rows of the same text the mean of their numbers",
            "drop_duplicates": f"{RULES['drop_duplicates'].get(self.rule)}",
            "cap_classes": f"Keep at most {self.most} times the rows of the smallest label",
            "drop_columns": f"Drop {shown}",
            "choose_columns": f"Keep only {shown}",
            "rename": f"Rename columns: {pairs}",
        }[self.kind]

    @property
    def title(self) -> str:
        """The same in few words, for a button."""
        names, columns = self.names, self.columns
        if self.kind == "merge_labels" and len(names) == 1:
            return f"Rename '{short(names[0][0], 20)}' to '{short(names[0][1], 20)}'"
        if self.kind == "drop_columns" and len(columns) == 1:
            return f"Drop '{short(columns[0], 30)}'"
        return {
            "read_sheet": f"Read '{short(self.sheets[0], 30) if self.sheets else ''}'",
            "join_sheets": f"Join {count(len(self.sheets) + 1, 'sheet')} of the same columns",
            "reread": f"Read as {names[0][1] if names else ''}",
            "header": "Take the first row as names of columns",
            "read_as": f"Read '{short(columns[0], 30) if columns else ''}' as {RULES['read_as'].get(self.rule)}",
            "add_column": f"Add an empty column '{short(columns[0], 30) if columns else ''}'",
            "clean_texts": f"{RULES['clean_texts'].get(self.rule)}",
            "plain_numbers": "Write them as plain numbers",
            "join_columns": f"Join {count(len(columns), 'column')} as labels",
            "shorten_labels": f"{RULES['shorten_labels'].get(self.rule)}",
            "drop_misread": f"{RULES['drop_misread'].get(self.rule)}",
            "mend_encoding": "Read the letters as they were meant",
            "strip_labels": "Remove needless spaces",
            "split_labels": "Read them as several labels",
            "merge_labels": f"Rename {count(len(names), 'label')}",
            "drop_classes": f"Drop the rows of {count(len(self.labels), 'label')}",
            "take_out": f"Take {count(len(self.labels), 'label')} out of the texts",
            "drop_rows": f"{RULES['drop_rows'].get(self.rule)}",
            "keep_script": f"{RULES['keep_script'].get(self.rule)}",
            "drop_long": f"Drop rows of more than {count(self.most, 'token')}",
            "drop_texts": f"Drop {count(len(self.keys), 'text')} from this table",
            "drop_conflicts": "Drop all rows of such texts",
            "mean_labels": "Give each text the mean of its numbers",
            "drop_duplicates": "Drop repeated rows",
            "cap_classes": f"Keep at most {self.most} times the smallest",
            "drop_columns": f"Drop {count(len(columns), 'column')}",
            "choose_columns": f"Keep only {count(len(columns), 'column')}",
            "rename": f"Rename {count(len(names), 'column')}",
        }[self.kind]

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it; only the fields this kind has."""
        found: dict[str, Any] = {"repair": self.kind}
        for field in FIELDS:
            if value := getattr(self, field):
                found[field] = dict(value) if field == "names" else list(value) if isinstance(value, tuple) else value
        return found

    @property
    def of_choice(self) -> bool:
        """Whether it may take what is right, or is one of several ways: only a person accepts it, one by one."""
        return self.kind in OF_CHOICE or self.rule in OF_CHOICE


def repair_from(item: Any) -> Repair:
    """The repair that an object of JSON describes. Raises DataError."""
    if not isinstance(item, dict) or not isinstance(item.get("repair"), str):
        raise DataError(f'it is no object with a "repair". {choices(KINDS)}')
    fields = {"repair": str, "columns": list, "rule": str, "names": dict, "labels": list, "keys": list, "most": int,
              "by": str, "sheets": list}  # fmt: skip
    for field, value in item.items():
        if field not in fields:
            raise DataError(f"there is no field '{short(field)}'. {choices(fields, field)}")
        if type(value) is not fields[field] or not all(isinstance(cell, str) for cell in _cells(value)):
            raise DataError(f"'{field}' is of another kind than the format's: {short(json.dumps(value))}.")
    return Repair(
        item["repair"],
        tuple(item.get("columns", ())),
        item.get("rule", ""),
        tuple(item.get("names", {}).items()),
        tuple(item.get("labels", ())),
        tuple(item.get("keys", ())),
        item.get("most", 0),
        item.get("by", ""),
        tuple(item.get("sheets", ())),
    )


def _cells(value: Any) -> Iterable[Any]:
    if isinstance(value, int):
        return ()
    return value.values() if isinstance(value, dict) else value
