"""One run as it goes: the big number, progress, curves, routers, exits, messages. Reads the run folder only."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from fgdesign.runs.compare import judged
from fgdesign.runs.folder import FINAL_STATES, RunFolder
from fgdesign.training.alarms import NAMES, Alarm, alarms
from fgdesign.ui import canvas, live_curves, parts, queue
from fgdesign.ui.standing import WARNING, standing
from fgdesign.ui.words import duration
from fgdesign.views import curves, figures
from fgdesign.views.canvas import canvas_data
from fgdesign.views.canvas_overlay import with_gradients
from fgdesign.views.curve_figure import figure
from fgdesign.views.numbers import percent, plain

DRAWN = "live_drawn"  # session key: how many PIECES of the page about a run at work this browser was shown
PIECES = ("numbers", "curves", "whole")  # each adds to those before it, and no number waits for all of them
# Seconds between two drawings; each costs a browser on the run's own machine some of the run's time.
SOON = 0.7  # of the numbers
LATER = {"curves": 1.1, "graph": 5.3, "folded": 6.7}  # seldom together: numbers come first
MOST_LOADS = 600  # of the machine, drawn while a run is at work
HELP = {"Training loss": "What training makes smaller: how wrong the answers and the exits are, plus the routers' own "
                         "losses. The one for sure and varied choices counts below 0."}
NO_FADING = "<style>[data-stale] { opacity: 1 !important; transition: none !important; }</style>"  # at each drawing


def piece(run: RunFolder | None) -> int:
    """How far the page is to be drawn, as a place in PIECES: where a browser's first page here is about a run at work,
    its numbers alone; elsewhere all.
    """
    if run is None or run.status()["state"] in FINAL_STATES:
        st.session_state[DRAWN] = len(PIECES)
    return int(min(st.session_state.setdefault(DRAWN, 1), len(PIECES))) - 1


def is_whole(drawn: int) -> bool:
    """Whether a piece is the last; if not, the page runs again, with the next, once the browser has drawn this one."""
    if drawn < len(PIECES) - 1:
        parts.fragment(_next, SOON)(drawn)
    return drawn == len(PIECES) - 1


def _next(drawn: int) -> None:
    if st.session_state[DRAWN] > drawn + 1:
        st.rerun()
    st.session_state[DRAWN] = drawn + 2  # at the first call, which is within the page's own run


def show_run(run: RunFolder, drawn: int = len(PIECES) - 1) -> None:
    """Draw a run; while it is at work each part of the drawing renews itself in its own time.

    drawn: how far, as a place in PIECES.
    """
    now = run.status()["state"]
    going = now not in FINAL_STATES

    def part(draw: Callable[[RunFolder], None], seconds: float) -> None:
        parts.fragment(draw, seconds if going else None)(run)

    if going:
        st.html(NO_FADING)
    parts.fragment(_state, SOON if going else None)(run, now)
    if going or _measured(run.metrics()):
        if drawn >= PIECES.index("curves"):
            part(_curves, LATER["curves"])
        if drawn >= PIECES.index("whole"):
            part(_graph, LATER["graph"])
    if drawn >= PIECES.index("whole"):
        part(_folded, LATER["folded"])


def _state(run: RunFolder, shown: str) -> None:
    status, events = run.status(), run.metrics_now()
    if status["state"] != shown:
        st.rerun()  # the whole page: the header and the runs table name the state too
    _progress(run, status)
    if shown not in FINAL_STATES or _measured(events):
        _numbers(run, status, events)
        _alarms(run, events, shown not in FINAL_STATES)


def _folded(run: RunFolder) -> None:
    events = run.metrics()
    if run.status()["state"] not in FINAL_STATES or _measured(events):
        _fold("Examples as the model sees them", "visibility", partial(_examples, run))
        _fold("Machine", "memory", partial(_machine, run))
    notes = [event["message"] for event in events if event["kind"] == "note"]
    _fold(f"Log ({len(notes)})", "notes", partial(_messages, run, notes))


def _fold(title: str, sign: str, draw: Callable[[], None]) -> None:
    """Something folded away, drawn once it is open."""
    fold = st.expander(title, icon=f":material/{sign}:", key=f"live_{sign}_open", on_change="rerun")
    if fold.open:
        with fold:
            draw()


def _machine(run: RunFolder) -> None:
    told = run.machine()
    if run.status()["state"] in FINAL_STATES:
        parts.chart(figure(curves.machine_load(told), dark=parts.is_dark()), "live_machine")
    else:
        live_curves.show({"machine": curves.machine_load(told[::len(told) // MOST_LOADS + 1])}, key="live_machine_now")


def _measured(events: list[dict[str, Any]]) -> bool:
    return any(event["kind"] == "valid" for event in events)


def _progress(run: RunFolder, status: dict[str, Any]) -> None:
    name, going = status["state"], status["state"] not in FINAL_STATES
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        how = standing(run, status)
        st.badge(how.words, icon=how.sign if how.alarms else None, color=how.colour)
        worked = status["worked"] or max(0.0, status["updated"] - status["started"])
        if going and name != "paused":
            worked += time.time() - status["updated"]
        words = [status["message"].rstrip(".") if going else ""]
        if status["started"] and name != "queued":
            words.append(f"{duration(worked)} so far" if going else f"took {duration(worked)}")
        if going and status["seconds_left"] is not None:
            words.append(f"about {duration(status['seconds_left'])} left")
        st.text(" · ".join(filter(None, words)))
        st.space("stretch")
        if going:
            asked = run.asked_to_stop and name != "paused"
            queue.button("resume" if name == "paused" else "pause", run.name, "Resume" if name == "paused" else "Pause",
                         disabled=asked)
            queue.button("stop", run.name, "Stopping" if asked else "Stop", disabled=asked)
        elif (run.model / "config.json").is_file():
            st.page_link(
                "pages/routes.py", label="See routes", icon=":material/route:", query_params={"run": run.name}
            )
            st.page_link(
                "pages/evaluate.py", label="Evaluate", icon=":material/fact_check:", query_params={"run": run.name}
            )
        if name in ("failed", "stopped", "cancelled") and (run.path / "config.json").is_file():
            queue.button("resume", run.name, "Resume")
            queue.button("retry", run.name, "Begin anew")
    if going:
        st.progress(min(1.0, max(0.0, float(status["progress"]))))
    if name == "succeeded":
        queue.more_seeds(run.name)
    if name == "failed":
        with st.container(border=True, key="run_failed"):
            st.badge("The run failed", icon=":material/error:", color="red")
            st.text(status["message"] or "It ended without a message; the log below has its last words.")


def _numbers(run: RunFolder, status: dict[str, Any], events: list[dict[str, Any]]) -> None:
    metric, higher = judged(run)
    measured = [
        event["metrics"] for event in events if event["kind"] == "valid" and event["metrics"].get(metric) is not None
    ]
    best = (max if higher else min)((values[metric] for values in measured), default=None)
    numbers = [(f"Validation {figures.metric_name(metric)}, best so far", "–" if best is None else plain(best))]
    report = run.report()
    part = (report or {}).get("test") or (report or {}).get("valid")
    if report and part:
        value, layers = part.get(metric), report.get("mean_layers")
        numbers += [
            (f"{'Test' if 'test' in report else 'Validation'} {figures.metric_name(metric)}",
             "–" if value is None else plain(value)),
            ("Encoder layers per text", "–" if layers is None else plain(layers)),
        ]
    else:
        losses = [event["loss"] for event in events if event["kind"] == "step" and event["loss"] is not None]
        numbers += [("Training loss", plain(losses[-1]) if losses else "–"),
                    ("Progress", percent(float(status["progress"])))]
    for column, (name, text) in zip(st.columns(len(numbers)), numbers, strict=True):
        column.metric(name, text, help=HELP.get(name))


def _curves(run: RunFolder) -> None:
    going = run.status()["state"] not in FINAL_STATES
    shown = _run_curves(run, going)
    if going:
        live_curves.show(shown, key="live_curves")
        return
    dark = parts.is_dark()
    first, *others = [(f"live_{name}", figure(curve, dark=dark)) for name, curve in shown.items()]
    parts.chart(first[1], first[0])
    for column, (key, drawn) in zip([c for _ in others for c in st.columns(2)], others, strict=False):
        with column:
            parts.chart(drawn, key)


def _run_curves(run: RunFolder, going: bool) -> dict[str, curves.Curve]:
    """All curves of a run by their names, that of the metric it is judged by first."""
    events: figures.Events = curves.thinned(run.metrics_now()) if going else run.metrics()
    shown = {"metric": curves.metric_curve(events, judged(run)[0], height=260)}
    if any(event["kind"] == "step" for event in events):
        shown["loss"] = curves.loss_curve(events)
    valid = [event for event in events if event["kind"] == "valid"]
    if any("log_loss" in event["metrics"] for event in valid):
        shown["log_loss"] = curves.metric_curve(events, "log_loss", height=220)
    if any(event.get("rates") for event in events):
        shown["rates"] = curves.rate_curve(events)
    told = [router for event in valid for router in event.get("routers", {}).items()]
    routers = dict.fromkeys(name for name, router in told if router.get("load"))
    shown |= {f"router_{name}": curves.router_load(events, name) for name in routers}
    if any(router.get("entropy") is not None for _, router in told):
        shown["entropy"] = curves.router_entropy(events)
    if any(event.get("exits") for event in valid):
        shown |= {"exits": curves.exit_load(events), "depth": curves.exit_depth(events)}
    return shown


def _alarms(run: RunFolder, events: list[dict[str, Any]], going: bool) -> None:
    """What is wrong, each with what to do; that nothing is, once there is something to judge by."""
    told = None if going else (run.report() or {}).get("alarms")  # the same as its badge says
    found = alarms(events) if told is None else [Alarm(**alarm) for alarm in told]
    with st.container(key="run_alarms", gap="small"):
        for alarm in found:
            with st.container(border=True, horizontal=True, vertical_alignment="center"):
                st.badge(NAMES[alarm.code], icon=WARNING, color="orange")
                st.text(f"{alarm.message} {alarm.suggestion}")
        if not found and any(event["kind"] == "valid" for event in events):
            st.caption("No alarm: no router shows collapse, no loss diverges, stands still or overfits." if going else
                       "No alarm: no router showed collapse, no loss diverged, stood still or overfitted.")


def _graph(run: RunFolder) -> None:
    """The graph with the gradient norms of the last step that was looked at."""
    events = run.metrics()
    looked = next((event for event in reversed(events) if event["kind"] == "gradients"), None)
    picture = canvas_data(run.graph())
    if looked is None:
        st.caption("The graph of this run; gradients are drawn on it once it learns by steps.")
    else:
        picture = with_gradients(picture, looked["nodes"])
        st.caption(f"Gradient norms, stage {looked['stage']}, step {looked['step']}: the fuller the colour, the "
                   "stronger a function is pulled at; a pale one learns nothing in this stage.")
    canvas.draw(picture, key=canvas_key(run), height=280)


def canvas_key(run: RunFolder) -> str:
    """What the canvas of a run is called; its drawing code is brought outside of the part that renews itself."""
    return f"train_canvas_{run.name}"


def _examples(run: RunFolder) -> None:
    told = run.examples()
    if told is None:
        st.text("Written once the data are read.")
        return
    rows = [{"label": one["label"], "tokens": " ".join(one.get("tokens", [one["text"]])),
             "length": one.get("length"), "cut": one.get("cut", False)} for one in told["examples"]]
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="live_examples",
                 column_config={"tokens": st.column_config.TextColumn(width="large")})
    st.caption(f"{plain(len(rows))} of {plain(told['rows'])} training rows, as tokens after encoding; ## goes on "
               "with a word.")


def _messages(run: RunFolder, notes: list[str]) -> None:
    st.code("\n".join(notes) or "Nothing yet.", language=None, wrap_lines=True)
    if run.status()["state"] == "failed":
        st.code(last_words(run), language=None, wrap_lines=True)


def last_words(run: RunFolder, length: int = 2000) -> str:
    """The end of what the process printed."""
    try:
        return (run.path / "log.txt").read_bytes()[-length:].decode("utf-8", "replace")
    except OSError:
        return ""
