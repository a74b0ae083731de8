"""Commands about searches: begin one, follow it, list, show, pause, stop, resume, delete. Knows nothing of torch."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fgdesign.cli_settings import add_settings, settings_of

if TYPE_CHECKING:
    from fgdesign.runs.search import Search

Add = Callable[..., argparse.ArgumentParser]
LOOK_SECONDS = 1.0
WISHES = ("pause", "stop", "resume", "delete", "undelete")
DATA = ("valid", "test", "text", "text_b", "label", "task", "split")


def add_search(command: Add, data_options: Callable[[argparse.ArgumentParser], None]) -> None:
    """Tell the command line of these commands. data_options: adds the flags of data and columns."""
    search = command("search", _search, "search settings and graph choices for the best model", "graph", "data")
    search.add_argument("--trials", type=int, default=20, metavar="N", help="how many runs to try (20)")
    search.add_argument("--parallel", type=int, default=1, metavar="N", help="how many at a time, slots allowing (1)")
    search.add_argument("--space", metavar="JSON", help="what may change; made from the graph where not given")
    search.add_argument("--everything", action="store_true", help="without --space: all that can be searched")
    search.add_argument("--print-space", action="store_true", help="print the space as JSON, to be edited, and end")
    search.add_argument("--no-prune", action="store_true", help="let every trial run to its end")
    search.add_argument("--queue", action="store_true", help="return at once; the search goes on by itself")
    search.add_argument("--json", action="store_true", help="print one JSON object")
    data_options(search)
    add_settings(search)
    them = command("searches", _searches, "searches: list them, show trials, pause, stop, resume or delete one")
    them.add_argument("action", nargs="?", default="list", choices=("list", "show", *WISHES),
                      help="pause: put the runs at hand aside, until resume. delete: with the runs of its trials; "
                      "undelete brings both back, for a week")
    them.add_argument("search_name", nargs="?", metavar="SEARCH", default="last", help="its name, or last")
    them.add_argument("--more", type=int, default=0, metavar="N", help="resume: so many trials more")
    them.add_argument("--json", action="store_true", help="print one JSON object")


def _search(options: argparse.Namespace) -> int:
    from fgdesign.graph import load_graph, require_valid
    from fgdesign.runs.good_space import good_space
    from fgdesign.runs.search import begin
    from fgdesign.runs.space import read_space, write_space
    from fgdesign.runs.store import open_store
    from fgdesign.runs.supervisor import ensure

    graph, settings = load_graph(options.graph), settings_of(options)
    require_valid(graph)
    space = read_space(options.space) if options.space else good_space(graph, settings, everything=options.everything)
    if options.print_space:
        print(write_space(space))
        return 0
    data = {"train": options.data, **{name: getattr(options, name) for name in DATA}}
    search = begin(open_store(), graph, data, settings, space=space, trials=options.trials,
                   parallel=options.parallel, prune=not options.no_prune)
    ensure()
    if not options.queue:
        _follow(search)
    if options.json:
        return _print(told_of(search))
    print(f"{search.name}: see its trials with: fgdesign searches show {search.name}")
    return 0


def _follow(search: Search) -> None:
    """Say each trial that ends until the search does; an interrupt leaves it to go on."""
    from fgdesign.runs.search import AT_WORK, OPEN
    from fgdesign.runs.supervisor import ensure

    said: set[int] = set()
    try:
        while True:
            going = search.told()["state"] in AT_WORK
            for trial in search.trials():
                if trial["state"] not in OPEN and trial["number"] not in said:
                    said.add(trial["number"])
                    print(_line(trial), file=sys.stderr, flush=True)
            if not going:
                break
            ensure()
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        print(f"It goes on by itself. End it with: fgdesign searches stop {search.name}", file=sys.stderr)
        return
    if search.told()["state"] == "paused":
        print(f"Paused. Go on with: fgdesign searches resume {search.name}", file=sys.stderr)
    best = search.best()
    if best is not None:
        print(f"Best: {_line(best)}", file=sys.stderr)


def _searches(options: argparse.Namespace) -> int:
    from fgdesign.runs import search as searches
    from fgdesign.runs.store import open_store
    from fgdesign.runs.supervisor import ensure

    if options.action == "list":
        found = searches.list_searches()
        if options.json:
            return _print({"searches": [told_of(one) for one in found]})
        for one in found:
            told, best = one.told(), one.best()
            score = "" if best is None else f"  best {best['value']:.4f} in trial {best['number']}"
            print(f"{one.name:30} {told['state']:10} {len(one.trials())} of {told['trials']} trials{score}")
        return 0
    search = searches.find_search(options.search_name, deleted=options.action == "undelete")
    if options.action in WISHES:
        more = {"more": options.more} if options.action == "resume" else {}
        getattr(searches, options.action)(open_store(), search, **more)
        ensure()
    if options.json:
        return _print(told_of(search))
    told = search.told()
    print(f"{search.name}: {told['state']}. {told['message']}".rstrip())
    for trial in search.trials():
        print(_line(trial))
    return 0


def told_of(search: Search) -> dict[str, Any]:
    """A search as --json prints it."""
    told, best = search.told(), search.best()
    return {"search": search.name, "path": str(search.path), "state": told["state"], "message": told["message"],
            "wanted": told["trials"], "best": None if best is None else best["number"], "trials": search.trials(),
            "space": told["space"]["choices"]}


def _line(trial: dict[str, Any]) -> str:
    value = "" if trial["value"] is None else f"{trial['value']:.4f}"
    params = ", ".join(f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
                       for name, value in trial["params"].items())
    return f"{trial['number']:4} {trial['state']:10} {value:8} {params} {trial['message']}".rstrip()


def _print(data: Any) -> int:
    from fgdesign.runs.folder import finite

    print(json.dumps(finite(data)), flush=True)
    return 0
