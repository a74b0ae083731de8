"""What bytes are: a known binary format, or text in some encoding. Knows nothing of cells and columns."""

from __future__ import annotations

import codecs
import io
import re
import zipfile
from collections.abc import Callable
from functools import cache

from fgdesign.errors import DataError

SAVE_AS = "Open it in the program it comes from and save it as CSV (UTF-8)."
UNPACK = "Unpack it and give the file inside."

SIGNATURES: tuple[tuple[int, bytes, str, str], ...] = (  # offset, bytes, what it is, what to do
    (0, b"\x89PNG", "a PNG picture", "Give a table, such as a CSV file."),
    (0, b"\xff\xd8\xff", "a JPEG picture", "Give a table, such as a CSV file."),
    (0, b"GIF8", "a GIF picture", "Give a table, such as a CSV file."),
    (0, b"RIFF", "a sound, picture or film", "Give a table, such as a CSV file."),
    (4, b"ftyp", "a film or sound", "Give a table, such as a CSV file."),
    (0, b"%PDF", "a PDF document", "Copy its table into a spreadsheet and save that as CSV."),
    (0, b"{\\rtf", "an RTF document", SAVE_AS),
    (0, b"\xd0\xcf\x11\xe0", "an old Excel file (.xls) or one with a password", SAVE_AS),
    (0, b"\x1f\x8b", "a gzip archive", UNPACK),
    (0, b"BZh", "a bzip2 archive", UNPACK),
    (0, b"\xfd7zXZ", "an xz archive", UNPACK),
    (0, b"7z\xbc\xaf", "a 7z archive", UNPACK),
    (0, b"Rar!", "a RAR archive", UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive", UNPACK),
    (257, b"ustar", "a tar archive", UNPACK),
    (0, b"SQLite format 3", "an SQLite database", "Export the table as CSV."),
    (0, b"ARROW1", "an Arrow file", "Write the table as Parquet or CSV."),
    (0, b"\x89HDF", "an HDF5 file", "Write the table as Parquet or CSV."),
    (0, b"\x93NUMPY", "a NumPy array", "Write the table as CSV."),
    (0, b"\x7fELF", "a program", "Give a table, such as a CSV file."),
    (0, b"MZ\x90", "a program", "Give a table, such as a CSV file."),
)
PICKLE = re.compile(rb"\x80[\x02-\x05](\x95|c|\}|\]|q)")
MARKUP = re.compile(rb"(\xef\xbb\xbf)?\s*(<!doctype html|<html|<\?xml)", re.IGNORECASE)

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
SAMPLE = 1 << 16  # bytes that a guess looks at
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x19\x1b-\x1f\x7f]")
FOREIGN = re.compile(r"[^\x00-\x7f]")
ENOUGH = 0.7  # share of the characters beyond ASCII that must be usual ones of a language


def file_kind(data: bytes, name: str) -> str:
    """ "parquet", "xlsx" or "text".

    Raises:
        DataError: the bytes are something that holds no readable table.
    """
    if data.startswith(b"PAR1"):
        return "parquet"
    if data.startswith(b"PK"):
        return _inside_zip(data, name)
    for offset, signature, what, advice in SIGNATURES:
        if data.startswith(signature, offset):
            raise DataError(f"{name} is {what}, whatever its ending. {advice}")
    if PICKLE.match(data):
        raise DataError(f"{name} is a Python pickle, which may run code; it is never read. Write it as CSV.")
    if MARKUP.match(data[:200]):
        raise DataError(f"{name} is a web page or XML document, not a table. {SAVE_AS}")
    return "text"


def _inside_zip(data: bytes, name: str) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.namelist()
            first = archive.read("mimetype")[:80] if "mimetype" in members else b""
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError, EOFError) as error:
        raise DataError(
            f"{name} is a damaged ZIP archive or Excel file ({error}). Save or send it again."
        ) from None
    if "xl/workbook.xml" in members:
        return "xlsx"
    if b"opendocument" in first:
        raise DataError(f"{name} is an OpenDocument file (.ods). {SAVE_AS}")
    if "word/document.xml" in members or "ppt/presentation.xml" in members or "xl/workbook.bin" in members:
        raise DataError(f"{name} is an Office document that is no .xlsx workbook. {SAVE_AS}")
    raise DataError(f"{name} is a ZIP archive. {UNPACK}")


def text_encoding(data: bytes, name: str) -> tuple[str, int]:
    """(encoding, bytes of the byte order mark to skip) of a text.

    A mark decides; then UTF-16 by where its zero bytes stand; then UTF-8 if it holds, or nearly holds;
    then the encodings of East Asia and Russia by how many of their usual characters come out; then cp1252.

    Raises:
        DataError: the bytes are no text.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding, len(mark)
    encoding = _utf16(data[:SAMPLE]) or _utf8(data) or _legacy(data)
    shown = data[:SAMPLE].decode(encoding, "replace")
    controls = len(CONTROLS.findall(shown)) / max(1, len(shown))
    if controls > (0.3 if encoding.startswith("utf") else 0.02):
        raise DataError(
            f"{name} is no text: its bytes belong to some program. Give a table, such as a CSV file."
        )
    return encoding, 0


def _utf16(sample: bytes) -> str:
    """UTF-16 without a mark: nearly all zero bytes are on one side, and there are many or line ends."""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    zeros = even + odd
    for encoding, wrong, line_end in (("utf-16-le", even, b"\n\0"), ("utf-16-be", odd, b"\0\n")):
        if zeros and wrong <= zeros // 10 and (line_end in sample or zeros > 0.3 * len(sample)):
            return encoding
    return ""


def _utf8(data: bytes) -> str:
    """UTF-8, also with a few broken characters among at least four times as many good ones."""
    try:
        data.decode()
    except UnicodeDecodeError:
        text = _foreign_lines(data).decode(errors="replace")
        bad = text.count("\ufffd")
        good = len(FOREIGN.findall(text)) - bad
        return "utf-8" if good and good >= 4 * bad else ""
    return "utf-8"


def _legacy(data: bytes) -> str:
    sample = _foreign_lines(data)
    scores = {encoding: _score(sample, encoding, usual) for encoding, usual in _usual().items()}
    best = max(scores, key=lambda encoding: scores[encoding])
    if scores[best] >= ENOUGH:
        return best
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _foreign_lines(data: bytes) -> bytes:
    """The first lines that have bytes beyond ASCII; in all encodings here a line break is one byte."""
    sample = bytearray()
    for line in io.BytesIO(data.replace(b"\r", b"\n")):
        if not line.isascii():
            sample += line
        if len(sample) >= SAMPLE:
            break
    return bytes(sample[: 2 * SAMPLE])


def _score(sample: bytes, encoding: str, usual: Callable[[str], int]) -> float:
    """Share of the characters beyond ASCII that are usual; broken ones count thrice against it."""
    text = sample.decode(encoding, "replace")
    foreign = len(FOREIGN.findall(text))
    return usual(text) / (foreign + 2 * text.count("\ufffd")) if foreign else 0.0


@cache
def _usual() -> dict[str, Callable[[str], int]]:
    """Encoding -> how many usual characters of its language a text has; on a tie the first one wins.

    Korean is tried first, for its syllables are also usual characters in simplified Chinese, while few
    Chinese texts keep to those that are Korean syllables.
    """
    hangul = _characters("cp949", 0xB0, 0xC8)
    simplified = _characters("gb2312", 0xB0, 0xD7) | _characters("gb2312", 0xA1, 0xA3)
    traditional = _characters("big5", 0xA4, 0xC6, 0x40) | _characters("big5", 0xA1, 0xA2, 0x40)
    japanese = _characters("euc_jp", 0xB0, 0xCF) | _characters("euc_jp", 0xA1, 0xA5)
    return {
        "cp949": lambda text: _among(text, hangul) if len(hangul.intersection(text)) >= 12 else 0,
        "gb18030": lambda text: _among(text, simplified),
        "big5": lambda text: _among(text, traditional),
        "cp932": lambda text: _with_kana(text, japanese),
        "euc_jp": lambda text: _with_kana(text, japanese),
        "cp1251": _cyrillic,
        "koi8_r": _cyrillic,
    }


def _characters(encoding: str, first: int, last: int, low: int = 0xA1) -> frozenset[str]:
    """The characters of the lead bytes `first` to `last`: where these standards keep the frequent ones."""
    pairs = b"".join(
        bytes((lead, trail)) + b"\n" for lead in range(first, last + 1) for trail in range(low, 0xFF)
    )
    return frozenset(FOREIGN.findall(pairs.decode(encoding, "ignore")))


def _among(text: str, usual: frozenset[str]) -> int:
    return sum(1 for character in text if character in usual)


def _with_kana(text: str, usual: frozenset[str]) -> int:
    """Japanese is never without kana: where they are less than a tenth, nothing counts."""
    kana = len(re.findall("[\u3041-\u30fe]", text))
    return _among(text, usual) if kana * 10 >= len(FOREIGN.findall(text)) else 0


def _cyrillic(text: str) -> int:
    """Letters of words of two and more: an accented letter between Latin ones does not count."""
    return sum(
        len(word)
        for word in re.findall("(?<![\u0400-\u04ff])[\u0410-\u042f\u0401]?[\u0430-\u044f\u0451]{2,}", text)
    )
