"""What may be wrong with texts: empty, too long, repeated, in conflict, of several scripts, with the answer in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fgdesign.data import alike
from fgdesign.data.alike import Mask
from fgdesign.data.case import Case
from fgdesign.data.findings import Finding, about_rows
from fgdesign.data.recipe import Repair
from fgdesign.data.table import count, short

TOKENS_PER_WORD = 1.3  # of English; a rough rule where no tokeniser is at hand
LONG_SHARE = 0.05  # of texts above the limit from which on it is more than a note
MIXED_SHARE = 0.005  # of rows in another script from which on scripts are mixed
TOLD_SHARE = 0.9  # of texts that have their own label in them
SEEN = 64  # characters of a text that tell its script
CHUNK = 50_000  # rows
SCRIPTS = (  # name, first and last code point
    ("Latin", 0x41, 0x24F), ("Greek", 0x370, 0x3FF), ("Cyrillic", 0x400, 0x52F), ("Hebrew", 0x590, 0x5FF),
    ("Arabic", 0x600, 0x6FF), ("Devanagari", 0x900, 0x97F), ("Bengali", 0x980, 0x9FF), ("Tamil", 0xB80, 0xBFF),
    ("Thai", 0xE00, 0xE7F), ("Kana", 0x3041, 0x30FF), ("Chinese", 0x3400, 0x9FFF), ("Hangul", 0xAC00, 0xD7A3),
)  # fmt: skip
WITHOUT_SPACES = ("Thai", "Kana", "Chinese")


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
    scripts = script_of_rows(case.texts)
    yield from _length(case, text, scripts)
    yield from _scripts(case, text, scripts)
    yield from _repeated(case, text)
    yield from _told(case, text)


def _length(case: Case, text: str, scripts: NDArray[np.int8]) -> Iterator[Finding]:
    if case.lengths is not None:
        long = case.lengths > case.limit
        unit = f"{case.limit} tokens, the most the graph reads"
    else:
        spaceless = np.isin(scripts, [place for place, script in enumerate(SCRIPTS) if script[0] in WITHOUT_SPACES])
        words = np.fromiter((cell.count(" ") + 1 for cell in case.texts), np.int64, len(case.texts))
        sizes = np.where(spaceless, np.fromiter(map(len, case.texts), np.int64, len(words)), words * TOKENS_PER_WORD)
        long = sizes > case.limit
        unit = f"about {case.limit} tokens (counted by words), the most a graph usually reads"
    if long.any():
        yield about_rows(
            case.table, long, "long_texts", "warning" if long.mean() > LONG_SHARE else "note",
            f"{{rows}} ({long.mean():.1%}) {{has a text/have texts}} of more than {unit} ({{first}}); the rest is cut "
            "off. Raise the text node's maximum length, or shorten {it/them}.", text,
        )  # fmt: skip


def script_of_rows(texts: Sequence[str]) -> NDArray[np.int8]:
    """(N,) the place in SCRIPTS of the script that most letters of each text's beginning are of, -1 for none."""
    place = np.full(1 << 16, len(SCRIPTS), np.uint8)
    for number, (_, first, last) in enumerate(SCRIPTS):
        place[first : last + 1] = number
    place[[*range(0x5B, 0x61), *range(0x7B, 0xC0), 0xD7, 0xF7]] = len(SCRIPTS)
    found = np.full(len(texts), -1, np.int8)
    for start in range(0, len(texts), CHUNK):
        chunk = [cell[:SEEN] for cell in texts[start : start + CHUNK]]
        codes = np.frombuffer("".join(chunk).encode("utf-32-le", "replace"), np.uint32)
        row = np.repeat(np.arange(len(chunk)), list(map(len, chunk)))
        kinds = place[np.minimum(codes, 0xFFFF)]
        width = len(SCRIPTS) + 1
        counts = np.bincount(row * width + kinds, minlength=len(chunk) * width).reshape(len(chunk), width)[:, :-1]
        found[start : start + len(chunk)] = np.where(counts.any(1), counts.argmax(1), -1)
    return found


def _scripts(case: Case, text: str, scripts: NDArray[np.int8]) -> Iterator[Finding]:
    known = scripts[scripts >= 0]
    if not len(known):
        return
    sizes = np.bincount(known, minlength=len(SCRIPTS))
    most = int(sizes.argmax())
    japanese = {"Kana", "Chinese"} if SCRIPTS[most][0] in ("Kana", "Chinese") and _japanese(sizes) else set()
    others = [
        place for place in np.argsort(-sizes).tolist()
        if place != most and sizes[place] and SCRIPTS[place][0] not in japanese
    ]  # fmt: skip
    rare = np.isin(scripts, others)
    if rare.mean() > MIXED_SHARE:
        shown = ", ".join(f"{SCRIPTS[place][0]} {count(int(sizes[place]), 'row')}" for place in [most, *others][:4])
        yield about_rows(
            case.table, rare, "script_mix", "note",
            f"Texts are of several scripts: {shown}. {{rows}} {{differs/differ}} from the most ({{first}}). Choose a "
            "backbone that knows all of them, or let a rule router tell them apart.", text,
        )  # fmt: skip
    elif SCRIPTS[most][0] != "Latin":
        yield Finding(
            "script", "note", f"Texts are in {SCRIPTS[most][0]} script, which the default backbone hardly knows. "
            "Choose a backbone for this language.", text,
        )  # fmt: skip


def _japanese(sizes: NDArray[np.int64]) -> bool:
    """Whether rows of Kana are so many that those of Chinese characters are Japanese too."""
    names = [script[0] for script in SCRIPTS]
    return bool(sizes[names.index("Kana")] > 0.1 * sizes[names.index("Chinese")])


def _repeated(case: Case, text: str) -> Iterator[Finding]:
    """Duplicates of text and label, texts with several labels, texts alike but for punctuation."""
    columns = (*case.text_columns, *([case.columns.label] if case.columns.label else []))
    texts, filled = case.text_numbers, case.has_text
    labels = alike.numbered(case.cells)
    pairs = alike.paired(texts, labels)
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
    keys = alike.numbered([alike.near_key(case.keys[row]) for row in rows])
    near[rows] = alike.repeats(alike.paired(keys, alike.numbered(case.cells)[rows]))
    return near


def _told(case: Case, text: str) -> Iterator[Finding]:
    """Texts that have their own label in them."""
    if case.task_kind != "single" or len(case.sizes) < 2:
        return
    rows = case.some[(case.labels[case.some] >= 0) & case.has_text[case.some]]
    near = alike.near_key
    told = sum(f" {near(case.cells[row].casefold())} " in f" {near(case.keys[row])} " for row in rows)
    if len(rows) >= 10 and told > TOLD_SHARE * len(rows):
        yield Finding(
            "label_in_text", "warning",
            f"{told / len(rows):.0%} of the texts have their own label in them, so reading it is all that is learnt. "
            "Take the label out of the texts, unless it is there before anybody has labelled them.", text,
        )  # fmt: skip
