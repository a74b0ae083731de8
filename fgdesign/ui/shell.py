"""Around every page: the navigation on top, the header line, and errors as sentences.

Knows nothing of what a page shows.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from fgdesign.errors import FgdesignError, RunError
from fgdesign.runs.process import is_disk_full
from fgdesign.ui import data_intake, parts, theme_watch
from fgdesign.ui.header import show_header

ICON = Path(__file__).with_name("icon.svg")  # a file of ours: named icons are fetched from the network
# What a table's own bar downloads is unsafe in a spreadsheet; a button below the table hands out a safe file.
NO_PLAIN_CSV = "<style>button[aria-label='Download as CSV'] { display: none; }</style>"
PAGES = (
    ("home", "Home", ":material/home:"),
    ("design", "Design", ":material/account_tree:"),
    ("data", "Data", ":material/table:"),
    ("train", "Train", ":material/model_training:"),
    ("routes", "Routes", ":material/route:"),
    ("evaluate", "Evaluate", ":material/fact_check:"),
)


def show_page(folder: Path) -> None:
    """Run the page that the address names; an error a person can mend is shown as text, without a traceback."""
    st.set_page_config(page_title="Function Graph Designer", page_icon=str(ICON), layout="wide")
    st.html(NO_PLAIN_CSV)
    pages = [
        st.Page(folder / f"{name}.py", title=title, icon=icon, default=name == "home")
        for name, title, icon in PAGES
        if (folder / f"{name}.py").is_file()
    ]
    page = st.navigation(pages, position="top")
    try:
        data_intake.take_over()
        show_header(train=page.url_path == "design")
        page.run()
        theme_watch.watch()
    except FgdesignError as error:
        show_error(error)
    except Exception as error:
        if not is_disk_full(error):
            raise
        show_error(RunError(parts.NO_ROOM))


def show_error(error: FgdesignError) -> None:
    """An error as plain text: what a file or a person wrote never becomes formatting."""
    with st.container(border=True, key=f"error_{abs(hash(str(error)))}"):
        st.badge("This did not work", icon=":material/error:", color="red")
        st.text(str(error))
