"""When two texts or two labels count as the same, and when a cell holds nothing. Knows cells only."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fgdesign.data.dataset import NOTHING_TO_READ
from fgdesign.data.table import HIDDEN
from fgdesign.data.task import MAYBE_MISSING, MISSING

Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]

PUNCTUATION = bytes(code for code in range(128) if not chr(code).isalnum())
LIST = re.compile(r"\s*[\[({]([^\[\]{}]*)[\])}]\s*")  # of Python, JSON or NumPy, with no list inside
IN_LIST = re.compile(r"""'([^']*)'|"([^"]*)"|([^\s,'"]+(?: [^\s,'"]+)*)""")
NO_LETTERS = re.compile(r"[\W_]+")


def tidy(cell: str) -> str:
    """Without white space at its ends, and single spaces inside."""
    return " ".join(cell.split())


def listed(cell: str, rule: str) -> list[str]:
    """The labels of a cell that has several: as a "list" in brackets, or with a "comma" or "semicolon" between."""
    if rule == "list":
        inside = LIST.fullmatch(cell)
        return [] if inside is None else [next(filter(None, part), "") for part in IN_LIST.findall(inside[1])]
    return [part for part in map(str.strip, cell.split("," if rule == "comma" else ";")) if part]


def same_label(label: str) -> str:
    """A key that labels share when they differ in case, spaces, unseen signs or how accents are encoded only."""
    return tidy(HIDDEN.sub("", unicodedata.normalize("NFKC", label)).casefold())


def text_keys(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """(N,) keys that rows share when their texts differ in case and white space only."""
    keys = [[" ".join(cell.split()).casefold() for cell in frame[name].tolist()] for name in columns]  # as `tidy` does
    return keys[0] if len(keys) == 1 else ["\n".join(pair) for pair in zip(*keys, strict=True)]


def meant(cell: str) -> str:
    """A cell as it was before its UTF-8 was read as cp1252 or latin-1 and saved so; one that was not stays."""
    if not cell.isascii():
        for encoding in ("cp1252", "latin-1"):
            with suppress(UnicodeError):
                return cell.encode(encoding).decode()
    return cell


def digest(key: str) -> str:
    """A short hash of a text key, by which a recipe knows the text again."""
    return hashlib.blake2b(key.encode(errors="replace"), digest_size=8).hexdigest()


def near_key(key: str) -> str:
    """A key that texts share when they differ in punctuation too; a text of punctuation alone is its own."""
    return NO_LETTERS.sub(" ", unicodedata.normalize("NFKC", key)).strip() or key


def near_keys(keys: Iterable[str]) -> list[str]:
    """`near_key` of every text key, each worked out once."""
    known: dict[str, str] = {}
    return [known[key] if key in known else known.setdefault(key, near_key(key)) for key in keys]


def near_hashes(keys: Sequence[str]) -> Numbers:
    """(N,) numbers that are the same where `near_key` is; quickly made, so now and then the same where it is not."""
    return np.fromiter(
        (hash((key if key.isascii() else near_key(key)).encode(errors="replace").translate(None, PUNCTUATION))
         for key in keys),
        np.int64, len(keys),
    )  # fmt: skip


def numbered(keys: Sequence[str]) -> Numbers:
    """(N,) a number for each row, from 0 on, the same for the same key."""
    return np.asarray(pd.factorize(np.array(keys, object))[0], np.int64)


def repeats(numbers: Numbers) -> Mask:
    """(N,) rows whose number stood in an earlier row."""
    return np.asarray(pd.Series(numbers).duplicated(), bool)


def has_text(cells: Sequence[str]) -> Mask:
    """(N,) cells with something to read."""
    return np.fromiter((cell[:1].isalnum() or not NOTHING_TO_READ.fullmatch(cell) for cell in cells), bool, len(cells))


def has_label(cells: Sequence[str]) -> Mask:
    """(N,) cells that hold a label; "None" and "NA" do in a column that has no other gaps."""
    found = list(map(str.strip, cells))
    distinct = set(found)
    empty = MISSING | MAYBE_MISSING if distinct & MISSING else MISSING
    return np.fromiter((cell not in empty for cell in found), bool, len(found))


def label_numbers(cells: Sequence[str]) -> Numbers:
    """(N,) a number for each row, the same for the same label, -1 where there is none."""
    return np.where(has_label(cells), numbered(list(map(str.strip, cells))), -1)


def paired(first: Numbers, second: Numbers) -> Numbers:
    """(N,) a number for each pair of numbers from -1 on."""
    return first * (int(second.max(initial=0)) + 2) + second


def conflicting(texts: Numbers, labels: Numbers) -> Mask:
    """(N,) rows whose text has several labels.

    Args:
        texts: (N,) numbers of the texts.
        labels: (N,) numbers of the labels, -1 where there is none.
    """
    known = labels >= 0
    firsts = ~repeats(paired(texts[known], labels[known]))
    several = np.bincount(texts[known][firsts], minlength=int(texts.max(initial=-1)) + 1) > 1
    return several[texts] & known
