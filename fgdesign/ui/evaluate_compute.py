"""Accuracy against compute: exit thresholds and the number of branches moved by sliders, and kept for the run.

Every exit was asked about every row once; a slider only looks up. Knows nothing of how that is done.
"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from fgdesign.insight import comparison, settings
from fgdesign.insight.answered_set import AnsweredSet, Model
from fgdesign.insight.quality import MEASURES
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.thresholds import reset_thresholds, set_thresholds, trained_thresholds
from fgdesign.ui import evaluate_store, models, parts
from fgdesign.ui.evaluate_store import Source
from fgdesign.ui.words import command, label
from fgdesign.views import quality_figures
from fgdesign.views.numbers import percent, plain


def compute(run: RunFolder, source: Source, answered: AnsweredSet) -> None:
    """The curve, the setting chosen on it, and what it changes by row."""
    model = models.trained(run)
    if not answered.answers.exit_names and len(settings.branch_counts(model.network)) == 1:
        st.text("This graph has no exit and no router that could call more or fewer branches: its compute is fixed. "
                "Draw an exit behind a layer to trade accuracy for compute.")
        return
    kept = evaluate_store.opinions(run, source, answered)
    if kept is None:
        return
    table = _curve(run.name, source.name, str(kept.thresholds), model, kept)
    verdict, left, right = st.empty(), *st.columns([2, 3], gap="large")
    with left:
        count, thresholds = _sliders(run, kept)
    chosen = kept.at(model.network, thresholds, count)
    duel = comparison.compare_runs(
        answered, chosen, ("the setting in use", "the chosen setting"),
        tuple(float(comparison.compute_of(model, one).mean()) for one in (answered, chosen)))  # type: ignore[arg-type]
    verdict.markdown(f"**{label(duel.verdict[:1].upper() + duel.verdict[1:], 300)}**")
    dearest = float((table["compute"] / table["share"].clip(lower=1e-12)).max())
    spots = [(told["compute"] / dearest, told["score"]) for told in (settings.point(model, answered),
                                                                    settings.point(model, chosen))]
    with right:
        parts.chart(quality_figures.compute_curve(table, MEASURES[answered.task][0].name, now=spots[0],
                                                  chosen=spots[1], dark=parts.is_dark()), "evaluate_curve")
    _told(answered, chosen)
    with left:
        if source.part != "valid":
            st.caption("A setting that is chosen on the rows it is judged on looks better than it is: choose on "
                       "validation rows, then look at the test rows.")
        _keep(run, thresholds, count)
    with st.expander("The numbers", icon=":material/table_rows:"):
        parts.table(table, "compute")


@st.cache_data(max_entries=8, show_spinner="Trying every threshold")
def _curve(run: str, source: str, thresholds: str, _model: Model, _kept: settings.Opinions) -> pd.DataFrame:
    return settings.curve(_model, _kept)


def _sliders(run: RunFolder, kept: settings.Opinions) -> tuple[int, dict[str, float]]:
    """The number of branches, 0 as trained, and the threshold of every exit."""
    count = 0
    if len(kept.counts) > 1:
        count = int(st.select_slider("Branches a router calls", list(kept.counts), value=0,
                                     key=f"evaluate_k_{run.name}",
                                     format_func=lambda k: "as trained" if k == 0 else str(k)))
    if not kept.exits:
        return count, {}
    now = kept.trained
    start = min(1.0, sum(now.values()) / len(now))
    common = st.slider("Every exit answers from this certainty on", 0.0, 1.01, start, 0.005,
                       key=f"evaluate_line_{run.name}", help="1.01: never")
    moved = abs(common - start) > 1e-9
    found = dict.fromkeys(kept.exits, common) if moved else dict(now)
    if len(kept.exits) > 1:
        with st.expander("Each exit by itself", icon=":material/tune:"):
            for name in kept.exits:
                found[name] = st.slider(label(name), 0.0, 1.01, float(min(1.01, found[name])), 0.005,
                                        key=f"evaluate_line_{run.name}_{name}_{common:.3f}")
    return count, found


def _told(answered: AnsweredSet, chosen: AnsweredSet) -> None:
    """Where rows leave now, and at the chosen setting."""
    if not answered.answers.exit_names:
        return
    rows = []
    for place, name in [*enumerate(answered.answers.exit_names), (-1, "answer")]:
        row: dict[str, object] = {"exit": name}
        for said, one in (("now", answered), ("chosen", chosen)):
            mine = one.answers.exits == place
            right = "" if one.right is None or not mine.any() else percent(float(one.right[mine].mean()))
            row |= {f"rows {said}": int(mine.sum()), f"share {said}": percent(float(mine.mean())),
                    f"right {said}": right}
        rows.append(row)
    parts.table(pd.DataFrame(rows), "exits_now")
    st.text(f"{plain(float(answered.layers.mean()))} encoder layers a text now, "
            f"{plain(float(chosen.layers.mean()))} at the chosen setting.")


def _keep(run: RunFolder, thresholds: dict[str, float], count: int) -> None:
    """Save the thresholds to the run, or put the trained ones back."""
    if not thresholds:
        st.caption("The number of branches belongs to the graph: set k of its routers on the Design page and train.")
        return
    before = trained_thresholds(run)
    with st.container(horizontal=True):
        st.button("Use these thresholds", icon=":material/save:", key="evaluate_save", on_click=_saved,
                  args=(run, thresholds), help="Every answer of this run leaves by them from then on")
        if before is not None:
            st.button("Undo", icon=":material/undo:", key="evaluate_reset", on_click=_reset, args=(run,),
                      help="Put back what training fitted")
    st.caption("Thresholds of your own are in use." if before is not None else "The trained thresholds are in use.")
    words = [f"{name}={value:.3f}" for name, value in thresholds.items()]
    with st.expander("The same from the command line", icon=":material/terminal:"):
        st.code(command("fgdesign", "thresholds", run.path, *words), language="bash", wrap_lines=True)
        st.code(command("fgdesign", "thresholds", run.path, "--undo"), language="bash", wrap_lines=True)


def _saved(run: RunFolder, thresholds: dict[str, float]) -> None:
    set_thresholds(run, {name: min(2.0, value) for name, value in thresholds.items()})
    st.toast("The run answers by these thresholds now.", icon=":material/check:")


def _reset(run: RunFolder) -> None:
    reset_thresholds(run)
    st.toast("The trained thresholds are back.", icon=":material/undo:")
