"""What the doctor finds: a finding is data, made here from rows of a table. Knows no rule of what is wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from fgdesign.data.alike import Mask
from fgdesign.data.repair import Repair
from fgdesign.data.table import MOST_ROWS, Table, count

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing a person should know of a table.

    Attributes:
        code: a name that stays the same, such as "missing_labels".
        severity: "error": nothing can be learnt so; "warning": what is learnt suffers; "note": good to know.
        message: the value, the rule and the next step.
        column: where, "" for the table.
        rows: row numbers as a person counts them, the first 1,000.
        count: all rows it is about, 0 where it is not about rows.
        repair: what mends it, None where only a person can.
        others: other ways to mend it, from which a person may choose.
        there: what mends it in the test table instead, None where nothing does.
    """

    code: str
    severity: Severity
    message: str
    column: str = ""
    rows: tuple[int, ...] = ()
    count: int = 0
    repair: Repair | None = None
    others: tuple[Repair, ...] = ()
    there: Repair | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "column": self.column,
            "rows": list(self.rows),
            "count": self.count,
            "repair": None if self.repair is None else self.repair.to_dict(),
            "others": [repair.to_dict() for repair in self.others],
            "there": None if self.there is None else self.there.to_dict(),
        }


def about_rows(
    table: Table, found: Mask, code: str, severity: Severity, message: str, column: str, repair: Repair | None = None
) -> Finding:
    """A finding about some rows.

    In the message "{rows}" becomes their number, "{first}" the first of them, "{has/have}" the verb that fits.

    Args:
        table: N rows.
        found: (N,) bool, at least one true.
        code, severity, message, column, repair: of the finding.
    """
    numbers = table.row_numbers[found]
    rows = tuple(np.sort(numbers)[:MOST_ROWS].tolist())
    total = len(numbers)
    said = message.replace("{rows}", count(total, "row")).replace("{first}", f"first: row {rows[0]}")
    said = re.sub(r"\{([\w ]+)/([\w ]+)\}", r"\1" if total == 1 else r"\2", said)
    return Finding(code, severity, said, column, rows, total, repair)


def with_ways(finding: Finding, ways: Sequence[Repair | None]) -> Finding:
    """The finding with ways to mend it, the likeliest first."""
    found = [way for way in ways if way is not None]
    return replace(finding, repair=found[0], others=tuple(found[1:])) if found else finding


def worst_first(findings: list[Finding]) -> tuple[Finding, ...]:
    """Errors, then warnings, then notes."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))
