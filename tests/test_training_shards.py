"""A group of processes: what it is alone, and what is told and summed, here in a group of one that uses gloo."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import distributed

from fgdesign.training import shards
from fgdesign.training.shards import Group, RankLost, Ranks


@pytest.fixture
def joined() -> Iterator[Ranks]:
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield Ranks(0, 1, 0)
    distributed.destroy_process_group()


def test_alone_it_does_nothing() -> None:
    group, rows, told = Group(), np.arange(3), object()
    assert group.first and group.size == 1 and group.salt == () and group.shard(rows) is rows
    assert group.heard(lambda: told) is told and group.device(torch.device("cpu")) == torch.device("cpu")
    parameter, total = torch.nn.Parameter(torch.ones(2)), torch.tensor(3.0)
    group.add([parameter], total)
    group.hand_out(lambda: pytest.fail("asked for"), lambda _: pytest.fail("taken"))
    assert parameter.grad is None and total == 3


def test_threads_are_lent_while_the_others_wait() -> None:
    own = torch.get_num_threads()
    with Group().lent():
        assert torch.get_num_threads() == own
    with pytest.raises(ZeroDivisionError), Ranks(0, 3, 0).lent():
        assert torch.get_num_threads() == 3 * own
        raise ZeroDivisionError
    assert torch.get_num_threads() == own


@pytest.mark.parametrize("count", [0, 1, 2, 7, 32])
def test_each_row_is_in_one_shard(count: int) -> None:
    rows = np.arange(count) * 3
    parts = [Ranks(rank, 3, rank).shard(rows) for rank in range(3)]
    assert sorted(np.concatenate(parts)) == rows.tolist()
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert [Ranks(rank, 3, rank).salt for rank in range(3)] == [(), (1,), (2,)]


@pytest.mark.parametrize("words", [None, True, [1.5, float("inf"), "é" * 40], {"long": "x" * 4000}, "y" * 118])
def test_words_of_any_length_are_heard(joined: Ranks, words: object) -> None:
    assert joined.heard(lambda: words) == words
    head = []
    joined._spread = head.append  # type: ignore[method-assign,assignment]
    joined.heard(lambda: words)
    assert len(head) == 1 + (len(json.dumps(words)) > shards.WORDS)


def test_gradients_are_summed_in_buckets_and_the_absent_stay_absent(joined: Ranks,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "BUCKET", 10)
    sizes = [(2, 3), (4,), (), (30,), (1,), (5,)]
    parameters = [torch.nn.Parameter(torch.zeros(size)) for size in sizes]
    parameters.append(torch.nn.Parameter(torch.zeros(3, dtype=torch.float64)))
    for place, parameter in enumerate(parameters):
        parameter.grad = None if place == 1 else torch.full_like(parameter, place + 1.0)
    total, summed = torch.tensor(0.25), []

    def double(tensor: torch.Tensor) -> None:
        summed.append(tensor.numel())
        tensor.mul_(2)  # as if another had the same

    monkeypatch.setattr(distributed, "all_reduce", double)
    joined.add(parameters, total)
    assert total == 0.5 and summed == [8, 7, 30, 6, 3]
    assert parameters[1].grad is None
    assert all(bool((one.grad == 2 * (place + 1)).all()) and one.grad.shape == one.shape  # type: ignore[union-attr]
               for place, one in enumerate(parameters) if place != 1)


def test_what_another_had_alone_counts_here_as_zero(joined: Ranks, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = [torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(2))]
    parameters[0].grad = torch.ones(2)
    monkeypatch.setattr(distributed, "all_reduce", lambda tensor: tensor.add_(1))  # the other has ones everywhere
    joined.add(parameters, torch.zeros(()))
    assert [one.grad.tolist() for one in parameters if one.grad is not None] == [[2, 2], [1, 1]]


def test_a_lost_process_is_told_apart_from_an_error(joined: Ranks, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(tensor: torch.Tensor, *_: object) -> None:
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr(distributed, "broadcast", lost)
    with pytest.raises(RankLost, match="Connection closed"):
        joined.heard(lambda: 1)
    with pytest.raises(ZeroDivisionError):
        joined.heard(lambda: 1 / 0)
