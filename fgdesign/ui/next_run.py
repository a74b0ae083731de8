"""What to train next, in two folds above the run that is looked at: one run, or a search for a better one.

A fold is drawn once it is open, and what is changed in it draws it alone, not the page.
"""

from __future__ import annotations

import streamlit as st

from fgdesign.ui import clone, parts, search_form, settings_form, state

SEARCH_OPEN = "next_search_open"  # session key: whether the fold of a search is open


@parts.fragment
def show() -> None:
    """Both folds; that of a run is open at first where there is none yet, and after one was cloned."""
    st.session_state.setdefault(state.NEXT_OPEN, state.CLONED in st.session_state or state.current_run() is None)
    one = st.expander("New run", icon=":material/add:", key=state.NEXT_OPEN, on_change="rerun")
    if one.open:
        with one:
            clone.show()
            settings_form.show()
    several = st.expander("Search for a better one", icon=":material/search:", key=SEARCH_OPEN, on_change="rerun")
    if several.open:
        with several:
            search_form.show()
