"""Whole numbers in the encoder: nearly the same answers, told what they change, refused where they cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up_rows import write_rows
from test_model_packed import batch, in_training, layer_of

import fgdesign as fg
from fgdesign.errors import DeviceError
from fgdesign.graph import Graph
from fgdesign.model import quantised
from fgdesign.model.backbone import EncoderLayer
from fgdesign.model.lora import tune_layer
from fgdesign.runs.trained import change_of
from fgdesign.training.evaluate import Answers

needs_int8 = pytest.mark.skipif(quantised.engine() is None, reason="no int8 products on this processor")


def int8_layer() -> EncoderLayer:
    layer = layer_of()
    layer.int8 = True
    return layer


def run(layer: EncoderLayer) -> torch.Tensor:
    with torch.inference_mode():
        return layer(*batch())


@needs_int8
def test_a_layer_in_int8_gives_nearly_the_same_numbers() -> None:
    layer, full = int8_layer(), in_training(layer_of(), *batch())
    away = float((run(layer) - full).norm() / full.norm())
    assert 1e-5 < away < 0.05
    assert torch.equal(run(layer), run(layer))
    layer.int8 = False
    torch.testing.assert_close(run(layer), full, atol=2e-5, rtol=2e-5)


@needs_int8
def test_int8_weights_follow_their_layer_and_each_row_has_its_scale() -> None:
    layer = int8_layer()
    before = run(layer)
    with torch.no_grad():
        layer.ffn_out.weight[0] *= 1000.0  # of one product's row: the others keep their digits
    after = run(layer)
    assert not torch.equal(before, after)
    part = torch.nn.Linear(8, 2)
    with torch.no_grad():
        part.weight[0] = 1000.0
        part.weight[1] = 0.001
        part.bias.zero_()
        told = quantised.product(part, quantised.require(torch.device("cpu")))(torch.ones(1, 8))
    torch.testing.assert_close(told, torch.tensor([[8000.0, 0.008]]), rtol=0.02, atol=0.0)


@needs_int8
def test_layers_with_lora_and_layers_that_learn_stay_as_they_are() -> None:
    tuned = layer_of()
    tuned = tune_layer(tuned, tuning="lora", rank=2).eval()
    plain = run(tuned)
    tuned.int8 = True
    assert torch.equal(run(tuned), plain)
    layer, (hidden, mask) = int8_layer(), batch()
    torch.testing.assert_close(in_training(layer, hidden, mask), in_training(layer_of(), hidden, mask))


def test_processors_without_it_and_other_devices_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match=r"this is a cuda device\. Choose precision auto"):
        quantised.require(torch.device("cuda"))
    monkeypatch.setattr(quantised, "engine", lambda: None)
    with pytest.raises(DeviceError, match="this is a processor without"):
        quantised.require(torch.device("cpu"))


@needs_int8
def test_a_run_in_int8_tells_what_it_changes(tiny_graph: Callable[[str], Graph], tmp_path: Path,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    from fgdesign.cli import main

    rows = write_rows(tmp_path / "rows.csv", 90)
    full = fg.train(tiny_graph("linear-probe"), rows, out=tmp_path / "run", epochs=1, device="cpu")
    run = fg.load_run(tmp_path / "run", "cpu", "int8")
    assert all(module.int8 for module in run.network.modules() if isinstance(module, EncoderLayer))
    told = run.evaluate(rows)
    assert "change" not in full.evaluate(rows)
    assert told["change"]["alike"] > 0.9
    for name, by in told["change"]["metrics"].items():
        assert by == pytest.approx(told["metrics"][name] - full.evaluate(rows)["metrics"][name])
    text = ["the pump is loud"]
    one, other = (each.predict(text)[0]["probabilities"] for each in (run, full))
    assert one != other
    assert one == pytest.approx(other, abs=0.05)
    assert main(["evaluate", str(tmp_path / "run"), str(rows), "--precision", "int8"]) == 0
    assert "int8 answers " in capsys.readouterr().out
    assert main(["predict", str(tmp_path / "run"), "--text", text[0], "--precision", "int9"]) == 1
    assert "Unknown precision 'int9'" in capsys.readouterr().err


def answers(*outputs: list[float]) -> Answers:
    rows = len(outputs)
    return Answers(np.array(outputs), np.full(rows, -1), np.zeros(rows, int))


def test_the_change_is_told_by_metric_and_by_rows() -> None:
    full, now = answers([0.9, 0.1], [0.2, 0.8], [0.6, 0.4]), answers([0.8, 0.2], [0.3, 0.7], [0.4, 0.6])
    told = change_of(now, full, torch.tensor([0, 1, 0]), "single", ["a", "b"])
    assert told["alike"] == pytest.approx(2 / 3)
    assert told["metrics"]["accuracy"] == pytest.approx(-1 / 3)
    several = change_of(answers([0.9, 0.6]), answers([0.9, 0.4]), torch.tensor([[1.0, 0.0]]), "multi", ["a", "b"])
    assert several["alike"] == 0.0
    numbers = [Answers(np.array(values), np.full(2, -1), np.zeros(2, int)) for values in ([1.0, 2.5], [1.005, 2.0])]
    assert change_of(*numbers, torch.tensor([1.0, 2.0]), "regression", [])["alike"] == 0.5
