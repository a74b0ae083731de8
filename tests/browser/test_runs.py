"""All runs by the page: two compared, one marked and found again, cloned with one change, deleted and brought back."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import ROOT, app_in
from test_queue import Place

from fgdesign.graph import Graph
from fgdesign.runs.store import Job
from fgdesign.views.theme import INK

pytestmark = [pytest.mark.browser, pytest.mark.slow]
HEADER, ROW = 36, 35  # pixels of a table
FAST = {"epochs": 1, "warm_epochs": 2, "validations": 4, "device": "cpu"}


@pytest.fixture
def place(tmp_path: Path, tiny_graph: Callable[[str], Graph]) -> Iterator[Place]:
    """An app with two runs that are through, of different rates."""
    found = Place(tmp_path, tiny_graph("routed-experts"))
    data: dict[str, str | None] = {"train": str(ROOT / "sample_data" / "product_reviews.csv")}
    names = [found.store.submit(found.graph, data, {**FAST, "rate": rate}).name for rate in (0.001, 0.01)]
    wait_until(lambda: all(found.store.job(name).state == "succeeded" for name in names), 240)
    yield found
    found.close()


def wait_until(true: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.05)


def settled(page: Any) -> None:
    page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget], [data-stale=true]')")
    page.wait_for_timeout(300)


def tick(page: Any, row: int) -> None:
    """Choose or leave a row of the table of runs, by the box at its left."""
    table = page.locator("[data-testid=stDataFrame]:has(td:text-is('star'), th:text-is('star'))").first
    table.click(position={"x": 14, "y": HEADER + ROW * row + ROW // 2})
    settled(page)


def oldest_first(place: Place) -> list[Job]:
    return place.store.jobs()[::-1]


def ink(scheme: str) -> str:
    """The colour of text, as a browser tells it."""
    red, green, blue = (int(part, 16) for part in (INK[scheme == "dark"][i:i + 2] for i in (1, 3, 5)))
    return f"rgb({red}, {green}, {blue})"


def charts_follow_the_theme(page: Any, shot: Callable[[Any, str], Path]) -> None:
    """Without a reload."""
    title = page.locator(".js-plotly-plot .gtitle", has_text="Training loss").first
    title.wait_for()
    settled(page)
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(f"""[...document.querySelectorAll('.js-plotly-plot .gtitle')].length &&
            [...document.querySelectorAll('.js-plotly-plot .gtitle')].every(
                (one) => getComputedStyle(one).fill === '{ink(scheme)}')""")
        shot(page, f"train-turned-{scheme}")


def test_two_runs_are_compared_and_one_is_marked_cloned_and_deleted(
    page: Any, place: Place, shot: Callable[[Any, str], Path]
) -> None:
    first, second = oldest_first(place)
    page.goto(place.address())
    page.get_by_text("Choose one run to look at it").wait_for()
    settled(page)
    tick(page, 0)
    tick(page, 1)
    desk = page.locator(".st-key-run_compare")
    desk.get_by_text("Test macro-F1 of 2 runs: mean").wait_for()
    for name in (first.name, second.name):
        desk.locator(".js-plotly-plot .legendtext", has_text=name[:20]).first.wait_for()
    for told in ("Rate", "0.01", "0.001"):
        desk.locator("td", has_text=re.compile(f"^{told}$")).first.wait_for(state="attached")
    shot(page, "runs-compared")
    desk.get_by_text("training loss", exact=True).click()
    desk.locator(".js-plotly-plot", has_text="Training loss").wait_for()
    settled(page)

    tick(page, 0)  # of two chosen, one is left
    page.get_by_role("button", name="Star", exact=True).click()
    settled(page)
    page.get_by_label("Tags, with commas").fill("keep, slow")
    page.keyboard.press("Enter")
    wait_until(lambda: any(job.tags for job in place.store.jobs()))
    marked = next(job for job in place.store.jobs() if job.tags)
    assert marked.starred and marked.tags == ("keep", "slow")
    settled(page)
    page.get_by_label("Find").fill("slow")
    page.keyboard.press("Enter")
    other = next(name for name in (first.name, second.name) if name != marked.name)
    page.locator("td", has_text=re.compile(f"^{other}$")).first.wait_for(state="detached")
    page.locator("td", has_text=re.compile(f"^{marked.name}$")).first.wait_for(state="attached")
    page.get_by_label("Find").fill("")
    page.keyboard.press("Enter")
    page.locator("td", has_text=re.compile(f"^{other}$")).first.wait_for(state="attached")
    settled(page)

    tick(page, [job.name for job in place.store.jobs()].index(marked.name))
    page.get_by_role("button", name="Clone", exact=True).click()
    page.get_by_text("change one thing").first.wait_for()
    settled(page)
    epochs = page.get_by_label("Epochs, passes", exact=True).first
    wait_until(lambda: epochs.input_value() == "1")
    epochs.fill("2")
    page.keyboard.press("Enter")
    settled(page)
    page.locator(".st-key-start_run").get_by_role("button").click()
    wait_until(lambda: len(place.store.jobs()) == 3)
    settled(page)
    clone = oldest_first(place)[-1].folder.config()
    told = marked.folder.config()
    assert clone["settings"] == told["settings"] | {"epochs": 2} and clone["data"]["train"] == told["data"]["train"]
    wait_until(lambda: oldest_first(place)[-1].state == "succeeded", 120)

    page.goto(place.address(marked.name))
    page.get_by_text("Choose one run to look at it").wait_for()
    charts_follow_the_theme(page, shot)
    settled(page)
    tick(page, [job.name for job in place.store.jobs()].index(marked.name))
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_text(f"Deleted: {marked.name}.").wait_for()
    assert marked.name not in [job.name for job in place.store.jobs()]
    page.get_by_role("button", name="Undo", exact=True).last.click()
    wait_until(lambda: marked.name in [job.name for job in place.store.jobs()])
    assert place.store.job(marked.name).starred
    shot(page, "runs-brought-back")


CUT = """() => [...document.querySelectorAll('input[placeholder]')].filter(
  box => { if (!box.offsetParent || box.value) return false;
    const style = getComputedStyle(box), pen = document.createElement('canvas').getContext('2d');
    pen.font = style.font;
    const room = box.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    return pen.measureText(box.placeholder).width > room; }).map(box => box.placeholder)"""


def test_what_an_empty_setting_means_is_not_cut_on_a_narrow_screen(page: Any, tmp_path: Path) -> None:
    """Where there is no run yet the form is open."""
    page.set_viewport_size({"width": 1024, "height": 900})
    with app_in(tmp_path, trains=False) as address:
        page.goto(f"{address}/train")
        page.get_by_text("All settings are as by default").wait_for(timeout=60_000)
        tabs = page.get_by_role("tab")
        assert tabs.count() >= 6
        for number in range(6):
            tabs.nth(number).click()
            page.wait_for_timeout(300)
            page.get_by_placeholder("2 or 3, by rows").wait_for()
            assert page.evaluate(CUT) == []
        page.goto("about:blank")
