"""Letters that were read as the wrong encoding, read as another one; which other encodings are likely.

Knows strings only: in all encodings here commas, quotes and line breaks are one byte, that of ASCII, so that cells
stay cells.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from fgdesign.errors import DataError

LOST = "\ufffd"  # stands for bytes that were no letter
LEGACY = (  # in all of them a comma, a quote and a line break are one byte, that of ASCII
    "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874", "iso8859-2",
    "iso8859-5", "iso8859-7", "iso8859-9", "koi8-r", "koi8-u", "cp437", "cp850", "cp852", "cp866", "mac-roman",
    "mac-cyrillic", "gb18030", "big5hkscs", "cp932", "euc-jp", "cp949",
)  # fmt: skip
USUAL = ("cp1252", "cp1250", "cp1251", "cp850")  # offered where words do not tell
SAMPLE = 1 << 16  # characters that a guess looks at
OFFERED = 3


def encoding_name(name: str) -> str:
    """The plain name of an encoding of text. Raises DataError where there is none."""
    try:
        found = codecs.lookup(name)
        "a".encode(found.name)
    except (LookupError, UnicodeError, TypeError, ValueError):
        raise DataError(f"There is no encoding '{name[:40]}'. Choose one such as {', '.join(USUAL)}.") from None
    return found.name


def reread(cell: str, old: str, new: str) -> str:
    """What was read as `old`, read as `new`; as it is where that cannot be. Lost letters stay lost."""
    if cell.isascii():
        return cell
    try:
        return LOST.join(piece.encode(old).decode(new) for piece in cell.split(LOST))
    except UnicodeError:
        return cell


def other_encodings(cells: Sequence[str], now: str) -> list[tuple[str, str, str]]:
    """(encoding, a word as it reads now, as it would read) of other encodings the cells may be in, the likeliest first.

    Only those in which every cell has plain letters, and each that reads differently from the ones before.
    """
    import chardet

    text = "\n".join(cell for cell in cells if not cell.isascii())[:SAMPLE].replace(LOST, "")
    try:
        data = text.encode(now)
    except UnicodeError:
        return []
    if not data:
        return []
    likely = chardet.detect_all(data, ignore_threshold=True, compat_names=False, include_encodings=LEGACY)
    names = [codecs.lookup(one["encoding"]).name for one in likely if one["encoding"]]
    words = [word for word in text.split() if not word.isascii()]
    found: list[tuple[str, str, str]] = []
    seen = {text}
    for name in dict.fromkeys([*names[: len(USUAL)], *USUAL, *names]):
        other = reread(text, now, name)
        if other not in seen and not any(map(_is_control, other)):
            seen.add(other)
            word = next(word for word in words if reread(word, now, name) != word)
            found.append((name, word, reread(word, now, name)))
    return found[:OFFERED]


def _is_control(letter: str) -> bool:
    return ("\x7f" <= letter <= "\x9f") if letter >= " " else letter not in "\t\r\n"
