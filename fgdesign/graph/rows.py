"""Which rows of a batch a port holds, as a logical condition over the choices of routers and exits.

A condition is a set of alternatives; each alternative is a set of choices `(router, branch)` that must all
have been taken. `ALL` holds every row. Knows nothing of node types, shapes or torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Choice = tuple[str, str]
Rows = frozenset[frozenset[Choice]]

ALL: Rows = frozenset({frozenset()})
NONE: Rows = frozenset()
MOST_ALTERNATIVES = 4096


@dataclass(frozen=True)
class Ways:
    """The choices there are: per router its branches, and how many of them one row takes."""

    branches: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    taken: Mapping[str, int] = field(default_factory=dict)

    def exclusive(self, router: str) -> bool:
        return self.taken.get(router, 1) == 1

    def share(self, rows: Rows) -> float:
        """Expected share of rows if every router chose evenly and no exit answered (an upper bound)."""
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
    """Rows that all parts hold; empty where they lie in different branches of one exclusive router."""
    result = ALL
    for rows in parts:
        if rows == result:
            continue
        joined = (a | b for a in result for b in rows)
        result = simplify((alternative for alternative in joined if possible(alternative, ways)), ways)
    return result


def either(parts: Iterable[Rows], ways: Ways) -> Rows:
    """Rows that at least one part holds."""
    return simplify((alternative for rows in parts for alternative in rows), ways)


def possible(alternative: frozenset[Choice], ways: Ways) -> bool:
    """False where one exclusive router would have to take two branches."""
    routers = [router for router, _ in alternative]
    return all(routers.count(router) <= ways.taken.get(router, 1) for router in routers)


def simplify(alternatives: Iterable[frozenset[Choice]], ways: Ways) -> Rows:
    """An equal, shorter condition: whole sets of branches become "all", narrower alternatives go."""
    found = set(alternatives)
    changed = len(found) <= MOST_ALTERNATIVES
    while changed:
        changed = False
        for alternative in sorted(found, key=len, reverse=True):
            for choice in sorted(alternative):
                rest = alternative - {choice}
                full = {rest | {(choice[0], branch)} for branch in ways.branches[choice[0]]}
                if alternative in found and full <= found:
                    found = (found - full) | {rest}
                    changed = True
    return frozenset(a for a in found if not any(b < a for b in found))


def uncovered(rows: Rows, ways: Ways) -> dict[str, str] | None:
    """A choice of branches under which no alternative holds, or None where every row is held."""
    if frozenset() in rows:
        return None
    if not rows:
        return {}
    router = min(choice[0] for alternative in rows for choice in alternative)
    for branch in ways.branches[router]:
        rest = frozenset(
            alternative - {(router, branch)}
            for alternative in rows
            if all(other == branch for name, other in alternative if name == router)
        )
        missing = uncovered(rest, ways)
        if missing is not None:
            return {router: branch, **missing}
    return None


def branches_of(rows: Rows, router: str) -> frozenset[str]:
    """The branches of `router` through which these rows may have come."""
    return frozenset(branch for alternative in rows for name, branch in alternative if name == router)


def routers_of(rows: Rows) -> frozenset[str]:
    """Routers on whose choice these rows depend."""
    return frozenset(name for alternative in rows for name, _ in alternative)
