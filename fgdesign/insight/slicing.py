"""Groups of rows that are answered worse, or better, than the others: every value of every column, corrected.

Knows nothing of models or pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fgdesign.insight.answered_set import AnsweredSet
from fgdesign.insight.quality import require_labels
from fgdesign.insight.routes import grouped
from fgdesign.insight.statistics import benjamini_hochberg, fisher, resampled, wilson

COLUMNS = ("column", "value", "rows", "score", "low", "high", "elsewhere", "gap", "p", "q")
FEWEST = 5  # rows of a slice
MOST_GROUPS = 40
MOST_VALUES = 0.5  # of the rows: a column with more different words than that groups nothing
CLEAR = 0.05
NEVER = ("row", "text", "text_b", "right", "loss", "route", "exit", "layers", "confidence", "prediction")
DRAWS = 999


def slice_columns(answered: AnsweredSet) -> list[str]:
    """Columns whose values make slices: the file's own, label, length and script."""
    frame = answered.frame()
    names = [name for name in map(str, frame.columns) if name not in NEVER and name not in answered.branch]
    return [name for name in names if _groups(frame[name].to_numpy())]


def slices(answered: AnsweredSet, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Every value of the columns against all other rows, the worst and clearest first.

    Columns: COLUMNS. score: share of right answers (low, high: Wilson; p: Fisher's exact test), or minus the mean
    absolute error of numbers (bootstrap; p: rows shuffled). gap: score minus the score elsewhere. q: Benjamini and
    Hochberg over all slices.

    Raises: DataError without labels, or for an unknown column.
    """
    require_labels(answered)
    wanted = list(columns) or slice_columns(answered)
    found = []
    for column in wanted:
        names, group = grouped(answered, column, MOST_GROUPS)
        if len(names) < 2:
            continue
        for place, name in enumerate(names):
            inside = group == place
            if FEWEST <= inside.sum() < len(answered):
                found.append({"column": column, "value": name, "rows": int(inside.sum()), **_told(answered, inside)})
    table = pd.DataFrame(found, columns=[name for name in COLUMNS if name != "q"])
    table["q"] = benjamini_hochberg(table["p"].to_numpy(float))
    table["clear"] = table["q"] < CLEAR
    return table.sort_values(["clear", "gap"], ascending=[False, True], ignore_index=True).drop(columns="clear")


def slice_rows(answered: AnsweredSet, column: str, value: str) -> NDArray[np.int64]:
    """Places of the rows of one slice. Raises: DataError for an unknown column."""
    names, group = grouped(answered, column, MOST_GROUPS)
    return np.flatnonzero(group == names.index(value)) if value in names else np.zeros(0, np.int64)


def verdict(table: pd.DataFrame, task: str) -> str:
    """What the table says, in a sentence."""
    if table.empty:
        return "No column divides these rows into groups of five or more."
    clear = table[table["q"] < CLEAR]
    worse = clear[clear["gap"] < 0]
    tests = f"{len(table)} groups compared, corrected for their number"
    if worse.empty:
        return f"No group is clearly answered worse than the others ({tests})."
    first = worse.iloc[0]
    if task == "regression":
        told = f"mean absolute error {-first['score']:.3g}, elsewhere {-first['elsewhere']:.3g}"
    else:
        told = f"{first['score']:.1%} right (95 % interval {first['low']:.1%} to {first['high']:.1%}), elsewhere " \
               f"{first['elsewhere']:.1%}"
    more = "" if len(worse) == 1 else f" {len(worse) - 1} more below."
    return f"Rows whose {first['column']} is {first['value']} are answered worse: {told} ({tests}).{more}"


def _told(answered: AnsweredSet, inside: NDArray[np.bool_]) -> dict[str, float]:
    rows, others = int(inside.sum()), int((~inside).sum())
    if answered.right is not None:
        hits, rest = int(answered.right[inside].sum()), int(answered.right[~inside].sum())
        low, high = wilson(hits, rows)
        score, elsewhere = hits / rows, rest / others
        p = fisher(hits, rows - hits, rest, others - rest)
        return {"score": score, "low": float(low), "high": float(high), "elsewhere": elsewhere,
                "gap": score - elsewhere, "p": p}
    assert answered.loss is not None
    value = -np.sqrt(answered.loss)
    score, elsewhere = float(value[inside].mean()), float(value[~inside].mean())
    low, high = np.quantile(resampled(value[inside][:, None]), (0.025, 0.975))
    return {"score": score, "low": float(low), "high": float(high), "elsewhere": elsewhere, "gap": score - elsewhere,
            "p": _shuffled(value, inside)}


def _shuffled(value: NDArray[np.float64], inside: NDArray[np.bool_]) -> float:
    """Two-sided p of a difference of means when rows are dealt out at random."""
    rng = np.random.default_rng(0)
    seen = abs(value[inside].mean() - value.mean())
    means = np.array([value[rng.permutation(len(value))[: inside.sum()]].mean() for _ in range(DRAWS)])
    return float((np.abs(means - value.mean()) >= seen - 1e-12).sum() + 1) / (DRAWS + 1)


def _groups(values: NDArray[np.generic]) -> bool:
    if np.issubdtype(values.dtype, np.number):
        return len(np.unique(values)) > 1
    return 1 < len(set(values.tolist())) <= max(2, MOST_VALUES * len(values))
