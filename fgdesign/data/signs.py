"""Line ends and delimiters that hardly anybody uses, told by the whole of a text or by the names in its first line.

A text gets the usual ones instead. Knows texts in UTF-8, nothing of columns.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fgdesign.data.columns import LABEL_NAMES, TEXT_NAMES, plain_name
from fgdesign.data.delimited import NOWHERE

LINE_ENDS = (("\x85", "NEL (U+0085)"), ("\u2028", "LS (U+2028)"), ("\u2029", "PS (U+2029)"), ("\x0b", "VT (U+000B)"),
             ("\x0c", "FF (U+000C)"), ("\x1e", "RS (U+001E)"))  # fmt: skip
# these only where they part a text into pieces with as many delimiters
EVEN_ENDS = (("…", "NEL (0x85)"), ("\\r\\n", "'\\r\\n' in letters"), ("\\n", "'\\n' in letters"))
USUAL = frozenset(("\t", ";", ",", "|", "^", "~", "\x01", ".", "_", "-", "'", '"', "(", ")"))
SIGN = re.compile(r"(?<=\w) *(?:<\w+>|\[\w+\]|\\t|þ|[^\w \t\r\n\"'()]{1,3}) *(?=\w)")
NAME = re.compile(r"[^\W\d]\w*(?: \w+){0,4}")
LONGEST = 40  # characters of a name
MOSTLY = 0.9  # of lines that have a sign as often as the first one
FEWEST = 3  # lines
LONG = 1 << 20  # bytes of a first line that is looked at
KNOWN = frozenset((*TEXT_NAMES, *LABEL_NAMES, "id"))


def usual_line_ends(text: bytes, encoding: str) -> tuple[bytes, str]:
    """(the text with usual line ends, what ended its lines); as it is and "" where it has usual ones.

    Args: text: UTF-8; encoding: what it was decoded from.
    """
    if b"\n\r" in text and b"\r\n" not in text.rstrip() and text.count(b"\n\r") >= text.count(b"\r") > 1:
        return text.replace(b"\n\r", b"\n"), "LF CR"
    if any(end in part.rstrip() for part in (text[:LONG], text) for end in (b"\n", b"\r")):  # most have one early
        return text, ""
    for sign, called in LINE_ENDS:
        if text.count(sign.encode()) > 1:
            return text.replace(sign.encode(), b"\n"), called
    for sign, called in EVEN_ENDS:
        if text.count(sign.encode()) > 1 and (sign != "…" or encoding == "cp1252"):
            pieces = [piece for piece in text[:LONG].decode(errors="replace").split(sign) if piece.strip()]
            if any(len({piece.count(delimiter) for piece in pieces[:-1]}) == 1 and delimiter in pieces[0]
                   for delimiter in (",", ";", "\t", "|")):  # fmt: skip
                return text.replace(sign.encode(), b"\n"), called
    return text, ""


def named_delimiter(lines: Sequence[str]) -> str:
    """The sign between names in the first line that nearly all lines have as often, or "".

    One of the names is known as that of a text, a label or a number, so that no text of one column is torn.
    """
    if len(lines) < FEWEST or len(lines[0]) > LONG:
        return ""
    for sign in sorted(set(SIGN.findall(lines[0])), key=len, reverse=True):
        names = [name.strip() for name in lines[0].split(sign)]
        if sign.strip() in USUAL - {"-"} or (sign.strip() == "-" and sign == "-"):
            continue
        if not all(NAME.fullmatch(name) and len(name) <= LONGEST for name in names) or len(set(names)) < len(names):
            continue
        known = KNOWN.intersection(map(plain_name, names))
        even = sum(line.count(sign) == len(names) - 1 for line in lines)
        if known and even >= MOSTLY * len(lines):
            return str(sign)
    return ""


def escaped_delimiter(lines: Sequence[str]) -> str:
    """The delimiter that stands behind a backslash where it is part of a text, in lines without quotes; or ""."""
    for sign in ",", ";", "\t", "|":
        needed = [line for line in lines if f"\\{sign}" in line]
        if not needed or sign not in lines[0] or any('"' in line for line in lines):
            continue
        wanted = lines[0].count(sign) - lines[0].count(f"\\{sign}")
        even = sum(line.count(sign) - line.count(f"\\{sign}") == wanted for line in lines)
        if wanted and even >= MOSTLY * len(lines):
            return sign
    return ""


def without_escapes(text: bytes, sign: str) -> bytes:
    """The text with NOWHERE between cells, and the sign itself where a backslash stood before it."""
    pieces = text.split(f"\\{sign}".encode())
    return sign.encode().join(piece.replace(sign.encode(), NOWHERE.encode()) for piece in pieces)
