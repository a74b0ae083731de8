"""Ends the supervisor that a test, or an app of a test, has started, and what it runs."""

from __future__ import annotations

from pathlib import Path


def end_supervisor(workspace: Path) -> None:
    """Kill the supervisor of a workspace and its runs, where there are any."""
    from fgdesign.runs.process import end_group, mark_of
    from fgdesign.runs.store import open_store

    told = workspace / "supervisor.pid"
    if told.exists():
        end_group(int(told.read_text()), mark_of(int(told.read_text())))
    for job in open_store(workspace).active():
        end_group(job.pid, job.pid_mark)
