"""Bands, cells and tables of routes over rows whose routes and errors were planted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fgdesign.data import Dataset
from fgdesign.data.columns import Columns
from fgdesign.data.task import Task
from fgdesign.errors import DataError
from fgdesign.insight.answered_set import AnsweredSet
from fgdesign.insight.routes import PASSED_BY, Flows, errors, flows, grouped, route_by, route_errors
from fgdesign.training.evaluate import Answers

LABELS = ("hot", "cold")


def planted(count: int = 80, task: str = "single") -> AnsweredSet:
    """Hot rows take branch_1 and are right, cold ones branch_2, of which half err and half meet a second router."""
    truth = np.arange(count) % 2
    late = np.arange(count) % 4 == 1
    wrong = truth.astype(bool) & (np.arange(count) % 8 < 4)
    outputs = np.eye(2)[np.where(wrong, 1 - truth, truth)] * 0.8 + 0.1
    exits = np.where(late, -1, 0)
    answers = Answers(outputs, exits, np.where(late, 6, 1), ("leave",),
                      {"first": np.eye(2, dtype=bool)[truth], "second": np.stack([late, np.zeros(count, bool)], 1)}, {},
                      {"first": ("branch_1", "branch_2"), "second": ("branch_1", "branch_2")})
    targets = truth
    if task == "regression":
        answers.outputs, targets = np.where(wrong, 3.0, 0.0), np.zeros(count, np.float32)
    frame = pd.DataFrame({"text": "x", "age": np.arange(count), "many": [f"kind {i % 20}" for i in range(count)]})
    data = Dataset(["x"] * count, None, targets, Task(task, LABELS if task == "single" else (), ""),  # type: ignore[arg-type]
                   Columns("text", None, None, ()), frame, np.arange(2, count + 2))
    return AnsweredSet(data, answers, np.arange(count), ("n",), np.ones((count, 1), bool), task,
                       LABELS if task == "single" else ())


def sizes(found: Flows) -> dict[tuple[str, str], int]:
    return {(f"{found.stages[found.stops[b.source].stage]}={found.stops[b.source].name}",
             f"{found.stages[found.stops[b.target].stage]}={found.stops[b.target].name}"): len(b.rows)
            for b in found.bands}


def test_bands_hold_the_rows_that_went_that_way() -> None:
    found = flows(planted())
    assert found.stages == ("label", "first", "second", "exit", "answer") and found.groups == ("cold", "hot")
    told = sizes(found)
    assert told["label=hot", "first=branch_1"] == 40 and told["first=branch_2", "second=branch_1"] == 20
    assert told["first=branch_1", f"second={PASSED_BY}"] == 40
    assert told["second=branch_1", "exit=answer"] == 20 and ("second=branch_1", "exit=leave") not in told
    assert told["exit=leave", "answer=wrong"] == 10


@pytest.mark.parametrize("by", ["label", "prediction", "right", "age", "many", "confidence", "length", "layers"])
def test_no_row_is_lost_or_doubled_whatever_the_column(by: str) -> None:
    made = planted()
    found = flows(made, by)
    for stage in range(len(found.stages)):
        rows = np.concatenate([stop.rows for stop in found.stops if stop.stage == stage])
        assert sorted(rows.tolist()) == list(range(len(made)))
        if stage:
            through = [band.rows for band in found.bands if found.stops[band.target].stage == stage]
            assert sorted(np.concatenate(through).tolist()) == list(range(len(made)))
    for band in found.bands:
        assert set(band.rows) <= set(found.stops[band.source].rows) & set(found.stops[band.target].rows)


def test_groups_are_few() -> None:
    names, codes = grouped(planted(), "many")
    assert len(names) == 8 and names[-1] == "13 others" and len(set(codes.tolist())) == 8
    assert grouped(planted(), "age")[0] == ["0 to 19.8", "19.8 to 39.5", "39.5 to 59.2", "59.2 to 79"]
    assert grouped(planted(), "layers")[0] == ["1", "6"]
    with pytest.raises(DataError, match="no column 'agee'"):
        grouped(planted(), "agee")


def test_a_class_that_owns_a_route_is_named_and_one_that_does_not_is_not() -> None:
    found = route_by(planted()).set_index(["route", "value"])
    hot = found.loc[("first:branch_1 > leave", "hot")]
    assert (hot["rows"], hot["share"], hot["elsewhere"]) == (40, 1.0, 0.0)
    assert hot["q"] < 1e-15 and hot["low"] > 0.9
    assert (found["q"] >= found["p"]).all()
    by_chance = route_by(planted(), "many")
    assert (by_chance.groupby("route")["rows"].sum() == [40, 20, 20]).all()


def test_the_route_with_more_than_its_share_of_errors_comes_first() -> None:
    found = route_errors(planted())
    assert found is not None
    assert found["route"].tolist()[:2] == ["first:branch_2 > leave", "first:branch_2 > second:branch_1"]
    assert found["over"].tolist() == [True, True, False]
    assert found["errors"].tolist() == [10, 10, 0] and found["rate"].tolist() == [0.5, 0.5, 0.0]


def test_errors_of_numbers_are_the_largest_quarter_and_none_without_labels() -> None:
    made = planted(task="regression")
    wrong = errors(made)
    assert wrong is not None and wrong.sum() == 20
    assert route_errors(made) is not None
    bare = AnsweredSet(made.data.subset(range(0)), made.at(np.arange(0)).answers, np.arange(0), ("n",),
                       np.ones((0, 1), bool), "regression", ())
    assert errors(bare) is None


def test_one_way_only_is_one_route() -> None:
    made = planted()
    made.answers.called.clear()
    made.answers.exits[:] = -1
    found = route_by(made)
    assert found["route"].unique().tolist() == ["answer"] and found["q"].isna().all()
