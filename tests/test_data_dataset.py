"""Columns, tasks and data sets: what is guessed, what is left out, what is refused."""

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fgdesign.data import Dataset, Table, choose_columns, detect_task, load_dataset
from fgdesign.errors import DataError


def table(**columns: list[str]) -> Table:
    frame = pd.DataFrame(columns, dtype="str")
    return Table(frame, np.arange(len(frame)) + 2, "utf-8", ",", (), "")


def load(cells: list[str], texts: list[str] | None = None, **options: Any) -> Dataset:
    """A data set of these label cells."""
    texts = texts or [f"text {row}" for row in range(len(cells))]
    return load_dataset(table(text=texts, label=cells), **options)


SENTENCES = ["a first long sentence", "the second one", "something else", "and one more"]
WORDS = ["yes", "no", "yes", "no"]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (("text", "label"), ("text", None, "label")),
        (("label", "text"), ("text", None, "label")),
        (("Review Text", "Sentiment"), ("Review Text", None, "Sentiment")),
        (("tweetText", "class"), ("tweetText", None, "class")),
        (("文本", "标签"), ("文本", None, "标签")),
        (("content", "user_sentiment"), ("content", None, "user_sentiment")),
        (("body", "text_id"), ("body", None, "text_id")),
        (("foo", "bar"), ("foo", None, "bar")),
        (("premise", "hypothesis", "label"), ("premise", "hypothesis", "label")),
        (("sentence1", "sentence2", "score"), ("sentence1", "sentence2", "score")),
        (("Text", "Text_B", "Target"), ("Text", "Text_B", "Target")),
        (("question", "context", "y"), ("question", "context", "y")),
    ],
)
def test_columns_are_guessed_by_name(columns: tuple[str, ...], expected: tuple[str | None, ...]) -> None:
    is_label = set(columns[-1:]) if expected[1] or columns[0] != "label" else {"label"}
    cells = {name: WORDS if name in is_label else SENTENCES for name in columns}
    chosen = choose_columns(table(**cells))
    assert (chosen.text, chosen.text_b, chosen.label) == expected
    assert len(chosen.reasons) == 2


def test_columns_are_guessed_by_cells() -> None:
    cells = table(
        number=["1", "2", "3", "4"],
        key=["a1", "b2", "c3", "d4"],
        said=SENTENCES,
        short=["x", "y", "z", "x"],
        kind=["p", "q", "p", "q"],
        empty=[""] * 4,
    )
    chosen = choose_columns(cells)
    assert (chosen.text, chosen.label) == ("said", "kind")
    assert chosen.reasons == (
        "'said' is read as the text: its cells are the longest (15 characters).",
        "'kind' is read as the label: it has the fewest values (2 values).",
    )


def test_numbers_with_decimals_are_a_label() -> None:
    numbers = ["1,25", "3,5", "0,75", "2"]
    chosen = choose_columns(table(id=["1", "2", "3", "4"], said=SENTENCES, mark=numbers))
    assert chosen.label == "mark"
    assert choose_columns(table(id=["1", "2", "3", "4"], said=SENTENCES)).label is None


def test_an_empty_column_is_not_taken_for_its_name() -> None:
    chosen = choose_columns(table(text=[""] * 4, said=SENTENCES, label=[""] * 4, kind=WORDS))
    assert (chosen.text, chosen.label) == ("said", "kind")


def test_named_columns_win_and_other_columns_are_not_taken_for_labels() -> None:
    cells = table(text=SENTENCES, other=SENTENCES, channel=["web", "app", "web", "app"], label=WORDS)
    chosen = choose_columns(cells, text="other", columns=["channel"])
    assert (chosen.text, chosen.text_b, chosen.label) == ("other", None, "label")
    assert choose_columns(table(text=SENTENCES, channel=WORDS), columns=["channel"]).label is None


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"text": "txet"}, r"no column 'txet'\. Did you mean text\? Choices: label, text\."),
        ({"label": "klass"}, r"no column 'klass'\. Choices: label, text\."),
        ({"columns": ["channel"]}, r"no column 'channel'"),
        ({"text": "text", "label": "text"}, r"'text' is named as text and as label"),
        ({"text": "text", "text_b": "text"}, r"'text' is named as text and as second text"),
        (
            {"text": "text", "text_b": "label", "label": "label"},
            r"'label' is named as second text and as label",
        ),
    ],
)
def test_wrong_columns_are_named(named: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        choose_columns(table(text=SENTENCES, label=WORDS), **named)


def test_numbers_alone_hold_no_text() -> None:
    with pytest.raises(DataError, match="No column seems to hold text"):
        choose_columns(table(a=["1", "2"], b=["3.5", "4"]))


@pytest.mark.parametrize(
    ("cells", "kind", "labels"),
    [
        (["ham", "spam", "ham"], "single", ("ham", "spam")),
        (["1", "10", "2"] * 5, "single", ("1", "2", "10")),
        (["0.0", "1.0"] * 5, "single", ("0.0", "1.0")),
        ([str(number) for number in range(20)], "single", tuple(map(str, range(20)))),
        ([str(number) for number in range(21)], "regression", ()),
        (["0.5", "1.5"] * 10, "single", ("0.5", "1.5")),
        (["2.5", "3.25", "1e1"], "regression", ()),
        ([f"{number / 10}" for number in range(11)] * 9, "regression", ()),
        (["3,5", "4,25", "1"], "regression", ()),
        (["1,000", "2,000"], "single", ("1,000", "2,000")),
        (["nan", "", "1.5", "2.5", "N/A"], "regression", ()),
        (["joy|fear", "joy", "fear", "anger", "anger"], "multi", ("anger", "fear", "joy")),
        (["a|b", *["c"] * 99], "single", ("a|b", "c")),
        (["x|y", "p|q", "r", "s"], "single", ("p|q", "r", "s", "x|y")),
        (["a | b", "a", "b|", "b"], "multi", ("a", "b")),
    ],
)
def test_tasks_are_detected(cells: list[str], kind: str, labels: tuple[str, ...]) -> None:
    task = detect_task(cells)
    assert (task.kind, task.labels) == (kind, labels)
    assert "choose task '" in task.reason


def test_single_targets_follow_the_order_of_the_labels() -> None:
    data = load([" spam ", "ham", "spam"])
    assert data.labels == ("ham", "spam")
    assert data.targets is not None
    assert (data.targets.dtype, data.targets.tolist()) == (np.int64, [1, 0, 1])
    assert len(data) == 3
    assert data.row_numbers.tolist() == [2, 3, 4]


def test_multi_targets_are_zeros_and_ones() -> None:
    data = load(["joy|fear", "joy", "fear|fear", "joy| anger"], task="multi")
    assert data.labels == ("anger", "fear", "joy")
    assert data.targets is not None
    assert data.targets.dtype == np.float32
    assert data.targets.tolist() == [[0, 1, 1], [0, 0, 1], [0, 1, 0], [1, 0, 1]]


def test_regression_targets_are_numbers() -> None:
    data = load(["1", "2.5", "-3"], task="regression")
    assert data.labels == ()
    assert data.targets is not None
    assert (data.targets.dtype, data.targets.tolist()) == (np.float32, [1, 2.5, -3])


def test_rows_that_cannot_be_used_are_left_out_and_noted() -> None:
    texts = ["one", "", "three", " \u200b\ufeff", "five", "six"]
    data = load(["a", "b", "nan", "a", "b", ""], texts)
    assert data.texts == ["one", "five"]
    assert data.row_numbers.tolist() == [2, 6]
    assert data.frame["label"].tolist() == ["a", "b"]
    assert "2 rows have an empty text (first: row 3); they are left out." in data.notes
    assert "2 rows have no label (first: row 4; written as nan); they are left out." in data.notes


def test_none_is_a_label_unless_the_column_has_gaps() -> None:
    assert load(["None", "mild", "None", "mild"]).labels == ("None", "mild")
    assert load(["None", "mild", "", "severe"]).labels == ("mild", "severe")
    known = load(["None", "mild", "", "severe"], labels=("None", "mild"), task="single")
    assert known.texts == ["text 0", "text 1"]


def test_labels_that_look_alike_are_noted_not_merged() -> None:
    data = load(["ham", "Ham", "new  york", "New York", "caf\u00e9", "cafe\u0301"])
    assert len(data.labels) == 6
    note = next(note for note in data.notes if "look alike" in note)
    assert "'Ham', 'ham'; 'New York', 'new york'" in note


def test_whole_numbers_lose_their_point_zero() -> None:
    data = load(["0.0", "1.0", "1", "0"])
    assert data.labels == ("0", "1")
    assert "Labels that are whole numbers are written without '.0': '0.0' is '0'." in data.notes
    assert load(["1.0", "2.5", "1.0", "2.5"]).labels == ("1.0", "2.5")
    known = load(["1.0", "0"], labels=("0", "1"), task="single")
    assert known.targets is not None
    assert known.targets.tolist() == [1, 0]


def test_known_labels_are_reused_and_others_left_out() -> None:
    data = load(["b", "c", "b", "d"], labels=("a", "b"), task="single")
    assert data.targets is not None
    assert data.targets.tolist() == [1, 1]
    assert data.labels == ("a", "b")
    assert "2 rows have a label that is not known (first: row 3, 'c'); they are left out." in data.notes
    several = load(["b|c", "c", "a"], labels=("a", "b"))
    assert several.task.kind == "multi"
    assert several.targets is not None
    assert several.targets.tolist() == [[0, 1], [1, 0]]


def test_one_row_is_enough_when_the_labels_are_known() -> None:
    assert len(load(["b"], labels=("a", "b"))) == 1
    assert load(["1.5"], labels=(), task="regression").labels == ()


@pytest.mark.parametrize(
    ("cells", "options", "message"),
    [
        (["a", "a", "a"], {}, r"Every label in column 'label' is 'a'; .* at least 2 different labels"),
        (
            ["a", "1", ""],
            {"task": "regression"},
            r"Row 2 has 'a' in label column 'label', which is no number",
        ),
        (["1.5", "2", "n/k"], {"task": "regression"}, r"Row 4 has 'n/k' .* choose task 'single'"),
        (["", "", ""], {"label": "label"}, "Column 'label' has no label in any row"),
        (["x", "y", "x"], {"labels": ("a", "b"), "task": "single"}, r"row 2 has 'x'\. Choices: a, b\."),
        ([f"id{row}" for row in range(30)], {}, "no two rows share one, so nothing can be learnt"),
        (["1.5", "", ""], {}, "Only 1 row has a text and a label"),
        (["a", "b", "a"], {"task": "singel"}, r"no task 'singel'\. Did you mean single\?"),
        (["a", "b", "a"], {"text": "text", "label": "text"}, "as text and as label"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(
    cells: list[str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load(cells, **options)


def test_texts_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(DataError, match="Column 'text' has no text in any row"):
        load(["a", "b"], [" ", "\u200b"], text="text")
    with pytest.raises(DataError, match=r"No column seems to hold labels\. .* Choices: note\."):
        load_dataset(table(text=SENTENCES, note=["a", "b", "c", "d"]))


def test_texts_without_labels_for_a_prediction() -> None:
    data = load(["a", "", "b"], require_label=False, labels=("a", "b"), task="single")
    assert data.targets is None
    assert len(data) == 3
    assert data.labels == ("a", "b")
    assert load(["a", "", "b"], require_label=False, label="label").targets is not None


def test_pairs_keep_rows_whose_second_text_is_empty() -> None:
    cells = table(premise=SENTENCES, hypothesis=["x", "", "y", "z"], label=WORDS)
    data = load_dataset(cells)
    assert data.texts_b == ["x", "", "y", "z"]
    assert any("1 row without a second text" in note for note in data.notes)


def test_subset_takes_rows_in_order_by_number_or_mask() -> None:
    data = load_dataset(table(text=SENTENCES, text_b=SENTENCES, label=WORDS))
    part = data.subset([2, 0])
    assert part.texts == part.texts_b == [SENTENCES[2], SENTENCES[0]]
    assert part.row_numbers.tolist() == [4, 2]
    assert part.frame.index.tolist() == [0, 1]
    assert data.subset(np.array([True, False, False, True])).texts == [SENTENCES[0], SENTENCES[3]]
    assert len(data.subset([])) == 0


def test_hash_is_of_what_is_learnt_from() -> None:
    first = load(["a", "b"], ["one", "two"])
    other_columns = load_dataset(table(extra=["x", "y"], text=["one", "two"], label=["a", "b"]))
    assert first.sha256 == other_columns.sha256
    changed = [
        load(["b", "a"], ["one", "two"]),
        load(["a", "b"], ["one", "too"]),
        load(["a", "c"], ["one", "two"]),
    ]
    assert len({first.sha256, *(data.sha256 for data in changed)}) == 4


def test_a_file_is_read_on_the_way() -> None:
    data = load_dataset(io.BytesIO(b"text;label\ngood;1\nbad;0\nfine;1\n"))
    assert data.labels == ("0", "1")
    assert data.notes[0] == "Read as utf-8, separated by ';'."
