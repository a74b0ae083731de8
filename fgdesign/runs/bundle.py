"""A bundle: a run's model, graph and report in one folder that works on its own. Knows nothing of torch."""

from __future__ import annotations

import shutil
from pathlib import Path

from fgdesign.errors import RunError
from fgdesign.runs.folder import find_run


def export(name: str, out: Path) -> Path:
    """Copy what is needed to answer, without checkpoints and logs. Raises RunError where `out` is not empty."""
    run = find_run(name)
    if not run.model.is_dir():
        raise RunError(f"Run '{run.path}' has no model yet. Go on with: fgdesign resume {run.path}")
    if out.exists() and any(out.iterdir()):
        raise RunError(f"'{out}' is not empty. Choose another folder.")
    out.mkdir(parents=True, exist_ok=True)
    shutil.copytree(run.model, out / "model", dirs_exist_ok=True)
    for file in ("graph.json", "config.json", "report.json", "status.json"):
        if (run.path / file).is_file():
            shutil.copy2(run.path / file, out / file)
    return out
