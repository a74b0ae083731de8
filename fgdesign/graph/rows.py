"""Which rows of a batch a port holds, as a logical condition over the choices of routers and exits.

A condition is a set of alternatives; each alternative is a set of choices `(router, branch)` that must all
have been taken. `ALL` holds every row. Knows nothing of node types, shapes or torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fgdesign.errors import FgdesignError

Choice = tuple[str, str]
Alternative = frozenset[Choice]
Rows = frozenset[Alternative]

ALL: Rows = frozenset({frozenset()})
NONE: Rows = frozenset()
MOST_ALTERNATIVES = 1024
MOST_STEPS = 5_000


class TangledRows(FgdesignError):
    """The condition is too long to be reasoned about."""

    def __init__(self) -> None:
        super().__init__(f"the ways through routers and exits above it have more than {MOST_ALTERNATIVES:,} "
                         "combinations")


@dataclass(frozen=True)
class Ways:
    """The choices there are: per router its branches, and how many of them one row takes."""

    branches: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    taken: Mapping[str, int] = field(default_factory=dict)

    def exclusive(self, router: str) -> bool:
        return self.taken.get(router, 1) == 1

    def share(self, rows: Rows) -> float:
        """Share of rows, at most, if every router and exit chose evenly among its branches."""
        total = 0.0
        for alternative in rows:
            chance = 1.0
            for router, _ in alternative:
                chance *= min(1.0, self.taken.get(router, 1) / len(self.branches[router]))
            total += chance
        return min(1.0, total)


def choose(rows: Rows, router: str, branch: str) -> Rows:
    """The rows out of `rows` that take this branch."""
    return frozenset(alternative | {(router, branch)} for alternative in rows)


def both(parts: Iterable[Rows], ways: Ways) -> Rows:
    """Rows that all parts hold; empty where they lie in different branches of one exclusive router.

    Raises: TangledRows.
    """
    result = ALL
    for rows in parts:
        if result == ALL:
            result = rows
        elif rows not in (ALL, result):
            if len(result) * len(rows) > 16 * MOST_ALTERNATIVES:
                raise TangledRows
            joined = (a | b for a in result for b in rows)
            result = simplify((alternative for alternative in joined if possible(alternative, ways)), ways)
    return result


def either(parts: Iterable[Rows], ways: Ways) -> Rows:
    """Rows that at least one part holds. Raises: TangledRows."""
    return simplify((alternative for rows in parts for alternative in rows), ways)


def overlap(one: Rows, other: Rows, ways: Ways) -> bool:
    """True where some row may be in both."""
    return any(possible(a | b, ways) for a in one for b in other)


def possible(alternative: Alternative, ways: Ways) -> bool:
    """False where a router would have to take more branches than it does."""
    times = Counter(router for router, _ in alternative)
    return len(times) == len(alternative) or all(n <= ways.taken.get(router, 1) for router, n in times.items())


def simplify(alternatives: Iterable[Alternative], ways: Ways) -> Rows:
    """An equal, shorter condition: whole sets of branches become "all", narrower alternatives go.

    Raises: TangledRows.
    """
    found = set(alternatives)
    if len(found) > MOST_ALTERNATIVES:
        raise TangledRows
    waiting = list(found) if len(found) > 1 else []
    beside: dict[tuple[Alternative, str], set[str]] = {}
    while waiting:
        alternative = waiting.pop()
        for router, branch in alternative:
            rest = alternative - {(router, branch)}
            seen = beside.setdefault((rest, router), set())
            seen.add(branch)
            if len(seen) == len(ways.branches[router]) and rest not in found:
                found.add(rest)
                waiting.append(rest)
    return _widest(found)


def _widest(found: set[Alternative]) -> Rows:
    kept: list[Alternative] = []
    for alternative in sorted(found, key=len):
        if not any(wider <= alternative for wider in kept):
            kept.append(alternative)
    return frozenset(kept)


def uncovered(rows: Rows, ways: Ways) -> tuple[Choice, ...] | None:
    """Branches a row may take so that no alternative holds it, or None where every row is held.

    Decides one choice after the other; a row takes branches that no alternative needs wherever it can.
    Raises: TangledRows.
    """
    waiting: list[tuple[Rows, Alternative, Alternative]] = [(rows, frozenset(), frozenset())]
    for _ in range(MOST_STEPS):
        if not waiting:
            return None
        left, taken, refused = waiting.pop()
        if not left:
            return tuple(sorted(_filled(taken, refused, ways)))
        if frozenset() not in left:
            waiting += _next_choices(left, taken, refused, ways)
    raise TangledRows


def _filled(taken: Alternative, refused: Alternative, ways: Ways) -> Alternative:
    """Taken choices, and for routers with refused ones as many others as a row takes."""
    for router in routers_of(frozenset({refused})):
        mine = [(router, branch) for branch in ways.branches[router]]
        missing = ways.taken.get(router, 1) - sum(choice in taken for choice in mine)
        free = [choice for choice in mine if choice not in taken | refused]
        taken |= frozenset(free[:missing])
    return taken


def _next_choices(
    left: Rows, taken: Alternative, refused: Alternative, ways: Ways
) -> list[tuple[Rows, Alternative, Alternative]]:
    choice = min((len(alternative), min(alternative)) for alternative in left)[1]
    router = choice[0]
    needed = {other for alternative in left for other in alternative if other[0] == router}
    decided = needed | taken | refused
    free = [(router, branch) for branch in ways.branches[router] if (router, branch) not in decided]
    quota = ways.taken.get(router, 1) - sum(name == router for name, _ in taken)
    if len(free) >= quota:
        rest = frozenset(alternative for alternative in left if not alternative & needed)
        return [(rest, taken | frozenset(free[:quota]), refused)]
    chosen = (frozenset(alternative - {choice} for alternative in left), taken | {choice}, refused)
    if len(free) + len(needed) <= quota:
        return [chosen]
    without = frozenset(alternative for alternative in left if choice not in alternative)
    return [chosen, (without, taken, refused | {choice})]


def branches_of(rows: Rows, router: str) -> frozenset[str]:
    """The branches of `router` through which these rows may have come."""
    return frozenset(branch for alternative in rows for name, branch in alternative if name == router)


def routers_of(rows: Rows) -> frozenset[str]:
    """Routers on whose choice these rows depend."""
    return frozenset(name for alternative in rows for name, _ in alternative)
