"""Which columns hold the text, a second text and the label. Knows names and cells, nothing of tasks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from fgdesign.data.table import Table, count
from fgdesign.data.task import numbers
from fgdesign.errors import DataError, choices

TEXT_NAMES = (
    "text", "sentence", "review", "question", "query", "utterance", "message", "body", "content", "comment",
    "tweet", "post", "document", "description", "headline", "title", "ticket", "email", "abstract",
    "feedback", "input", "prompt", "sms", "phrase", "premise", "summary", "subject",
    "文本", "内容", "评论", "句子",
)  # fmt: skip
LABEL_NAMES = (
    "label", "labels", "category", "class", "intent", "sentiment", "target", "score", "rating", "topic",
    "tag", "tags", "emotion", "polarity", "stars", "type", "genre", "priority", "similarity", "gold",
    "answer", "y", "output", "标签", "类别", "情感", "分类",
)  # fmt: skip
PAIRS = (
    ("text", "text_b"), ("text_a", "text_b"), ("text1", "text2"), ("sentence1", "sentence2"),
    ("sentence_a", "sentence_b"), ("question1", "question2"), ("premise", "hypothesis"),
    ("question", "context"), ("question", "passage"), ("question", "sentence"), ("query", "passage"),
    ("query", "document"),
)  # fmt: skip
NOT_TEXT = frozenset(
    ("id", "ids", "date", "time", "length", "count", "len", "url", "lang", "language", "number", "no", "by")
)
LOOK_AT = 2000  # rows that a guess reads


@dataclass(frozen=True)
class Columns:
    """The chosen column names; `reasons` has a sentence for each choice that was a guess."""

    text: str
    text_b: str | None
    label: str | None
    reasons: tuple[str, ...]


def choose_columns(
    table: Table,
    *,
    text: str | None = None,
    text_b: str | None = None,
    label: str | None = None,
    columns: Sequence[str] = (),
) -> Columns:
    """Name the columns, guessing what is not given: known names first, then what the cells look like.

    Args:
        table: what was read.
        text: the column that holds the text.
        text_b: the column of the second text of a pair.
        label: the column that holds the label.
        columns: other columns that must be there (a rule reads them); they are never guessed as label.

    Raises:
        DataError: a named column is absent, two roles share a column, or no column can hold text.
    """
    frame = table.frame
    for name in (text, text_b, label, *columns):
        if name is not None:
            require_column(frame, name)
    reasons: list[str] = []
    if text is None:
        free = [name for name in map(str, frame.columns) if name not in (text_b, label, *columns)]
        text, text_b_guess, reason = _guess_text(frame, free, pair=text_b is None)
        text_b = text_b or text_b_guess
        reasons.append(reason)
    if label is None:
        free = [name for name in map(str, frame.columns) if name not in (text, text_b, *columns)]
        label, reason = _guess_label(frame, free)
        reasons += [reason] if reason else []
    _check_roles(text, text_b, label)
    return Columns(text, text_b, label, tuple(reasons))


def require_column(frame: pd.DataFrame, name: str) -> None:
    """Raise DataError, listing the columns there are, when `name` is not one of them."""
    if name not in frame:
        raise DataError(f"There is no column '{name}'. {choices(map(str, frame.columns), name)}")


def _check_roles(text: str, text_b: str | None, label: str | None) -> None:
    for first, second, name in (("text", "label", label), ("text", "second text", text_b)):
        if name == text:
            raise DataError(
                f"Column '{name}' is named as {first} and as {second}: each needs a column of its own. "
                f"Name another column for the {second}."
            )
    if label is not None and label == text_b:
        raise DataError(
            f"Column '{label}' is named as second text and as label: each needs a column of its own. "
            "Name another column for the label."
        )


def _guess_text(frame: pd.DataFrame, free: list[str], *, pair: bool) -> tuple[str, str | None, str]:
    """(text, second text or None, reason)."""
    names = {plain_name(name): name for name in reversed(free)}
    for first, second in PAIRS if pair else ():
        if first in names and second in names:
            found = names[first], names[second]
            return *found, f"'{found[0]}' and '{found[1]}' are read as a pair of texts, by their names."
    lengths = {name: _mean_length(frame[name]) for name in free if not _numeric(frame[name])}
    lengths = {name: length for name, length in lengths.items() if length > 0}
    known = _known(lengths, TEXT_NAMES)
    if known is not None:
        return known, None, f"'{known}' is read as the text, by its name."
    longest = max(lengths, key=lambda name: lengths[name], default=None)
    if longest is None:
        raise DataError(
            "No column seems to hold text: all are empty or numbers, or have another use. "
            f"Name the text column. {choices(map(str, frame.columns))}"
        )
    reason = (
        f"'{longest}' is read as the text: its cells are the longest ({lengths[longest]:.0f} characters)."
    )
    return longest, None, reason


def _guess_label(frame: pd.DataFrame, free: list[str]) -> tuple[str | None, str]:
    """(label or None, reason)."""
    filled = [name for name in free if _sample(frame[name]).str.strip().any()]
    known = _known(filled, LABEL_NAMES)
    if known is not None:
        return known, f"'{known}' is read as the label, by its name."
    kinds = {name: int(_sample(frame[name]).nunique()) for name in filled}
    rows = min(len(frame), LOOK_AT)
    few = {name: number for name, number in kinds.items() if 2 <= number <= max(2, rows // 2)}
    if not few:
        decimal = next((name for name in filled if _numeric(frame[name], decimals=True)), None)
        if decimal:
            return decimal, f"'{decimal}' is read as the label: it has numbers with decimals."
        empty = next((name for name in free if name not in filled and plain_name(name) in LABEL_NAMES), None)
        return empty, f"'{empty}' is read as the label, by its name; it is empty." if empty else ""
    label = min(few, key=lambda name: few[name])
    return label, f"'{label}' is read as the label: it has the fewest values ({count(few[label], 'value')})."


def _known(names: Iterable[str], known: Sequence[str]) -> str | None:
    """The name that stands first in `known`, else one that has such a word in it ("review_text")."""
    by_plain = {plain_name(name): name for name in reversed(list(names))}
    for word in known:
        if word in by_plain:
            return by_plain[word]
    for word in known:
        for plain, name in by_plain.items():
            parts = plain.split("_")
            if word in parts and not NOT_TEXT.intersection(parts):
                return name
    return None


def plain_name(name: str) -> str:
    """ "Review Text", "reviewText" and "review-text" are all "review_text"."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(name).strip())
    return re.sub(r"[\W_]+", "_", spaced).strip("_").lower()


def has_known_name(name: str) -> bool:
    """Whether a column is called as labels usually are."""
    return _known([name], LABEL_NAMES) is not None


def _sample(column: pd.Series) -> pd.Series:
    """At most LOOK_AT rows, spread evenly: files are often sorted."""
    return column.iloc[:: max(1, -(-len(column) // LOOK_AT))]


def _mean_length(column: pd.Series) -> float:
    return float(_sample(column).str.strip().str.len().mean())


def _numeric(column: pd.Series, *, decimals: bool = False) -> bool:
    """Whether all cells are numbers, and some with decimals if that is asked."""
    values = numbers([cell for cell in _sample(column).str.strip().tolist() if cell])
    return values is not None and not (decimals and (values % 1 == 0).all())
