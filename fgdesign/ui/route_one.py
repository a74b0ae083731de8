"""One text of a run: which, its route under a change or none, the reasons, the command that shows the same.

Knows nothing of how a route is computed or drawn.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.insight.intervene import Change
from fgdesign.runs.folder import RunFolder
from fgdesign.ui import models, parts, route_ask, route_change, route_view, shell

TOLD = "routes_told"  # session key: the text and change whose reasons are on the page
LEAD = 0.05  # seconds that the lit graph has the processor for itself, before its reasons are worked out

Found = tuple[dict[str, Any], Mapping[str, Any], Change]  # what was asked, its trace, the change it was made under


def show(run: RunFolder) -> None:
    """Ask for a text, light its route, then say why it went there."""
    left, right = st.columns([5, 2], gap="large")
    found: list[Found] = []
    st.session_state.pop(TOLD, None)
    with left:
        _route(run, found)
    if not found:
        return
    asked, trace, change = found[0]
    try:
        route_view.reasons(run, left, right, trace, asked, change)
    except FgdesignError as error:
        shell.show_error(error)
        return
    parts.show_command("trace", run.path, "--text", asked["text"])


@parts.fragment
def _route(run: RunFolder, found: list[Found]) -> None:
    """The text and its lit graph. Another text runs this part first, so that its route is seen before the reasons.

    found: gets what the rest of the page tells about; it stays empty where there is no route.
    """
    asked = route_ask.ask(run)
    change = route_change.from_address()
    if not asked["text"].strip():
        st.text("Type a text, or pick one, to see its route.")
    else:
        try:
            trace = models.trained(run).trace(**asked, change=change)
            route_view.route(run, models.drawn(run), trace, asked, change)
            found.append((asked, trace, change))
        except FgdesignError as error:
            shell.show_error(error)
            if not change.is_none:
                st.button("Reset the change", on_click=route_change.reset)
    key = repr((run.name, sorted(asked.items()), change))
    if st.session_state.setdefault(TOLD, key) != key:
        time.sleep(LEAD)
        st.rerun()
