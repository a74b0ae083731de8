"""The command line. With --json one JSON object goes to standard output and everything else to standard error.

Exit codes: 0 done, 1 the input is at fault, 2 wrong usage, 3 our fault.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fgdesign.cli_search import add_search
from fgdesign.cli_settings import add_settings, settings_of
from fgdesign.data.command import add_doctor
from fgdesign.errors import FgdesignError
from fgdesign.runs.commands import add_commands, submit, take_over
from fgdesign.runs.executor import WAITING

for _name, _value in WAITING.items():  # before torch is imported
    os.environ.setdefault(_name, _value)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = parser().parse_args(arguments)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)
    command: Callable[[argparse.Namespace], int] = options.run
    try:
        return command(options)
    except FgdesignError as error:
        return _fail(options, str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail(options, "Interrupted.", 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads any more
        return 0
    except OSError as error:
        place = f"'{error.filename}': " if error.filename else ""
        return _fail(options, f"{place}{error.strerror or error}. Check the path, the rights and the free space.", 1)
    except Exception as error:
        logging.getLogger("fgdesign").exception("Unexpected error")
        return _fail(options, f"This is a defect of fgdesign: {type(error).__name__}: {error}", 3)


def parser() -> argparse.ArgumentParser:
    """Every command and option."""
    top = argparse.ArgumentParser(prog="fgdesign", description="Draw, train and explain function graphs over BERT.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str, *names: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        for positional in names:
            made.add_argument(positional)
        made.set_defaults(run=run, wrong_usage=made.error)
        return made

    app = command("app", _app, "open the web app")
    app.add_argument("--port", type=int, default=8501)
    app.add_argument("--workspace", help="folder of graphs, data and runs")
    starters = command("starters", _starters, "list the starter graphs, or print one as JSON")
    starters.add_argument("name", nargs="?")
    _json_option(command("check", _check, "list what is wrong with a graph (a file or a starter)", "graph"))
    add_doctor(command)
    _train_options(command("train", _train, "train a graph on a labelled file", "graph", "data"))
    evaluate = _json_option(command("evaluate", _evaluate, "measure a run on a labelled file", "run_name", "data"))
    predict = _json_option(command("predict", _predict, "answer a text or a file", "run_name"))
    for made in (evaluate, predict):
        made.add_argument("--precision", default="auto", help="int8: whole numbers in the encoder, faster on "
                          "processors without native bfloat16; evaluate tells what it changes")
    what = predict.add_mutually_exclusive_group(required=True)
    what.add_argument("data", nargs="?")
    what.add_argument("--text")
    predict.add_argument("--text-b", help="the second text, where a run reads two")
    predict.add_argument("--out", help="where the answered file goes")
    trace = _json_option(command("trace", _trace, "tell what one text did in the graph", "run_name"))
    trace.add_argument("--text", required=True)
    trace.add_argument("--text-b")
    add_commands(command)
    add_search(command, _data_options)
    _json_option(command("resume", _resume, "go on with a stopped or killed run", "run_name"))
    report = command("report", _report, "write a report of a run as one HTML file", "run_name", "out")
    report.add_argument("--data", metavar="CSV", help="another labelled file than the run's own test rows")
    report.add_argument("--tables", metavar="ZIP", help="also write every table as CSV")
    command("export", _export, "copy a run's model to a folder that works on its own", "run_name", "out")
    thresholds = _json_option(command("thresholds", _thresholds, "show or change from when a run's exits answer",
                                      "run_name"))
    thresholds.add_argument("exits", nargs="*", metavar="EXIT=VALUE", help="from 0 (always) to 2 (never)")
    thresholds.add_argument("--undo", action="store_true", help="put back what training fitted")
    return top


def _json_option(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
    made.add_argument("--json", action="store_true", help="print one JSON object")
    return made


def _train_options(made: argparse.ArgumentParser) -> None:
    _json_option(made)
    _data_options(made)
    made.add_argument("--out", metavar="RUN", help="the run folder; a new one in the workspace where not given")
    made.add_argument("--from", dest="start", metavar="RUN", help="an earlier run whose weights are taken over")
    made.add_argument("--queue", action="store_true", help="put it into the queue of the workspace and return at once")
    add_settings(made)


def _data_options(made: argparse.ArgumentParser) -> None:
    """Columns and parts."""
    for name in ("text", "text-b", "label"):
        made.add_argument(f"--{name}", metavar="COL", help="column; guessed where not given")
    made.add_argument("--task", default="auto", choices=("auto", "single", "multi", "regression"))
    made.add_argument("--valid", metavar="CSV")
    made.add_argument("--test", metavar="CSV")
    made.add_argument("--split", metavar="RULE", help="how rows are shared out where no file is given: "
                      "valid=0.125,test=0.125,seed=0, and group=COLUMN (its cells stay together) or time=COLUMN")


def _app(options: argparse.Namespace) -> int:
    from fgdesign.ui.launch import run_app

    workspace = Path(options.workspace).absolute() if options.workspace else None
    run_app(port=options.port, workspace=workspace)
    return 0


def _starters(options: argparse.Namespace) -> int:
    from fgdesign.graph import STARTERS, load_graph, placed, to_json

    if options.name is None:
        for starter in STARTERS.values():
            print(f"{starter.name:20} {starter.about}")
        return 0
    if options.name not in STARTERS:
        load_graph(options.name)
    print(to_json(placed(load_graph(options.name))), end="")
    return 0


def _check(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from fgdesign.graph import load_graph, summarise, validate

    graph = load_graph(options.graph)
    problems = validate(graph)
    faulty = any(problem.severity == "error" for problem in problems)
    if options.json:
        summary = None if faulty else asdict(summarise(graph))
        return _print({"graph": graph.name, "sha256": graph.identity, "valid": not faulty, "summary": summary,
                       "problems": [asdict(problem) for problem in problems]}) or int(faulty)
    for problem in problems:
        print(f"{problem.severity} {problem.node or graph.name} [{problem.code}]: {problem}")
    if not faulty:
        totals = summarise(graph)
        print(f"{graph.name}: valid. {totals.nodes} nodes, {totals.parameters:,} parameters, {totals.trained:,} "
              f"trained, {totals.macs_per_token:,} multiply-adds per token.")
    return int(faulty)


def _train(options: argparse.Namespace) -> int:
    chosen = settings_of(options)
    data = {"train": options.data, **{name: getattr(options, name) for name in
                                      ("valid", "test", "text", "text_b", "label", "task", "split")}}
    if options.queue:
        from fgdesign.graph import load_graph

        return submit(load_graph(options.graph), data, chosen.as_dict(), start=options.start, out=options.out,
                      as_json=options.json)
    from fgdesign.runs.job import train
    from fgdesign.runs.prepare import DataChoice

    choice = DataChoice(**data)
    folder = train(options.graph, choice, chosen, out=options.out, start=options.start, say=_say)
    return _finish(options, folder)


def _finish(options: argparse.Namespace, folder: Any) -> int:
    report = folder.report() or {"run": str(folder.path), **folder.status()}
    if options.json:
        return _print(report)
    if "seconds" not in report:  # stopped before anything was learned
        print(report["message"])
        return 0
    part = "test" if "test" in report else "valid"
    shown = ", ".join(f"{name} {value:.4f}" for name, value in report[part].items() if isinstance(value, float))
    print(f"{part}: {shown}")
    for name, router in report.get("routers", {}).items():
        print(f"{name}: " + ", ".join(f"{branch} {share:.1%}" for branch, share in router["load"].items()))
    for entry in report.get("exits", []):
        if entry["rows"]:
            sure = "" if entry["accuracy"] is None else f", accuracy {entry['accuracy']:.4f}"
            print(f"{entry['node']}: {entry['share']:.1%} of rows after {entry['depth']:.0f} layers{sure}")
    print(f"{report['seconds']['total']:.1f} s. Run: {folder.path}")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from fgdesign.runs.trained import load_run

    told = load_run(options.run_name, precision=options.precision).evaluate(options.data)
    if options.json:
        return _print(told)
    for name, value in told["metrics"].items():
        if isinstance(value, int | float):
            print(f"{name:12} {value:.4f}" if isinstance(value, float) else f"{name:12} {value}")
    for entry in told["exits"]:
        sure = "" if entry["accuracy"] is None else f", accuracy {entry['accuracy']:.4f}"
        print(f"{entry['node']}: {entry['share']:.1%} of rows{sure}")
    if "change" in told:
        print(f"{options.precision} answers {told['change']['alike']:.1%} of the rows alike and changes " + ", ".join(
            f"{name} by {by:+.4f}" for name, by in told["change"]["metrics"].items()))
    return 0


def _predict(options: argparse.Namespace) -> int:
    from fgdesign.data.write import safe_csv
    from fgdesign.runs.trained import load_run

    if options.data is not None and options.out is None:
        options.wrong_usage("a file is answered into a file: name it with --out")
    run = load_run(options.run_name, precision=options.precision)
    if options.text is not None:
        answer = run.predict([options.text], None if options.text_b is None else [options.text_b])[0]
        if options.json:
            return _print(answer)
        print(_answered(answer))
        return 0
    data = run.load(options.data, require_label=False)
    for message in data.notes:
        _say(message)
    rows = run.rows(run.answer(data))
    frame = data.frame.assign(**{name: [row[name] for row in rows] for name in
                                 ("prediction", "confidence", "route", "exit")})
    Path(options.out).write_bytes(safe_csv(frame))
    return _print({"rows": len(frame), "out": str(options.out)}) if options.json else 0


def _answered(answer: dict[str, Any]) -> str:
    sure = answer["confidence"]
    return f"{answer['prediction']:.4f}" if sure is None else f"{answer['prediction']} ({sure:.3f})"


def _trace(options: argparse.Namespace) -> int:
    from fgdesign.runs.trained import load_run

    told = load_run(options.run_name).trace(options.text, options.text_b)
    if options.json:
        return _print(told)
    print(_answered(told))
    print(f"{'node':20} {'state':12} {'gate':>6} {'ms':>8} {'share':>7}")
    for node in told["nodes"]:
        gate = "" if node["gate"] is None else f"{node['gate']:.2f}"
        print(f"{node['id']:20} {node['state']:12} {gate:>6} {node['ms']:8.2f} {node['share']:7.1%}")
    for name, router in told["routers"].items():
        scores = ", ".join(f"{branch} {score:.2f}" for branch, score in router["scores"].items())
        reason = f" ({router['reason']})" if router["reason"] else ""
        print(f"{name}: {scores} -> {'+'.join(router['chosen'])}{reason}")
    return 0


def _resume(options: argparse.Namespace) -> int:
    from fgdesign.runs.folder import find_run

    run = find_run(options.run_name)
    take_over(run)
    from fgdesign.runs.job import resume

    return _finish(options, resume(run, _say))


def _thresholds(options: argparse.Namespace) -> int:
    from fgdesign.runs.folder import find_run
    from fgdesign.runs.thresholds import parse, reset_thresholds, set_thresholds

    run = find_run(options.run_name)
    found = reset_thresholds(run) if options.undo else set_thresholds(run, parse(options.exits))
    if options.json:
        return _print({"run": run.name, "thresholds": found})
    print("\n".join(f"{name} {value:.4f}" for name, value in found.items()) or "This run has no exit.")
    return 0


def _report(options: argparse.Namespace) -> int:
    from fgdesign.insight.report import write_report
    from fgdesign.runs.trained import load_run

    write_report(load_run(options.run_name), Path(options.out), options.data,
                 None if options.tables is None else Path(options.tables))
    return 0


def _export(options: argparse.Namespace) -> int:
    from fgdesign.runs.bundle import export

    export(options.run_name, Path(options.out))
    return 0


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _print(data: Any) -> int:
    from fgdesign.runs.folder import finite

    print(json.dumps(finite(data)), flush=True)
    return 0


def _interrupt(number: int, frame: object) -> None:
    """What ends the process also has to leave its run in order."""
    raise KeyboardInterrupt


def _fail(options: argparse.Namespace, message: str, code: int) -> int:
    _say(f"fgdesign: {message}")
    if getattr(options, "json", False):
        _print({"error": message, "exit_code": code})
    return code
