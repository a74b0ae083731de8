"""A worker that counts instead of training, and keeps every promise that training keeps: run as a program.

Each step joins the step's number to a hash; a checkpoint after each; `begun.txt` lists the processes that held the run.
The setting `epochs` says how many steps, `patience` how many milliseconds each takes, half of them for its checkpoint;
the file `pace` of the workspace, where it is, says another number of them to a process that begins.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time

from fgdesign.runs.folder import RunFolder
from fgdesign.runs.process import myself
from fgdesign.runs.worker import serve


def expected(steps: int) -> str:
    """What a run of so many steps has to end with."""
    value = ""
    for step in range(steps):
        value = after(value, step)
    return value


def after(value: str, step: int) -> str:
    return hashlib.sha256(f"{value}{step}".encode()).hexdigest()


def count(folder: RunFolder) -> None:
    settings = folder.config()["settings"]
    pace = folder.path.parents[1] / "pace"
    patience = int(pace.read_text()) if pace.exists() else settings["patience"]
    with folder.locked():
        with (folder.path / "begun.txt").open("a") as file:
            file.write(f"{os.getpid()}\n")
        folder.write_status(state="running", started=time.time(), **myself())
        newest = folder.newest_checkpoint()
        step, value = json.loads((folder.checkpoints / newest / "state.json").read_text()) if newest else (0, "")
        while step < settings["epochs"]:
            if folder.asked_to_stop:
                state = "paused" if folder.asked_to_pause else "stopped"
                folder.write_status(state=state, message=state)
                return
            time.sleep(patience / 2000)
            value, step = after(value, step), step + 1
            save(folder, step, value, patience / 2000)
            folder.log({"kind": "step", "step": step})
        folder.write("report.json", {"task": "single", "value": value, "valid": {"macro_f1": 0.5}})
        folder.write_status(state="succeeded", message="Finished.", progress=1.0)


def save(folder: RunFolder, step: int, value: str, seconds: float) -> None:
    """Whole or not at all; it takes its time."""
    folder.checkpoints.mkdir(exist_ok=True)
    aside = folder.checkpoints / f"writing-{os.getpid()}-{step}"
    aside.mkdir(exist_ok=True)
    (aside / "state.json").write_text(json.dumps([step, value]))
    time.sleep(seconds)
    aside.rename(folder.checkpoints / f"step-{step:09d}")


if __name__ == "__main__":
    sys.exit(serve(count))
