"""Charts: what they show of plain data, and that no text of a person becomes markup."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from fgdesign.views import curves, figures, search_figures, theme
from fgdesign.views.canvas import HUES
from fgdesign.views.canvas_overlay import with_gradients
from fgdesign.views.curve_figure import figure

EVIL = "<a href='x'>b</a>"


def events(validations: int = 3) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [{"kind": "note", "message": "begun", "time": 100.0}]
    for i in range(validations):
        made.append(
            {
                "kind": "step",
                "stage": "warm" if i == 0 else "tune",
                "epoch": i,
                "step": i + 1,
                "loss": 2.0 - i / 2,
                "rates": {"pretrained layers": 1e-4, "all others": 1e-3},
                "time": 101.0 + 2 * i,
            }
        )
        made.append(
            {
                "kind": "valid",
                "stage": "tune",
                "epoch": i,
                "step": i + 1,
                "time": 102.0 + 2 * i,
                "metrics": {"macro_f1": (0.5, 0.8, 0.7)[i], "log_loss": (1.0, 0.4, 0.6)[i], "roc_auc": None},
                "routers": {"r": {"load": [0.25, 0.75], "agreement": 0.9}, "bare": {"agreement": 0.9}},
                "exits": [
                    {"node": "exit_1", "depth": 1, "share": 0.4, "accuracy": 0.9},
                    {"node": "answer", "depth": 6, "share": 0.6, "accuracy": None},
                ],
            }
        )
    return made


@pytest.mark.parametrize(("metric", "best"), [("macro_f1", (4.0, 0.8)), ("log_loss", (4.0, 0.4))])
def test_metric_curve_marks_the_best_validation(metric: str, best: tuple[float, float]) -> None:
    line, mark = figure(curves.metric_curve(events(), metric)).data
    assert list(line.x) == [2.0, 4.0, 6.0]
    assert (mark.x[0], mark.y[0]) == best


def test_charts_of_a_run_share_their_time_axis() -> None:
    charts = [
        curves.metric_curve(events(), "macro_f1"),
        curves.loss_curve(events()),
        curves.router_load(events(), "r"),
        curves.exit_load(events()),
    ]
    assert {figure(chart).layout.xaxis.range for chart in charts} == {curves.time_span(events())}
    assert 6.12 <= curves.time_span(events())[1] <= 6.12 * curves.GROWTH


def test_a_chart_without_a_new_point_stays_as_it_is_while_time_goes_on() -> None:
    def at(seconds: int) -> list[dict[str, Any]]:
        steps = [{"kind": "step", "time": float(at), "loss": 1 / (1 + at), "stage": "tune"} for at in range(seconds)]
        return [*steps[:9], {"kind": "valid", "time": 8.5, "metrics": {"accuracy": 0.5}}, *steps[9:]]

    assert len({curves.metric_curve(at(seconds), "accuracy") for seconds in range(100, 200)}) <= 4


def test_what_is_left_out_of_a_long_line_is_not_seen() -> None:
    chance = random.Random(0)
    steps = [{"kind": "step", "time": 0.1 * i, "loss": chance.random(), "stage": "warm" if i < 999 else "tune", "i": i}
             for i in range(20_000)]
    steps[4321]["loss"], steps[7654]["loss"], steps[1]["loss"] = 9.0, -9.0, None
    valid = {"kind": "valid", "time": 3.0, "metrics": {}}
    kept = curves.thinned([*steps[:30], valid, *steps[30:]])
    assert valid in kept and steps[0] in kept and steps[-1] in kept and steps[998] in kept and steps[999] in kept
    assert {4321, 7654} <= {event.get("i") for event in kept} and 200 < len(kept) <= 4 * curves.TICKS + 9
    assert [event["time"] for event in kept] == sorted(event["time"] for event in kept)
    valid_ones = [{"kind": "valid", "time": 0.1 * i, "stage": "tune", "best": i == 5678, "i": i,
                   "metrics": {"macro_f1": 0.5, "log_loss": 1 + abs(i - 4567)}} for i in range(20_000)]
    kept = curves.thinned(valid_ones)
    assert {0, 4567, 5678, 19_999} <= {event["i"] for event in kept} and len(kept) <= 4 * curves.TICKS + 9
    assert curves.thinned([]) == [] and curves.thinned(steps[:2]) == steps[:2]


def test_loss_curve_has_one_line_for_each_stage() -> None:
    assert [trace.name for trace in figure(curves.loss_curve(events())).data] == ["warm", "tune"]


def test_router_load_stacks_branches_to_one() -> None:
    first, second = figure(curves.router_load(events(), "r")).data
    assert first.name == "branch_1" and first.stackgroup == second.stackgroup
    assert [a + b for a, b in zip(first.y, second.y, strict=True)] == [1.0, 1.0, 1.0]


def test_what_was_measured_once_is_an_area_too() -> None:
    one = events(1)
    for chart in (figure(curves.router_load(one, "r")), figure(curves.exit_load(one))):
        assert all(len(trace.x) == len(trace.y) == 2 and trace.x[0] < trace.x[1] for trace in chart.data)
        assert sum(trace.y[0] for trace in chart.data) == pytest.approx(1.0)


def test_router_load_takes_names_from_the_report_form() -> None:
    told = [{"kind": "valid", "time": 1.0, "metrics": {}, "routers": {"r": {"load": {"short": 0.2, "long": 0.8}}}}]
    assert [trace.name for trace in figure(curves.router_load(told, "r")).data] == ["short", "long"]


@pytest.mark.parametrize(
    "chart",
    [
        figure(curves.metric_curve([], "macro_f1")),
        figure(curves.metric_curve(events(), "roc_auc")),
        figure(curves.loss_curve([])),
        figure(curves.router_load(events(), "bare")),
        figure(curves.exit_load([])),
        figures.exit_depth([]),
        figures.class_bars({}),
        figures.per_class({}),
        figures.histogram([], "Lengths", "words"),
    ],
    ids=range(9),
)
def test_a_chart_without_data_says_why(chart: Any) -> None:
    assert not chart.data
    assert chart.layout.annotations[0].text.endswith(".")


def test_exit_depth_shows_share_and_known_accuracy() -> None:
    shares, accuracy = figures.exit_depth(events()[2]["exits"]).data
    assert list(shares.y) == [0.4, 0.6]
    assert list(accuracy.y) == [0.9]
    assert shares.x[0] == "exit_1<br>1 layer"


def test_exit_certainty_marks_where_it_was_enough() -> None:
    told = {"exit_1": {"answer": 0.4, "next": 0.9}, "exit_2": {"answer": 0.95, "next": 0.9}}
    bars, marks = figures.exit_certainty(told).data
    assert list(bars.y) == [0.4, 0.95] and list(marks.y) == [0.9, 0.9]
    assert list(bars.marker.color) == [HUES["input"], HUES["select"]]


def test_gate_bars_mark_what_was_chosen() -> None:
    (bars,) = figures.gate_bars({"branch_1": 0.7, "branch_2": 0.3}, ["branch_1"]).data
    assert list(bars.y) == ["● branch_1", "○ branch_2"]
    assert bars.marker.color[0] == HUES["select"]


def test_class_bars_show_the_likeliest_first() -> None:
    (bars,) = figures.class_bars({"a": 0.1, "b": 0.6, "c": 0.3}, most=2).data
    assert list(bars.y) == ["b", "c"]
    assert bars.marker.color[0] == HUES["answer"]


def test_confusion_colours_shares_and_writes_counts() -> None:
    cells, squares = figures.confusion([[3, 1], [0, 0]], ["no", "yes"]).data
    assert [list(row) for row in cells.z] == [[0.75, 0.25], [0.0, 0.0]]
    assert cells.text[0][0] == "3"
    assert [list(cell) for cell in squares.customdata] == [["no", "no"], ["no", "yes"]]  # cells with rows


def test_per_class_puts_the_weakest_first() -> None:
    table = {
        "good": {"precision": 1.0, "recall": 1.0, "f1": 1.0},
        "bad": {"precision": 0.2, "recall": 0.2, "f1": 0.2},
    }
    assert list(figures.per_class(table).data[0].y) == ["bad", "good"]


def test_class_balance_counts_and_keeps_alike_names_apart() -> None:
    (bars,) = figures.class_balance(["x" * 40 + "1"] * 2 + ["x" * 40 + "2"]).data
    assert list(bars.x) == [2, 1]
    assert len(set(bars.y)) == 2


@pytest.mark.parametrize("names", [("0", "1"), ("2024-01-01", "2024-02-01")])
def test_labels_that_are_numbers_or_days_stay_names(names: tuple[str, str]) -> None:
    measured = {name: {"precision": 0.9, "recall": 0.9, "f1": 0.9} for name in names}
    for chart in (figures.class_sizes([(name, 3) for name in names]), figures.per_class(measured),
                  figures.class_bars(dict.fromkeys(names, 0.5))):  # fmt: skip
        assert chart.layout.yaxis.type == "category"


def test_histogram_counts_every_row() -> None:
    (bars,) = figures.histogram([1, 2, 2, 3, 500], "Lengths", "words").data
    assert sum(bars.y) == 5


@pytest.mark.parametrize(
    "chart",
    [
        figures.class_balance([EVIL]),
        figures.class_bars({EVIL: 1.0}),
        figures.confusion([[1]], [EVIL]),
        figures.per_class({EVIL: {"precision": 1.0, "recall": 1.0, "f1": 1.0}}),
        figures.gate_bars({EVIL: 1.0}, [EVIL]),
        figure(curves.router_load(events(), EVIL)),
        figures.exit_depth([{"node": EVIL, "depth": 1, "share": 1.0}]),
        figures.histogram([1.0], "Lengths", EVIL),
    ],
    ids=range(8),
)
def test_texts_of_a_person_are_escaped(chart: Any) -> None:
    for trace in chart.data:
        trace.customdata = None  # names for clicks: the one part of a figure that is never drawn
    assert "<a href" not in repr(json.loads(chart.to_json()))


@pytest.mark.parametrize("dark", [False, True])
def test_the_template_is_readable_on_its_page(dark: bool) -> None:
    assert contrast(theme.INK[dark], theme.PAPER[dark]) > 7
    assert contrast(theme.FAINT[dark], theme.PAPER[dark]) > 4.5


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours (WCAG 2.1)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_rates_have_a_line_for_each_group_that_breaks_between_stages() -> None:
    chart = figure(curves.rate_curve(events()))
    assert [line.name for line in chart.data] == ["pretrained layers", "all others"]
    assert list(chart.data[1].y) == [1e-3, None, 1e-3, 1e-3]


def test_entropy_depth_and_machine_are_drawn_and_say_when_they_are_not() -> None:
    log = events()
    for event in log:
        if event["kind"] == "valid":
            event["routers"]["r"]["entropy"] = 0.25
    assert list(figure(curves.router_entropy(log)).data[0].y) == [0.25] * 3
    assert list(figure(curves.exit_depth(log)).data[0].y) == pytest.approx([0.4 * 1 + 0.6 * 6] * 3)
    told = [{"time": 10.0 + i, "cpu": 0.5, "busy": 0.75, "memory": 1e9, "free": 2e9, "of": 8e9} for i in range(3)]
    shares = {line.name: line.y[0] for line in figure(curves.machine_load(told)).data}
    assert shares == {"cores, all": 0.75, "cores, this run": 0.5, "memory, all": 0.75, "memory, this run": 0.125}
    for empty in (curves.router_entropy([]), curves.exit_depth([]), curves.machine_load([]), curves.rate_curve([])):
        assert not figure(empty).data and figure(empty).layout.annotations[0].text == empty.nothing != ""


def test_runs_are_compared_in_one_chart_and_their_names_are_only_text() -> None:
    chart = figure(curves.compared({EVIL: [(0.0, 0.5), (3.0, 0.75)], "b": []}, "Validation macro-F1"))
    assert "<a" not in chart.data[0].name and list(chart.data[0].x) == [0.0, 3.0]
    long = [f"20261127-143903-textbook-sentiment-{number}" for number in (3, 4)]
    names = [line.name for line in curves.compared({name: [(0.0, 0.5)] for name in long}, "Loss").lines]
    assert names == ["20261127-143903-text…iment-3", "20261127-143903-text…iment-4"]


def test_a_loss_that_is_no_number_is_left_out() -> None:
    log = [{"kind": "step", "stage": "tune", "step": i, "loss": loss, "time": float(i)}
           for i, loss in enumerate([1.0, None, 0.5])]
    assert list(figure(curves.loss_curve(log)).data[0].y) == [1.0, 0.5]


def test_gradients_light_the_graph() -> None:
    data = {"nodes": [{"id": name} for name in ("head", "layer", "router", "text")], "edges": []}
    lit = {node["id"]: node for node in with_gradients(data, {"head": 1.0, "layer": 0.01, "router": 0.0})["nodes"]}
    assert lit["head"]["usage"] == 1.0 and lit["layer"]["usage"] == pytest.approx(1 / 3)
    assert lit["router"]["usage"] == lit["text"]["usage"] == 0.0 and "nothing is learned" in lit["text"]["about"]
    assert lit["layer"]["tag"] == "0.01"
    gone = {node["id"]: node for node in with_gradients(data, {"head": None, "layer": None})["nodes"]}  # it diverged
    assert (gone["head"]["usage"], gone["head"]["about"]) == (1.0, "its gradient is no longer a number")


def trial(number: int, state: str, value: float | None, **params: Any) -> dict[str, Any]:
    return {"number": number, "state": state, "value": value, "params": params}


TRIALS = [trial(0, "done", 0.5, rate=0.001, kind=EVIL, depth=1), trial(1, "pruned", 0.2, rate=0.01, kind="b", depth=2),
          trial(2, "done", 0.7, rate=0.1, kind="b", depth=2), trial(3, "running", None, rate=0.1, kind="b", depth=2)]


def test_every_trial_that_was_measured_is_a_line_over_its_choices() -> None:
    chart = search_figures.parallel(TRIALS, {"rate": "Rate", "kind": "Kind", "depth": "Depth"}, ["rate"], "macro-F1")
    rate, kind, depth, metric = chart.data[0].dimensions
    assert rate["values"] == pytest.approx((-3, -2, -1)) and rate["ticktext"] == ("0.001", "0.01", "0.1")
    assert kind["values"] == (0, 1, 1) and "<a" not in kind["ticktext"][0]
    assert depth["values"] == (1, 2, 2) and metric["values"] == (0.5, 0.2, 0.7)


def test_the_best_so_far_is_of_trials_that_ran_to_their_end() -> None:
    best, done, pruned = search_figures.history(TRIALS, "macro-F1").data
    assert list(best.y) == [0.5, 0.5, 0.7] and list(done.x) == [0, 2] and list(pruned.y) == [0.2]
    lower = search_figures.history(TRIALS, "log-loss", higher=False).data[0]
    assert list(lower.y) == [0.5, 0.5, 0.5]


def test_what_decided_most_stands_on_top() -> None:
    bars = search_figures.importance({"rate": 0.7, "kind": 0.3}, {"rate": EVIL}).data[0]
    assert list(bars.x) == [0.3, 0.7] and "<a" not in bars.y[1]


def test_a_search_without_trials_says_why() -> None:
    for chart in (search_figures.parallel([], {}, [], ""), search_figures.importance({}, {}),
                  search_figures.history([], "")):
        assert not chart.data and chart.layout.annotations[0].text.endswith(".")


def test_few_whole_numbers_are_written_without_half_ones_between() -> None:
    few = {"edges": [7.5, 8.5, 9.5, 10.5], "counts": [1, 2, 40], "median": 10.0}
    many = {"edges": [place - 0.5 for place in range(41)], "counts": [1] * 40, "median": 20.0}
    assert figures.binned(few, "Length", "tokens").layout.xaxis.dtick == 1
    assert figures.binned(many, "Length", "tokens").layout.xaxis.dtick is None
