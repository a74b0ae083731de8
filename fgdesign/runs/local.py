"""What a person types to train the same in a terminal. Knows nothing of torch or Streamlit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FLAGS = {"text": "--text", "text_b": "--text-b", "label": "--label", "task": "--task", "valid": "--valid",
         "test": "--test", "epochs": "--epochs", "seed": "--seed", "device": "--device", "batch_size": "--batch-size",
         "start": "--from"}


def command(graph: str, data: Path, out: Path, **settings: Any) -> list[str]:
    """The arguments of `fgdesign` that train this; what is None is left out."""
    line = ["train", graph, str(data), "--out", str(out)]
    for name, value in settings.items():
        if value is not None:
            line += [FLAGS[name], str(value)] if name in FLAGS else ["--set", f"{name}={json.dumps(value)}"]
    return line
