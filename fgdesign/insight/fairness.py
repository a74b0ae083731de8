"""Whether groups are answered alike: rates by a column, and what swapping words for groups changes.

Knows nothing of pictures or of where answers come from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fgdesign.data import Dataset
from fgdesign.errors import DataError, choices
from fgdesign.insight.answered_set import AnsweredSet, Model, Progress, answered
from fgdesign.insight.routes import grouped
from fgdesign.insight.statistics import Estimate, paired_bootstrap, wilson

Bools = NDArray[np.bool_]
MOST_GROUPS = 20
DRAWS = 1000
PAIRS = (("he", "she"), ("him", "her"), ("his", "her"), ("himself", "herself"), ("man", "woman"), ("men", "women"),
         ("boy", "girl"), ("father", "mother"), ("son", "daughter"), ("brother", "sister"), ("husband", "wife"),
         ("uncle", "aunt"), ("mr", "mrs"), ("male", "female"), ("king", "queen"), ("actor", "actress"))
WORD = re.compile(r"[^\W_]+", re.UNICODE)


@dataclass(frozen=True)
class Groups:
    """How groups are answered.

    table: per group rows, rate (answered `positive`; of numbers the mean) with low and high, and where labels are
    there opportunity (of the rows that are `positive`, how many are found), false_alarm, accuracy (of numbers: error,
    the mean). gaps: per rate the largest difference, its groups, 95 % interval (bootstrap) and p (groups dealt out at
    random, so that many groups are not held against a model).
    """

    column: str
    positive: str
    table: pd.DataFrame
    gaps: pd.DataFrame

    @property
    def verdict(self) -> str:
        """In a sentence."""
        clear = self.gaps[self.gaps["p"] < 0.05]
        if self.gaps.empty:
            return f"All rows have the same {self.column}, so there are no groups to compare."
        if clear.empty:
            return (f"No clear difference between groups of {self.column}: the largest gap in "
                    f"{self.gaps.iloc[0]['rate']} is {self.gaps.iloc[0]['gap']:.3g} (p {self.gaps.iloc[0]['p']:.2g}).")
        worst = clear.iloc[0]
        return (f"{worst['highest']} and {worst['lowest']} differ in {worst['rate']} by {worst['gap']:.3g}, 95 % "
                f"interval {worst['low']:.2g} to {worst['high']:.2g}, p {worst['p']:.2g}.")


def group_rates(found: AnsweredSet, column: str, positive: str = "") -> Groups:
    """Compare the groups of a column. positive: the label whose giving is compared; unused for numbers.

    Raises: DataError for an unknown column or label.
    """
    names, group = grouped(found, column, MOST_GROUPS)
    if found.task != "regression" and positive not in found.labels:
        raise DataError(f"There is no label '{positive}' to compare groups by. {choices(found.labels, positive)}")
    rates = _rates(found, positive)
    table = pd.DataFrame({"group": names, "rows": np.bincount(group, minlength=len(names))})
    gaps = []
    for name, (value, among) in rates.items():
        told = [_rate(value[mine := (group == g) & among], int(mine.sum()), share=found.task != "regression")
                for g in range(len(names))]
        table[name] = [one[0] for one in told]
        table[f"{name}_low"], table[f"{name}_high"] = [one[1] for one in told], [one[2] for one in told]
        gap = _gap(value[among], group[among], names)
        if gap is not None:
            gaps.append({"rate": name, **gap})
    order = ["rate", "gap", "low", "high", "p", "highest", "lowest"]
    return Groups(column, positive, table, pd.DataFrame(gaps, columns=order))


def _rates(found: AnsweredSet, positive: str) -> dict[str, tuple[NDArray[np.float64], Bools]]:
    """Per rate its value for each row and the rows it is of: demographic parity, equal opportunity, and the like."""
    everyone = np.ones(len(found), bool)
    if found.task == "regression":
        rates = {"mean answer": (found.outputs.astype(np.float64), everyone)}
        if found.targets is not None:
            rates["mean error"] = ((found.outputs - found.targets).astype(np.float64), everyone)
        return rates
    place = found.labels.index(positive)
    given = (found.outputs[:, place] >= found.answers.decision if found.task == "multi"
             else found.outputs.argmax(1) == place).astype(np.float64)
    rates = {"rate": (given, everyone)}
    if found.targets is not None and found.right is not None:
        true = found.targets[:, place] > 0.5 if found.task == "multi" else found.targets == place
        rates |= {"opportunity": (given, true), "false_alarm": (given, ~true),
                  "accuracy": (found.right.astype(np.float64), everyone)}
    return rates


def _rate(values: NDArray[np.float64], rows: int, *, share: bool) -> tuple[float, float, float]:
    if not rows:
        return np.nan, np.nan, np.nan
    if share:
        low, high = wilson(values.sum(), rows)
        return float(values.mean()), float(low), float(high)
    made = paired_bootstrap(values)
    return made.value, made.low, made.high


def _gap(value: NDArray[np.float64], group: NDArray[np.int64], names: Sequence[str]) -> dict[str, Any] | None:
    """The largest difference between two groups that have rows."""
    here = np.flatnonzero(np.bincount(group, minlength=len(names)))
    if len(here) < 2:
        return None
    rng = np.random.default_rng(0)
    means = _means(value, group, len(names))[here]
    first, last = here[means.argmax()], here[means.argmin()]
    seen = float(means.max() - means.min())
    chance = np.array([np.ptp(_means(rng.permutation(value), group, len(names))[here]) for _ in range(DRAWS)])
    one, other = value[group == first], value[group == last]
    drawn = np.array([rng.choice(one, len(one)).mean() - rng.choice(other, len(other)).mean() for _ in range(DRAWS)])
    low, high = np.quantile(drawn, (0.025, 0.975))
    return {"gap": seen, "low": float(low), "high": float(high),
            "p": float(((chance >= seen - 1e-12).sum() + 1) / (DRAWS + 1)), "highest": names[first],
            "lowest": names[last]}


def _means(value: NDArray[np.float64], group: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    sizes = np.bincount(group, minlength=count)
    means: NDArray[np.float64] = np.bincount(group, value, minlength=count) / np.maximum(1, sizes)
    return means


@dataclass(frozen=True)
class Swap:
    """Rows in which words of groups were exchanged. rows: (n,) places in the data; texts: (n,) the new texts.

    toward: (n,) 1 where words of the first group became the second's, -1 the other way, 0 where both were.
    """

    rows: NDArray[np.int64]
    data: Dataset
    toward: NDArray[np.int64]


@dataclass(frozen=True)
class Swapped:
    """What the swap did. table: per row both texts and answers, `change` of the probability of `positive` (or of the
    number), flipped. flipped: share of answers that changed, with low and high (95 %, Wilson). lean: mean change
    toward the second group (paired bootstrap).
    """

    positive: str
    table: pd.DataFrame
    flipped: tuple[float, float, float]
    lean: Estimate

    @property
    def verdict(self) -> str:
        """In a sentence."""
        rows = len(self.table)
        if not rows:
            return "No row has any of these words, so nothing could be swapped."
        share, low, high = self.flipped
        flips = (f"{share:.1%} of {rows:,} answers change when the words are swapped (95 % interval {low:.1%} to "
                 f"{high:.1%})")
        what = f"the probability of {self.positive}" if self.positive else "the answer"
        told = f"{self.lean.value:+.3g}, 95 % interval {self.lean.low:.2g} to {self.lean.high:.2g}"
        if not self.lean.clear:
            return f"{flips}; {what} does not clearly lean to either group ({told})."
        side = "raise" if self.lean.value > 0 else "lower"
        return f"{flips}; the second words {side} {what} by {abs(self.lean.value):.3g} on average ({told})."


def read_pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs of words from lines such as "he / she". Raises: DataError for a line that is no pair."""
    pairs = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        words = [word.strip() for word in line.split("/")]
        if len(words) != 2 or not all(WORD.fullmatch(word) for word in words) or words[0].lower() == words[1].lower():
            raise DataError(f"Line {number} of the word list, '{line.strip()}', is not a pair of different words. "
                            "Write one pair a line: he / she")
        pairs.append((words[0], words[1]))
    if not pairs:
        raise DataError("The word list is empty. Write one pair a line: he / she")
    return tuple(pairs)


def swap_words(text: str, pairs: Sequence[tuple[str, str]] = PAIRS) -> tuple[str, int]:
    """The text with each word of a pair exchanged for the other, case kept; and how many more went to the second.

    Where a word is in several pairs, the first pair counts.
    """
    to_second: dict[str, str] = {}
    to_first: dict[str, str] = {}
    for first, second in pairs:
        to_second.setdefault(first.lower(), second)
        to_first.setdefault(second.lower(), first)
    count = 0

    def other(match: re.Match[str]) -> str:
        nonlocal count
        word = match[0]
        low = word.lower()
        if low in to_second:
            count += 1
            return _cased(to_second[low], word)
        if low in to_first:
            count -= 1
            return _cased(to_first[low], word)
        return word

    return WORD.sub(other, text), count


def swap(data: Dataset, pairs: Sequence[tuple[str, str]] = PAIRS) -> Swap:
    """The rows that hold any of the words, words exchanged. Second texts are exchanged along."""
    made = [swap_words(text, pairs) for text in data.texts]
    seconds = None if data.texts_b is None else [swap_words(text, pairs) for text in data.texts_b]
    moved = np.array([made[i][0] != data.texts[i] or (seconds is not None and data.texts_b is not None
                                                      and seconds[i][0] != data.texts_b[i]) for i in range(len(data))],
                     bool)
    rows = np.flatnonzero(moved)
    new = data.subset(rows)
    texts_b = None if seconds is None else [seconds[row][0] for row in rows]
    counts = [made[row][1] + (seconds[row][1] if seconds is not None else 0) for row in rows]
    return Swap(rows, replace(new, texts=[made[row][0] for row in rows], texts_b=texts_b),
                np.sign(np.array(counts, np.int64)))


def swapped(before: AnsweredSet, after: AnsweredSet, change: Swap, positive: str = "") -> Swapped:
    """Compare answers before and after a swap.

    Args: before: all rows. after: the rows of the swap, answered. positive: the label whose probability is compared.
    Raises: DataError for an unknown label.
    """
    if before.task != "regression" and positive not in before.labels:
        raise DataError(f"There is no label '{positive}' to compare answers by. {choices(before.labels, positive)}")
    here = before.at(change.rows)
    place = None if before.task == "regression" else before.labels.index(positive)
    moved = (after.outputs - here.outputs) if place is None else after.outputs[:, place] - here.outputs[:, place]
    moved = moved.astype(np.float64)
    flips = np.abs(moved) > 0.5 * float(before.outputs.std() or 1) if place is None else \
        np.asarray(after.prediction != here.prediction, bool)
    table = pd.DataFrame({
        "row": here.data.row_numbers, "text": here.data.texts, "swapped": after.data.texts,
        "answer": here.prediction, "answer_swapped": after.prediction, "change": moved, "flipped": flips,
        "toward": change.toward})
    low, high = wilson(flips.sum(), len(flips))
    sided = change.toward != 0
    return Swapped(positive if place is not None else "", table,
                   (float(flips.mean()) if len(flips) else 0.0, float(low), float(high)),
                   paired_bootstrap((moved * change.toward)[sided]))


def swap_and_answer(model: Model, before: AnsweredSet, pairs: Sequence[tuple[str, str]] = PAIRS, positive: str = "",
                    progress: Progress | None = None) -> Swapped:
    """Exchange the words in every row that has any, answer those rows again, and compare. Raises: DataError."""
    change = swap(before.data, pairs)
    after = answered(model, change.data, progress) if len(change.rows) else before.at(np.zeros(0, np.int64))
    return swapped(before, after, change, positive)


def _cased(word: str, like: str) -> str:
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if like[:1].isupper() else word
