"""What a table is like once a recipe is applied: its columns, task, classes, lengths, samples and findings, as JSON.

So a page shows any table without holding it. Knows nothing of files and pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fgdesign.data import alike
from fgdesign.data.apart import Progress
from fgdesign.data.columns import choose_columns
from fgdesign.data.dataset import Dataset, load_dataset
from fgdesign.data.doctor import examine
from fgdesign.data.lengths import TokenCounter
from fgdesign.data.mend import apply
from fgdesign.data.recipe import Recipe
from fgdesign.data.table import Table
from fgdesign.errors import DataError

Told = dict[str, Any]

PROFILE = 9  # goes up whenever a profile says something else of the same table

STEPS = 4
BINS = 30
SAMPLES, SHOWN_LABELS = 4, 200  # texts shown of each label; labels that are shown
COUNTED = 5_000  # texts whose tokens make the histogram
MOST_GROUPS = 100  # groups of near-duplicates
TEXT = 400  # characters of a text that is shown


def profile(
    table: Table, *, columns: Mapping[str, str | None], task: str = "auto", recipe: Recipe | None = None,
    test: Table | None = None, counter: TokenCounter | None = None, limit: int = 256,
    tell: Progress = lambda part, whole: None,
) -> Told:
    """Everything a page says of a table.

    Args:
        table: as it was read.
        columns: "text", "text_b" and "label"; what is None is guessed.
        task: "auto", or the kind.
        recipe: accepted repairs.
        test: another table to be tested on, which should have no text of this one.
        counter: of tokens; without it words are counted.
        limit: tokens that the graph reads.
        tell: is told of the parts done.

    Raises:
        DataError: the recipe does not fit the table.
    """
    accepted = recipe or Recipe()
    tell(0, STEPS)
    mended, said = apply(accepted, table)
    named = accepted.renamed(columns)
    names = list(map(str, mended.frame.columns))
    told: Told = {"rows": len(mended), "names": names, "said": list(said), "limit": limit, "problem": ""}
    told["guess"] = _roles(mended, {})
    tell(1, STEPS)
    findings = examine(mended, **named, task=task, test=test, counter=counter, limit=limit)
    told["findings"] = [finding.to_dict() for finding in findings]
    if counter is not None:
        told["cut"] = sum(found.count for found in findings if found.code == "long_texts") / len(mended)
    tell(2, STEPS)
    try:
        data = load_dataset(mended, **named, task=task)
    except DataError as error:
        return {**told, "problem": str(error)}
    tell(3, STEPS)
    return {**told, **_learnt(data, counter)}


def _roles(table: Table, columns: Mapping[str, str | None]) -> dict[str, str | None]:
    """Which column is what; empty where there is no text column."""
    try:
        roles = {role: columns.get(role) for role in ("text", "text_b", "label")}
        found = choose_columns(table, text=roles["text"], text_b=roles["text_b"], label=roles["label"])
    except DataError:
        return {}
    return {role: getattr(found, role) for role in ("text", "text_b", "label")}


def _learnt(data: Dataset, counter: TokenCounter | None) -> Told:
    """The part about what can be learnt from."""
    some = data.texts[:: max(1, len(data) // COUNTED)]
    told: Told = {
        "used": len(data),
        "columns": {role: getattr(data.columns, role) for role in ("text", "text_b", "label")},
        "task": data.task.kind,
        "reason": data.task.reason,
        "notes": list(data.notes),
        "words": histogram([text.count(" ") + 1 for text in data.texts]),
        "tokens": None if counter is None else histogram(counter.count([text[:20_000] for text in some])),
        "counted": len(some),
        "near": near_groups(data),
    }
    if data.task.kind == "regression":
        samples = _samples(data, {"": range(len(data))})
        return {**told, "numbers": histogram(data.targets), "sizes": [], "samples": samples}
    rows = _rows_of_labels(data)
    sizes = sorted(((name, len(found)) for name, found in rows.items()), key=lambda pair: (-pair[1], pair[0]))
    shown = {name: rows[name] for name, _ in sizes[:SHOWN_LABELS]}
    return {**told, "sizes": [list(pair) for pair in sizes], "samples": _samples(data, shown)}


def _rows_of_labels(data: Dataset) -> dict[str, Sequence[int]]:
    """Label -> positions of its rows; a row with several labels counts for each."""
    targets = np.asarray(data.targets)
    if data.task.kind == "multi":
        return {name: np.flatnonzero(targets[:, place]).tolist() for place, name in enumerate(data.labels)}
    order = np.argsort(targets, kind="stable")
    ends = np.searchsorted(targets[order], np.arange(len(data.labels) + 1))
    return {name: order[ends[place] : ends[place + 1]].tolist() for place, name in enumerate(data.labels)}


def _samples(data: Dataset, rows: Mapping[str, Sequence[int]]) -> dict[str, list[list[Any]]]:
    """Label -> (row, text) of some rows spread evenly over it."""
    found = {}
    for name, places in rows.items():
        chosen = [places[len(places) * part // SAMPLES] for part in range(SAMPLES)] if len(places) else []
        found[name] = [[int(data.row_numbers[row]), data.texts[row][:TEXT]] for row in dict.fromkeys(chosen)]
    return found


def near_groups(data: Dataset) -> list[list[list[Any]]]:
    """Groups of rows whose texts are alike but for case, spaces and punctuation, the largest first.

    Each row is (row number, text, label).
    """
    exact = alike.text_keys(data.frame, [data.columns.text])
    rows = np.flatnonzero(pd.Series(alike.near_hashes(exact)).duplicated(keep=False)).tolist()  # only these can be near
    keys = alike.near_keys([exact[row] for row in rows])
    sizes = Counter(keys)
    wanted = {key for key, size in sizes.most_common(MOST_GROUPS) if size > 1}
    groups: dict[str, list[list[Any]]] = {key: [] for key in sizes if key in wanted}
    label = data.columns.label
    cells = data.frame[label].tolist() if label else [""] * len(data)
    for row, key in zip(rows, keys, strict=True):
        if key in wanted and len(groups[key]) < 2 * SAMPLES:
            groups[key].append([int(data.row_numbers[row]), data.texts[row][:TEXT], cells[row]])
    return sorted(groups.values(), key=lambda group: -len(group))


def histogram(values: ArrayLike | None) -> Told:
    """Bins of equal width, the longest hundredth gathered in the last: "edges", "counts", "median", "highest".

    Bins of whole numbers hold whole numbers each, from edge to edge: 3 to 5 is 2.5 to 5.5.
    """
    data = np.asarray(values, float)
    top = float(np.quantile(data, 0.99)) or 1.0
    bins: int | NDArray[np.float64] = min(BINS, max(5, len(np.unique(data[:10_000]))))
    if not (data % 1).any():
        top, low = np.ceil(top), data.min()
        step = max(1, int(np.ceil((top - low + 1) / BINS)))
        bins = np.arange(low, top + step, step) - 0.5
        bins = np.append(bins, bins[-1] + step) if bins[-1] < top else bins
    counts, edges = np.histogram(np.minimum(data, top), bins=bins)
    middle, highest = float(np.median(data)), float(data.max())
    return {"edges": edges.tolist(), "counts": counts.tolist(), "median": middle, "highest": highest}
