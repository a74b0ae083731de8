"""Words of people made safe and short for the page. Knows nothing of what they mean."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:<>&^=])")


def one_line(text: str, length: int = 48) -> str:
    """A text for the choices of a list, which take it as it is: cut, on one line."""
    whole = " ".join(text.split())
    return whole if len(whole) <= length else f"{whole[: length - 1]}…"


def label(text: str, length: int = 48) -> str:
    """A text for a widget's label: cut, on one line, every sign that Streamlit would read as formatting escaped."""
    return SPECIAL.sub(r"\\\1", one_line(text, length))


def command(*words: str | Path) -> str:
    """A command line to copy, quoted where the shell needs it."""
    return " ".join(shlex.quote(str(word)) for word in words)


def duration(seconds: float) -> str:
    """A time as people say it: 75 -> "1 min 15 s"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
