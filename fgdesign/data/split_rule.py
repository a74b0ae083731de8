"""How rows are shared out, as one line of text that a run keeps: "test=0.2,seed=3", "group=customer", "time=date".

Knows nothing of how the parts are made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fgdesign.data.table import short
from fgdesign.errors import DataError, choices

FIELDS = ("valid", "test", "seed", "group", "time")
NEXT = re.compile(rf",\s*(?=(?:{'|'.join(FIELDS)})=)")


@dataclass(frozen=True)
class SplitRule:
    """valid, test: shares of the rows. seed: of the shuffle. group: a column whose equal cells stay in one part.

    time: a column by which the newest rows test, those before them validate, and the others train.

    Raises:
        DataError: the shares leave nothing to train on, the seed is below 0, or both columns are named.
    """

    valid: float = 0.125
    test: float = 0.125
    seed: int = 0
    group: str = ""
    time: str = ""

    def __post_init__(self) -> None:
        if min(self.valid, self.test) < 0 or not self.valid + self.test < 1:
            raise DataError(
                f"The shares {self.valid:g} for validation and {self.test:g} for test leave no rows to train on or are "
                "negative. Choose shares from 0 on whose sum is below 1."
            )
        if self.seed < 0:
            raise DataError(f"The seed {self.seed} is below 0. Choose a whole number from 0 on.")
        if self.group and self.time:
            raise DataError("Rows are split by group or by time, not by both. Name one column.")

    def __str__(self) -> str:
        first = SplitRule()
        shown = ((name, getattr(self, name)) for name in FIELDS)
        return ",".join(
            f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
            for name, value in shown if value != getattr(first, name)
        )  # fmt: skip


def split_rule(text: str | None) -> SplitRule:
    """The rule that a line of text says; the usual one for none. Raises DataError."""
    values: dict[str, float | int | str] = {}
    for item in NEXT.split(text.strip()) if text and text.strip() else ():
        name, _, value = item.partition("=")
        if name not in FIELDS or not value:
            raise DataError(
                f"'{short(item)}' is no part of a split. {choices(FIELDS, name)} Write it as "
                "test=0.2,valid=0.1,seed=3, group=COLUMN or time=COLUMN."
            )
        try:
            values[name] = value if name in ("group", "time") else int(value) if name == "seed" else float(value)
        except ValueError:
            raise DataError(f"The {name} of a split is a number, not '{short(value)}'.") from None
    return SplitRule(**values)  # type: ignore[arg-type]
