"""Which text is looked at: typed, picked, or named by the address, which names it again, so a link shows the same.

A row of the run's own data is named by its place, any other text by itself, a long one packed. Knows nothing of routes.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from typing import Any

import streamlit as st

from fgdesign.runs.folder import RunFolder
from fgdesign.ui import models, route_set_rows, route_set_store, state
from fgdesign.views.numbers import plain

SECOND = "routes_text_b"
PICKED = "routes_picked"
NAMED = "routes_named"  # session key: what the address named when it was last read
CELLS = "routes_cells"  # session key: the other columns of a row that the address named, by its text
PLACE = "routes_place"  # session key: part and row of the text that the address named, by its text
TEXT_PARAMETER, SECOND_PARAMETER, PACKED, CELL, STEP = "text", "second", "packed", "cell", "step"  # in the address
LONGEST_LINK = 1500  # characters of a text that stand in an address as they are
LONGEST_PACKED = 12_000  # characters of a packed text


def ask(run: RunFolder) -> dict[str, Any]:
    """The text to trace: picked from the run's data or typed. text, text_b and columns as `trace` takes them."""
    _take_named_row(run)
    found = models.examples(run)
    said = [_line(example) for example in found]
    if found and not st.session_state.get(state.TEXT):
        st.session_state[state.TEXT] = found[0]["text"]
        st.session_state[SECOND] = found[0]["text_b"] or ""

    def take() -> None:
        chosen = st.session_state[PICKED]
        if chosen in said:
            st.session_state[state.TEXT] = found[said.index(chosen)]["text"]
            st.session_state[SECOND] = found[said.index(chosen)]["text_b"] or ""

    left, right = st.columns([3, 2], gap="medium")
    right.selectbox(
        "Pick a text of the data",
        said,
        index=None,
        key=PICKED,
        on_change=take,
        placeholder="easy ones first, then those that go deep",
        help="Sorted by the layers they run.",
    )
    text = left.text_area(
        "Text", key=state.TEXT, height=84, max_chars=20_000, help="Any text; press Ctrl+Enter to see its route."
    )
    pairs = any(example["text_b"] is not None for example in found)
    second = left.text_area("Second text", key=SECOND, height=68, max_chars=20_000) if pairs else None
    picked: dict[str, str] = next((example["columns"] for example in found if example["text"] == text), {})
    known = st.session_state.get(CELLS, {}).get(text, picked)
    _name(run, text or "", second or "", known)
    return {"text": text or "", "text_b": second, "columns": known}


def _take_named_row(run: RunFolder) -> None:
    """Put what the address names into the field: a row of the run's data, or a text; once for each address."""
    if st.session_state.get(NAMED) == _named(run):
        return
    part, row = st.query_params.get(route_set_rows.PART), st.query_params.get(route_set_rows.ROW, "")
    said = st.query_params.get(TEXT_PARAMETER, "") or unpacked(st.query_params.get(PACKED, ""))
    if part in route_set_store.PARTS and row.isdecimal():
        data = route_set_store.part_data(run, part)
        if int(row) < len(data):
            text = st.session_state[state.TEXT] = data.texts[int(row)]
            st.session_state[SECOND] = "" if data.texts_b is None else data.texts_b[int(row)]
            cells = {str(name): str(cell) for name, cell in data.frame.iloc[int(row)].items()}
            st.session_state[CELLS], st.session_state[PLACE] = {text: cells}, {text: (part, row)}
    elif said:
        st.session_state[state.TEXT] = said
        st.session_state[SECOND] = st.query_params.get(SECOND_PARAMETER, "")
        pairs = (pair.partition(":") for pair in st.query_params.get_all(CELL))
        st.session_state[CELLS] = {said: {name: cell for name, _, cell in pairs}}


def _name(run: RunFolder, text: str, second: str, cells: Mapping[str, str]) -> None:
    """Let the address name the text that is shown, so that a link shows it too."""
    place = st.session_state.get(PLACE, {}).get(text)
    wanted: dict[str, Any] = {}
    if place is not None:
        wanted = dict(zip((route_set_rows.PART, route_set_rows.ROW), place, strict=True))
    elif text:
        short = len(text) <= LONGEST_LINK
        wanted = {TEXT_PARAMETER if short else PACKED: text if short else packed(text)}
        if second and len(second) <= LONGEST_LINK:
            wanted[SECOND_PARAMETER] = second
        read = _columns_read(run)
        if read:
            wanted[CELL] = [f"{name}:{cell}" for name, cell in cells.items() if name in read]
    for name in (route_set_rows.PART, route_set_rows.ROW, TEXT_PARAMETER, PACKED, SECOND_PARAMETER, CELL):
        if wanted.get(name):
            st.query_params[name] = wanted[name]
        else:
            st.query_params.pop(name, None)
    named = _named(run)
    if st.session_state.get(NAMED, named) != named:
        st.query_params.pop(STEP, None)  # another text begins with its whole route
    st.session_state[NAMED] = named


def _columns_read(run: RunFolder) -> set[str]:
    """Columns that rules of this run's graph look at."""
    rules = [rule for node in run.graph().nodes if node.type == "rule_router/1"
             for rule in node.params.get("rules", ())]
    return {str(rule["column"]) for rule in rules if isinstance(rule, dict) and "column" in rule}


def packed(text: str) -> str:
    """A text in letters that an address takes; "" where it stays too long."""
    found = base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode()
    return found if len(found) <= LONGEST_PACKED else ""


def unpacked(letters: str) -> str:
    """The text that `packed` gave; "" for anything else."""
    try:
        return zlib.decompressobj().decompress(base64.urlsafe_b64decode(letters), 100_000).decode()
    except (binascii.Error, zlib.error, ValueError):
        return ""


def _named(run: RunFolder) -> tuple[str, ...]:
    names = (route_set_rows.PART, route_set_rows.ROW, TEXT_PARAMETER, PACKED, SECOND_PARAMETER)
    return (run.name, *(st.query_params.get(name, "") for name in names))


def _line(example: Mapping[str, Any]) -> str:
    depth = example["layers"]
    answer = example["prediction"] if isinstance(example["prediction"], str) else plain(example["prediction"])
    return f"{depth} layer{'' if depth == 1 else 's'} · {answer} · {' '.join(example['text'].split())[:110]}"
