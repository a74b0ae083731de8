"""The recipe that holds the accepted repairs of a table. Knows nothing of how they are done.

Whatever the order they were accepted in, repairs are applied in that of `repair.KINDS`: so a second application changes
nothing, and two people who accept the same repairs get the same table.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fgdesign.data.letters import reread
from fgdesign.data.repair import JOINED, KINDS, OF_SHEETS, RULES, Repair, repair_from
from fgdesign.data.table import short
from fgdesign.errors import DataError

FORMAT = "fgdesign.recipe/1"


@dataclass(frozen=True)
class Recipe:
    """The accepted repairs.

    Raises:
        DataError: a new name is one that another repair changes, so that a second application would differ.
    """

    repairs: tuple[Repair, ...] = ()

    def __post_init__(self) -> None:
        given = {new for repair in self.repairs if repair.kind == "rename" for _, new in repair.names}
        for repair in self.repairs:
            if used := sorted(given.intersection(repair.columns)):
                raise DataError(
                    f"The recipe renames a column to '{short(used[0])}', which the repair '{repair.kind}' "
                    "already names. Choose another name, or use the old one in that repair."
                )
        self._check_merges()

    def _check_merges(self) -> None:
        changed: set[tuple[str, str]] = set()
        for repair in self.repairs:
            if repair.kind == "merge_labels":
                column = repair.columns[0]
                again = [new for _, new in repair.names if (column, new) in changed]
                if again:
                    raise DataError(
                        f"The recipe renames a label to '{short(again[0])}', which an earlier repair renames. "
                        "Put it after this one, or give the last name directly."
                    )
                changed.update((column, old) for old, _ in repair.names)

    @property
    def steps(self) -> tuple[Repair, ...]:
        """The repairs in the order of application, each once."""
        order = list(KINDS)

        def place(repair: Repair) -> tuple[int, int]:
            rules = list(RULES.get(repair.kind, {}))
            return order.index(repair.kind), rules.index(repair.rule) if repair.rule else 0

        return tuple(sorted(dict.fromkeys(self.repairs), key=place))

    def renamed(self, columns: Mapping[str, str | None]) -> dict[str, Any]:
        """The same columns under the names that the recipe gives them; what is None is as the recipe reads it."""
        names = dict(pair for repair in self.repairs if repair.kind == "rename" for pair in repair.names)
        chosen = {repair.rule: repair.columns[0] for repair in self.repairs if repair.kind == "read_as"}
        spelt = {role: chosen.get(role) if name is None else self.respelt(name) for role, name in columns.items()}
        return {role: name if name is None else names.get(name, name) for role, name in spelt.items()}

    def respelt(self, name: str) -> str:
        """A column's name as it is once letters and the first row were read otherwise, and columns joined."""
        for repair in self.steps:
            for old, new in repair.names if repair.kind == "reread" else ():
                name = reread(name, old, new)
            if repair.kind == "header":
                name = dict(repair.names).get(name, name)
            if repair.kind == "join_columns" and name in repair.columns:
                name = JOINED
        return name

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it, in the order of application."""
        return {"format": FORMAT, "repairs": [repair.to_dict() for repair in self.steps]}

    def with_repairs(self, repairs: Iterable[Repair]) -> Recipe:
        """The recipe with further repairs; those it has are not added again, and what they contradict goes."""
        kept = self.repairs
        for repair in repairs:
            kept = tuple(left for other in kept if (left := _beside(other, repair)) is not None)
            kept = tuple(dict.fromkeys((*kept, repair)))
        return Recipe(kept)

    def without(self, repair: Repair) -> Recipe:
        """The recipe without one repair."""
        return Recipe(tuple(other for other in self.repairs if other != repair))


def _beside(repair: Repair, later: Repair) -> Repair | None:
    """What is left of a repair once a later one is accepted: a column has one use, and a label one new name."""
    if repair != later and {repair.kind, later.kind} <= set(OF_SHEETS):
        return None
    of_script = {"other_script", *RULES["keep_script"]}
    if repair != later and "keep_script" in (repair.kind, later.kind) and {repair.rule, later.rule} <= of_script:
        return None if repair.columns == later.columns else repair
    if repair == later or repair.kind != later.kind:
        return repair
    if repair.kind == "read_as":
        return None if repair.rule == later.rule or repair.columns == later.columns else repair
    if repair.kind == "merge_labels" and repair.columns == later.columns:
        wanted = {new for _, new in later.names}
        names = tuple(pair for pair in repair.names if pair[0] not in wanted)
        return replace(repair, names=names) if names else None
    return repair


def recipe_json(recipe: Recipe) -> str:
    """A recipe as text."""
    return json.dumps(recipe.to_dict(), indent=2, ensure_ascii=False) + "\n"


def recipe_from(text: str, name: str = "The recipe") -> Recipe:
    """The recipe that a JSON text holds.

    Raises:
        DataError: it is no JSON, of another format, or a repair in it is wrong; the message says which.
    """
    try:
        found = json.loads(text)
    except (RecursionError, ValueError) as error:
        raise DataError(f"{name} is no JSON: {error}. Save it again from the doctor.") from None
    said = found.get("format") if isinstance(found, dict) else None
    if said != FORMAT or not isinstance(found.get("repairs"), list):
        raise DataError(
            f"{name} has the format '{short(str(said))}'; a recipe has \"format\": \"{FORMAT}\" and a list "
            "of \"repairs\". Give a file that --save-recipe wrote."
        )
    repairs = []
    for place, item in enumerate(found["repairs"], 1):
        try:
            repairs.append(repair_from(item))
        except DataError as error:
            raise DataError(f"{name}, repair {place}: {error}") from None
    return Recipe(tuple(repairs))


def load_recipe(path: str | Path) -> Recipe:
    """The recipe in a file. Raises DataError."""
    try:
        text = Path(path).read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path} cannot be read: {reason}. Give a file that --save-recipe wrote.") from None
    return recipe_from(text, Path(path).name)


def save_recipe(recipe: Recipe, path: str | Path) -> None:
    """Write a recipe to a file."""
    Path(path).write_text(recipe_json(recipe), "utf-8")
