"""Metrics, certainty, costs, slices, duels and fairness against other implementations, and on planted rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from fgdesign.data import Dataset
from fgdesign.data.columns import Columns
from fgdesign.data.task import Task
from fgdesign.errors import DataError
from fgdesign.insight import certainty, comparison, decisions, fairness, quality, slicing
from fgdesign.insight.answered_set import AnsweredSet
from fgdesign.insight.statistics import mcnemar
from fgdesign.training.evaluate import Answers

LABELS = ("ash", "birch", "cedar")


def made(outputs: Any, targets: Any, task: str = "single", frame: dict[str, Any] | None = None,
         texts: list[str] | None = None, labels: tuple[str, ...] = LABELS) -> AnsweredSet:
    """Rows answered as given."""
    outputs = np.asarray(outputs, np.float64)
    count = len(outputs)
    labels = () if task == "regression" else labels
    texts = texts or [f"text {i}" for i in range(count)]
    data = Dataset(texts, None, targets, Task(task, labels, ""), Columns("text", None, None, ()),  # type: ignore[arg-type]
                   pd.DataFrame({"text": texts, **(frame or {})}), np.arange(2, count + 2))
    answers = Answers(outputs, np.full(count, -1), np.full(count, 6))
    return AnsweredSet(data, answers, np.full(count, 5), ("all",), np.ones((count, 1), bool), task, labels)


def random_rows(task: str, count: int = 300, seed: int = 0) -> AnsweredSet:
    rng = np.random.default_rng(seed)
    if task == "regression":
        truth = rng.normal(size=count).astype(np.float32)
        return made(truth + rng.normal(size=count), truth, task)
    if task == "multi":
        truth = rng.integers(0, 2, (count, 3)).astype(np.float32)
        return made(np.clip(0.5 + (truth - 0.5) * 0.4 + rng.normal(0, 0.3, (count, 3)), 0.01, 0.99), truth, task)
    logits = rng.normal(size=(count, 3)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return made(shares, (rng.random((count, 1)) > shares.cumsum(1)).sum(1).clip(0, 2))


def test_metrics_are_those_of_scikit_learn_and_lie_in_their_intervals() -> None:
    rows = random_rows("single")
    table = quality.scores(rows, draws=200).set_index("metric")
    truth, given = rows.targets, rows.outputs.argmax(1)
    expected = {"accuracy": sk.accuracy_score(truth, given), "macro_f1": sk.f1_score(truth, given, average="macro"),
                "log_loss": sk.log_loss(truth, rows.outputs), "roc_auc": sk.roc_auc_score(
                    truth, rows.outputs, multi_class="ovr")}
    for name, value in expected.items():
        assert table.loc[name, "value"] == pytest.approx(value, abs=1e-9)
    for name in ("accuracy", "macro_f1", "log_loss"):
        assert table.loc[name, "low"] < table.loc[name, "value"] < table.loc[name, "high"]
    share = expected["accuracy"]
    normal = 1.96 * np.sqrt(share * (1 - share) / len(rows))
    assert table.loc["accuracy", "high"] - share == pytest.approx(normal, rel=0.25)


def test_metrics_of_several_labels_and_of_numbers() -> None:
    rows = random_rows("multi")
    table = quality.scores(rows, draws=50).set_index("metric")["value"]
    assert table["micro_f1"] == pytest.approx(sk.f1_score(rows.targets, rows.outputs >= 0.5, average="micro"))
    assert table["macro_f1"] == pytest.approx(sk.f1_score(rows.targets, rows.outputs >= 0.5, average="macro"))
    numbers = random_rows("regression")
    table = quality.scores(numbers, draws=50).set_index("metric")["value"]
    assert table["pearson"] == pytest.approx(np.corrcoef(numbers.outputs, numbers.targets)[0, 1], abs=1e-6)
    assert table["mae"] == pytest.approx(sk.mean_absolute_error(numbers.targets, numbers.outputs), abs=1e-6)


def test_classes_and_cells() -> None:
    rows = random_rows("single")
    table = quality.class_table(rows).set_index("label")
    expected = sk.precision_recall_fscore_support(rows.targets, rows.outputs.argmax(1))
    for place, name in enumerate(LABELS):
        told = table.loc[name, ["precision", "recall", "f1", "rows"]].tolist()
        assert told == pytest.approx([part[place] for part in expected])
    matrix = quality.confusion_matrix(rows)
    assert (matrix == sk.confusion_matrix(rows.targets, rows.outputs.argmax(1))).all()
    places = quality.cell_rows(rows, "ash", "birch")
    assert len(places) == matrix[0, 1] and set(rows.prediction[places]) == {"birch"}
    first = quality.confused(rows).iloc[0]
    assert first["rows"] == (matrix * (1 - np.eye(3))).max()
    with pytest.raises(DataError, match="no label 'oak'"):
        quality.cell_rows(rows, "oak", "ash")


@pytest.mark.parametrize("task", ["single", "multi"])
def test_curves_have_the_areas_that_scikit_learn_finds(task: str) -> None:
    rows = random_rows(task)
    targets = np.asarray(rows.targets)
    points, areas = quality.curves(rows)
    for place, name in enumerate(LABELS):
        true = targets[:, place] if task == "multi" else targets == place
        told = areas.set_index("label").loc[name]
        assert told["roc_auc"] == pytest.approx(sk.roc_auc_score(true, rows.outputs[:, place]))
        assert told["average_precision"] == pytest.approx(sk.average_precision_score(true, rows.outputs[:, place]))
    assert set(points["label"]) == set(LABELS)


@pytest.mark.parametrize("kind", quality.KINDS)
@pytest.mark.parametrize("task", ["single", "multi", "regression"])
def test_telling_rows_are_of_their_kind(task: str, kind: str) -> None:
    rows = random_rows(task)
    found = quality.telling_rows(rows, kind, 10)
    assert len(found) == 10
    if task != "regression" and kind != "unsure":
        assert rows.right is not None and (rows.right[found] == (kind == "right and sure")).all()
    with pytest.raises(DataError, match="no rows of kind"):
        quality.telling_rows(rows, "nice")


@pytest.mark.parametrize("task", ["single", "multi"])
def test_the_temperature_is_the_best_of_a_brute_force_search(task: str) -> None:
    rows = certainty.cooled(random_rows(task, 600), 1 / 2.5)  # now 2.5 times too sure
    fitted = certainty.temperature_of(rows)
    tried = np.exp(np.linspace(np.log(0.2), np.log(8), 400))
    losses = [certainty.cooled(rows, value).loss.mean() for value in tried]  # type: ignore[union-attr]
    assert fitted == pytest.approx(tried[int(np.argmin(losses))], rel=0.02)
    told = certainty.tempered(rows, rows)
    assert told.after["log_loss"] <= told.before["log_loss"] + 1e-6
    assert (told.answered.prediction == rows.prediction).all()
    if task == "single":
        assert fitted == pytest.approx(2.5, rel=0.2) and "too sure" in told.verdict


def test_reliability_counts_every_row_once() -> None:
    rows = random_rows("single")
    table = certainty.reliability(rows)
    assert table["rows"].sum() == len(rows)
    assert (table["right"] * table["rows"]).sum() == pytest.approx((rows.outputs.argmax(1) == rows.targets).sum())
    with pytest.raises(DataError, match="without a probability"):
        certainty.reliability(random_rows("regression"))


def test_the_cheapest_answers_are_the_cheapest_of_all() -> None:
    rows, costs = random_rows("single"), np.array([[0, 1, 9], [2, 0, 1], [1, 5, 0]])
    told = decisions.priced(rows, costs)
    assert told.after < told.before and told.kept == 1 and "save money" in told.verdict
    for row in range(5):
        assert told.chosen[row] == min(range(3), key=lambda j, row=row: rows.outputs[row] @ costs[:, j])
    left = decisions.priced(rows, costs, abstain=0.2)
    assert 0 < left.kept < 1 and left.after <= told.after + 1e-9
    assert (decisions.cheapest(rows.outputs, decisions.even_costs(3)) == rows.outputs.argmax(1)).all()
    with pytest.raises(DataError, match="need 3 x 3"):
        decisions.priced(rows, np.ones((2, 2)))


def test_threshold_costs_are_those_counted_by_hand() -> None:
    score, true = np.array([0.1, 0.4, 0.35, 0.8, 0.8]), np.array([False, False, True, True, False])
    table = decisions.threshold_costs(score, true, 1, 10)
    for line in (0.0, 0.2, 0.36, 0.8, 0.9):
        given = score >= line
        row = table.iloc[round(line * 100)]
        assert row["false_positives"] == (given & ~true).sum() and row["false_negatives"] == (~given & true).sum()
        assert row["cost"] == pytest.approx(((given & ~true).sum() + 10 * (~given & true).sum()) / 5)
    assert 0.1 < decisions.best_threshold(table) <= 0.35
    rows = random_rows("multi")
    fitted = decisions.label_thresholds(rows, rows, 1, 3)
    assert (fitted["cost"] <= fitted["cost_before"] + 1e-9).all()


def test_coverage_ends_at_the_accuracy_of_all() -> None:
    rows = random_rows("single")
    table = decisions.coverage(rows)
    assert table.iloc[-1]["kept"] == 1 and rows.right is not None
    assert table.iloc[-1]["accuracy"] == pytest.approx(rows.right.mean())
    assert table.iloc[len(table) // 5]["accuracy"] > table.iloc[-1]["accuracy"]


@pytest.mark.parametrize("task", ["single", "regression"])
def test_a_planted_slice_is_found_and_no_other(task: str) -> None:
    rng = np.random.default_rng(1)
    count = 600
    source, colour = rng.choice(["web", "mail", "phone"], count), rng.choice(["red", "blue", "green"], count)
    bad = (source == "phone") & (rng.random(count) < 0.6)
    frame = {"source": source, "colour": colour}
    if task == "regression":
        truth = rng.normal(size=count).astype(np.float32)
        rows = made(truth + np.where(source == "phone", 2, 0.3) * rng.normal(size=count), truth, task, frame)
    else:
        truth = rng.integers(0, 3, count)
        rows = made(np.eye(3)[np.where(bad, (truth + 1) % 3, truth)] * 0.7 + 0.1, truth, task, frame)
    table = slicing.slices(rows)
    first = table.iloc[0]
    assert (first["column"], first["value"]) == ("source", "phone") and first["q"] < 0.005 and first["gap"] < 0
    assert (table[table["column"] == "colour"]["q"] > 0.05).all()
    assert "source is phone" in slicing.verdict(table, task)
    assert set(rows.data.frame["source"].iloc[slicing.slice_rows(rows, "source", "phone")]) == {"phone"}


def test_a_duel_says_which_run_is_better_and_by_how_much() -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, 800)
    one, two = (made(np.eye(3)[np.where(rng.random(800) < share, (truth + 1) % 3, truth)] * 0.7 + 0.1, truth)
                for share in (0.4, 0.2))
    duel = comparison.compare_runs(one, two, ("old", "new"), (10.0, 4.0))
    assert duel.main.clear and duel.verdict.startswith("new is better: +") and "at 0.4 of the compute" in duel.verdict
    accuracy = duel.table.set_index("metric").loc["accuracy"]
    assert one.right is not None and two.right is not None
    difference = two.right.astype(float) - one.right
    assert accuracy["gain"] == pytest.approx(difference.mean())
    half = 1.96 * difference.std(ddof=1) / np.sqrt(800)  # what theory says of a paired mean
    assert accuracy["high"] - accuracy["low"] == pytest.approx(2 * half, rel=0.15)
    assert duel.p == mcnemar(int((two.right & ~one.right).sum()), int((one.right & ~two.right).sum()))
    back = comparison.compare_runs(two, one, ("new", "old"), (4.0, 10.0))
    assert back.verdict.startswith("new is better: +") and "at 0.4 of the compute" in back.verdict
    same = comparison.compare_runs(one, one)
    assert "are equally good" in same.verdict and same.test == "They answer every row alike."
    apart = comparison.differing(one, two)
    assert len(apart[comparison.ONLY_SECOND]) == duel.better and len(apart[comparison.ONLY_FIRST]) == duel.worse
    gains = comparison.node_gains(one, two)
    assert gains.iloc[0]["gain"] == pytest.approx(difference.mean()) and gains.iloc[0]["rows"] == 800
    many = comparison.compare_many({"old": one, "new": two, "again": one})
    assert many["run"].tolist() == ["old", "new", "again"] and many["q"][1] < 0.01 < many["q"][2]


def test_runs_on_other_rows_or_labels_are_refused() -> None:
    one = random_rows("single")
    with pytest.raises(DataError, match=r"different rows .300 and 300.* Pick a file"):
        comparison.compare_runs(one, random_rows("single", seed=5))
    with pytest.raises(DataError, match="different labels: only one knows cedar, oak"):
        comparison.compare_runs(one, replace(one, labels=("ash", "birch", "oak")))
    with pytest.raises(DataError, match="different kinds of task"):
        comparison.compare_runs(one, random_rows("regression"))
    bare = replace(one, data=replace(one.data, targets=None))
    with pytest.raises(DataError, match="no labels"):
        comparison.compare_runs(bare, bare)
    numbers = random_rows("regression")
    assert "equally good" in comparison.compare_runs(numbers, numbers).verdict


def test_a_planted_gap_between_groups_is_found_and_chance_is_not() -> None:
    rng = np.random.default_rng(3)
    group, other = rng.choice(["a", "b"], 800), rng.choice(list("cdefg"), 800)
    truth = rng.integers(0, 2, 800)
    given = np.where((group == "b") & (rng.random(800) < 0.4), 0, truth)
    rows = made(np.eye(2)[given] * 0.8 + 0.1, truth, frame={"group": group, "other": other}, labels=("no", "yes"))
    found = fairness.group_rates(rows, "group", "yes")
    gaps = found.gaps.set_index("rate")
    expected = given[group == "a"].mean() - given[group == "b"].mean()
    assert gaps.loc["rate", "gap"] == pytest.approx(expected) and gaps.loc["rate", "p"] < 0.01
    assert gaps.loc["rate", "low"] < expected < gaps.loc["rate", "high"]
    assert gaps.loc["opportunity", "gap"] == pytest.approx(
        1 - given[(group == "b") & (truth == 1)].mean()) and "differ in" in found.verdict
    assert fairness.group_rates(rows, "other", "yes").verdict.startswith("No clear difference")
    bare = replace(rows, data=replace(rows.data, targets=None))
    assert fairness.group_rates(bare, "group", "yes").gaps["rate"].tolist() == ["rate"]
    with pytest.raises(DataError, match="no label 'maybe'"):
        fairness.group_rates(rows, "group", "maybe")


@pytest.mark.parametrize(("text", "swapped", "count"), [
    ("He is a nurse.", "She is a nurse.", 1),
    ("SHE saw him, and the theme", "HE saw her, and the theme", 0),
    ("her son", "him daughter", 0),
    ("no such word", "no such word", 0),
    ("he's here", "she's here", 1),
])
def test_words_are_swapped_whole_and_keep_their_case(text: str, swapped: str, count: int) -> None:
    assert fairness.swap_words(text) == (swapped, count)


def test_a_planted_lean_toward_a_word_is_found() -> None:
    texts = [f"{'He' if i % 2 else 'She'} is worker {i}" for i in range(60)] + ["nobody"]
    def answer(some: list[str]) -> np.ndarray:
        yes = np.array([0.4 if text.startswith("She") else 0.7 for text in some])
        return np.stack([1 - yes, yes], 1)

    rows = made(answer(texts), None, texts=texts, labels=("no", "yes"))
    change = fairness.swap(rows.data)
    assert len(change.rows) == 60 and set(change.toward) == {1, -1}
    after = made(answer(change.data.texts), None, texts=change.data.texts, labels=("no", "yes"))
    told = fairness.swapped(rows, after, change, "yes")
    assert told.flipped[0] == 1.0 and told.lean.value == pytest.approx(-0.3)
    assert "lower the probability of yes" in told.verdict
    same = fairness.swapped(rows, rows.at(change.rows), change, "yes")
    assert same.flipped[0] == 0 and "does not clearly lean" in same.verdict


@pytest.mark.parametrize(("text", "said"), [("he she", "not a pair"), ("", "empty"), ("he / he", "not a pair")])
def test_a_word_list_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        fairness.read_pairs(text)
    assert fairness.read_pairs("he / she\n\n Mr/Mrs ") == (("he", "she"), ("Mr", "Mrs"))


def test_residuals_are_of_numbers_only() -> None:
    rows, bins = quality.residuals(random_rows("regression"))
    assert bins["rows"].sum() == len(rows) == 300
    with pytest.raises(DataError, match="have labels"):
        quality.residuals(random_rows("single"))
