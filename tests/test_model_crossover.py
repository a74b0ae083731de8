"""The fastest of several ways: measured once, kept on disk, and not at all where two machines compute alike."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from fgdesign.model import crossover
from fgdesign.model.crossover import fastest, measured

WAYS = {"slow": lambda: time.sleep(0.004), "quick": lambda: None, "hopeless": lambda: time.sleep(0.05)}


def test_the_quickest_is_found() -> None:
    assert measured(WAYS) == "quick"


def test_it_is_measured_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FGDESIGN_PRECISION", "auto")
    monkeypatch.setenv("FGDESIGN_CACHE", str(tmp_path))
    assert fastest("8 rows", WAYS) == "quick"
    [file] = tmp_path.glob("fastest-*.json")
    assert json.loads(file.read_text()) == {"8 rows: slow, quick, hopeless": "quick"}
    crossover._known.cache_clear()  # as a new process
    monkeypatch.setattr(crossover, "measured", lambda ways: pytest.fail("measured again"))
    assert fastest("8 rows", WAYS) == "quick"


@pytest.mark.parametrize("kept", ["no JSON", "[]", '{"8 rows: slow, quick, hopeless": "a way of old"}'])
def test_a_damaged_or_older_file_is_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str) -> None:
    monkeypatch.setenv("FGDESIGN_PRECISION", "auto")
    monkeypatch.setenv("FGDESIGN_CACHE", str(tmp_path))
    file, _ = crossover._known(str(tmp_path), 1)
    file.write_text(kept)
    crossover._known.cache_clear()
    monkeypatch.setattr(crossover.torch, "get_num_threads", lambda: 1)
    assert fastest("8 rows", WAYS) == "quick"


def test_nothing_is_measured_where_machines_are_to_compute_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FGDESIGN_PRECISION", "float32")
    assert fastest("8 rows", WAYS) == "slow"
