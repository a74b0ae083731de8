"""A recipe applied to a table: a pure function that tells what each repair changed. Knows no files."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fgdesign.data import alike
from fgdesign.data.alike import Mask
from fgdesign.data.clean import ON, plain_number, without_hidden, without_markup
from fgdesign.data.languages import SCRIPTS, language_of_rows, other_language, other_script, script_of_rows
from fgdesign.data.lengths import about_tokens, counter_named
from fgdesign.data.letters import LOST, encoding_name, reread
from fgdesign.data.recipe import Recipe
from fgdesign.data.repair import HUGE, JOINED, NEITHER, OF_SHEETS, SIGNS, WORDS, Repair
from fgdesign.data.sheets import join_sheets, read_sheet
from fgdesign.data.split import FEWEST
from fgdesign.data.table import Table, count
from fgdesign.data.take_out import label_words, without_labels
from fgdesign.data.task import SEPARATOR, numbers, parts
from fgdesign.errors import DataError, choices

Done = tuple[Table, int, str]  # the table, how many were changed, and the word for what was changed


def apply(recipe: Recipe, table: Table) -> tuple[Table, tuple[str, ...]]:
    """(the mended table, a sentence for each repair: what it is and how many rows or columns it changed).

    A second application changes nothing. A repair of a column that the recipe itself removes is passed
    over where the column is gone; a column that it renames is also found under its new name.

    Raises:
        DataError: a repair names a column that is not there, or leaves no rows.
    """
    notes = []
    for repair in recipe.steps:
        fitted = _fit(repair, recipe, table)
        if fitted is None:
            notes.append(f"{repair}: the column is gone already, nothing to do.")
            continue
        table, changed, what = _DOES[fitted.kind](table, fitted)
        if not len(table):
            raise DataError(f"'{repair}' leaves no rows. Take this repair out of the recipe.")
        noun, _, done = what.partition(" ")
        notes.append(f"{repair}: {count(changed, what, f'{noun}s {done}')}.")
    return table, tuple(notes)


def _fit(repair: Repair, recipe: Recipe, table: Table) -> Repair | None:
    """The repair with the names the columns have in this table; None when the recipe removed them."""
    there = set(map(str, table.frame.columns))
    if repair.kind in (*OF_SHEETS, "reread", "header", "join_columns"):
        return repair
    spelt = {name: name if name in there else recipe.respelt(name) for name in repair.columns}
    repair = replace(repair, columns=tuple(spelt.values()))
    if repair.kind in ("drop_columns", "add_column"):
        return repair
    renamed = dict(pair for step in recipe.steps if step.kind == "rename" for pair in step.names)
    if repair.kind == "rename":
        spelt = {old: old if old in there else recipe.respelt(old) for old, _ in repair.names}
        repair = replace(repair, names=tuple((spelt[old], new) for old, new in repair.names))
        _check_free(repair, there)
        pairs = [(old, new) for old, new in repair.names if old in there]
        for old, new in repair.names:
            if old not in there and new not in there and not _removed(old, recipe):
                raise _absent(repair, old, there)
        return replace(repair, names=tuple(pairs)) if pairs else None
    columns = []
    for name in repair.columns:
        if name in there:
            columns.append(name)
        elif renamed.get(name) in there:
            columns.append(renamed[name])
        elif _removed(name, recipe):
            return None
        else:
            raise _absent(repair, name, there)
    return replace(repair, columns=tuple(columns))


def _check_free(repair: Repair, there: set[str]) -> None:
    taken = [new for old, new in repair.names if old in there and new in there]
    if taken:
        raise DataError(
            f"'{repair}' is not possible: there is a column '{taken[0]}' already. Choose another name."
        )


def _removed(name: str, recipe: Recipe) -> bool:
    return any(
        (step.kind == "drop_columns" and name in step.columns)
        or (step.kind == "choose_columns" and name not in step.columns)
        for step in recipe.steps
    )


def _absent(repair: Repair, name: str, there: set[str]) -> DataError:
    return DataError(
        f"'{repair}' needs the column '{name}', which is not there. {choices(there, name)} "
        "Name the column so in the file, or in the recipe."
    )


def _kept(table: Table, keep: Mask) -> Done:
    """The rows that stay."""
    if keep.all():
        return table, 0, "row dropped"
    frame = table.frame[keep].reset_index(drop=True)
    dropped = int((~keep).sum())
    return replace(table, frame=frame, row_numbers=table.row_numbers[keep]), dropped, "row dropped"


def _relabelled(table: Table, column: str, change: Callable[[str], str]) -> Done:
    """Every label changed, each distinct one worked out once."""
    cells = table.frame[column]
    new = {cell: change(cell) for cell in cells.unique().tolist()}
    new = {old: label for old, label in new.items() if old != label}
    changed = int(cells.isin(list(new)).sum()) if new else 0
    if changed:
        labels = [new.get(cell, cell) for cell in cells.tolist()]
        frame = table.frame.copy()
        frame[column] = np.array(labels, object)
        table = replace(table, frame=frame.astype("str"))
    return table, changed, "row changed"


def _reread(table: Table, repair: Repair) -> Done:
    """All letters, those of the column names too; nothing where the table was read as another encoding."""
    total = 0
    for old, new in repair.names:
        if not table.encoding or encoding_name(table.encoding) != encoding_name(old):
            continue
        for column in map(str, table.frame.columns):
            table, changed, _ = _relabelled(table, column, functools.partial(reread, old=old, new=new))
            total += changed
        names = [reread(str(name), old, new) for name in table.frame.columns]
        table = replace(table, frame=table.frame.set_axis(names, axis=1), encoding=encoding_name(new))
    return table, total, "cell changed"


def _header(table: Table, repair: Repair) -> Done:
    """Names for the columns of a table without any; the row that holds them goes, another first row stays."""
    first, names = list(table.marks.get("no_header", ())), dict(repair.names)
    there = [str(name) for name in table.frame.columns]
    if not first or not len(table) or not names.keys() <= set(there):
        return table, 0, "column named"
    if set(names.values()) & (set(there) - names.keys()):
        raise DataError(f"'{repair}' gives a name that another column has. Take this repair out of the recipe.")
    top = {name: " ".join(str(table.frame[name].iloc[0]).split()) for name in names}
    if table.row_numbers[0] == first[0] and top == names:
        table, *_ = _kept(table, np.arange(len(table)) > 0)
    marks = {mark: rows for mark, rows in table.marks.items() if mark != "no_header"}
    return replace(table, frame=table.frame.rename(columns=names), marks=marks), len(names), "column named"


def _read_as(table: Table, _: Repair) -> Done:
    """Nothing: `Recipe.renamed` tells who reads the table."""
    return table, 0, "cell changed"


def _add_column(table: Table, repair: Repair) -> Done:
    if repair.columns[0] in table.frame:
        return table, 0, "column added"
    frame = table.frame.assign(**{repair.columns[0]: ""}).astype("str")
    return replace(table, frame=frame), 1, "column added"


def _shorten_labels(table: Table, repair: Repair) -> Done:
    sign = SIGNS[repair.rule]
    return _relabelled(
        table, repair.columns[0], lambda cell: (sign in cell and cell.partition(sign)[0].strip()) or cell
    )


def _join_columns(table: Table, repair: Repair) -> Done:
    """One column of labels in place of columns of yes and no."""
    gone = [name for name in repair.columns if name not in table.frame]
    if JOINED in table.frame and gone:
        return table, 0, "column joined"
    if gone:
        raise _absent(repair, gone[0], set(map(str, table.frame.columns)))
    flags = [(name, table.frame[name].str.strip().str.lower().isin(list(ON)).tolist()) for name in repair.columns]
    names = [[name for name, on in flags if on[row]] for row in range(len(table))]
    frame = table.frame.drop(columns=list(repair.columns))
    frame[JOINED] = np.array([SEPARATOR.join(found) or NEITHER for found in names], object)
    return replace(table, frame=frame.astype("str")), len(repair.columns), "column joined"


def _clean_texts(table: Table, repair: Repair) -> Done:
    """Each text without tags or hidden signs, or with the letters it was meant to have."""
    change, total = {"markup": without_markup, "hidden": without_hidden}.get(repair.rule, alike.meant), 0
    for column in repair.columns:
        table, changed, _ = _relabelled(table, column, change)
        total += changed
    return table, total, "cell changed"


def _drop_misread(table: Table, repair: Repair) -> Done:
    return _kept(table, ~np.isin(table.row_numbers, table.marks.get(repair.rule, ())))


def _strip_labels(table: Table, repair: Repair) -> Done:
    return _relabelled(table, repair.columns[0], alike.tidy)


def _split_labels(table: Table, repair: Repair) -> Done:
    def joined(cell: str) -> str:
        if repair.rule == "list" and not alike.LIST.fullmatch(cell):
            return cell
        several = list(dict.fromkeys(alike.listed(cell, repair.rule)))
        return SEPARATOR.join(several) if repair.rule == "list" or len(several) > 1 else cell

    return _relabelled(table, repair.columns[0], joined)


def _plain_numbers(table: Table, repair: Repair) -> Done:
    return _relabelled(table, repair.columns[0], lambda cell: plain_number(cell) or cell)


def _merge_labels(table: Table, repair: Repair) -> Done:
    names = {alike.tidy(old): new for old, new in repair.names}

    def merged(cell: str) -> str:
        plain = alike.tidy(cell)
        if plain in names or SEPARATOR not in cell:
            return names.get(plain, cell)
        several = parts(cell)
        found = list(dict.fromkeys(names.get(alike.tidy(part), part) for part in several))
        return cell if found == several else SEPARATOR.join(found)

    return _relabelled(table, repair.columns[0], merged)


def _drop_classes(table: Table, repair: Repair) -> Done:
    column, gone = repair.columns[0], {alike.tidy(label) for label in repair.labels}
    empty = {
        cell for cell in table.frame[column].unique().tolist()
        if alike.tidy(cell) in gone or (parts(cell) and all(alike.tidy(part) in gone for part in parts(cell)))
    }  # fmt: skip
    table, dropped, _ = _kept(table, ~table.frame[column].isin(list(empty)).to_numpy(bool))

    def without(cell: str) -> str:
        left = [part for part in parts(cell) if alike.tidy(part) not in gone]
        return cell if len(left) == len(parts(cell)) else SEPARATOR.join(left)

    table, changed, _ = _relabelled(table, column, without)
    return table, dropped + changed, "row dropped or changed" if changed else "row dropped"


def _drop_rows(table: Table, repair: Repair) -> Done:
    keep = np.ones(len(table), bool)
    for name in repair.columns:
        cells = table.frame[name].tolist()
        if repair.rule == "empty_text":
            keep &= alike.has_text(cells)
        elif repair.rule == "no_label":
            keep &= alike.has_label(cells)
        elif repair.rule == "other_script":
            keep &= ~other_script(script_of_rows(cells))
        elif repair.rule == "other_language":
            keep &= ~other_language(language_of_rows(cells))
        elif repair.rule == "lost_letters":
            keep &= np.fromiter((LOST not in cell for cell in cells), bool, len(cells))
        elif repair.rule == "no_number":
            words = {cell for cell in map(str.strip, set(cells)) if numbers([cell]) is None}
            known = np.fromiter((cell.strip() not in words for cell in cells), bool, len(cells))
            keep &= known | ~alike.has_label(cells)
        else:
            keep &= np.fromiter((len(cell) <= HUGE for cell in cells), bool, len(cells))
    return _kept(table, keep)


def _keep_script(table: Table, repair: Repair) -> Done:
    place = [name.lower() for name, *_ in SCRIPTS].index(repair.rule)
    return _kept(table, script_of_rows(table.frame[repair.columns[0]].tolist()) == place)


def _drop_long(table: Table, repair: Repair) -> Done:
    keep = np.ones(len(table), bool)
    for name in repair.columns:
        texts = table.frame[name].tolist()
        sizes = about_tokens(texts) if repair.by == WORDS else counter_named(repair.by).against(texts, repair.most)
        keep &= sizes <= repair.most
    return _kept(table, keep)


def _take_out(table: Table, repair: Repair) -> Done:
    names, total = label_words(repair.labels), 0
    for column in repair.columns:
        table, changed, _ = _relabelled(table, column, lambda cell: without_labels(cell, names))
        total += changed
    return table, total, "cell changed"


def _mean_labels(table: Table, repair: Repair) -> Done:
    *texts, label = repair.columns
    keys, labels = alike.numbered(alike.text_keys(table.frame, texts)), table.frame[label].str.strip().tolist()
    rows = np.flatnonzero(alike.conflicting(keys, alike.label_numbers(labels)))
    values = numbers([labels[row] for row in rows])
    if values is None or not len(rows):
        return table, 0, "row changed"
    groups = alike.numbered(keys[rows].tolist())
    means = np.bincount(groups, values) / np.bincount(groups)
    frame, cells = table.frame.copy(), np.array(table.frame[label].tolist(), object)
    cells[rows] = [f"{mean:.6g}" for mean in means[groups]]
    frame[label] = cells
    return replace(table, frame=frame.astype("str")), len(rows), "row changed"


def _cap_classes(table: Table, repair: Repair) -> Done:
    """Of each label at most so many rows; those stay whose texts' hashes come first, in any order of the rows."""
    *texts, label = repair.columns
    labels, keep = alike.label_numbers(table.frame[label].tolist()), np.ones(len(table), bool)
    sizes = np.bincount(labels[labels >= 0])
    most = repair.most * int(min(sizes[sizes >= FEWEST], default=len(table)))
    for place in np.flatnonzero(sizes > most).tolist():
        rows = np.flatnonzero(labels == place)
        digests = [alike.digest(key) for key in alike.text_keys(table.frame.iloc[rows], texts)]
        keep[rows[sorted(range(len(rows)), key=digests.__getitem__)[most:]]] = False
    return _kept(table, keep)


def _drop_texts(table: Table, repair: Repair) -> Done:
    gone = set(repair.keys)
    keys = alike.text_keys(table.frame, repair.columns)
    return _kept(table, np.fromiter((alike.digest(key) not in gone for key in keys), bool, len(keys)))


def _drop_conflicts(table: Table, repair: Repair) -> Done:
    *texts, label = repair.columns
    found = alike.conflicting(
        alike.numbered(alike.text_keys(table.frame, texts)), alike.label_numbers(table.frame[label].tolist())
    )
    return _kept(table, ~found)


def _drop_duplicates(table: Table, repair: Repair) -> Done:
    *texts, label = repair.columns if len(repair.columns) > 1 else (*repair.columns, "")
    keys = alike.text_keys(table.frame, texts)
    keys = alike.near_keys(keys) if repair.rule == "near" else keys
    labels = table.frame[label].str.strip().tolist() if label else [""] * len(table)
    return _kept(table, ~alike.repeats(alike.paired(alike.numbered(keys), alike.numbered(labels))))


def _drop_columns(table: Table, repair: Repair) -> Done:
    there = [name for name in repair.columns if name in table.frame]
    if len(there) == table.frame.shape[1]:
        raise DataError(f"'{repair}' leaves no column. Take this repair out of the recipe.")
    frame = table.frame.drop(columns=there)
    return replace(table, frame=frame) if there else table, len(there), "column dropped"


def _choose_columns(table: Table, repair: Repair) -> Done:
    gone = table.frame.shape[1] - len(repair.columns)
    frame = table.frame[list(dict.fromkeys(repair.columns))]
    return replace(table, frame=frame), gone, "column dropped"


def _rename(table: Table, repair: Repair) -> Done:
    frame = table.frame.rename(columns=dict(repair.names))
    return replace(table, frame=frame), len(repair.names), "column renamed"


_DOES: dict[str, Callable[[Table, Repair], Done]] = {
    "read_sheet": read_sheet,
    "join_sheets": join_sheets,
    "reread": _reread,
    "header": _header,
    "read_as": _read_as,
    "join_columns": _join_columns,
    "add_column": _add_column,
    "drop_misread": _drop_misread,
    "mend_encoding": _clean_texts,
    "clean_texts": _clean_texts,
    "strip_labels": _strip_labels,
    "split_labels": _split_labels,
    "plain_numbers": _plain_numbers,
    "shorten_labels": _shorten_labels,
    "merge_labels": _merge_labels,
    "drop_classes": _drop_classes,
    "take_out": _take_out,
    "drop_rows": _drop_rows,
    "keep_script": _keep_script,
    "drop_long": _drop_long,
    "drop_texts": _drop_texts,
    "drop_conflicts": _drop_conflicts,
    "mean_labels": _mean_labels,
    "drop_duplicates": _drop_duplicates,
    "cap_classes": _cap_classes,
    "drop_columns": _drop_columns,
    "choose_columns": _choose_columns,
    "rename": _rename,
}
