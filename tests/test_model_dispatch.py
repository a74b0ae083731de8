"""Equal experts run as one step: the same numbers, whichever way, and only where they are really alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from model_toys import TINY, on_tiny, tiny_folder, toy_network
from torch import Tensor

from fgdesign.graph.starters import Sketch
from fgdesign.model import dispatch
from fgdesign.model.dispatch import Bank
from fgdesign.model.flows import Batch, Flow
from fgdesign.model.network import FunctionGraph

OUT = ("merge.out",)
NEAR = {"atol": 1e-5, "rtol": 1e-5}


def routed(folder: Path, kind: str, experts: int = 4, straight: bool = False, method: str = "sum",
           odd: bool = False, **params: object) -> tuple[FunctionGraph, str]:
    """A router over experts on the tiny encoder, and the port it reads."""
    s = Sketch()
    port = s.layers(s.text(max_length=24), 1, 1)
    port = s.add("pool", "pool", port) if kind == "vectors" else port
    s.add("router", "router", port, branches=experts + straight, **params)
    ways = [s.add(f"expert_{i}", "ffn", f"router.branch_{i}", hidden=9 if odd and i == 1 else 8)
            for i in range(1, experts + 1)]
    merged = s.add("merge", "merge", *ways, *([f"router.branch_{experts + 1}"] if straight else []), method=method)
    s.add("head", "classifier", merged if kind == "vectors" else s.add("pool", "pool", merged))
    return toy_network(on_tiny(s, tiny_folder(folder))), port


def batch_of(port: str, kind: str, size: int) -> tuple[Batch, Tensor]:
    x = torch.randn((size, TINY.width) if kind == "vectors" else (size, 5, TINY.width),
                    generator=torch.Generator().manual_seed(size))
    mask = None if kind == "vectors" else torch.arange(5) < torch.arange(size)[:, None] % 5 + 1
    return Batch(size, given={port: Flow(x, mask)}), x


def value(network: FunctionGraph, batch: Batch, *, plainly: bool = False) -> Tensor:
    """What the merge gives; plainly: step by step, as a timed run does."""
    return network(batch, wanted=OUT, timed=plainly).flows["merge.out"].value


@pytest.mark.parametrize("way", ["sorted", "dense", "gathered"])
@pytest.mark.parametrize("kind", ["vectors", "sequences"])
@pytest.mark.parametrize("size", [1, 2, 33])
def test_every_way_gives_the_numbers_of_the_plain_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str,
                                                        kind: str, size: int) -> None:
    monkeypatch.setattr(dispatch, "fastest", lambda size, ways: way)
    network, port = routed(tmp_path, kind)
    batch, _ = batch_of(port, kind, size)
    assert any(isinstance(step, Bank) for step in network.needed(OUT, (port,)).fused)
    with torch.inference_mode():
        plain = network(batch, wanted=OUT, timed=True)
        whole = network(batch, wanted=OUT)
    torch.testing.assert_close(whole.flows["merge.out"].value, plain.flows["merge.out"].value, **NEAR)
    assert torch.equal(whole.record.choices["router"][1].called, plain.record.choices["router"][1].called)
    assert {f"expert_{i}" for i in range(1, 5)} & plain.record.calls.keys()


@pytest.mark.parametrize("params", [{"k": 2}, {"straight": True}, {"straight": True, "k": 2}])
def test_several_experts_a_row_and_the_straight_way(tmp_path: Path, params: dict[str, int]) -> None:
    network, port = routed(tmp_path, "vectors", **params)
    batch, _ = batch_of(port, "vectors", 33)
    assert any(isinstance(step, Bank) for step in network.needed(OUT, (port,)).fused)
    with torch.inference_mode():
        torch.testing.assert_close(value(network, batch), value(network, batch, plainly=True), **NEAR)


@pytest.mark.parametrize("kind", ["vectors", "sequences"])
def test_gradients_are_those_of_the_plain_steps(tmp_path: Path, kind: str) -> None:
    network, port = routed(tmp_path, kind)
    batch, _ = batch_of(port, kind, 16)
    found = []
    for plainly in (True, False):
        network.train()
        torch.manual_seed(7)
        torch.autograd.backward(value(network, batch, plainly=plainly).square().sum())
        found.append({name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None})
        network.zero_grad(set_to_none=True)
    assert found[0].keys() == found[1].keys() and len(found[0]) > 8
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, msg=name, **NEAR)


def test_stacked_weights_follow_what_an_optimiser_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "fastest", lambda size, ways: "dense")
    network, port = routed(tmp_path, "vectors")
    batch, _ = batch_of(port, "vectors", 16)
    fused = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=0.1, fused=True)
    for _ in range(2):
        with torch.inference_mode():
            torch.testing.assert_close(value(network.eval(), batch), value(network, batch, plainly=True), **NEAR)
        torch.autograd.backward(network.train()(batch).flows[network.answer].value.square().sum())
        fused.step()
        fused.zero_grad()


def test_a_network_that_was_made_in_inference_mode_answers_there(tmp_path: Path) -> None:
    with torch.inference_mode():
        network, port = routed(tmp_path, "vectors")
        batch, _ = batch_of(port, "vectors", 9)
        for _ in range(2):
            torch.testing.assert_close(value(network.eval(), batch), value(network, batch, plainly=True), **NEAR)
            for parameter in network.parameters():
                parameter.mul_(1.5)  # changes count, too


@pytest.mark.parametrize("params", [{"odd": True}, {"method": "max"}, {"method": "mean"}, {"experts": 1,
                                                                                         "straight": True}])
def test_what_is_not_alike_stays_as_it_was_drawn(tmp_path: Path, params: dict[str, object]) -> None:
    network, port = routed(tmp_path, "vectors", **params)
    needed = network.needed(OUT, (port,))
    assert needed.fused == needed.steps


def test_experts_that_someone_asks_for_are_run_one_by_one(tmp_path: Path) -> None:
    network, port = routed(tmp_path, "vectors")
    needed = network.needed((*OUT, "expert_2.out"), (port,))
    assert needed.fused == needed.steps
