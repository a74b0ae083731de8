"""What a person types to train the same in a terminal. Knows nothing of torch or Streamlit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fgdesign.training.settings import as_words


def command(graph: str, data: Path, out: Path, **settings: Any) -> list[str]:
    """The arguments of `fgdesign` that train this; what is None is left out."""
    line = ["train", graph, str(data), "--out", str(out)]
    for name, value in settings.items():
        if value is not None:
            line += ["--from" if name == "start" else f"--{name.replace('_', '-')}", as_words(value)]
    return line
