"""Starts a training run in a process of its own, so that no screen is needed for it to go on.

Knows nothing of torch or Streamlit: the child process does the work.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from fgdesign.graph.spec import Graph, to_json
from fgdesign.runs.folder import RunFolder, new_run_path

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


def start(graph: Graph, data: Path, out: Path | None = None, **settings: Any) -> RunFolder:
    """Start training in a child process and return its run folder at once; its output goes to log.txt."""
    folder = RunFolder(out or new_run_path(graph.name))
    folder.path.mkdir(parents=True, exist_ok=True)
    (folder.path / "graph.json").write_text(to_json(graph), "utf-8")
    arguments = command(str(folder.path / "graph.json"), data, folder.path, **settings)
    return _spawn(folder, arguments)


def resume(folder: RunFolder) -> RunFolder:
    """Go on with a run in a child process."""
    (folder.path / "stop").unlink(missing_ok=True)
    return _spawn(folder, ["resume", str(folder.path)])


def _spawn(folder: RunFolder, arguments: list[str]) -> RunFolder:
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "true"}
    with (folder.path / "log.txt").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "fgdesign", *arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            env=environment, start_new_session=True,
        )
    threading.Thread(target=child.wait, daemon=True).start()  # so that it does not stay as a zombie
    folder.write_status(state="preparing", stage="start", progress=0.0, seconds_left=None, message="Starting.",
                        pid=child.pid, started=time.time())
    return folder
