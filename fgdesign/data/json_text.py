"""Text that holds JSON, also as people and programs write it: with comments, spare commas, as a script's variable.

Knows values; what records they make is decided by whoever takes them.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from fgdesign.data.delimited import CELL_LIMIT
from fgdesign.data.dialect import beginning
from fgdesign.data.table import count
from fgdesign.errors import DataError

JSON = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=lambda _: None)  # numbers as they are written
BLANK = "\ufeff \t\r\n\x1e"
ABOVE = re.compile(r"(?:[\ufeff\s\x1e]|//[^\n]*\n|/\*.*?\*/|#[^\n]*\n)*+", re.DOTALL)  # comments above the values
SCRIPT = re.compile(  # before them
    r"(?:export default |(?:(?:var|let|const) )?[A-Za-z_$][\w$.\[\]\"']*\s*(?:=\s*|\())(?=[\[{])"
)
SCRIPT_END = ");" + BLANK
COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*+"|//[^\n]*|/\*.*?\*/', re.DOTALL)
COMMA = re.compile(r'"(?:[^"\\\n]|\\.)*+"|,(?=\s*+[\]}])')
TOO_DEEP = "[" * 50


def as_json(data: bytes, notes: list[str]) -> str | None:
    """The values in a text in UTF-8 that begins like JSON records, without what stands around them; None for others."""
    sample = beginning(data)
    start = ABOVE.match(sample)
    at = start.end() if start else 0
    script = SCRIPT.match(sample, at)
    if script:
        inside = data.decode()[script.end() :].rstrip(SCRIPT_END)
        return inside if is_json(inside) and _is_value(_without_comments(inside)) else None
    if sample[at : at + 1] == '"':
        return _unquoted(data.decode()[at:]) if sample[at + 1 : at + 4].startswith(('{\\"', '[{\\', "[ {")) else None
    deep = sample[at:].startswith(TOO_DEEP) and len(data) < CELL_LIMIT
    if not deep and not is_json(sample[at:]):
        return None
    if not deep and _is_first_cell(sample[at:]):
        return None
    if sample[:at].strip(BLANK):
        notes.append("Comments above the JSON are left out.")
    return data.decode()[at:]


def _is_first_cell(text: str) -> bool:
    """Whether a delimiter and more that is no JSON stand behind a value of JSON in the first line."""
    with suppress(ValueError, RecursionError):
        line = text.lstrip(BLANK).partition("\n")[0]
        _, end = JSON.raw_decode(line)
        return re.match(r"[\t;|,](?! *[\[{]).*\S", line[end:]) is not None
    return False


def is_json(text: str) -> bool:
    """Whether a text begins like JSON records: a list of objects, or an object."""
    start = text.lstrip(BLANK)
    inside = start[1:].lstrip()[:1]
    if start.startswith(("[", "{")) and start[1:].lstrip().startswith(("//", "/*")):
        return True
    if start.startswith("["):
        return inside in ("{", "]") or (inside in ("[", '"') and _is_list(start))
    return start.startswith("{") and inside in ('"', "}")


def _is_list(text: str) -> bool:
    """Whether the whole text, or its first line, is a list in JSON."""
    for part in (text, text.partition("\n")[0]):
        with suppress(ValueError, RecursionError):
            return isinstance(JSON.decode(part), list)
    return False


def _unquoted(text: str) -> str | None:
    """JSON that was written as a text of JSON once more, as a whole or line by line."""
    lines = [line.strip(BLANK) for line in io.StringIO(text) if line.strip(BLANK)]
    with suppress(ValueError, RecursionError):
        values = [json.loads(line) for line in lines]
        inside = "\n".join(value for value in values if isinstance(value, str))
        return inside if is_json(inside) else None
    return None


def json_values(text: str, name: str, notes: list[str]) -> tuple[Iterator[tuple[int, Any]] | None, Any]:
    """(numbers and values of a text with several values, None), or (None, the only value).

    Raises:
        DataError, ValueError: it is no JSON; the message says where.
    """
    text = text.strip(BLANK)
    try:
        return None, JSON.decode(text)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data" or not _is_value(text.partition("\n")[0].strip(BLANK)):
            plain = _without_comments(text)
            if plain != text and _is_value(plain):
                notes.append("Comments in the JSON are left out.")
                return None, JSON.decode(plain)
            _refuse_commas(plain, name)
        if error.msg != "Extra data":
            raise
    if _is_value(text.partition("\n")[0].strip(BLANK)):
        return _by_line(text, name), None
    return enumerate(_joined(text), 1), None


def _by_line(text: str, name: str) -> Iterator[tuple[int, Any]]:
    for row, line in enumerate(io.StringIO(text, newline="\n"), 1):
        try:
            if line := line.strip(BLANK):
                yield row, JSON.decode(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"Line {row} of {name} is broken JSON: {error.msg}, column {error.colno}. Correct the line, "
                "or write the file as CSV."
            ) from None


def _without_comments(text: str) -> str:
    """The text without comments; what stands in quotes stays, and lines keep their numbers."""
    return COMMENT.sub(lambda found: found[0] if found[0][0] == '"' else " " + "\n" * found[0].count("\n"), text)


def _refuse_commas(text: str, name: str) -> None:
    """Raise DataError where commas before closing brackets are all that is wrong."""
    lines: list[int] = []

    def left_out(found: re.Match[str]) -> str:
        if found[0] == ",":
            lines.append(text.count("\n", 0, found.start()) + 1 if not lines else 0)
        return found[0].removeprefix(",")

    if _is_value(COMMA.sub(left_out, text)) and lines:
        raise DataError(
            f"{name} is JSON that cannot be read: {count(len(lines), 'comma')} before a closing bracket (first: line "
            f"{lines[0]}), which JSON does not allow. Take them out."
        )


def _is_value(text: str) -> bool:
    """Whether a text is one value of JSON."""
    with suppress(ValueError, RecursionError):
        JSON.decode(text)
        return True
    return False


def _joined(text: str) -> Iterator[Any]:
    """Values of JSON one behind the other, over as many lines as they like. Raises ValueError."""
    at = 0
    while at < len(text):
        value, at = JSON.raw_decode(text, at)
        yield value
        while at < len(text) and text[at] in " \t\r\n,\x1e\ufeff":
            at += 1
