"""Precision: chosen for the device or by name, part of what a kept value is, and of no weight in the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up_rows import write_rows
from model_toys import CPU, tiny_folder, toy_inputs, toy_network

from fgdesign import train
from fgdesign.errors import DeviceError
from fgdesign.graph import Graph
from fgdesign.graph.starters import Sketch
from fgdesign.model.device import PRECISIONS, fast_dtype
from fgdesign.model.static import StaticCache


@pytest.mark.parametrize(("name", "dtype"), PRECISIONS.items())
def test_a_precision_is_chosen_by_name(monkeypatch: pytest.MonkeyPatch, name: str, dtype: torch.dtype) -> None:
    monkeypatch.setenv("FGDESIGN_PRECISION", name)
    assert fast_dtype(CPU) == dtype


def test_without_a_name_the_processor_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FGDESIGN_PRECISION", "auto")
    for native, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda native=native: native)
        assert fast_dtype(CPU) == dtype


def test_another_name_is_refused_with_the_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FGDESIGN_PRECISION", "bflaot16")
    with pytest.raises(DeviceError, match=r"FGDESIGN_PRECISION is 'bflaot16'.*bfloat16"):
        fast_dtype(CPU)


def test_a_kept_value_is_read_only_in_its_own_precision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    s = Sketch()
    pooled = s.add("pool", "pool", s.layers(s.text(max_length=20), 1, 2))
    s.add("head", "classifier", pooled, dropout=0.0)
    network = toy_network(replace(s.graph("probe"), backbone=str(tiny_folder(tmp_path / "tiny"))))
    texts = ["amber boat", "candle drum amber", "boat"]
    cache, found = StaticCache(tmp_path / "static"), {}
    for name in ("float32", "bfloat16"):
        monkeypatch.setenv("FGDESIGN_PRECISION", name)
        inputs = toy_inputs(network, texts)
        assert cache.fill(network, inputs, ("pool.out",), "toy", CPU) == len(texts)
        assert cache.fill(network, inputs, ("pool.out",), "toy", CPU) == 0
        found[name] = inputs.static["pool.out"].flow(np.arange(len(texts)), CPU).value
    assert not torch.equal(found["float32"], found["bfloat16"])
    torch.testing.assert_close(found["float32"], found["bfloat16"], atol=0.05, rtol=0.05)


@pytest.mark.slow
def test_bfloat16_learns_what_float32_learns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                             tiny_graph: Callable[[str], Graph]) -> None:
    rows, right = write_rows(tmp_path / "rows.csv", 120), {}
    for name in ("float32", "bfloat16"):
        monkeypatch.setenv("FGDESIGN_PRECISION", name)
        run = train(tiny_graph("routed-experts"), rows, out=tmp_path / name, epochs=4, device="cpu")
        right[name] = run.evaluate(rows)["metrics"]["accuracy"]
    assert abs(right["float32"] - right["bfloat16"]) <= 0.1
