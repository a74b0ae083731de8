"""Lines of a JSON file that grows at its end, each read once by this process. Knows nothing of runs.

A page that shows a run asks for its log several times a second; only what is new since the last time is read. A file
that was cut and has grown again, or was made anew, is read from its start.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

MOST_FILES = 32  # that are remembered
TAIL = 256  # bytes before the end of what was read, by which a file is known again


@dataclass
class _Known:
    """What was read of a file: up to which byte, the last bytes before it, the lines."""

    inode: int = 0
    end: int = 0
    tail: bytes = b""
    lines: list[dict[str, Any]] = field(default_factory=list)


_files: OrderedDict[Path, _Known] = OrderedDict()
_turn = Lock()


def grown_lines(file: Path) -> list[dict[str, Any]]:
    """All lines that are whole, none where there is no file. The list is the caller's, what is in it is shared."""
    with _turn:
        try:
            with file.open("rb") as opened:
                return list(_read(file, opened).lines)
        except OSError:
            _files.pop(file, None)
            return []


def _read(file: Path, opened: BinaryIO) -> _Known:
    about, known = os.fstat(opened.fileno()), _files.pop(file, None) or _Known()
    opened.seek(known.end - len(known.tail))
    if known.inode != about.st_ino or opened.read(len(known.tail)) != known.tail:
        known = _Known(about.st_ino)
        opened.seek(0)
    whole = opened.read().rpartition(b"\n")[0]
    if whole:
        known.lines += [json.loads(line) for line in whole.decode("utf-8").split("\n")]
        known.end += len(whole) + 1
        known.tail = (known.tail + whole + b"\n")[-TAIL:]
    _files[file] = known
    while len(_files) > MOST_FILES:
        _files.popitem(last=False)
    return known
