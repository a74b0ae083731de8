"""Batches side by side: the same results in the same order, errors handed on, threads as before."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from model_toys import on_tiny, tiny_folder, toy_network
from torch.nn.functional import cross_entropy

from fgdesign.graph.starters import Sketch
from fgdesign.insight.tracing import trace
from fgdesign.model import lanes
from fgdesign.model.inputs import Inputs, make_inputs
from fgdesign.model.lanes import alone, side_by_side
from fgdesign.model.network import FunctionGraph
from fgdesign.training import fit
from fgdesign.training.evaluate import answer_rows
from fgdesign.training.rows import outcomes

CPU = torch.device("cpu")


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_results_come_in_order_from_threads_with_one_thread_each() -> None:
    meet = threading.Barrier(2, timeout=20)

    def work(item: int) -> tuple[int, int, str]:
        if item < 2:
            meet.wait()  # two run at once, or this times out
        return item, torch.get_num_threads(), threading.current_thread().name

    found = list(side_by_side(work, range(9), CPU))
    assert [item for item, _, _ in found] == list(range(9))
    assert {threads for _, threads, _ in found} == {1}
    assert len({name for _, _, name in found}) == 2
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_an_error_comes_out_where_its_result_would_have() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise ValueError("the fourth")
        return item

    found, made = [], side_by_side(work, range(9), CPU)
    with pytest.raises(ValueError, match="the fourth"):
        found.extend(made)
    assert found == [0, 1, 2]
    assert torch.get_num_threads() == 2


def test_one_item_or_one_thread_stays_where_it_is() -> None:
    here = threading.current_thread()
    assert list(side_by_side(lambda _: threading.current_thread(), [0], CPU)) == [here]
    torch.set_num_threads(1)
    assert list(side_by_side(lambda _: threading.current_thread(), range(3), CPU)) == [here] * 3


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("rows", "busy", "threads"), [(1, 6.0, 1), (2, 6.0, 2), (1, 2.1, 2)])
def test_one_row_takes_one_thread_only_where_others_keep_the_cores_busy(
    rows: int, busy: float, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "load", lambda: busy)
    with pytest.raises(ValueError, match="inside"), alone(rows, CPU):
        assert torch.get_num_threads() == threads
        raise ValueError("inside")
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("little", "threads"), [(fit.LITTLE, 1), (0, 2)])
def test_what_is_small_is_fitted_on_one_thread(little: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever others do: the bits do not depend on it."""
    monkeypatch.setattr(fit, "LITTLE", little)
    seen: set[int] = set()

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled() and outputs.requires_grad:
            seen.add(torch.get_num_threads())
        return cross_entropy(outputs, targets, reduction="none")

    generator = torch.Generator().manual_seed(0)
    rows, targets = torch.randn(40, 5, generator=generator), torch.arange(40) % 2
    fit.fit_linear(rows, targets, 2, loss, rows, targets)
    fit.fit_weights([rows[:, :2], rows[:, 1:3]], targets, loss, torch.ones(2))
    assert seen == {threads} and torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_a_text_is_answered_and_traced_that_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    s = Sketch()
    s.add("head", "classifier", s.add("pool", "pool", s.layers(s.text(max_length=24), 1, 1)))
    folder = tiny_folder(tmp_path)
    network = toy_network(on_tiny(s, folder))
    inputs = _inputs(network, folder)
    seen: list[int] = []
    network.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    monkeypatch.setattr(lanes, "load", lambda: 6.0)
    list(outcomes(network, inputs, CPU, only=np.array([3])))
    trace(network, inputs, 0, CPU)
    assert seen == [1, 1]


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("exits", [False, True])
def test_answers_are_those_of_one_batch_after_the_other(tmp_path: Path, exits: bool) -> None:
    s = Sketch()
    port = s.layers(s.text(max_length=24), 1, 1)
    if exits:
        early = s.add("early", "classifier", s.add("pool_1", "pool", port))
        s.add("exit", "exit", port, logits=early, threshold=0.5)
        late = s.add("late", "classifier", s.add("pool_2", "pool", s.layers("exit.next", 2, 2)))
        s.add("answer", "answer", "exit.answer", late)
    else:
        s.add("late", "classifier", s.add("pool_2", "pool", port))
    folder = tiny_folder(tmp_path)
    network = toy_network(on_tiny(s, folder))
    inputs = _inputs(network, folder)
    found = answer_rows(network, inputs, CPU, batch_rows=8)
    torch.set_num_threads(1)
    plain = answer_rows(network, inputs, CPU, batch_rows=8)
    torch.testing.assert_close(torch.from_numpy(found.outputs), torch.from_numpy(plain.outputs), atol=1e-5, rtol=1e-5)
    assert found.layers.tolist() == plain.layers.tolist()
    assert found.exits.tolist() == plain.exits.tolist()


def _inputs(network: FunctionGraph, folder: Path) -> Inputs:
    from transformers import AutoTokenizer

    texts = [" ".join(["good", "bad", "film"][i % 3] for i in range(1 + n % 7)) for n in range(70)]
    return make_inputs(network, AutoTokenizer.from_pretrained(folder), texts)
