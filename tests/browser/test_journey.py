"""The whole way by clicks: a broken file repaired, a run that outlives browser and server, two runs compared."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from serving import PATIENCE
from test_data import broken, upload, view
from test_queue import Place, grows, place, steps
from test_runs import settled, tick, wait_until

from fgdesign.views.curves import TICKS

__all__ = ["place"]  # a fixture
pytestmark = [pytest.mark.browser, pytest.mark.slow]
CURVE = """() => {
  const hosts = [...document.querySelectorAll('*')].map((one) => one.shadowRoot || one);
  const chart = hosts.map((one) => one.querySelector('[data-curve=loss]')).find(Boolean);
  return chart ? [...chart.querySelectorAll('path.fg-line')].map((line) => line.getAttribute('d')) : [];
}"""


def drawn(page: Any) -> list[list[tuple[float, float]]]:
    """The points of each line of the training loss, in pixels; a line that breaks is several."""
    parts = [part for line in page.evaluate(CURVE) for part in line.split("M")[1:]]
    return [[(float(x), float(y)) for x, y in (point.split() for point in part.split("L"))] for part in parts]


def repair(page: Any, shot: Callable[[Any, str], Path]) -> None:
    """One repair taken back, all of them accepted and saved as a version."""
    page.get_by_text("1 row has no label").first.wait_for()
    shot(page, "data-findings")
    page.get_by_role("button", name=re.compile("Drop rows without a label")).click()
    said = page.get_by_text("Drop rows without a label in 'label': 1 row dropped.")
    said.wait_for()
    page.get_by_role("button", name="Undo").click()
    said.wait_for(state="detached")
    page.get_by_text("1 row has no label").first.wait_for()
    page.get_by_role("button", name="Repair all").click()
    said.wait_for()
    shot(page, "data-recipe")
    page.get_by_role("button", name="Save as a new version").click()
    page.get_by_text("The data set stays as it is").wait_for(state="detached")
    page.get_by_text("Findings: nothing to repair").wait_for()
    view(page, "Versions")
    page.get_by_text("version 2", exact=True).wait_for()
    said.wait_for()
    shot(page, "data-versions")
    page.get_by_role("button", name=re.compile("^Train on complaints")).wait_for()


def begin(page: Any, place: Place, **fields: int) -> None:
    """Train with these in the form, which is folded away beside a run."""
    if place.store.jobs():
        page.locator("summary", has_text="New run").click()
    page.get_by_label("Epochs, passes", exact=True).wait_for()
    page.wait_for_timeout(500)  # it unfolds
    page.get_by_role("tab", name="Length", exact=True).click()
    for name, value in fields.items():
        page.get_by_label(re.compile(f"^{name}, ")).fill(str(value))
        page.keyboard.press("Enter")
        settled(page)
    before = len(place.store.jobs())
    page.locator(".st-key-start_run").get_by_role("button").click()
    wait_until(lambda: len(place.store.jobs()) > before)


def test_from_a_broken_file_to_two_runs_compared(
    page: Any, browser: Any, place: Place, tmp_path: Path, shot: Callable[[Any, str], Path]
) -> None:
    upload(page, place.url, broken(tmp_path / "complaints.csv"))
    repair(page, shot)
    page.goto(place.address())
    page.get_by_text("complaints").first.wait_for()
    settled(page)
    begin(page, place, Epochs=1000, Patience=1000)
    page.get_by_text("Training loss").first.wait_for(timeout=120_000)
    first = place.run
    grows(first)
    read = Path(first.folder.config()["data"]["train"])
    about = json.loads(read.with_suffix("").with_suffix(".about.json").read_text())
    assert about["change"]["recipe"]["repairs"] and about["parent"]

    page.close()  # the browser is closed
    grows(first)
    place.kill(all_of_it=False)
    before, count = steps(first)[-1], len(steps(first))
    grows(first)
    place.start()
    again = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    again.set_default_timeout(PATIENCE)
    again.goto(place.address(first.name))
    again.get_by_text(re.compile("^running on cpu")).wait_for()
    last = again.locator("[data-curve=loss] svg")
    last.wait_for()
    wait_until(lambda: int(re.findall(r"step (\d+)", str(last.get_attribute("aria-label")))[-1]) > before[1])
    lines = drawn(again)
    assert len(lines) == len({stage for stage, _ in steps(first)}) and min(map(len, lines)) > 1
    assert all(early[0] <= late[0] for line in lines for early, late in pairwise(line))
    assert sum(map(len, lines)) >= min(count, TICKS) // 2  # few share a part of the time axis
    logged = steps(first)
    assert len(set(logged)) == len(logged) and place.run.attempt == 1
    tune = [step for stage, step in logged if stage == logged[-1][0]]
    assert len({late - early for early, late in pairwise(tune)}) <= 1  # evenly, without a gap
    shot(again, "journey-goes-on")
    again.get_by_role("button", name="Stop", exact=True).first.click()
    again.get_by_role("link", name="See routes").wait_for(timeout=120_000)

    begin(again, place, Epochs=1)
    wait_until(lambda: place.store.jobs()[0].state == "succeeded", 120)
    again.goto(place.address())
    again.get_by_text("Choose one run to look at it").wait_for()
    settled(again)
    tick(again, 0)
    tick(again, 1)
    desk = again.locator(".st-key-run_compare")
    desk.locator("td", has_text=re.compile("^Epochs$")).first.wait_for(state="attached")
    for job in place.store.jobs():
        desk.locator(".js-plotly-plot .legendtext", has_text=job.name[:20]).first.wait_for()
    shot(again, "journey-compared")
