"""Splits: whole, stratified, without leaks, and the same for the same seed."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fgdesign.data import Dataset, Table, given_splits, join, load_dataset, read_table, split
from fgdesign.data.split_rule import SplitRule, split_rule
from fgdesign.errors import DataError


def dataset(texts: Sequence[str], cells: Sequence[str] = (), **options: Any) -> Dataset:
    """A data set of these texts and label cells; without cells, without targets."""
    columns = {"text": list(texts)} | ({"label": list(cells)} if cells else {})
    frame = pd.DataFrame(columns, dtype="str")
    table = Table(frame, np.arange(len(frame)) + 2, "utf-8", ",", (), "")
    return load_dataset(table, require_label=bool(cells), **options)


def numbered(rows: int, label: str = "") -> list[str]:
    return [f"{label} text {row}" for row in range(rows)]


def test_parts_are_whole_disjoint_and_stratified() -> None:
    data = dataset(numbered(400), ["often"] * 320 + ["seldom"] * 80)
    parts = split(data)
    assert sorted([*parts.train, *parts.valid, *parts.test]) == list(range(400))
    assert [len(parts.train), len(parts.valid), len(parts.test)] == [300, 50, 50]
    for part in (parts.train, parts.valid, parts.test):
        assert np.mean(data.targets[part]) == pytest.approx(0.2, abs=0.02)
        assert (np.diff(part) > 0).all()
    assert parts.notes == ()


def test_same_seed_same_split_other_seed_another() -> None:
    data = dataset(numbered(100), ["a", "b"] * 50)
    first, again = split(data, SplitRule(seed=1)), split(data, SplitRule(seed=1))
    other = split(data, SplitRule(seed=2))
    assert first.test.tolist() == again.test.tolist()
    assert first.test.tolist() != other.test.tolist()


def test_many_small_classes_are_all_trained_and_the_shares_hold() -> None:
    labels = [f"class {row % 60}" for row in range(360)]
    data = dataset(numbered(360), labels)
    parts = split(data)
    assert len(parts.valid) == pytest.approx(45, abs=2)
    assert len(parts.test) == pytest.approx(45, abs=2)
    assert set(data.targets[parts.train]) == set(range(60))


@pytest.mark.parametrize("copies", [2, 5, 40])
def test_equal_texts_stay_together(copies: int) -> None:
    texts = [f"Text {row // copies}" if row % 2 else f"text   {row // copies} " for row in range(200)]
    data = dataset(texts, ["a", "b"] * 100)
    parts = split(data)
    keys = [{row // copies for row in part} for part in (parts.train, parts.valid, parts.test)]
    assert keys[0].isdisjoint(keys[1] | keys[2])
    assert keys[1].isdisjoint(keys[2])
    assert any("repeat the text of another" in note for note in parts.notes)
    assert len(parts.train) < 200


def test_rare_classes_are_only_trained_and_noted() -> None:
    data = dataset(numbered(43), ["a"] * 20 + ["b"] * 20 + ["rare", "rare", "single"])
    parts = split(data)
    assert {40, 41, 42} <= set(parts.train)
    assert (
        "2 labels with fewer than 3 rows ('rare', 'single'): those rows are all in the training part."
        in parts.notes
    )


def test_multi_label_rows_are_stratified_by_their_rarest_label() -> None:
    labels = [
        "common|rare" if row % 10 == 0 else "common|other" if row % 2 else "common" for row in range(400)
    ]
    data = dataset(numbered(400), labels)
    rare = data.labels.index("rare")
    for part in (split(data).valid, split(data).test):
        assert data.targets[part, rare].mean() == pytest.approx(0.1, abs=0.03)


def test_regression_parts_cover_the_range() -> None:
    data = dataset(numbered(400), [f"{row / 7:.3f}" for row in range(400)])
    parts = split(data)
    for part in (parts.valid, parts.test):
        assert data.targets[part].mean() == pytest.approx(data.targets.mean(), rel=0.06)
        assert np.quantile(data.targets[part], 0.1) < 8
        assert np.quantile(data.targets[part], 0.9) > 49


@pytest.mark.parametrize(
    ("labels", "sizes"),
    [
        (["a", "b"], [2, 0, 0]),
        (["a", "a", "a", "b", "b", "b"], [4, 1, 1]),
        (["a", "a", "a", "b"], [2, 1, 1]),
    ],
)
def test_tiny_data_keeps_training_rows_first(labels: list[str], sizes: list[int]) -> None:
    parts = split(dataset(numbered(len(labels)), labels))
    assert [len(parts.train), len(parts.valid), len(parts.test)] == sizes
    assert any("too few rows" in note for note in parts.notes) == (0 in sizes)


def test_rows_without_targets_can_be_split() -> None:
    parts = split(dataset(numbered(80)))
    assert [len(parts.train), len(parts.valid), len(parts.test)] == [60, 10, 10]


def test_a_share_of_nothing_leaves_the_part_empty() -> None:
    parts = split(dataset(numbered(40), ["a", "b"] * 20), SplitRule(test=0.0))
    assert [len(parts.train), len(parts.valid), len(parts.test)] == [35, 5, 0]
    assert parts.notes == ()


@pytest.mark.parametrize(("valid", "test"), [(0.5, 0.5), (-0.1, 0.1), (0.0, 1.0), (float("nan"), 0.1)])
def test_impossible_shares_are_refused(valid: float, test: float) -> None:
    with pytest.raises(DataError, match="Choose shares from 0 on whose sum is below 1"):
        split(dataset(numbered(10), ["a", "b"] * 5), SplitRule(valid=valid, test=test))


def test_given_files_keep_their_rows() -> None:
    train = dataset(numbered(40, "train"), ["a", "b"] * 20)
    valid = dataset(numbered(6, "valid"), ["a", "b"] * 3, labels=train.labels)
    test = dataset(numbered(4, "test"), ["b", "b", "a", "b"], labels=train.labels)
    whole, parts = given_splits(train, valid, test)
    assert [len(whole), len(parts.train), len(parts.valid), len(parts.test)] == [50, 40, 6, 4]
    assert [whole.texts[row] for row in parts.valid] == valid.texts
    assert [whole.texts[row] for row in parts.test] == test.texts
    assert whole.targets[parts.test].tolist() == [1, 1, 0, 1]


def test_a_missing_validation_file_is_taken_from_training() -> None:
    train = dataset(numbered(40, "train"), ["a", "b"] * 20)
    test = dataset(numbered(4, "test"), ["b", "b", "a", "b"], labels=train.labels)
    whole, parts = given_splits(train, None, test)
    assert [len(parts.train), len(parts.valid), len(parts.test)] == [35, 5, 4]
    assert all(whole.texts[row].startswith("test") for row in parts.test)
    _, parts = given_splits(train, test, None)
    assert [len(parts.train), len(parts.valid), len(parts.test)] == [40, 4, 0]
    _, parts = given_splits(train)
    assert [len(parts.train), len(parts.valid), len(parts.test)] == [30, 5, 5]


def test_texts_in_two_files_are_noted() -> None:
    train = dataset(numbered(10, "a"), ["a", "b"] * 5)
    test = dataset([" A text  3", "another"], ["b", "a"], labels=train.labels)
    _, parts = given_splits(train, None, test)
    assert "1 text of the training file is also in the test file." in parts.notes


def test_files_of_different_labels_do_not_join() -> None:
    first, second = dataset(numbered(4), ["a", "b"] * 2), dataset(numbered(4), ["a", "c"] * 2)
    with pytest.raises(
        DataError, match=r"different tasks or labels: single with 2 labels, single with 2 labels"
    ):
        join([first, second])


def with_column(name: str, cells: list[str], texts: list[str] | None = None) -> Dataset:
    """Rows of two labels with one more column."""
    rows = len(cells)
    frame = pd.DataFrame(
        {"text": texts or numbered(rows), "label": (["a", "b"] * rows)[:rows], name: cells}, dtype="str"
    )
    return load_dataset(Table(frame, np.arange(rows) + 2, "utf-8", ",", (), ""), text="text", label="label")


def test_a_group_is_never_in_two_parts() -> None:
    cells = [f"customer {row // 5}" for row in range(200)]
    texts = numbered(200)
    texts[7] = texts[190]  # so that the groups 1 and 38 hang together
    parts = split(with_column("customer", cells, texts), split_rule("group=customer,seed=3"))
    assert sorted([*parts.train, *parts.valid, *parts.test]) == list(range(200))
    assert min(len(parts.valid), len(parts.test)) >= 10
    where = {row: name for name in ("train", "valid", "test") for row in getattr(parts, name).tolist()}
    for group in range(40):
        assert len({where[row] for row in range(5 * group, 5 * group + 5)}) == 1
    assert where[7] == where[190]


@pytest.mark.parametrize("form", ["{}", "2024-01-{:02d}", "2024-01-{:02d}T10:00:00+02:00"])
def test_by_time_the_newest_rows_test(form: str) -> None:
    days = np.random.default_rng(0).permutation(np.arange(40) % 20 + 1)
    parts = split(with_column("day", [form.format(day) for day in days]), split_rule("time=day,valid=0.2,test=0.1"))
    assert (len(parts.train), len(parts.valid), len(parts.test)) == (28, 8, 4)
    assert days[parts.train].max() < days[parts.valid].min() and days[parts.valid].max() < days[parts.test].min()


def test_rows_without_a_time_are_trained_on_and_later_copies_are_told() -> None:
    texts = numbered(30)
    texts[29] = texts[0]
    parts = split(with_column("day", ["", *map(str, range(1, 30))], texts), split_rule("time=day"))
    assert 0 in parts.train and 29 in parts.test
    assert parts.notes == (
        "1 row without a time in 'day'; they are trained on.",
        "1 text of the training part is also in a later part.",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [("", ""), ("test=0.2", "test=0.2"), ("valid=.125,seed=4", "seed=4"), ("group=a,b", "group=a,b"),
     ("time=when, test=0", "test=0,time=when")],
)  # fmt: skip
def test_a_rule_is_a_line_of_text(text: str, said: str) -> None:
    assert str(split_rule(text)) == said and split_rule(said) == split_rule(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tset=0.2", "Did you mean test"),
        ("test=much", "The test of a split is a number, not 'much'"),
        ("seed=-1", "The seed -1 is below 0"),
        ("test=0.9,valid=0.2", "Choose shares from 0 on"),
        ("group=a,time=b", "by group or by time, not by both"),
        ("group=lable", "There is no column 'lable' to split by"),
        ("group=label", "has fewer than 3 groups"),
        ("time=text", "holds no times"),
        ("time=same", "too few different times"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        split(with_column("same", ["3"] * 20), split_rule(text))


def test_a_part_without_rows_of_a_label_is_told() -> None:
    days = with_column("day", [f"{row:02d}" for row in range(40)], numbered(40))
    assert not any("no row of" in note for note in split(days, split_rule("time=day")).notes)
    labels = ["old"] * 30 + ["new"] * 10
    table = read_table(io.BytesIO("".join(
        f"{row}\n" for row in ["text,label,day", *(f"text {n},{label},{n}" for n, label in enumerate(labels))]
    ).encode()))  # fmt: skip
    notes = split(load_dataset(table, text="text", label="label"), split_rule("time=day,valid=0.1,test=0.1")).notes
    assert notes == (
        "The validation part has no row of 1 label ('old'). Try another seed or column, or larger shares.",
        "The test part has no row of 1 label ('old'). Try another seed or column, or larger shares.",
    )
