"""A log that is read while it grows: only what is new is parsed, and a file that was cut or made anew is read anew."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from fgdesign.runs import growing, job
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.growing import MOST_FILES, grown_lines


def line(number: int) -> str:
    return json.dumps({"kind": "step", "step": number, "time": number / 7}) + "\n"


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was parsed, in order."""
    found: list[str] = []

    def loads(text: str) -> Any:
        found.append(text)
        return json.loads(text)

    monkeypatch.setattr(growing, "json", type("Counted", (), {"loads": staticmethod(loads)}))
    return found


def test_each_line_is_parsed_once_and_a_torn_one_when_it_is_whole(tmp_path: Path, parsed: list[str]) -> None:
    file = tmp_path / "metrics.jsonl"
    assert grown_lines(file) == []
    with file.open("a") as log:
        log.write(line(0) + line(1) + line(2)[:9])
        log.flush()
        assert [one["step"] for one in grown_lines(file)] == [0, 1]
        log.write(line(2)[9:])
        log.flush()
        assert [one["step"] for one in grown_lines(file)] == [0, 1, 2] == [one["step"] for one in grown_lines(file)]
    assert len(parsed) == 3
    grown_lines(file).clear()
    assert len(grown_lines(file)) == 3


def test_what_was_cut_and_grew_again_is_read_anew(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for number in range(40):
        run.log({"kind": "step", "step": number})
    assert len(run.metrics()) == 40
    size = run.log_size()
    run.cut_log(len("".join(json.dumps(one) + "\n" for one in run.metrics()[:20])))
    for number in range(100, 140):
        run.log({"kind": "step", "step": number})
    assert [one["step"] for one in run.metrics()][-40:] == list(range(100, 140)) and run.log_size() > size
    (tmp_path / "metrics.jsonl").write_text("".join(line(number) for number in range(5)))
    assert [one["step"] for one in run.metrics()] == [0, 1, 2, 3, 4]
    (tmp_path / "metrics.jsonl").unlink()
    assert run.metrics() == []


def test_it_says_what_reading_the_whole_file_says(tmp_path: Path) -> None:
    """At random: lines are written, torn, cut off at the end of a line, the file replaced by another."""
    draw, file, stamp = random.Random(3), tmp_path / "metrics.jsonl", 0
    file.touch()
    for _ in range(600):
        what, stamp = draw.random(), stamp + 1
        if what < 0.7:
            with file.open("a") as log:
                log.write(line(stamp) if draw.random() < 0.8 else line(stamp) + line(-stamp))
        elif what < 0.9:
            ends = [0, *(place + 1 for place, char in enumerate(file.read_bytes()) if char == 10)]
            os.truncate(file, draw.choice(ends[-3:]))
        else:
            other = tmp_path / "other"
            other.write_text("".join(line(stamp + place) for place in range(draw.randint(0, 4))))
            other.replace(file)
        if draw.random() < 0.6:
            assert grown_lines(file) == [json.loads(one) for one in file.read_text().splitlines()]


def test_few_files_are_remembered(tmp_path: Path) -> None:
    for number in range(MOST_FILES + 5):
        file = tmp_path / f"{number}.jsonl"
        file.write_text(line(number))
        assert grown_lines(file)[0]["step"] == number
    assert len(growing._files) == MOST_FILES


def test_a_step_between_two_lines_is_told_until_the_next(tmp_path: Path) -> None:
    run, said = RunFolder(tmp_path), []
    log = job._logger(run, said.append, 0.5)
    step = {"stage": "tune", "epoch": 0, "of": 9, "loss": 0.5, "rates": {}, "progress": 0.25}
    log({"kind": "tick", "step": 1, **step})
    assert run.metrics() == [] and [one["step"] for one in run.metrics_now()] == [1]
    assert run.told()["message"] == "Stage tune, step 1 of 9." and run.told()["progress"] == 0.625
    log({"kind": "step", "step": 2, **step})
    assert [(one["kind"], one["step"]) for one in run.metrics_now()] == [("step", 2)]
    time.sleep(job.STATUS_SECONDS)
    log({"kind": "tick", "step": 3, **step, "loss": float("nan")})
    assert [(one["kind"], one["step"], one["loss"]) for one in run.metrics_now()[1:]] == [("step", 3, None)]
    assert len(run.metrics()) == 1 and not said
