"""Curves of a run at work: drawn as they come, pointed at, dark and narrow, plotly's when the run is through."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import app_in
from test_runs import ink, settled

from fgdesign.graph import load_graph, to_json
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.process import myself

pytestmark = [pytest.mark.browser, pytest.mark.slow]
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run that says that this process is at work on it: three steps and a validation."""
    found = RunFolder(tmp_path / "runs" / "20260101-live")
    found.path.mkdir(parents=True)
    (found.path / "graph.json").write_text(to_json(load_graph("linear-probe")), "utf-8")
    found.write("config.json", {"data": {"train": "rows.csv"}, "name": "rows.csv", "task": "single", "labels": ["no"]})
    found.write_status(state="running", stage="tune", progress=0.5, started=1.0, **myself())
    for step in range(3):
        log(found, step, {"kind": "step", "stage": HOSTILE, "epoch": 0, "step": step, "loss": 1.0 - step / 4})
    validate(found, 3, 0.5)
    return found


@pytest.fixture
def url(run: RunFolder) -> Iterator[str]:
    with app_in(run.path.parents[1], trains=False) as address:
        yield f"{address}/train?run={run.name}"


def log(run: RunFolder, second: float, entry: dict[str, Any]) -> None:
    """As training logs it, at another time."""
    with (run.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({**entry, "time": 1000.0 + second}) + "\n")


def validate(run: RunFolder, second: float, value: float) -> None:
    exits = [{"node": "exit_1", "depth": 1, "share": 0.25}, {"node": "answer", "depth": 6, "share": 0.75}]
    log(run, second, {"kind": "valid", "stage": "tune", "epoch": 0, "step": 3, "metrics": {"macro_f1": value},
                      "exits": exits, "routers": {HOSTILE: {"load": [0.25, 0.75]}}})


def test_curves_of_a_run_at_work(page: Any, run: RunFolder, url: str) -> None:
    page.goto(url)
    loss, metric = page.locator("[data-curve=loss]"), page.locator("[data-curve=metric]")
    loss.get_by_text(HOSTILE[:20]).wait_for()
    page.get_by_text(f"Load of {HOSTILE[:20]}").wait_for()
    assert page.locator("[data-curve] img, .js-plotly-plot").count() == 0
    assert loss.locator("svg").get_attribute("aria-label").endswith("loss 0.5")
    points = [[float(part) for part in point.split()]
              for point in re.split("[ML]", loss.locator("path.fg-line").get_attribute("d"))[1:]]
    across, down = zip(*points, strict=True)  # later is further right, less is further down
    assert len(points) == 3 and list(across) == sorted(across) and list(down) == sorted(down)
    shares = page.locator("[data-curve=exits]")
    shares.get_by_text("answer, 6 layers").wait_for()
    shares.get_by_text("exit_1, 1 layer").wait_for()

    kept = loss.locator("path.fg-line").element_handle()
    validate(run, 3.5, 0.875)
    metric.get_by_text("best 0.875").wait_for()
    page.get_by_test_id("stMetricValue").get_by_text("0.875").wait_for()
    assert kept.evaluate("one => one.isConnected")  # nothing new there

    loss.scroll_into_view_if_needed()
    box = loss.locator("svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 20, box["y"] + 30)
    loss.get_by_text("epoch 1, step 2").wait_for()
    assert metric.locator(".fg-now").count() == 1 and not metric.locator(".fg-said").is_visible()
    log(run, 5, {"kind": "step", "stage": HOSTILE, "epoch": 0, "step": 3, "loss": 2.0})
    loss.get_by_text("epoch 1, step 3").wait_for()  # what is pointed at is told anew
    page.mouse.move(5, 5)
    loss.locator(".fg-said").wait_for(state="hidden")
    assert metric.locator(".fg-now").count() == 0


def test_curves_turn_dark_and_narrow_and_are_plotly_s_in_the_end(
    page: Any, run: RunFolder, url: str, shot: Callable[[Any, str], Path]
) -> None:
    page.goto(url)
    loss = page.locator("[data-curve=loss]")
    loss.wait_for()
    settled(page)
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function("([host, rgb]) => getComputedStyle(host).color === rgb",
                               arg=[loss.element_handle(), ink(scheme)])
        shot(page, f"live-{scheme}")
    page.set_viewport_size({"width": 1024, "height": 900})
    inside = "one => one.scrollWidth <= one.clientWidth && one.firstElementChild.clientWidth === one.clientWidth"
    page.wait_for_function(inside, arg=loss.locator(".fg-plot").element_handle())
    assert page.evaluate("document.documentElement.scrollWidth") <= 1024
    run.write_status(state="succeeded", progress=1.0)
    page.locator(".js-plotly-plot .gtitle", has_text="Training loss").wait_for()
    page.locator("[data-curve]").first.wait_for(state="detached")
