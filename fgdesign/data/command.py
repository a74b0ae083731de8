"""The doctor's command: the findings, repairs and recipes of the Data page in a terminal. `fgdesign.cli` offers it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fgdesign.data.findings import Finding
    from fgdesign.data.repair import Repair
    from fgdesign.data.table import Table

ROLES = ("no_label_column", "no_labels", "single_class", "all_classes_small", "not_learnable")
Add = Callable[..., argparse.ArgumentParser]


def add_doctor(command: Add) -> None:
    """Tell the command line of the doctor."""
    made = command("doctor", _doctor, "find what is wrong with a table, and repair it", "data")
    made.add_argument("--json", action="store_true", help="print one JSON object")
    for name in ("text", "text-b", "label"):
        made.add_argument(f"--{name}", metavar="COL", help="column; guessed where not given")
    made.add_argument("--task", default="auto", choices=("auto", "single", "multi", "regression"))
    made.add_argument("--test", metavar="CSV", help="another table: texts that are in both are found")
    made.add_argument("--graph", metavar="GRAPH", help="count tokens as this graph reads them; the default backbone's "
                      "up to 256 where not given")
    made.add_argument("--fix", action="store_true", help="apply the repairs of all errors and warnings")
    made.add_argument("--accept", metavar="CODE", action="append", default=[], help="apply also the repair of this "
                      "finding, which --fix leaves to you; encoding_guess=cp1250 names the encoding, "
                      "single_class=COL the label column; may be repeated")
    made.add_argument("--out-test", metavar="CSV", help="where the test table goes without the rows whose labels are "
                      "not in this one")
    made.add_argument("--recipe", metavar="R.json", help="first apply the repairs of this recipe")
    made.add_argument("--save-recipe", metavar="R.json", help="write the recipe with the proposed repairs")
    made.add_argument("--out", metavar="CSV", help="where the repaired table goes")


def _doctor(options: argparse.Namespace) -> int:
    from fgdesign.data.doctor import examine, full_recipe
    from fgdesign.data.mend import apply
    from fgdesign.data.read import read_table
    from fgdesign.data.recipe import Recipe, load_recipe, save_recipe
    from fgdesign.data.write import write_table

    mends = options.fix or options.recipe is not None or bool(options.accept)
    if mends != (options.out is not None):
        options.wrong_usage("a repaired table is written with --out FILE and --fix, --accept CODE or --recipe R.json")
    if options.out is not None and Path(options.out).resolve() == Path(options.data).resolve():
        options.wrong_usage("--out names the table itself; give another file, so that nothing is lost")
    columns = {name: getattr(options, name) for name in ("text", "text_b", "label")}
    test = None if options.test is None else read_table(options.test)
    table = read_table(options.data)
    counted = _counted(options.graph)
    found = left = examine(table, **columns, task=options.task, test=test, **counted)
    recipe = Recipe() if options.recipe is None else load_recipe(options.recipe)
    recipe = recipe.with_repairs(_accepted(code, table.encoding, found) for code in options.accept)
    wider = options.fix or (options.save_recipe and not options.accept)
    full = full_recipe(table, recipe, **columns, task=options.task, test=test) if wider else recipe
    if options.save_recipe:
        save_recipe(full, options.save_recipe)
    said: tuple[str, ...] = ()
    if mends:
        used = full if options.fix else recipe
        mended, said = apply(used, table)
        said += write_table(mended, options.out)
        left = examine(mended, **used.renamed(columns), task=options.task, test=test, **counted)
    if options.out_test is not None:
        said += _mended_test(found, test, options)
    faulty = any(finding.severity == "error" for finding in left)
    if options.json:
        print(json.dumps({"data": options.data, "rows": len(table), "findings": [item.to_dict() for item in found],
                       "recipe": full.to_dict(), "applied": said, "out": options.out,
                       "left": [item.to_dict() for item in left]}))
        return int(faulty)
    for finding in found:
        print(f"{finding.severity} [{finding.code}]: {finding.message}")
        for line in _ways(finding):
            print(f"    {line}")
    for sentence in said:
        print(f"repaired: {sentence}")
    for finding in left if mends else ():
        if finding.severity != "note":
            print(f"still {finding.severity} [{finding.code}]: {finding.message}")
    return int(faulty)


def _mended_test(found: tuple[Finding, ...], test: Table | None, options: argparse.Namespace) -> tuple[str, ...]:
    """Write the test table as the findings mend it; what was done."""
    from fgdesign.data.mend import apply
    from fgdesign.data.recipe import Recipe
    from fgdesign.data.write import write_table

    ways = [finding.there for finding in found if finding.there is not None]
    if test is None or not ways:
        options.wrong_usage("--out-test needs --test FILE with rows whose labels are not in this table; none are found")
    assert test is not None
    mended, said = apply(Recipe(tuple(ways)), test)
    return (*said, *write_table(mended, options.out_test))


def _ways(finding: Finding) -> list[str]:
    """The repairs of a finding, each with the words that accept it."""
    first = finding.repair
    asked = finding.severity == "note" or (first is not None and first.of_choice)
    words = [] if first is None else [f"{first} ({f'--accept {finding.code}' if asked else '--fix'})"]
    words += [f"{way} (--accept {finding.code}={_chosen(way)})" for way in finding.others if _chosen(way)]
    if finding.there is not None:
        words.append(f"In the test table: {finding.there} (--out-test FILE)")
    return words


def _chosen(way: Repair) -> str:
    """The word that chooses one of several ways, "" where there is none."""
    word = {"read_as": way.columns, "read_sheet": way.sheets, "keep_script": (way.rule,)}.get(way.kind, ("",))
    return word[0]


def _accepted(said: str, encoding: str, found: tuple[Finding, ...]) -> Repair:
    """The repair of the finding that is named; what follows "=" names an encoding or a column. Raises InputError."""
    from fgdesign.data.repair import Repair
    from fgdesign.errors import InputError, choices

    code, _, name = said.partition("=")
    repairs = {finding.code: finding.repair for finding in found if finding.repair is not None}
    for finding in found:
        for way in (*finding.others, *([finding.repair] if finding.repair is not None else [])):
            if name and (finding.code, _chosen(way)) == (code, name):
                return way
    if name and code in ROLES:
        return Repair("read_as", (name,), "label")
    if code not in repairs or (name and code != "encoding_guess"):
        raise InputError(f"--accept {said} names no finding with a repair. {choices(repairs, code)}")
    return Repair("reread", names=((encoding, name),)) if name else repairs[code]


def _counted(graph: str | None) -> dict[str, Any]:
    """How tokens are counted, as `examine` takes it; by words where the tokeniser is not on this machine."""
    from fgdesign.data.lengths import token_counter, tokenizer_folder, tokens_read
    from fgdesign.graph import load_graph
    from fgdesign.graph.spec import Graph

    read = Graph("") if graph is None else load_graph(graph)
    folder = tokenizer_folder(read)
    return {"limit": tokens_read(read), "counter": None if folder is None else token_counter(folder)}
