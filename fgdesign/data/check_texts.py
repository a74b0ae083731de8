"""What may be wrong with texts: empty, too long, repeated, in conflict, of several scripts, with the answer in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fgdesign.data import alike
from fgdesign.data.alike import Mask
from fgdesign.data.case import Case
from fgdesign.data.clean import has_hidden, has_markup, one_of
from fgdesign.data.findings import Finding, about_rows, with_ways
from fgdesign.data.languages import NAMES, SCRIPTS, language_of_rows, other_language, other_script, script_of_rows
from fgdesign.data.lengths import about_tokens
from fgdesign.data.letters import LOST
from fgdesign.data.repair import WORDS, Repair
from fgdesign.data.table import count, short
from fgdesign.data.take_out import label_words, without_labels

UNCLEAN = 0.05  # share of texts with tags or hidden signs from which on it is more than a note
LONG_SHARE = 0.05  # of texts above the limit from which on it is more than a note
MIXED_SHARE = 0.005  # of rows in another script from which on scripts are mixed
SET_APART = 3  # scripts, of which a button keeps one
MIXED_LANGUAGES = 0.03  # of the texts whose language shows, from which on languages are mixed
MOST_LABELS = 5_000  # that a recipe names
TOLD_SHARE = 0.9  # of texts that have their own label in them


def check_texts(case: Case) -> Iterator[Finding]:
    """Findings about the text columns."""
    text = case.columns.text
    without = ~case.has_text
    if without.all():
        yield about_rows(
            case.table, without, "no_texts", "error",
            f"No row has a text in '{text}'. Name the column that holds texts.", text,
        )  # fmt: skip
        return
    if without.any():
        yield about_rows(
            case.table, without, "empty_texts", "warning",
            "{rows} {has/have} an empty text ({first}); {it is/they are} left out. Drop {it/them}.",
            text, Repair("drop_rows", (text,), "empty_text"),
        )  # fmt: skip
    yield from _encoded_twice(case, text)
    yield from _lost(case, text)
    yield from _unclean(case, text)
    scripts = script_of_rows(case.texts)
    yield from _length(case, text, scripts)
    yield from _scripts(case, text, scripts)
    yield from _languages(case, text)
    yield from _repeated(case, text)
    yield from _told(case, text)


def _encoded_twice(case: Case, text: str) -> Iterator[Finding]:
    """Texts with letters such as "Ã©", which were UTF-8 once."""
    cells = case.texts
    found = np.fromiter((not cell.isascii() and alike.meant(cell) != cell for cell in cells), bool, len(cells))
    if found.any():
        cell = case.texts[int(np.flatnonzero(found)[0])]
        spoilt = next(word for word in cell.split(" ") if not word.isascii())
        yield about_rows(
            case.table, found, "double_encoding", "warning",
            f"{{rows}} {{was/were}} saved in a wrong encoding before ({{first}}): '{short(spoilt)}' was "
            f"'{short(alike.meant(spoilt))}'. Read the letters as they were meant.", text,
            Repair("mend_encoding", case.text_columns),
        )  # fmt: skip


def _lost(case: Case, text: str) -> Iterator[Finding]:
    """Texts in which a program before has put a sign for letters it could not write."""
    found = np.fromiter((LOST in cell for cell in case.texts), bool, len(case.texts))
    found &= ~np.isin(case.table.row_numbers, case.table.marks.get("bad_bytes", ()))
    if found.any():
        yield about_rows(
            case.table, found, "lost_letters", "warning",
            f"{{rows}} {{has/have}} letters that were lost when the text was saved before: '{LOST}' stands for them "
            "({first}). Take the file as it was before that, or drop the rows.", text,
            None if found.all() else Repair("drop_rows", (text,), "lost_letters"),
        )  # fmt: skip


def _unclean(case: Case, text: str) -> Iterator[Finding]:
    """Texts with what a page or a program has left in them."""
    for rule, code, test, what in (
        ("markup", "markup", has_markup, "tags or entities of HTML in the text"),
        ("hidden", "hidden_signs", has_hidden, "signs in the text that nobody sees"),
    ):
        found = np.fromiter(map(test, case.texts), bool, len(case.texts))
        if found.any():
            what += f", such as '{short(one_of(case.texts[int(np.flatnonzero(found)[0])]))}'"
            yield about_rows(
                case.table, found, code, "warning" if found.mean() > UNCLEAN else "note",
                f"{{rows}} {{has/have}} {what} ({{first}}). Take them out, unless they mean something.", text,
                Repair("clean_texts", case.text_columns, rule),
            )  # fmt: skip


def _length(case: Case, text: str, scripts: NDArray[np.int8]) -> Iterator[Finding]:
    if case.lengths is not None:
        long = case.lengths > case.limit
        unit = f"{case.limit} tokens, the most the graph reads"
    else:
        long = about_tokens(case.texts, scripts) > case.limit
        unit = f"about {case.limit} tokens (counted by words), the most a graph usually reads"
    if long.any():
        by = WORDS if case.counter is None else case.counter.name
        yield about_rows(
            case.table, long, "long_texts", "warning" if long.mean() > LONG_SHARE else "note",
            f"{{rows}} ({long.mean():.1%}) {{has a text/have texts}} of more than {unit} ({{first}}); the rest is cut "
            "off. Raise the text node's maximum length, shorten {it/them}, or leave {it/them} out.", text,
            Repair("drop_long", (text,), most=case.limit, by=by) if by and not long.all() else None,
        )  # fmt: skip


def _scripts(case: Case, text: str, scripts: NDArray[np.int8]) -> Iterator[Finding]:
    known = scripts[scripts >= 0]
    if not len(known):
        return
    sizes = np.bincount(known, minlength=len(SCRIPTS))
    drop = Repair("drop_rows", (text,), "other_script")
    rare, shown = other_script(scripts), _largest([name for name, *_ in SCRIPTS], sizes)
    if rare.mean() > MIXED_SHARE:
        found = about_rows(
            case.table, rare, "script_mix", "note",
            f"Texts are of several scripts: {shown}. {{rows}} {{differs/differ}} from the most ({{first}}). Choose a "
            "backbone that knows all of them, let a rule router tell them apart, or drop the others.", text,
        )  # fmt: skip
        minor = [place for place in np.argsort(-sizes, kind="stable")[1:SET_APART].tolist() if sizes[place]]
        apart = [Repair("keep_script", (text,), SCRIPTS[place][0].lower()) for place in minor]
        yield with_ways(found, [drop, *apart])
    elif SCRIPTS[int(sizes.argmax())][0] != "Latin":
        script = SCRIPTS[int(sizes.argmax())][0]
        yield Finding(
            "script", "note", f"Texts are in {script} script, which the default backbone hardly knows. "
            f"Choose a backbone for this language{', or drop the few rows of others' if rare.any() else ''}.", text,
            repair=drop if rare.any() else None,
        )  # fmt: skip


def _largest(names: Sequence[str], sizes: NDArray[np.int64]) -> str:
    places = [place for place in np.argsort(-sizes, kind="stable")[:4].tolist() if sizes[place]]
    return ", ".join(f"{names[place]} {count(int(sizes[place]), 'row')}" for place in places)


def _languages(case: Case, text: str) -> Iterator[Finding]:
    """Texts of another language than most, among rows spread evenly."""
    rows = case.some
    languages = language_of_rows([case.texts[row] for row in rows])
    others, known = other_language(languages), languages[languages >= 0]
    if others.sum() <= MIXED_LANGUAGES * len(known):
        return
    found = np.zeros(len(case.texts), bool)
    found[rows[others]] = True
    looked = f" among {count(len(rows), 'row')} looked at" if len(rows) < len(case.texts) else ""
    shown = _largest(NAMES, np.bincount(known, minlength=len(NAMES)))
    yield about_rows(
        case.table, found, "language_mix", "note",
        f"Texts seem to be of several languages{looked}, by their small words: {shown}. {{rows}} {{differs/differ}} "
        "from the most ({first}). Choose a backbone that knows all of them, or drop the others.", text,
        Repair("drop_rows", (text,), "other_language"),
    )  # fmt: skip


def _repeated(case: Case, text: str) -> Iterator[Finding]:
    """Duplicates of text and label, texts with several labels, texts alike but for punctuation."""
    columns = (*case.text_columns, *([case.columns.label] if case.columns.label else []))
    texts, filled = case.text_numbers, case.has_text
    pairs = alike.paired(texts, case.cell_numbers)
    again = alike.repeats(pairs) & filled
    if again.any():
        yield about_rows(
            case.table, again, "duplicates", "warning",
            "{rows} {repeats/repeat} an earlier row's text and label ({first}), so {it counts/they count} twice. "
            "Drop the {copy/copies}.", text, Repair("drop_duplicates", columns, "same"),
        )  # fmt: skip
    if case.columns.label is not None:
        yield from _conflicts(case, text, columns)
    near = _near(case, again)
    if near.any():
        yield about_rows(
            case.table, near, "near_duplicates", "note",
            "{rows} {repeats/repeat} an earlier text and its label but for punctuation ({first}). Drop {it/them} if "
            "the difference means nothing.", text, Repair("drop_duplicates", columns, "near"),
        )  # fmt: skip


def _conflicts(case: Case, text: str, columns: tuple[str, ...]) -> Iterator[Finding]:
    found = alike.conflicting(case.text_numbers, case.labels) & case.has_text
    if not found.any():
        return
    number = len(np.unique(case.text_numbers[found]))
    example = short(case.texts[int(np.flatnonzero(found)[0])])
    if case.task_kind == "regression":
        yield about_rows(
            case.table, found, "different_numbers", "note",
            f"{count(number, 'text')} with different numbers ({{rows}}, {{first}}: '{example}'): no model can "
            "answer both. Give each text its mean, if they are measurements of the same.", text,
            Repair("mean_labels", columns),
        )  # fmt: skip
        return
    yield about_rows(
        case.table, found, "conflicts", "warning",
        f"{count(number, 'text')} with different labels ({{rows}}, {{first}}: '{example}'): no model can answer "
        "both. Correct the labels, or drop all rows of such texts.", text,
        None if found.all() else Repair("drop_conflicts", columns),
    )  # fmt: skip


def _near(case: Case, again: Mask) -> Mask:
    """(N,) rows that repeat an earlier text and label once punctuation is taken away, duplicates left out."""
    near = np.zeros(len(again), bool)
    rows = np.flatnonzero(~again & case.has_text)
    hashes = pd.Series(alike.near_hashes([case.keys[row] for row in rows]))
    rows = rows[hashes.duplicated(keep=False).to_numpy(bool)]  # of the others no two can be near
    keys = alike.numbered([alike.near_key(case.keys[row]) for row in rows])
    near[rows] = alike.repeats(alike.paired(keys, case.cell_numbers[rows]))
    return near


def _told(case: Case, text: str) -> Iterator[Finding]:
    """Texts that have their own label in them."""
    if case.task_kind != "single" or len(case.sizes) < 2:
        return
    rows = case.some[(case.labels[case.some] >= 0) & case.has_text[case.some]]
    near = alike.near_key
    told = sum(f" {near(case.cells[row].casefold())} " in f" {near(case.keys[row])} " for row in rows)
    if len(rows) >= 10 and told > TOLD_SHARE * len(rows):
        names = label_words(case.sizes)
        found = np.fromiter((without_labels(cell, names) != cell for cell in case.texts), bool, len(case.texts))
        if not found.any():
            return
        labels = tuple(sorted(case.sizes)) if len(case.sizes) <= MOST_LABELS else ()
        yield about_rows(
            case.table, found, "label_in_text", "warning",
            f"{told / len(rows):.0%} of the texts have their own label in them, so reading it is all that is learnt "
            "({rows} {has/have} a label's name in the text, {first}). Take the names of all labels out of the texts, "
            "unless they are there before anybody has labelled them.", text,
            Repair("take_out", case.text_columns, labels=labels) if labels else None,
        )  # fmt: skip
