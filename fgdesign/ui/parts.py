"""Small pieces that several pages show: a chart, a command to copy, a table to download, an empty page's next step.

Knows nothing of where their content comes from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec

import pandas as pd
import streamlit as st

from fgdesign.data.write import safe_csv
from fgdesign.errors import FgdesignError
from fgdesign.runs.process import is_disk_full
from fgdesign.ui.words import command, label
from fgdesign.views.theme import Figure

P = ParamSpec("P")
NO_ROOM = "The disk is full, so this was not kept. Free some space, and do it again."
PICK = "pick"  # in the address: what is chosen in a chart
PICKED = "picked"  # session key: the chart looked at last, what is chosen in it, whether by a click
CONFIG = {"displaylogo": False, "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"], "responsive": True}


def fragment(draw: Callable[P, None], every: float | None = None) -> Callable[P, None]:
    """A part of a page that runs by itself, every so many seconds where they are given.

    What a person can mend is said in its place: an error that left the part would reach nobody who says it.
    """
    @wraps(draw)
    def drawn(*args: P.args, **keywords: P.kwargs) -> None:
        try:
            draw(*args, **keywords)
        except FgdesignError as error:
            st.text(str(error))
        except Exception as error:
            if not is_disk_full(error):
                raise
            st.text(NO_ROOM)

    return st.fragment(drawn, run_every=every)


def is_dark() -> bool:
    """Whether the page is shown dark."""
    return st.context.theme.type == "dark"


def chart(figure: Figure, key: str, *, tools: bool = True, clicks: bool = False) -> None:
    """A chart in our own look; its tool bar saves the picture.

    Args: tools: False for one too small for a bar. clicks: what is clicked is kept in the session under the key.
    """
    config = {**CONFIG, "displayModeBar": "hover" if tools else False}
    if clicks:
        st.plotly_chart(figure, key=key, theme=None, config=config, on_select="rerun", selection_mode="points")
    else:
        st.plotly_chart(figure, key=key, theme=None, config=config)


def clicked(key: str) -> Any:
    """The customdata of what was clicked last in a chart; None for nothing."""
    event: Any = st.session_state.get(key) or {}
    points = (event.get("selection") or {}).get("points") or []
    found = points[0].get("customdata") if points else None
    return found[0] if isinstance(found, list) and len(found) == 1 else found


def picked(key: str) -> Any:
    """What is chosen in a chart: clicked last, or else named by the address, which names it again."""
    now, (chart_key, before, held) = clicked(key), st.session_state.get(PICKED, ("", None, False))
    if now is not None:
        found = now
    elif chart_key != key:
        found = _read(st.query_params.get(PICK, ""))
    else:
        found = None if held else before  # what was clicked and is not any more was let go of
    st.session_state[PICKED] = (key, found, now is not None)
    if found is None:
        st.query_params.pop(PICK, None)
    else:
        st.query_params[PICK] = json.dumps(found)
    return found


def _read(words: str) -> Any:
    try:
        found = json.loads(words)
    except ValueError:
        return None
    return found if isinstance(found, str | int | list) else None


def show_command(*words: object, note: str = "The same from the command line", then: Sequence[object] = ()) -> None:
    """The command that does what the page does, and one that follows it, ready to copy."""
    lines = [command("fgdesign", *map(str, line)) for line in (words, then) if line]
    with st.expander(note, icon=":material/terminal:"):
        st.code("\n".join(lines), language="bash", wrap_lines=True)


def next_step(message: str, page: str, text: str) -> None:
    """What is missing, and the link that gets it."""
    with st.container(border=True, key=f"missing_{page}"):
        st.text(message)
        st.page_link(f"pages/{page}.py", label=text, icon=":material/arrow_forward:")


def table(frame: pd.DataFrame, name: str, *, height: int | None = None) -> None:
    """A table with its download as CSV, safe to open in a spreadsheet."""
    st.dataframe(frame, hide_index=True, key=f"table_{name}", height="auto" if height is None else height,
                 placeholder="")
    download(frame, name, key=f"download_{name}")


def download(frame: pd.DataFrame, name: str, *, key: str) -> None:
    """A button that hands out a table as CSV, safe to open in a spreadsheet."""
    st.download_button(
        "Download CSV",
        safe_csv(frame),
        f"{name}.csv",
        "text/csv",
        key=key,
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
    )


def attempt(change: Callable[[], object]) -> bool:
    """Do what a press asks for; what stands in the way is said as a toast. Whether it was done."""
    try:
        change()
    except FgdesignError as error:
        st.toast(label(str(error), 200), icon=":material/error:")
        return False
    except Exception as error:
        if not is_disk_full(error):
            raise
        st.toast(NO_ROOM, icon=":material/error:")
        return False
    return True


def show_stored(key: str, value: object, *, anew: bool = False) -> None:
    """Let a field show what is stored, also where others changed it; what is being typed is left alone until then.

    Args: key: of the field. value: what is stored. anew: show it in any case, as after it was stored in other words.
    """
    shown = f"{key}_stored"
    if anew or key not in st.session_state or st.session_state.get(shown) != value:
        st.session_state[key] = st.session_state[shown] = value


def undo(gone: Sequence[str], bring_back: Callable[[list[str]], None], *, key: str) -> None:
    """What was deleted last, and the button that brings it back; nothing where nothing was."""
    if gone:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"{key}_line"):
            st.text(f"Deleted: {', '.join(gone)}.")
            st.button("Undo", icon=":material/undo:", key=key, on_click=bring_back, args=(list(gone),))


def sentences(notes: Sequence[str], title: str) -> None:
    """Notes as plain text, folded away."""
    if notes:
        with st.expander(f"{title} ({len(notes)})", icon=":material/notes:"):
            for note in notes:
                st.text(note)
