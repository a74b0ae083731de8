"""What is done to a stored file in a process of its own: read, examine, repair. Results are JSON. Knows no screens."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from fgdesign.data.apart import Progress
from fgdesign.data.compare import difference
from fgdesign.data.edits import apply_edits, edits_from
from fgdesign.data.kept import keep
from fgdesign.data.lengths import token_counter
from fgdesign.data.mend import apply
from fgdesign.data.profile import profile
from fgdesign.data.read import read_table
from fgdesign.data.recipe import recipe_from
from fgdesign.data.store import add, disk_told
from fgdesign.data.table import Table
from fgdesign.data.write import write_cells


def keep_copy(path: str, name: str, tell: Progress) -> dict[str, Any]:
    """Read a file and keep its table in columns; how many rows and columns it has. Raises DataError."""
    tell(0, 2)
    with Path(path).open("rb") as file:
        table = read_table(file, name=name)
    tell(1, 2)
    with disk_told(name):
        keep(table, Path(path))
    return {"rows": len(table), "columns": table.frame.shape[1]}


def examine_file(
    path: str, columns: dict[str, str | None], task: str, recipe: str, test: str | None, tokenizer: str | None,
    limit: int, tell: Progress,
) -> dict[str, Any]:
    """The profile of a stored file. Raises DataError."""
    return profile(
        read_table(path), columns=columns, task=task, recipe=recipe_from(recipe), limit=limit, tell=tell,
        test=None if test is None else read_table(test),
        counter=None if tokenizer is None else token_counter(Path(tokenizer)),
    )  # fmt: skip


def compare_files(
    before: str, after: str, texts: list[str], label: str | None, tell: Progress
) -> dict[str, Any]:
    """What two stored files differ in. Raises DataError."""
    tell(0, 2)
    tables = read_table(before), read_table(after)
    tell(1, 2)
    return difference(*tables, texts, label)


def store_repaired(
    path: str, name: str, folder: str, recipe: str, about: dict[str, Any], tell: Progress
) -> str:
    """Apply a recipe to a stored file and store the result beside it; its id.

    Args:
        path: of the file.
        name: of the new data set.
        folder: of the store.
        recipe: as JSON.
        about: owner, parent and change, as the store takes them.
    """
    tell(0, 2)
    mended, said = apply(recipe_from(recipe), read_table(path))
    tell(1, 2)
    return _stored(mended, Path(folder), name, {**about, "change": {**about["change"], "said": list(said)}})


def store_edited(
    path: str, name: str, folder: str, edits: dict[str, Any], about: dict[str, Any], tell: Progress
) -> str:
    """Change rows of a stored file and store the result beside it; its id. Arguments as for `store_repaired`."""
    tell(0, 2)
    found = edits_from(edits)
    edited = apply_edits(found, read_table(path))
    tell(1, 2)
    return _stored(edited, Path(folder), name, {**about, "change": {**about["change"], "said": [f"{found}."]}})


def _stored(table: Table, folder: Path, name: str, about: dict[str, Any]) -> str:
    """Write a table to the store, and keep its copy."""
    with disk_told(name), tempfile.TemporaryFile(dir=folder) as file:
        write_cells(table, file)
        file.seek(0)
        stored = add(file, name, folder, **about)
    keep_copy(str(stored.path), name, lambda part, whole: None)
    return stored.id
