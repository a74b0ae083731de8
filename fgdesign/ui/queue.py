"""Wishes about runs from a page: stop, pause, resume and so on. Knows nothing of how they are carried out."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.runs.store import open_store
from fgdesign.runs.supervisor import ensure

Wish = Literal["pause", "stop", "cancel", "resume", "retry"]


def ask(wish: Wish, name: str) -> None:
    """Ask for something to be done with a run; what stands in the way is said as a toast."""
    store = open_store()
    try:
        getattr(store, wish)(name)
    except FgdesignError as error:
        st.toast(str(error), icon=":material/error:")
    ensure()
