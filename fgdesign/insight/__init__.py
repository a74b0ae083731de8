"""Why a trained graph answers as it does, and whether its routes matter; without the app.

    import fgdesign as fg
    from fgdesign import insight

    run = fg.load_run("tickets")
    rows = insight.answered(run, run.parts()["test"])    # every row's answer and route
    insight.route_errors(rows)                           # a table: routes with more than their share of errors
    insight.flow_figure(insight.flows(rows, "label"))    # a plotly figure
    insight.importance(run, rows.data)                   # what functions and branches are worth, by ablation
    insight.earns(run, rows.data)[0].verdict             # does the router earn its keep?
    one = insight.one_text(run, "where is my parcel")    # one input under changes
    one.badges(), one.verdict(insight.Change(force={"router": "branch_2"}))

Tables are pandas frames whose columns the functions name, figures are plotly objects, and all of them are made from
tables. Metrics, certainty, costs, slices, comparison and fairness are the modules of those names.
"""

from fgdesign.insight.ablation import all_changes, importance
from fgdesign.insight.alike import route_clusters, same_route, usage
from fgdesign.insight.answered_set import AnsweredSet, answered, load_answered
from fgdesign.insight.attribute import Attribution, of_answer, of_gate, without
from fgdesign.insight.depth import exit_table
from fgdesign.insight.faithful import faithfulness
from fgdesign.insight.intervene import (
    Badge,
    Change,
    OneText,
    Verdict,
    answers,
    branches_of,
    bypassable,
    one_text,
)
from fgdesign.insight.movers import upstream
from fgdesign.insight.router_health import Health, Keep, earns, health, stability
from fgdesign.insight.routes import errors, flows, grouped, route_by, route_errors, routed
from fgdesign.insight.statistics import Estimate
from fgdesign.insight.tracing import difference, trace
from fgdesign.insight.values import node_values, probes
from fgdesign.views.figures import exit_certainty, gate_bars
from fgdesign.views.flow_bands import flow_figure
from fgdesign.views.route_figures import cluster_bars, exit_curve, route_error_bars, route_matrix
from fgdesign.views.worth_figures import control_bars, importance_bars, load_bars

__all__ = [
    "AnsweredSet", "Attribution", "Badge", "Change", "Estimate", "Health", "Keep", "OneText", "Verdict",
    "all_changes", "answered", "answers", "branches_of", "bypassable", "cluster_bars", "control_bars",
    "difference", "earns", "errors", "exit_certainty", "exit_curve", "exit_table", "faithfulness", "flow_figure",
    "flows", "gate_bars", "grouped", "health", "importance", "importance_bars", "load_answered", "load_bars",
    "node_values", "of_answer", "of_gate", "one_text", "probes", "route_by", "route_clusters", "route_error_bars",
    "route_errors", "route_matrix", "routed", "same_route", "stability", "trace", "upstream", "usage", "without",
]
