"""The flow of rows through routers and exits, and which classes and errors go with which route.

Knows nothing of how they are counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from fgdesign.insight.answered_set import AnsweredSet
from fgdesign.insight.routes import Flows, errors, flows, grouped, route_by, route_errors, routed
from fgdesign.runs.folder import RunFolder
from fgdesign.ui import parts, route_set_rows
from fgdesign.ui.words import label
from fgdesign.views import flow_bands, route_figures
from fgdesign.views.numbers import percent, plain

FLOW = "routes_flow"
BY = "by"  # in the address: the column that tells rows apart
MATRIX = "routes_matrix"
BARS = "routes_error_bars"
NEVER_BY = ("row", "text", "text_b", "route", "loss")  # columns of no use as groups
MOST_VALUES = 0.5  # of the rows: a column with more different words than that groups nothing


def flow(run: RunFolder, part: str, answered: AnsweredSet) -> None:
    """Bands from the values of a column through routers and exits; a clicked one shows its rows."""
    by = _by(answered, "routes_flow_by", "Colour by")
    found = flows(answered, by)
    if len(found.stages) <= 2:
        st.text("This graph has no router and no exit: every row takes the same way.")
    picked = str(parts.picked(FLOW) or "")
    figure = flow_bands.flow_figure(found, picked=picked, dark=parts.is_dark())
    parts.chart(figure, FLOW, tools=False, clicks=True)
    _flow_sentence(found, answered)
    rows, title = _flow_rows(found, picked)
    if rows is None:
        st.caption("Click a band or a block to see its rows.")
    else:
        route_set_rows.show(run, part, answered, rows, title, "routes_flow_rows")


def classes(run: RunFolder, part: str, answered: AnsweredSet) -> None:
    """Routes against the values of a column, clear differences marked."""
    by = _by(answered, "routes_matrix_by", "Routes by")
    table = route_by(answered, by)
    clicked = parts.picked(MATRIX)
    parts.chart(route_figures.route_matrix(table, what=by, dark=parts.is_dark()), MATRIX, tools=False, clicks=True)
    st.caption("▲ more often than on the other routes, ▼ less often: Fisher's exact test, q < 0.05 after Benjamini "
               "and Hochberg over all cells. Click a cell to see its rows.")
    if isinstance(clicked, list) and len(clicked) == 2:
        places = _cell_rows(answered, by, *clicked)
        if len(places):
            title = f"{clicked[1]} on {route_figures.route_words(clicked[0])}"
            route_set_rows.show(run, part, answered, places, title, "routes_matrix_rows")
    with st.expander("The numbers", icon=":material/table_rows:"):
        parts.table(table, f"routes_by_{by}")


def wrong(run: RunFolder, part: str, answered: AnsweredSet) -> None:
    """Error rate of each route against the others; a clicked one shows its errors."""
    table = route_errors(answered)
    bad = errors(answered)
    if table is None or bad is None:
        st.text("These rows have no labels, so nothing is right or wrong.")
        return
    over = table[table["over"]]
    for row in over.itertuples():
        st.markdown(f"**{label(route_figures.route_words(row.route), 80)}** has more than its share of the errors: "
                    f"{percent(row.rate)} of its {plain(row.rows)} rows, {percent(row.elsewhere)} of the others "
                    f"(q {plain(row.q)}).")
    if over.empty:
        st.text("No route has clearly more than its share of the errors.")
    parts.chart(route_figures.route_error_bars(table, dark=parts.is_dark()), BARS, tools=False, clicks=True)
    clicked = parts.picked(BARS)
    names, route = routed(answered)
    if clicked in names:
        places = np.flatnonzero((route == names.index(clicked)) & bad)
        title = f"Errors on {route_figures.route_words(clicked)}"
        route_set_rows.show(run, part, answered, places, title, "routes_error_rows")
    else:
        st.caption("Bars are 95 % intervals (Wilson). Click a point to see the errors of its route.")
    with st.expander("The numbers", icon=":material/table_rows:"):
        parts.table(table, "route_errors")


def _by(answered: AnsweredSet, key: str, title: str) -> str:
    """The column that tells rows apart."""
    frame = answered.frame()
    useful = [name for name in map(str, frame.columns) if name not in NEVER_BY and name not in answered.branch
              and _groups(frame[name].to_numpy())]
    asked = st.query_params.get(BY, "")
    place = useful.index(asked) if asked in useful else 0
    chosen = str(st.selectbox(title, useful, place, key=key, width=260))
    st.query_params[BY] = chosen
    return chosen


def _groups(values: NDArray[Any]) -> bool:
    if np.issubdtype(values.dtype, np.number):
        return True
    return len(set(values.tolist())) <= max(2, MOST_VALUES * len(values))


def _flow_sentence(found: Flows, answered: AnsweredSet) -> None:
    largest = max((band for band in found.bands if found.stops[band.source].stage > 0),
                  key=lambda band: len(band.rows), default=None)
    if largest is not None and len(answered):
        words = [found.stops[place].name for place in (largest.source, largest.target)]
        group = found.groups[largest.group]
        st.text(f"{plain(len(answered))} rows. The widest band: {plain(len(largest.rows))} rows of {group}, "
                f"{words[0]} to {words[1]}.")


def _flow_rows(found: Flows, picked: str) -> tuple[NDArray[np.int64] | None, str]:
    kind, _, number = str(picked).partition(":")
    if kind == "band" and number.isdigit() and int(number) < len(found.bands):
        band = found.bands[int(number)]
        names = [found.groups[band.group], found.stops[band.source].name, found.stops[band.target].name]
        return band.rows, " → ".join(dict.fromkeys(names))
    if kind == "stop" and number.isdigit() and int(number) < len(found.stops):
        stop = found.stops[int(number)]
        return stop.rows, f"{found.stages[stop.stage]}: {stop.name}"
    return None, ""


def _cell_rows(answered: AnsweredSet, by: str, route: str, value: str) -> NDArray[np.int64]:
    routes, route_codes = routed(answered)
    values, codes = grouped(answered, by)
    if route not in routes or value not in values:
        return np.zeros(0, np.int64)
    return np.flatnonzero((route_codes == routes.index(route)) & (codes == values.index(value)))
