"""How the rows of a data set flow through routers and exits, and which values and errors go with which route.

Everything is counted from an AnsweredSet; each band and cell knows its rows. Knows nothing of pictures.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fgdesign.insight.answered_set import AnsweredSet
from fgdesign.insight.statistics import benjamini_hochberg, fisher, wilson

Places = NDArray[np.int64]

MOST_GROUPS = 8  # values of a column that are told apart; the others are one group
MOST_ROUTES = 24
BINS = 4
OTHER = "other"
PASSED_BY = "not reached"
NUMBERS = ("confidence", "loss", "length")  # columns that are cut into quarters
WORST = 0.75  # of a regression, rows beyond this quantile of the absolute error count as errors


@dataclass(frozen=True)
class Stop:
    """A place rows come through. stage: its column in the picture. rows: (n,) places in the set."""

    stage: int
    name: str
    rows: Places


@dataclass(frozen=True)
class Band:
    """Rows of one group on the way between two stops, given by their places in `Flows.stops`."""

    source: int
    target: int
    group: int
    rows: Places


@dataclass(frozen=True)
class Flows:
    """stages: what each column shows. groups: values of the column by which rows are told apart."""

    stages: tuple[str, ...]
    stops: tuple[Stop, ...]
    bands: tuple[Band, ...]
    groups: tuple[str, ...]


def flows(answered: AnsweredSet, by: str = "label") -> Flows:
    """Rows from the values of a column through the routers and exits they reached. by: a column of `frame`.

    Raises: DataError for an unknown column.
    """
    names, group = grouped(answered, by)
    columns: dict[str, tuple[list[str], Places]] = {by: (names, group)}
    for router, taken in answered.branch.items():
        columns[router] = _coded(np.where(taken == "", PASSED_BY, taken), last=PASSED_BY)
    if answered.answers.exit_names:
        order = [*answered.answers.exit_names, "answer"]
        columns["exit"] = (order, np.where(answered.answers.exits < 0, len(order) - 1, answered.answers.exits))
    if answered.right is not None and by != "right":
        columns["answer"] = (["right", "wrong"], np.where(answered.right, 0, 1))
    stops: list[Stop] = []
    place: list[dict[int, int]] = []
    for stage, (words, codes) in enumerate(columns.values()):
        place.append({})
        for code, word in enumerate(words):
            rows = np.flatnonzero(codes == code)
            if len(rows):
                place[stage][code] = len(stops)
                stops.append(Stop(stage, word, rows))
    bands = []
    all_codes = [codes for _, codes in columns.values()]
    for stage, (left, right) in enumerate(pairwise(all_codes)):
        for key, rows in _partition(np.stack([left, right, group], 1)):
            bands.append(Band(place[stage][key[0]], place[stage + 1][key[1]], key[2], rows))
    return Flows(tuple(columns), tuple(stops), tuple(bands), tuple(names))


def route_by(answered: AnsweredSet, by: str = "label") -> pd.DataFrame:
    """Every route against every value of a column: does the value take the route more often than the others do?

    Columns: route, value, rows, share (of the route's rows), low and high (95 %, Wilson), elsewhere (share on all
    other routes), p (Fisher's exact test), q (Benjamini and Hochberg over the table), first by rows of the route.
    """
    names, group = grouped(answered, by)
    routes, route = routed(answered)
    counts = np.zeros((len(routes), len(names)), np.int64)
    np.add.at(counts, (route, group), 1)
    sizes, totals, count = counts.sum(1), counts.sum(0), len(answered)
    found = []
    for i, name in enumerate(routes):
        low, high = wilson(counts[i], np.full(len(names), sizes[i]))
        for j, value in enumerate(names):
            hits, rest = int(counts[i, j]), int(totals[j] - counts[i, j])
            others = count - int(sizes[i])
            p = fisher(hits, int(sizes[i]) - hits, rest, others - rest) if others else float("nan")
            found.append({"route": name, "value": value, "rows": hits, "share": hits / max(1, sizes[i]), "low": low[j],
                          "high": high[j], "elsewhere": rest / others if others else float("nan"), "p": p})
    table = pd.DataFrame(found, columns=["route", "value", "rows", "share", "low", "high", "elsewhere", "p"])
    return table.assign(q=benjamini_hochberg(table["p"].to_numpy(float)))


def route_errors(answered: AnsweredSet) -> pd.DataFrame | None:
    """Per route how often it errs, against all other routes; None without labels.

    Of a regression the quarter of rows with the largest error counts as errors. Columns: route, rows, errors, rate,
    low and high (95 %, Wilson), elsewhere, p (Fisher's exact test), q (Benjamini and Hochberg), over: whether the
    route has clearly more than its share of the errors (q < 0.05). Sorted: clear ones first, then by rate.
    """
    wrong = errors(answered)
    if wrong is None:
        return None
    routes, route = routed(answered)
    sizes = np.bincount(route, minlength=len(routes))
    bad = np.bincount(route, wrong, minlength=len(routes)).astype(np.int64)
    low, high = wilson(bad, sizes)
    rest, others = wrong.sum() - bad, len(answered) - sizes
    p = np.array([fisher(int(b), int(n - b), int(r), int(o - r)) if o else np.nan
                  for b, n, r, o in zip(bad, sizes, rest, others, strict=True)])
    table = pd.DataFrame({
        "route": routes, "rows": sizes, "errors": bad, "rate": bad / np.maximum(1, sizes), "low": low, "high": high,
        "elsewhere": np.where(others > 0, rest / np.maximum(1, others), np.nan), "p": p, "q": benjamini_hochberg(p)})
    table["over"] = (table["q"] < 0.05) & (table["rate"] > table["elsewhere"])
    return table.sort_values(["over", "rate", "rows"], ascending=False, ignore_index=True)


def errors(answered: AnsweredSet) -> NDArray[np.bool_] | None:
    """(N,) rows that count as errors: wrong answers, or the largest quarter of a regression's errors."""
    if answered.right is not None:
        return ~answered.right
    if answered.loss is None or not len(answered):
        return None
    large: NDArray[np.bool_] = answered.loss > np.quantile(answered.loss, WORST)
    return large


def routed(answered: AnsweredSet) -> tuple[list[str], Places]:
    """The routes that rows took, the commonest first, and (N,) each row's place among them; rare ones are one."""
    return _commonest(answered.route, MOST_ROUTES)


def grouped(answered: AnsweredSet, by: str, most: int = MOST_GROUPS) -> tuple[list[str], Places]:
    """The values of a column, the commonest first, and (N,) each row's place among them.

    Numbers of many values are cut into quarters; beyond `most` values the rare ones are one group.
    Raises: DataError for an unknown column.
    """
    values = answered.column(by)
    numeric = np.issubdtype(values.dtype, np.number) and not np.issubdtype(values.dtype, np.bool_)
    if numeric and (by in NUMBERS or len(np.unique(values)) > MOST_GROUPS):
        return _quarters(values.astype(float))
    if values.dtype == np.bool_:
        return _coded(np.where(values, "right", "wrong") if by == "right" else values.astype(str))
    if numeric:
        kinds, codes = np.unique(values, return_inverse=True)
        return [f"{kind:g}" for kind in kinds], codes
    return _commonest(values.astype(str), most)


def _quarters(values: NDArray[np.float64]) -> tuple[list[str], Places]:
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1))) if len(values) else np.zeros(1)
    codes = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, max(0, len(edges) - 2))
    names = [f"{low:.3g} to {high:.3g}" for low, high in pairwise(edges)]
    return names or [f"{edges[0]:.3g}"], codes


def _commonest(values: NDArray[Any], most: int) -> tuple[list[str], Places]:
    counts = Counter(values.tolist())
    names = [str(name) for name, _ in sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))]
    kept = names if len(names) <= most else names[: most - 1]
    last = f"{len(names) - len(kept)} {OTHER}s"
    place = {name: i for i, name in enumerate(kept)}
    codes = np.fromiter((place.get(str(value), len(kept)) for value in values.tolist()), np.int64, len(values))
    return [*kept, *([last] if len(kept) < len(names) else [])], codes


def _coded(values: NDArray[Any], last: str = "") -> tuple[list[str], Places]:
    """Distinct values in their order, one of them last, and each row's place among them."""
    names = sorted(set(values.tolist()), key=lambda name: (name == last, name))
    place = {name: i for i, name in enumerate(names)}
    return names, np.fromiter((place[value] for value in values.tolist()), np.int64, len(values))


def _partition(keys: NDArray[np.int64]) -> list[tuple[tuple[int, ...], Places]]:
    """Rows of equal keys together: [(key, places)], by key."""
    if not len(keys):
        return []
    kinds, codes = np.unique(keys, axis=0, return_inverse=True)
    order = np.argsort(codes.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(codes.ravel()))[:-1]
    return [(tuple(int(k) for k in kind), rows) for kind, rows in zip(kinds, np.split(order, ends), strict=True)]
