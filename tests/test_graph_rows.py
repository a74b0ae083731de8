"""Row conditions, against brute force: every way a row can take through a few routers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations, product

import pytest

from fgdesign.graph import rows as r

EXCLUSIVE = r.Ways({"a": ("1", "2"), "b": ("1", "2", "3"), "e": ("answer", "next")}, {"a": 1, "b": 1, "e": 1})
TOP_K = r.Ways({"a": ("1", "2", "3"), "b": ("1", "2", "3", "4"), "e": ("answer", "next")}, {"a": 2, "b": 3, "e": 1})
EVERY = r.Ways({"a": ("1", "2", "3"), "b": ("1", "2")}, {"a": 3, "b": 1})
WAYS = pytest.mark.parametrize("ways", [EXCLUSIVE, TOP_K, EVERY], ids=["exclusive", "top-k", "every"])
ROUNDS = 150


def outcomes(ways: r.Ways) -> Iterator[r.Alternative]:
    """All choices of branches one row can make."""
    per_router = [
        [frozenset((router, branch) for branch in chosen) for chosen in combinations(branches, ways.taken[router])]
        for router, branches in ways.branches.items()
    ]
    return (frozenset().union(*parts) for parts in product(*per_router))


def holds(rows: r.Rows, outcome: r.Alternative) -> bool:
    return any(alternative <= outcome for alternative in rows)


def random_rows(rng: random.Random, ways: r.Ways) -> r.Rows:
    """Up to four alternatives, each a part of what one row can choose."""
    everything = list(outcomes(ways))
    return frozenset(
        frozenset(choice for choice in sorted(rng.choice(everything)) if rng.random() < 0.5)
        for _ in range(rng.randint(0, 4))
    )


@WAYS
def test_both_either_and_simplify_keep_the_meaning(ways: r.Ways) -> None:
    rng = random.Random(1)
    for _ in range(ROUNDS):
        one, other = random_rows(rng, ways), random_rows(rng, ways)
        shared, united, short = r.both((one, other), ways), r.either((one, other), ways), r.simplify(one, ways)
        for outcome in outcomes(ways):
            assert holds(shared, outcome) == (holds(one, outcome) and holds(other, outcome))
            assert holds(united, outcome) == (holds(one, outcome) or holds(other, outcome))
            assert holds(short, outcome) == holds(one, outcome)
        assert len(short) <= len(one)


@WAYS
def test_no_rows_in_common_is_recognised(ways: r.Ways) -> None:
    rng = random.Random(2)
    seen = set()
    for _ in range(ROUNDS):
        one, other = random_rows(rng, ways), random_rows(rng, ways)
        common = any(holds(one, outcome) and holds(other, outcome) for outcome in outcomes(ways))
        assert (r.both((one, other), ways) != r.NONE) == common
        assert r.overlap(one, other, ways) == common
        seen.add(common)
    assert seen == {True, False}


@WAYS
def test_uncovered_finds_a_lost_row_exactly_where_there_is_one(ways: r.Ways) -> None:
    rng = random.Random(3)
    seen = set()
    for _ in range(ROUNDS):
        rows = r.either((random_rows(rng, ways) for _ in range(3)), ways)
        lost = [outcome for outcome in outcomes(ways) if not holds(rows, outcome)]
        missing = r.uncovered(rows, ways)
        assert (missing is None) == (not lost)
        if missing is not None:
            assert any(set(missing) <= outcome for outcome in lost)
            assert {router for router, _ in missing} <= r.routers_of(rows)
            assert bool(missing) == bool(rows)
        seen.add(missing is None)
    assert seen == {True, False}


@WAYS
def test_share_is_an_upper_bound_and_exact_for_one_alternative_of_exclusive_routers(ways: r.Ways) -> None:
    rng, everything = random.Random(4), list(outcomes(ways))
    for _ in range(ROUNDS):
        rows = random_rows(rng, ways)
        truth = sum(holds(rows, outcome) for outcome in everything) / len(everything)
        assert ways.share(rows) >= truth - 1e-9
        if len(rows) == 1 and all(map(ways.exclusive, r.routers_of(rows))):
            assert ways.share(rows) == pytest.approx(truth)


@WAYS
def test_all_branches_of_a_router_are_all_rows(ways: r.Ways) -> None:
    parts = [r.choose(r.ALL, "b", branch) for branch in ways.branches["b"]]
    assert r.either(parts, ways) == r.ALL
    assert r.either(parts[1:], ways) != r.ALL


def test_nested_routers_unite_to_the_branch_they_stand_in() -> None:
    inner = r.choose(r.ALL, "a", "1")
    leaves = [r.choose(inner, "b", branch) for branch in EXCLUSIVE.branches["b"]]
    assert r.either(leaves, EXCLUSIVE) == inner
    assert r.either([*leaves, r.choose(r.ALL, "a", "2")], EXCLUSIVE) == r.ALL
    assert r.branches_of(leaves[0], "b") == {"1"} and r.routers_of(leaves[0]) == {"a", "b"}


@pytest.mark.parametrize(("branches", "k", "merged", "missing"), [
    (4, 2, 4, None),
    (4, 2, 3, None),  # two of four always include one of three
    (4, 2, 2, (("t", "3"), ("t", "4"))),
    (64, 8, 57, None),
    (64, 1, 63, (("t", "64"),)),
])
def test_top_k_branches_that_may_stay_out_of_a_merge(
    branches: int, k: int, merged: int, missing: tuple[r.Choice, ...] | None
) -> None:
    ways = r.Ways({"t": tuple(str(i + 1) for i in range(branches))}, {"t": k})
    rows = r.either((r.choose(r.ALL, "t", str(i + 1)) for i in range(merged)), ways)
    assert r.uncovered(rows, ways) == missing


def test_a_hundred_exits_in_a_row_cover_every_row() -> None:
    names = [f"e{i}" for i in range(100)]
    ways = r.Ways(dict.fromkeys(names, ("answer", "next")), dict.fromkeys(names, 1))
    parts, rest = [], r.ALL
    for name in names:
        parts.append(r.choose(rest, name, "answer"))
        rest = r.choose(rest, name, "next")
    assert r.either([*parts, rest], ways) == r.ALL
    assert r.uncovered(r.either(parts, ways), ways) == tuple(sorted((name, "next") for name in names))


def test_conditions_without_end_are_refused_not_computed() -> None:
    names = [f"x{i}" for i in range(9)]
    ways = r.Ways(dict.fromkeys(names, tuple("12345678")), dict.fromkeys(names, 1))
    some = [frozenset(frozenset({(name, branch)}) for branch in "1234567") for name in names]
    with pytest.raises(r.TangledRows, match="more than 1,024 combinations"):
        r.both(some, ways)
    tagged = [[(name, branch) for branch in "1234567"] for name in names[:4]]
    with pytest.raises(r.TangledRows, match="more than 1,024 combinations"):
        r.either([frozenset(map(frozenset, product(*tagged)))], ways)
