"""Encodings that write letters by signs of ASCII, and texts whose lines are in two encodings.

Every one is told by signs that no plain text has, and only where all of it decodes. Knows bytes, nothing of cells.
"""

from __future__ import annotations

import io
import re
from contextlib import suppress

ESCAPED = ("iso2022_jp", "iso2022_kr", "iso2022_jp_2", "iso2022_jp_3", "iso2022_jp_2004", "iso2022_jp_ext")
CERTAIN = (*ESCAPED, "hz", "utf-7")
ESCAPE = re.compile(rb"\x1b[$(]")
HZ = re.compile(rb"~\{(?:[\x21-\x77][\x21-\x7e])+~\}")
UTF7 = re.compile(rb"\+([A-Za-z0-9+/]{3,})(?:-|(?![A-Za-z0-9+/]))")
PLUS = re.compile(rb"\+(?!-)")
FEWEST = 3  # letters written so, of at least two kinds
MOSTLY = 0.8  # of them
HALVES = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")  # of a surrogate pair, each as a letter
MIXED = 0.2  # share of lines in either of two encodings


def escaped(data: bytes) -> str:
    """The encoding that writes letters by escape sequences or signs of ASCII; "" where this is none."""
    if not data.isascii():
        return ""
    if ESCAPE.search(data):
        return next((encoding for encoding in ESCAPED if _decodes(data, encoding)), "")
    if len(HZ.findall(data, 0, 1 << 16)) >= FEWEST and _decodes(data, "hz"):
        return "hz"
    return "utf-7" if _is_utf7(data) else ""


def _is_utf7(data: bytes) -> bool:
    """Whether every "+" begins letters in UTF-7 or is one, and these letters are beyond ASCII."""
    sample = data[: 1 << 20]
    runs = UTF7.findall(sample)
    if len(set(runs)) < 2 or len(runs) < FEWEST or len(runs) < len(PLUS.findall(sample)) - 1:
        return False
    if sum(run != run.lower() for run in runs) < MOSTLY * len(runs):  # numbers of telephones, tags of addresses
        return False
    with suppress(UnicodeDecodeError):
        text = data.decode("utf-7")
        foreign = [letter for letter in text if not letter.isascii()]
        return len(foreign) >= len(runs) and all(map(str.isprintable, foreign))
    return False


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        return not data.decode(encoding).isascii()
    except UnicodeDecodeError:
        return False


def paired(data: bytes) -> bytes:
    """A text in UTF-8 with the halves of a surrogate pair as letters (CESU-8, of Java and Oracle), in plain UTF-8."""

    def whole(found: re.Match[bytes]) -> bytes:
        return found[0].decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16").encode()

    return HALVES.sub(whole, data)


def is_mixed(sample: bytes) -> bool:
    """Whether some lines are in UTF-8 and others in an older encoding; each line has letters beyond ASCII."""
    lines = sample.splitlines()
    good = [line for line in lines if _is_utf8(line)]
    letters = sum(map(_letters, good))
    bad = sum(len(line) - len(line.decode(errors="ignore").encode()) for line in lines)
    return len(good) > 1 and min(len(good), len(lines) - len(good)) >= MIXED * len(lines) and 2 * letters >= bad


def line_by_line(data: bytes) -> tuple[bytes, list[int]]:
    """(a text in UTF-8 of one whose lines are in UTF-8 or in cp1252, the numbers of those in cp1252)."""
    lines, others = io.BytesIO(), []
    for number, line in enumerate(io.BytesIO(data), 1):
        if _is_utf8(line):
            lines.write(line)
        else:
            lines.write(line.decode("cp1252", "replace").encode())
            others.append(number)
    return lines.getvalue(), others


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _letters(line: bytes) -> int:
    return sum(not letter.isascii() for letter in line.decode())
