"""One text of a run: which, its route under a change or none, the command that shows the same.

Knows nothing of how a route is computed or drawn.
"""

from __future__ import annotations

import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.runs.folder import RunFolder
from fgdesign.ui import models, parts, route_ask, route_change, route_view, shell


def show(run: RunFolder) -> None:
    """Ask for a text and show its route."""
    asked = route_ask.ask(run)
    if not asked["text"].strip():
        st.text("Type a text, or pick one, to see its route.")
        return
    change = route_change.from_address()
    try:
        model = models.trained(run)
        trace = model.trace(**asked, change=change)
        route_view.show(run, models.drawn(run), trace, asked, change)
    except FgdesignError as error:
        shell.show_error(error)
        if not change.is_none:
            st.button("Reset the change", on_click=route_change.reset)
        return
    parts.show_command("trace", run.path, "--text", asked["text"])
