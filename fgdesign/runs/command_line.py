"""What a person types to train the same in a terminal. Knows nothing of torch or Streamlit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fgdesign.training.settings import as_words


def command(graph: str, data: Path, out: Path, **settings: Any) -> list[str]:
    """The arguments of `fgdesign` that train this; what is None is left out."""
    return ["train", graph, str(data), "--out", str(out), *flags(**settings)]


def flags(**settings: Any) -> list[str]:
    """Flags of settings and columns; what is None is left out."""
    named = {name: value for name, value in settings.items() if value is not None}
    return [word for name, value in named.items()
            for word in ("--from" if name == "start" else f"--{name.replace('_', '-')}", as_words(value))]
