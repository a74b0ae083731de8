"""The settings of the next run, a form made from their table; what they lead to; the button that starts it.

Knows nothing of torch.
"""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

from fgdesign.errors import FgdesignError, InputError
from fgdesign.graph import errors
from fgdesign.training.settings import DEFAULTS, GROUPS, PRESETS, TABLE, Settings, preset, settings_from
from fgdesign.ui import check_view, data_profile, library, parts, start, state
from fgdesign.ui.words import label, one_line

PRESET, SEEDS = "preset", "seeds"
SHOWN_FIRST = ("epochs", "seed", "device")
MOST_SEEDS = 10


def show() -> None:
    """What will be trained on what, the settings, a check, the start button, the same as a command."""
    graph, file = state.current_graph(), state.current_data()
    st.text(f"Graph {graph.name} on {file.title if file else 'no data yet'}")
    wrong = errors(graph)
    for problem in wrong[:5]:
        st.text(f"{problem.message} {problem.fix}")
    if wrong:
        st.page_link("pages/design.py", label="Repair the graph in Design", icon=":material/build:")
        return
    try:
        settings, seeds = _fields()
    except InputError as error:
        st.text(str(error))
        return
    st.session_state[state.SETTINGS] = settings.as_dict()
    chosen = settings.changed
    if file is not None:
        _ask_test(file)
        check_view.show(graph, file, settings, seeds)
    start.train_button(graph, key="start_run", seeds=seeds, **chosen)
    if file is not None:
        more = ("seeds", "last", "--more", seeds - 1) if seeds > 1 else ()
        parts.show_command(*start.command_words(graph, file, **chosen), *(["--queue"] if more else []), then=more)


def take(settings: Settings) -> None:
    """Put settings into the form, before it is drawn."""
    for name, value in settings.as_dict().items():
        st.session_state[key_of(name)] = _shown(name, value)
    st.session_state[state.SETTINGS] = settings.as_dict()
    st.session_state[PRESET] = settings.preset or None


def key_of(name: str) -> str:
    """The session key of a setting's field."""
    return f"set_{name}"


def _fields() -> tuple[Settings, int]:
    """The form as settings, and for how many seeds. Raises InputError for a value out of its range."""
    kept = st.session_state.get(state.SETTINGS) or {}
    for name, default in DEFAULTS.as_dict().items():
        st.session_state.setdefault(key_of(name), _shown(name, kept.get(name, default)))
    st.session_state[PRESET] = _preset_of_fields()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        told = "\n".join(f"- {name}: {about}" for name, (about, _) in PRESETS.items())
        st.segmented_control("Preset", list(PRESETS), key=PRESET, on_change=_take_preset, help=told)
        st.button("Reset", icon=":material/restart_alt:", type="tertiary", on_click=take, args=(DEFAULTS,),
                  key="reset_settings", help="All settings as by default")
    values: dict[str, Any] = {}
    *first, last = st.columns(1 + len(SHOWN_FIRST))
    for column, name in zip(first, SHOWN_FIRST, strict=True):
        with column:
            values[name] = _field(name)
    seeds = int(last.number_input("Runs", 1, MOST_SEEDS, key=SEEDS, help="The same run with so many seeds, from the "
                                  "seed on: mean and interval tell luck from gain."))
    for tab, group in zip(st.tabs(list(GROUPS)), GROUPS, strict=True):
        names = [name for name, about in TABLE.items() if about.group == group and name not in SHOWN_FIRST]
        with tab:
            columns = st.columns(3)
            for place, name in enumerate(names):
                with columns[place % 3]:
                    values[name] = _field(name)
    settings = settings_from(values)
    changed = ", ".join(f"{TABLE[name].label.lower()} {value}" for name, value in settings.changed.items())
    st.caption(label(f"Not as by default: {changed}." if changed else "All settings are as by default.", 400))
    return settings, seeds


def _ask_test(file: library.DataFile) -> None:
    """Rows of another data set to be tested on."""
    others = {other.id: other for other in (*library.uploads(), *library.samples()) if other.id != file.id}
    key, now = f"tested_on_{file.id}", data_profile.test_of(file)
    st.session_state[key] = now.id if now is not None and now.id in others else None
    st.selectbox("Tested on", list(others), key=key, format_func=lambda name: one_line(others[name].title),
                 placeholder="a share of the same rows", width=320, on_change=_choose_test, args=(file, key),
                 help="Rows of another data set, with the same columns; upload it in Data. None of them is learned "
                 "from, and all the rows of this one are then shared out for learning and validation.")


def _choose_test(file: library.DataFile, key: str) -> None:
    data_profile.set_test(file, st.session_state[key] or "")


def _preset_of_fields() -> str | None:
    """The preset that the fields follow now, if they do."""
    held = {name: st.session_state[key_of(name)] for name in TABLE}
    try:
        return settings_from({name: _held(value) for name, value in held.items()}).preset or None
    except InputError:
        return None


def _field(name: str) -> Any:
    """One setting's field, with what it is; the value it holds."""
    about, default, key = TABLE[name], getattr(DEFAULTS, name), key_of(name)
    shown = f"{about.label}, {about.unit}" if about.unit else about.label
    if isinstance(default, bool):
        return st.toggle(shown, key=key, help=about.help)
    if name == "sinks":
        return ", ".join(st.multiselect(shown, about.values, key=key, help=about.help, placeholder="none"))
    if about.values:
        return st.selectbox(shown, about.values, key=key, help=about.help)
    if isinstance(default, str):
        return st.text_input(shown, key=key, help=about.help, placeholder="none")
    kind = type(default)
    usual = 1 if kind is int else 10.0 ** math.floor(math.log10(default)) / 2 if default > 0 else 0.05
    value = st.number_input(
        shown, kind(about.low), kind(about.high), key=key, step=about.step or usual,
        placeholder=about.brief or about.auto or None, format="%d" if kind is int else "%g",
        help=about.help + (f" Empty: {about.auto}." if about.auto else ""))
    return kind(-1 if about.auto else default) if value is None else kind(value)


def _shown(name: str, value: Any) -> Any:
    """A value as its field holds it: nothing where the planner or the graph decides."""
    about = TABLE[name]
    if about.auto and value == -1:
        return None
    if name == "sinks":
        return [one.strip() for one in value.split(",") if one.strip()]
    return value.partition(":")[0] if name == "device" else value


def _held(value: Any) -> Any:
    """The reverse: what a field holds as a value."""
    return -1 if value is None else ", ".join(value) if isinstance(value, list) else value


def _take_preset() -> None:
    name = st.session_state[PRESET]
    if name is None:
        return
    kept = st.session_state.get(state.SETTINGS) or {}
    mine = {key: kept[key] for key, about in TABLE.items() if about.group == "Machine" and key in kept}
    try:
        take(preset(name, **mine))
    except FgdesignError:
        take(preset(name))
