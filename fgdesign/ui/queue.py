"""The queue on a page: what runs, what waits in which order, and buttons for both.

Knows nothing of how wishes are met.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from fgdesign.runs import seeds
from fgdesign.runs.seeds import seeds_of, summary
from fgdesign.runs.store import AT_WORK, Job, Store, open_store
from fgdesign.runs.supervisor import ensure
from fgdesign.ui import parts
from fgdesign.ui.words import label
from fgdesign.views.figures import metric_name
from fgdesign.views.numbers import percent, plain

REFRESH = 3.0  # seconds
MORE = 4  # seeds at a click
SHOWN = ("macro_f1", "micro_f1", "accuracy", "pearson")  # of several seeds
HIGHEST = 9  # of the priorities offered here
BUTTONS: dict[str, tuple[str, str]] = {
    "pause": (":material/pause:", "Put aside; it goes on from the very step"),
    "resume": (":material/resume:", "Go on with it"),
    "stop": (":material/stop:", "End after the present step; the best so far is kept"),
    "cancel": (":material/close:", "End at once, nothing kept"),
    "retry": (":material/replay:", "Begin it anew"),
}
MOVES = ((-1, ":material/arrow_upward:", "Earlier"), (1, ":material/arrow_downward:", "Later"))


def ask(wish: str, name: str) -> None:
    """Ask for something to be done with a run: a key of BUTTONS. What stands in the way is said as a toast."""
    _try(lambda store: getattr(store, wish)(name))


def button(wish: str, name: str, text: str = "", *, disabled: bool = False) -> None:
    """A button for one wish; with a text it is about the run that the page shows."""
    icon, about = BUTTONS[wish]
    st.button(text or " ", icon=icon, help=about, key=f"{wish}_run" if text else f"{wish}_{name}", on_click=ask,
              args=(wish, name), disabled=disabled, type="secondary" if text else "tertiary")


def show() -> None:
    """What runs and waits, renewed every REFRESH seconds; nothing where nothing does."""
    parts.fragment(_draw, REFRESH)()


def _draw() -> None:
    store = open_store()
    working, waiting, aside = store.at_hand()
    if not working and not waiting and not aside:
        return
    st.subheader("Queue", anchor=False)
    for job in working:
        _row(job, f"{job.state} on {job.slot}" if job.slot else job.state, percent(job.folder.status()["progress"]))
    for place, job in enumerate(waiting, 1):
        _row(job, f"{place} of {len(waiting)} in line", "", place=place, last=len(waiting))
    for job in aside:
        _row(job, job.state, percent(job.folder.status()["progress"]))


def _row(job: Job, state: str, progress: str, *, place: int = 0, last: int = 0) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"queue_{job.name}"):
        st.page_link("pages/train.py", label=label(job.name), query_params={"run": job.name})
        st.caption(" · ".join(filter(None, (state, progress))))
        st.space("stretch")
        if job.state == "queued":
            for by, icon, about in MOVES:
                st.button(" ", icon=icon, help=about, key=f"move_{by}_{job.name}", on_click=_move, args=(job.name, by),
                          disabled=not 1 <= place + by <= last, type="tertiary")
            key = f"priority_{job.name}"
            parts.show_stored(key, min(HIGHEST, max(-HIGHEST, job.priority)))
            st.number_input("Priority", -HIGHEST, HIGHEST, key=key, on_change=_prefer, args=(job.name,), width=120,
                            label_visibility="collapsed", help="The higher, the sooner")
        ending = job.state == "stopping" and job.wanted not in ("pause", "resume")
        aside = job.state == "paused" or (job.state == "stopping" and job.wanted == "pause")
        button("resume" if aside else "pause", job.name, disabled=ending)
        button("stop" if job.state in AT_WORK else "cancel", job.name, disabled=ending)


def more_seeds(name: str) -> None:
    """A button: the same training with other seeds; and what the metric is worth by those that are through."""
    store = open_store()
    st.button(f"{MORE} more seeds", icon=":material/casino:", key="more_seeds", on_click=_more, args=(name,),
              help="Queues the same training with other seeds; mean and interval appear here")
    told = summary(seeds_of(store, name))
    if told["done"] > 1:
        shown = [f"{metric_name(key)} {plain(one.mean)} (" + ("the same with every seed" if one.alike else
                 f"95 % interval {plain(one.low)} to {plain(one.high)}") + ")"
                 for key, one in told["metrics"].items() if key in SHOWN]
        st.text(f"{told['done']} of {told['runs']} seeds, {told['part']} rows: {', '.join(shown)}")


def _more(name: str) -> None:
    _try(lambda store: seeds.more_seeds(store, name, MORE))


def _move(name: str, by: int) -> None:
    _try(lambda store: store.move(name, by))


def _prefer(name: str) -> None:
    priority = int(st.session_state[f"priority_{name}"])
    _try(lambda store: store.set_priority(name, priority))


def _try(change: Callable[[Store], object]) -> None:
    parts.attempt(lambda: change(open_store()))
    ensure()
