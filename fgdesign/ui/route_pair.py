"""Two texts side by side: both routes, and what they do not have in common.

Knows nothing of how a route is computed or drawn.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.runs.folder import RunFolder
from fgdesign.ui import canvas, models, parts, route_ask, route_view, shell
from fgdesign.ui.words import label

OTHER = "other"  # in the address: the text compared with, packed
SECOND = "routes_other"  # session key of its field


def show(run: RunFolder) -> None:
    """Ask for both texts and show them."""
    asked = route_ask.ask(run)
    if SECOND not in st.session_state:
        st.session_state[SECOND] = route_ask.unpacked(st.query_params.get(OTHER, "")) or _another(run, asked["text"])
    other = st.text_area("Compared with", key=SECOND, height=84, max_chars=20_000)
    if not asked["text"].strip() or not (other or "").strip():
        st.text("Give two texts to see where their routes part.")
        return
    st.query_params[OTHER] = route_ask.packed(other)
    try:
        model = models.trained(run)
        both = [model.trace(**asked), model.trace(**{**asked, "text": other})]
    except FgdesignError as error:
        shell.show_error(error)
        return
    _apart(both)
    for place, (column, trace) in enumerate(zip(st.columns(2, gap="large"), both, strict=True)):
        with column:
            key = f"routes_pair_{place}_{run.name}"
            route_view.answer(trace, ("First text", "Second text")[place], f"{key}_classes")
            route_view.lit(models.drawn(run), trace, key)
    canvas.bring_library(f"routes_pair_{run.name}")
    st.caption(route_view.LEGEND)
    parts.table(_table(both), "two_routes")


def _another(run: RunFolder, text: str) -> str:
    """A text of the data that goes another way than the first, where there is one: the one that goes deepest."""
    found = [str(example["text"]) for example in models.examples(run)]
    return next((other for other in reversed(found) if other != text), "")


def _apart(both: list[dict[str, Any]]) -> None:
    """The difference in sentences."""
    from fgdesign.insight.tracing import difference

    told = difference(both[0], both[1])
    same = both[0]["prediction"] == both[1]["prediction"]
    if not told["only_first"] and not told["only_second"]:
        st.markdown(f"**Both took the same route{'' if same else ', but are answered differently'}.**")
        return
    where = next(iter(told["routers"].items()), None)
    first = "" if where is None else (f" They part at {where[0]}: {' and '.join(where[1][0])} against "
                                      f"{' and '.join(where[1][1])}.")
    answers = "The answers are the same" if same else "The answers differ"
    layers = told["layers"]
    noun = "encoder layer" if abs(layers) == 1 else "encoder layers"
    depth = f"the second runs {abs(layers)} {noun} {'more' if layers > 0 else 'less'}" if layers else \
        "both run as many encoder layers"
    st.markdown(f"**{label(f'{answers}; {depth}.{first}', 400)}**")
    for title, names in (("Only the first calls", told["only_first"]), ("Only the second calls", told["only_second"])):
        if names:
            st.text(f"{title}: {', '.join(names[:12])}" + (f" and {len(names) - 12} more" if len(names) > 12 else ""))


def _table(both: list[dict[str, Any]]) -> pd.DataFrame:
    rows = zip(both[0]["nodes"], both[1]["nodes"], strict=True)
    return pd.DataFrame([{"node": one["id"], "first": one["state"], "second": other["state"], "first gate": one["gate"],
                          "second gate": other["gate"], "differ": one["state"] != other["state"]}
                         for one, other in rows])

