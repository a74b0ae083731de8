"""What two versions of a table differ in: rows added, removed and changed, and labels given anew. Knows no files.

Rows are matched three times, each time those that are left: with equal cells, with equal texts, and at the same place
between two matched rows. So a row is known again where either its text or its place stayed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fgdesign.data.table import Table

Places = NDArray[np.int64]

SAMPLES = 200  # rows of each kind that are shown
CELL = 400  # characters of a cell that are shown
MOST_LABELS = 50  # pairs of labels that are shown


def difference(before: Table, after: Table, texts: Sequence[str] = (), label: str | None = None) -> dict[str, Any]:
    """What changed, as JSON.

    Args:
        before, after: two versions, in either order of time.
        texts: the columns of texts.
        label: the column of labels, whose changes are counted by themselves.

    Returns:
        "same", "changed", "removed", "added": numbers of rows; "columns": {"removed", "added"}: names; "labels": (old,
        new, rows); "samples": {"changed": (row before, row after, column, old, new), "removed" and "added": (row,
        cells by column)}.
    """
    old, new = before.frame, after.frame
    shared = [name for name in map(str, old.columns) if name in new]
    first, second = _match(old, new, shared, [name for name in texts if name in shared], label)
    differ = {name: _differ(old[name], new[name], first, second) for name in shared}
    changed = np.logical_or.reduce([np.zeros(len(first), bool), *differ.values()])
    gone, come = _left(len(old), first), _left(len(new), second)
    cells = []
    for at in np.flatnonzero(changed)[:SAMPLES].tolist():
        numbers = int(before.row_numbers[first[at]]), int(after.row_numbers[second[at]])
        cells += [[*numbers, name, old[name].iloc[first[at]][:CELL], new[name].iloc[second[at]][:CELL]]
                  for name in shared if differ[name][at]]  # fmt: skip
    labels: Counter[tuple[str, str]] = Counter()
    if label in differ:
        at = np.flatnonzero(differ[label])
        labels.update(zip(old[label].iloc[first[at]].tolist(), new[label].iloc[second[at]].tolist(), strict=True))
    return {
        "same": int((~changed).sum()), "changed": int(changed.sum()), "removed": len(gone), "added": len(come),
        "columns": {"removed": [name for name in map(str, old.columns) if name not in new],
                    "added": [name for name in map(str, new.columns) if name not in old]},
        "labels": [[was, now, rows] for (was, now), rows in labels.most_common(MOST_LABELS)],
        "samples": {"changed": cells, "removed": _shown(before, gone), "added": _shown(after, come)},
    }  # fmt: skip


def _match(
    old: pd.DataFrame, new: pd.DataFrame, shared: list[str], texts: list[str], label: str | None
) -> tuple[Places, Places]:
    """(positions in `old`, positions in `new`) of rows that are the same one, by rising position in `old`."""
    first, second = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for keys in (shared, texts):
        a, b = _left(len(old), first), _left(len(new), second)
        if keys and len(a) and len(b):
            found = _pairs(_hashes(old, keys)[a], _hashes(new, keys)[b])
            first, second = np.append(first, a[found[0]]), np.append(second, b[found[1]])
    a, b = _left(len(old), first), _left(len(new), second)
    order = np.argsort(first)
    first, second = first[order], second[order]
    behind = np.append(-1, second)[np.searchsorted(first, a)]  # the row in `new` that the one before is known by
    known = np.sort(second)
    gaps = np.append(-1, known)[np.searchsorted(known, b)]
    kept = [np.asarray(frame[label] if label in shared else np.zeros(len(frame)))[at]
            for frame, at in ((old, a), (new, b))]  # fmt: skip
    places = [pd.util.hash_pandas_object(pd.DataFrame({"gap": gap, "label": cells}), index=False).to_numpy()
              for gap, cells in ((behind, kept[0]), (gaps, kept[1]))]  # fmt: skip
    found = _pairs(places[0], places[1])
    first, second = np.append(first, a[found[0]]), np.append(second, b[found[1]])
    order = np.argsort(first)
    return first[order], second[order]


def _hashes(frame: pd.DataFrame, columns: list[str]) -> NDArray[np.uint64]:
    found: NDArray[np.uint64] = pd.util.hash_pandas_object(frame[columns], index=False, categorize=False).to_numpy()
    return found


def _pairs(a: NDArray[Any], b: NDArray[Any]) -> tuple[Places, Places]:
    """Positions of equal keys; of keys that come back the first goes with the first, and so on."""
    sides = [pd.DataFrame({"key": keys, "turn": pd.Series(keys).groupby(keys).cumcount()}) for keys in (a, b)]
    found = sides[0].reset_index().merge(sides[1].reset_index(), on=["key", "turn"])
    return found["index_x"].to_numpy(np.int64), found["index_y"].to_numpy(np.int64)


def _left(rows: int, matched: Places) -> Places:
    """The positions that are not matched."""
    left = np.ones(rows, bool)
    left[matched] = False
    return np.flatnonzero(left)


def _differ(old: pd.Series, new: pd.Series, first: Places, second: Places) -> NDArray[np.bool_]:
    return np.asarray(old.iloc[first].array != new.iloc[second].array, bool)


def _shown(table: Table, at: Places) -> list[list[Any]]:
    """(row, cells by column) of the first positions."""
    some = table.frame.iloc[at[:SAMPLES]]
    rows = table.row_numbers[at[:SAMPLES]].tolist()
    return [[row, {str(name): cell[:CELL] for name, cell in cells.items()}]
            for row, cells in zip(rows, some.to_dict("records"), strict=True)]  # fmt: skip
