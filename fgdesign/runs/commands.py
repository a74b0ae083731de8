"""Commands about runs: the queue, the supervisor, stop. Knows nothing of torch; `fgdesign.cli` offers them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgdesign.errors import RunError
from fgdesign.runs.folder import FINAL_STATES, RunFolder, find_run, finite, list_runs

if TYPE_CHECKING:
    from fgdesign.runs.store import Job, Store

Add = Callable[..., argparse.ArgumentParser]
WISHES = ("pause", "stop", "cancel", "resume", "retry")
HELP = """list: what runs and what waits, in order. pause: put aside. stop: end, the best so far kept. cancel: end,
nothing kept. resume: queue again, from the last checkpoint. retry: queue again, from the beginning. move: to another
place."""


def add_commands(command: Add) -> None:
    """Tell the command line of these commands."""
    runs = command("runs", _runs, "list the runs of the workspace")
    runs.add_argument("--json", action="store_true", help="print one JSON object")
    command("stop", _stop, "end a run after its present step, the best so far kept", "run_name")
    queue = command("queue", _queue, "what waits for its turn, and what is to be done with it")
    queue.add_argument("action", nargs="?", default="list", choices=("list", *WISHES, "move"), help=HELP)
    queue.add_argument("run_name", nargs="?", metavar="RUN")
    queue.add_argument("--before", metavar="RUN", help="move: to the place before this one; without, to the end")
    queue.add_argument("--priority", type=int, help="move: the higher, the sooner")
    queue.add_argument("--json", action="store_true", help="print one JSON object")
    seeds = command("seeds", _seeds, "what the numbers of a run are worth: mean and interval over seeds", "run_name")
    seeds.add_argument("--more", type=int, default=0, metavar="N", help="first queue the same with N other seeds")
    seeds.add_argument("--json", action="store_true", help="print one JSON object")
    supervisor = command("supervise", _supervise, "look after the queue of the workspace until interrupted")
    supervisor.add_argument("--workspace", type=Path, help="folder of graphs, data and runs")
    supervisor.add_argument("--idle", type=float, metavar="SECONDS", help="end after so long without anything to do")


def submit(graph: Any, data: Mapping[str, str | None], settings: Mapping[str, Any], *, start: str | None,
           out: str | None, as_json: bool) -> int:
    """Put a run into the queue and say its name."""
    from fgdesign.runs.store import open_store
    from fgdesign.runs.supervisor import ensure

    run = open_store().submit(graph, data, settings, start=start, out=None if out is None else Path(out))
    ensure()
    if as_json:
        return _print({"run": str(run.path), "name": run.name, "state": "queued"})
    print(f"Queued: {run.name}. See how it goes: fgdesign queue")
    return 0


def take_over(run: RunFolder) -> None:
    """Take a run out of the queue, so that a terminal goes on with it. Raises RunError while it is at work."""
    from fgdesign.runs.store import open_store

    if not run.told()["managed"]:
        return
    store = open_store(run.path.absolute().parents[1])
    free = ("queued", "paused", "failed", "cancelled", "stopped")
    if not store.change(run.name, free, state="running", wanted="run", managed=False):
        raise RunError(f"Run '{run.name}' is {store.job(run.name).state}. Pause it first: "
                       f"fgdesign queue pause {run.name}")
    run.write_status(managed=False)


def _runs(options: argparse.Namespace) -> int:
    rows = [{"run": run.name, "path": str(run.path), **run.status()} for run in list_runs()]
    if options.json:
        return _print({"runs": rows})
    for row in rows:
        print(f"{row['run']:45} {row['state']:10} {row['progress']:5.0%}  {row['message'].partition(chr(10))[0][:80]}")
    return 0


def _stop(options: argparse.Namespace) -> int:
    from fgdesign.runs.store import open_store
    from fgdesign.runs.supervisor import ensure

    run = find_run(options.run_name)
    if run.told()["managed"]:
        open_store(run.path.absolute().parents[1]).stop(run.name)
        ensure(run.path.absolute().parents[1])
    elif run.status()["state"] in FINAL_STATES:
        raise RunError(f"Run '{run.name}' is not at work: its state is '{run.status()['state']}'.")
    else:
        run.stop()
    print(f"Asked '{run.name}' to stop.", file=sys.stderr)
    return 0


def _queue(options: argparse.Namespace) -> int:
    from fgdesign.runs.store import open_store
    from fgdesign.runs.supervisor import ensure

    store = open_store()
    if options.action != "list":
        if options.run_name is None:
            options.wrong_usage(f"name the run to {options.action}")
        name = find_run(options.run_name).name
        if options.action == "move":
            _move(store, name, options)
        else:
            getattr(store, options.action)(name)
        ensure()
    at_work, waiting, aside = store.at_hand()
    if options.json:
        return _print({"running": [_row(job) for job in at_work], "queued": [_row(job) for job in waiting],
                       "paused": [_row(job) for job in aside]})
    for job in (*at_work, *waiting, *aside):
        place = f"{waiting.index(job) + 1}." if job in waiting else job.slot
        print(f"{place:8} {job.name:45} {job.state:10} {job.message.partition(chr(10))[0][:80]}")
    return 0


def _move(store: Store, name: str, options: argparse.Namespace) -> None:
    if options.priority is not None:
        store.set_priority(name, options.priority)
    if options.before is not None or options.priority is None:
        store.reorder(name, None if options.before is None else find_run(options.before).name)


def _seeds(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from fgdesign.runs.seeds import more_seeds, seeds_of, summary
    from fgdesign.runs.store import open_store
    from fgdesign.runs.supervisor import ensure

    run, store = find_run(options.run_name), open_store()
    if options.more > 0:
        more_seeds(store, run.name, options.more)
        ensure()
    told = summary(seeds_of(store, run.name))
    if options.json:
        return _print(told | {"metrics": {name: asdict(one) for name, one in told["metrics"].items()}})
    print(f"{told['done']} of {told['runs']} runs are through; measured on the {told['part'] or 'test'} rows.")
    for name, one in told["metrics"].items():
        print(f"{name:12} {one.mean:.4f}, 95 % interval {one.low:.4f} to {one.high:.4f}")
    return 0


def _row(job: Job) -> dict[str, Any]:
    return {"run": job.name, "state": job.state, "wanted": job.wanted, "slot": job.slot, "priority": job.priority,
            "attempt": job.attempt, "message": job.message, "progress": job.folder.status()["progress"]}


def _supervise(options: argparse.Namespace) -> int:
    from fgdesign.runs.supervisor import supervise

    if not supervise(options.workspace, idle=options.idle):
        print("Another supervisor looks after this workspace already.", file=sys.stderr)
    return 0


def _print(data: Any) -> int:
    print(json.dumps(finite(data)), flush=True)
    return 0
