"""What may be wrong with labels: gaps, variants, classes that are too small, too large or alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from fgdesign.data import alike
from fgdesign.data.case import Case
from fgdesign.data.check_roles import empty_label, other_labels, shorter_labels
from fgdesign.data.clean import plain_number
from fgdesign.data.findings import Finding, about_rows, with_ways
from fgdesign.data.repair import Repair
from fgdesign.data.split import FEWEST
from fgdesign.data.table import count, short
from fgdesign.data.task import FEW, numbers

OTHER = "other"  # the class of what is too small to stand alone
UNEVEN = 10  # times as many rows in the largest class as in the smallest that can be split
MOSTLY, SEVERAL = 0.9, 0.2  # shares of rows whose label is a list, has commas, that make the labels several
NAMES = 3  # labels that a message names


def check_labels(case: Case) -> Iterator[Finding]:
    """Findings about the label column."""
    label = case.columns.label
    if label is None:
        found = Finding(
            "no_label_column", "error",
            "No column seems to hold labels, so there is nothing to learn. Name the label column, or add one and label "
            "the rows.",
        )  # fmt: skip
        yield with_ways(found, other_labels(case) or [empty_label(case)])
        return
    yield from _gaps(case, label)
    if case.task is None:
        return
    yield Finding("task", "note", case.task.reason, label)
    if case.task_kind == "regression":
        yield from _not_numbers(case, label)
        return
    yield from _spaces(case, label)
    if case.task_kind == "single":
        yield from _amounts(case, label)
        yield from _lists(case, label)
    variants = list(_variants(case, label))
    yield from variants or _sizes(case, label)  # sizes mean something only when each class has one name


def _gaps(case: Case, label: str) -> Iterator[Finding]:
    without = ~case.has_label
    if without.all():
        found = about_rows(
            case.table, without, "no_labels", "error",
            f"No row has a label in '{label}'. Name the column that holds labels, or label the rows.", label,
        )  # fmt: skip
        yield with_ways(found, other_labels(case))
    elif without.any():
        yield about_rows(
            case.table, without, "missing_labels", "warning",
            "{rows} {has/have} no label ({first}); {it is/they are} left out. Drop the rows, or name the column that "
            "holds labels.", label, Repair("drop_rows", (label,), "no_label"),
        )  # fmt: skip


def _not_numbers(case: Case, label: str) -> Iterator[Finding]:
    """Labels that keep a column of numbers from being one."""
    if numbers([cell for cell in set(case.cells) if cell]) is not None:
        return
    words = {cell for cell in set(case.cells) if numbers([cell]) is None}
    found = case.has_label & np.fromiter((cell in words for cell in case.cells), bool, len(case.cells))
    if found.any():
        yield about_rows(
            case.table, found, "not_a_number", "error",
            f"{{rows}} of '{label}' {{is/are}} no number ({{first}}), but a number is to be predicted. Correct or drop "
            "{it/them}, or choose task 'single'.", label,
            None if found.sum() == case.has_label.sum() else Repair("drop_rows", (label,), "no_number"),
        )  # fmt: skip


def _spaces(case: Case, label: str) -> Iterator[Finding]:
    cells = case.table.frame[label]
    untidy = [cell for cell in cells.unique().tolist() if cell != alike.tidy(cell)]
    found = case.has_label & cells.isin(untidy).to_numpy(bool) if untidy else np.zeros(len(cells), bool)
    if found.any():
        yield about_rows(
            case.table, found, "label_spaces", "warning",
            "{rows} {has a label/have labels} with needless spaces ({first}). Remove them.",
            label, Repair("strip_labels", (label,)),
        )  # fmt: skip


def _amounts(case: Case, label: str) -> Iterator[Finding]:
    """Numbers with units or signs between thousands, which would count as classes."""
    names = list(case.sizes)
    if len(names) <= FEW or numbers(names) is not None or not all(map(plain_number, names)):
        return
    odd = next(name for name in names if plain_number(name) != name)
    yield about_rows(
        case.table, case.rows_with(names), "amounts", "warning",
        f"Labels in '{label}' are numbers with signs around or in them, such as '{short(odd)}' ({{rows}}, {{first}}), "
        "so each counts as a class. Write them as plain numbers, so that a number is predicted.", label,
        Repair("plain_numbers", (label,)),
    )  # fmt: skip


def _lists(case: Case, label: str) -> Iterator[Finding]:
    """Labels that are lists of labels, which would count as one each."""
    total = sum(case.sizes.values())
    for rule, sign in (("list", ""), ("comma", ","), ("semicolon", ";")):
        several = {name: alike.listed(name, rule) for name in case.sizes if sign in name}
        several = {name: parts for name, parts in several.items() if len(parts) > (rule != "list")}
        rows = sum(case.sizes[name] for name in several)
        if rule == "list" and rows < MOSTLY * total:
            continue
        if rule != "list" and (rows < SEVERAL * total or not _come_back(case, several)):
            continue
        if several:
            yield about_rows(
                case.table, case.rows_with(several), "label_lists", "warning" if rule == "list" else "note",
                f"{{rows}} {{has/have}} several labels in '{label}', such as '{short(next(iter(several)))}' "
                "({first}); all of a cell counts as one label. Join them by '|', so that each counts.",
                label, Repair("split_labels", (label,), rule),
            )  # fmt: skip
            return


def _come_back(case: Case, several: Mapping[str, Sequence[str]]) -> bool:
    """Whether the parts are short names that make fewer labels than the cells do, nearly all in other cells too."""
    cells = Counter(part for name in case.sizes for part in set(several.get(name, [name])))
    parts = [part for found in several.values() for part in found]
    again = sum(cells[part] > 1 for part in parts)
    short_names = all(len(part) <= 40 and len(part.split()) <= 3 for part in parts)
    return short_names and 2 * len(cells) <= len(case.sizes) and again >= MOSTLY * len(parts)


def _variants(case: Case, label: str) -> Iterator[Finding]:
    alike_labels: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for name, size in case.sizes.items():
        alike_labels[alike.same_label(name)][alike.tidy(name)] += size
    names: dict[str, str] = {}
    groups = []
    for variants in alike_labels.values():
        if len(variants) > 1:
            usual = max(sorted(variants), key=lambda name: variants[name])
            names |= {name: usual for name in variants if name != usual}
            groups.append(", ".join(f"'{short(name)}' ({variants[name]})" for name in sorted(variants)))
    if names:
        more = f"; and {len(groups) - NAMES} more" if len(groups) > NAMES else ""
        found = case.rows_with([name for name in case.sizes if alike.tidy(name) in names])
        yield about_rows(
            case.table, found, "label_variants", "warning",
            f"Labels that look alike count as different ones: {'; '.join(groups[:NAMES])}{more}. {{rows}} "
            "{differs/differ} from the usual way ({first}). Write them the same way.",
            label, Repair("merge_labels", (label,), names=tuple(sorted(names.items()))),
        )  # fmt: skip


def _sizes(case: Case, label: str) -> Iterator[Finding]:
    sizes = case.sizes
    if len(sizes) == 1:
        only = short(next(iter(sizes)))
        found = Finding(
            "single_class", "error",
            f"Every label in '{label}' is '{only}'; a classifier needs at least 2 different ones. Add rows of "
            "another label, or name another label column.", label,
        )  # fmt: skip
        yield with_ways(found, other_labels(case))
        return
    small = sorted(name for name, size in sizes.items() if size < FEWEST)
    if len(small) == len(sizes):
        found = Finding(
            "all_classes_small", "warning",
            f"No label in '{label}' has {FEWEST} rows, so none can be both trained on and tested. Add rows, or "
            "name another label column.", label,
        )  # fmt: skip
        yield with_ways(found, [*shorter_labels(case), *other_labels(case)])
        return
    if small:
        yield _small(case, label, small)
    large = {name: size for name, size in sizes.items() if size >= FEWEST}
    most, least = max(large, key=lambda name: large[name]), min(large, key=lambda name: large[name])
    if large[most] > UNEVEN * large[least]:
        gone = sum(max(0, size - UNEVEN * large[least]) for size in large.values())
        cap = Repair("cap_classes", (*case.text_columns, label), most=UNEVEN) if case.task_kind == "single" else None
        fewer = f" Keeping at most {UNEVEN} times as many of each leaves {count(gone, 'row')} out." if cap else ""
        yield about_rows(
            case.table, case.rows_with([least]), "imbalance", "warning",
            f"'{short(most)}' has {count(large[most], 'row')} and '{short(least)}' {large[least]:,} ({{first}}), more "
            f"than {UNEVEN} times as many; the small one may never be predicted. Turn on class weights, or add rows."
            f"{fewer}", label, cap,
        )  # fmt: skip


def _small(case: Case, label: str, small: list[str]) -> Finding:
    """Classes that cannot be split: together they make a class where they are enough, else they go."""
    found = case.rows_with(small)
    shown = ", ".join(f"'{short(name)}'" for name in small[:NAMES])
    shown += ", ..." if len(small) > NAMES else ""
    together = int(found.sum()) + case.sizes.get(OTHER, 0) * (OTHER not in small)
    if together >= FEWEST:
        pairs = tuple((alike.tidy(name), OTHER) for name in small if alike.tidy(name) != OTHER)
        repair, advice = Repair("merge_labels", (label,), names=pairs), f"Unite them as '{OTHER}', or add rows."
    else:
        repair, advice = Repair("drop_classes", (label,), labels=tuple(small)), "Drop them, or add rows."
    return about_rows(
        case.table, found, "small_classes", "warning",
        f"{count(len(small), 'label')} with fewer than {FEWEST} rows ({shown}; {{rows}}, {{first}}): too few to "
        f"train on and to test. {advice}", label, repair,
    )  # fmt: skip
