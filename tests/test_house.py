"""The house rules that a machine can check, over the source text: which part may import which, sizes, bans."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RANKS = {  # a part imports from parts of its own rank or below
    "errors": 0, "graph": 1, "data": 1, "model": 2, "training": 3, "runs": 4, "insight": 4, "views": 4,
    "ui": 5, "serve": 5, "pages": 6, "app": 6, "cli": 6,
}
PACKAGES = {  # where a third-party package may be imported; other parts may not
    "streamlit": {"app", "pages", "ui"},
    "plotly": {"views"},
    "pyvis": {"views"},
    "torch": set(RANKS) - {"errors", "graph", "views", "pages"},
    "transformers": set(RANKS) - {"errors", "graph", "views", "pages"},
}
BANNED_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
BANNED_CALLS = {
    "eval", "exec", "torch.load", "__import__", "pd.read_pickle", "pandas.read_pickle", "os.system",
    "st.stop",  # forgets what was pressed while the page was being drawn
}
BANNED_ARGUMENTS = {"unsafe_allow_html", "trust_remote_code", "shell", "allow_pickle"}
LIGHT = ["graph", "data", "runs", "views"]
HEAVY = {"fgdesign.runs.job", "fgdesign.runs.prepare", "fgdesign.runs.trained"}  # where runs compute
MOST_LINES, MOST_FUNCTION_LINES = 400, 80

FILES = sorted(
    path for pattern in ("app.py", "pages/*.py", "fgdesign/**/*.py") for path in ROOT.glob(pattern)
    if "__pycache__" not in path.parts
)
EACH_FILE = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def part_of(path: Path) -> str:
    """The part a file belongs to: "graph" for fgdesign/graph/x.py, "app" for app.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[1] if parts[0] == "fgdesign" and len(parts) > 1 else parts[0]


def imports_of(path: Path) -> Iterator[tuple[str, int]]:
    """Full module names and lines, wherever in the file they stand; `from a import b` also as a.b."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def ours(module: str) -> str | None:
    """The part an import of our own package names, or None."""
    head, _, rest = module.partition(".")
    return rest.partition(".")[0] if head == "fgdesign" and rest else None


def test_there_is_something_to_check() -> None:
    assert len(FILES) > 20 and {"graph", "model", "data"} <= {part_of(path) for path in FILES}


@EACH_FILE
def test_arrows_point_one_way(path: Path) -> None:
    part = part_of(path)
    if part not in RANKS:  # the package's own front door may show anything but the app
        assert "ui" not in {ours(module) for module, _ in imports_of(path)}
        return
    for module, line in imports_of(path):
        other = ours(module)
        if other in RANKS:
            assert RANKS[other] <= RANKS[part], f"line {line}: {part} must not import {module}"


@EACH_FILE
def test_packages_stay_where_they_belong(path: Path) -> None:
    part = part_of(path)
    for module, line in imports_of(path):
        name = module.partition(".")[0]
        assert name not in BANNED_IMPORTS, f"line {line}: {module}"
        if part in RANKS:
            assert part in PACKAGES.get(name, {part}), f"line {line}: {part} must not import {module}"


@EACH_FILE
def test_nothing_dangerous_is_called(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in BANNED_CALLS, f"line {node.lineno}: {ast.unparse(node.func)}"
            for keyword in node.keywords:
                off = isinstance(keyword.value, ast.Constant) and not keyword.value.value
                assert keyword.arg not in BANNED_ARGUMENTS or off, f"line {node.lineno}: {keyword.arg}"


@EACH_FILE
def test_a_file_says_what_it_is_and_stays_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if text.strip():
        assert ast.get_docstring(tree(path)), "no docstring at the top"
    assert len(text.splitlines()) <= MOST_LINES
    assert "noqa" not in text and "TODO" not in text


@EACH_FILE
def test_functions_stay_short(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MOST_FUNCTION_LINES, f"line {node.lineno}: {node.name} has {length} lines"


def test_most_functions_are_short() -> None:
    lengths = sorted((node.end_lineno or 0) - node.lineno + 1 for path in FILES for node in ast.walk(tree(path))
                     if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    assert lengths[int(0.9 * len(lengths))] <= 35


@pytest.mark.parametrize("part", LIGHT)
def test_design_data_and_run_pages_open_without_torch(part: str) -> None:
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
             for path in FILES if path.relative_to(ROOT).parts[:2] == ("fgdesign", part)}
    assert names, f"fgdesign.{part} has no modules"
    code = f"import sys\nfor name in {sorted(names - HEAVY)!r}: __import__(name)\n" \
           "print(sorted({'torch', 'transformers', 'streamlit'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_the_readme_shows_the_tree_as_it_is() -> None:
    shown = (ROOT / "README.md").read_text("utf-8").partition("## The tree")[2]
    named = set(re.findall(r"[a-z_]+\.py", shown))
    listed = [path for path in FILES if path.parent.name not in ("pages", "blocks", "catalogue")]
    listed += (ROOT / "benchmarks").glob("*.py")
    real = {path.name for path in listed if not path.name.startswith("__")}
    assert named == real, f"missing: {sorted(real - named)}, gone: {sorted(named - real)}"
