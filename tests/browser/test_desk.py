"""What the Train page does beyond one run: filters together, priorities, rates by node."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import ROOT
from test_pages import make_run
from test_queue import Place, grows, steps
from test_runs import FAST, settled, wait_until

from fgdesign.graph import Graph
from fgdesign.ui.queue import REFRESH

pytestmark = [pytest.mark.browser, pytest.mark.slow]
DATA: dict[str, str | None] = {"train": str(ROOT / "sample_data" / "product_reviews.csv")}


@pytest.fixture
def place(tmp_path: Path, tiny_graph: Callable[[str], Graph]) -> Iterator[Place]:
    found = Place(tmp_path, tiny_graph("routed-experts"))
    yield found
    found.close()


def choose(page: Any, field: str, option: str) -> None:
    box, wanted = page.get_by_role("combobox", name=field), page.get_by_role("option", name=option, exact=True)

    def is_open() -> bool:
        box.click()
        page.wait_for_timeout(500)
        return bool(wanted.is_visible())

    wait_until(is_open)  # what arrives while a page is drawn closes a list
    wanted.click()
    page.keyboard.press("Tab")  # a list of several stays open until one goes on; Escape would take the choice back
    settled(page)


def listed(page: Any, *names: str) -> bool:
    """Whether the table shows these runs and no other."""
    cells = page.locator("td", has_text=re.compile(r"^2026\d{4}-\w+$")).all_inner_texts()
    return set(cells) == set(names)


def test_filters_narrow_together(page: Any, place: Place, shot: Callable[[Any, str], Path]) -> None:
    one, two, three, four = names = [f"202601{day}-{word}" for day, word in enumerate(("a", "b", "c", "d"), 10)]
    for name, state in zip(names, ("succeeded", "succeeded", "failed", "stopped"), strict=True):
        make_run(place.root, name, state=state)
    store = place.store
    store.jobs()
    for name, tags in ((one, ["good", "old"]), (two, ["good"]), (three, ["good"])):
        store.tag(name, tags)
    for name in (one, three, four):
        store.star(name, True)
    store.note(three, "the odd one")
    page.goto(place.address())
    page.get_by_text("Choose one run to look at it").wait_for()
    wait_until(lambda: listed(page, *names))
    choose(page, "Tag", "good")
    wait_until(lambda: listed(page, one, two, three))
    page.get_by_text("Starred", exact=True).click()
    wait_until(lambda: listed(page, one, three))
    choose(page, "State", "succeeded")
    wait_until(lambda: listed(page, one))
    choose(page, "State", "failed")
    wait_until(lambda: listed(page, one, three))
    page.get_by_label("Find").fill("odd")
    page.keyboard.press("Enter")
    wait_until(lambda: listed(page, three))
    shot(page, "runs-filtered")
    page.get_by_label("Find").fill("no such run")
    page.keyboard.press("Enter")
    page.get_by_text("No run fits. Take something out of the filter.").wait_for()


def fill(page: Any, field: str, value: str) -> None:
    page.get_by_label(field, exact=True).first.fill(value)
    page.keyboard.press("Enter")
    settled(page)


def test_rates_of_the_form_reach_the_run(page: Any, place: Place, shot: Callable[[Any, str], Path]) -> None:
    page.goto(place.address())
    start = page.locator(".st-key-start_run").get_by_role("button")
    start.wait_for()
    settled(page)
    fill(page, "Epochs, passes", "1")
    page.get_by_role("tab", name="Learning rate").click()
    for wrong, said in (("xperts*=0.1", "which no node of this graph is called"),
                        ("expert_1=fast", "gives names of nodes rates")):
        fill(page, "Rates by node", wrong)
        page.get_by_text(said).first.wait_for()
    shot(page, "rates-refused")
    fill(page, "Rates by node", "expert_1=0, router=0.01, expert_2*=0.002")
    page.get_by_text("rates by node expert_1=0, router=0.01, expert_2*=0.002").wait_for()
    start.click()
    wait_until(place.store.jobs)
    config = place.run.folder.config()["settings"]
    assert (config["rates"], config["epochs"]) == ("expert_1=0, router=0.01, expert_2*=0.002", 1)
    wait_until(lambda: any(event["kind"] == "step" for event in place.run.folder.metrics()), 120)
    place.store.cancel(place.run.name)


def test_priorities_by_the_field_and_a_pause_before_the_server_dies(
    page: Any, place: Place, shot: Callable[[Any, str], Path]
) -> None:
    store = place.store
    first = store.submit(place.graph, DATA, {**FAST, "epochs": 1000, "patience": 1000})
    page.goto(place.address(first.name))
    page.get_by_text("Training loss").first.wait_for(timeout=120_000)
    waiting = [store.submit(place.graph, DATA, {**FAST, "seed": seed}).name for seed in (1, 2, 3)]
    row = page.locator(f".st-key-queue_{waiting[2]}")
    field = row.get_by_role("spinbutton")
    field.wait_for()
    field.fill("5")
    page.wait_for_timeout(1000 * (REFRESH + 1))  # the queue is drawn anew
    assert field.input_value() == "5"
    page.keyboard.press("Enter")
    wait_until(lambda: [job.name for job in store.queue()] == [waiting[2], *waiting[:2]])
    row.get_by_text("1 of 3 in line").wait_for()
    shot(page, "queue-priorities")
    for name in waiting:
        store.cancel(name)

    page.get_by_role("button", name="Pause", exact=True).click()
    wait_until(lambda: store.job(first.name).wanted == "pause")
    place.kill(all_of_it=False)  # the wish is known, and may not be met yet
    wait_until(lambda: store.job(first.name).state == "paused", 60)
    before = steps(store.job(first.name))
    place.start()
    page.goto(place.address(first.name))
    page.get_by_text("paused", exact=True).first.wait_for(timeout=60_000)
    page.get_by_role("button", name="Resume", exact=True).first.click()
    grows(store.job(first.name))
    assert steps(store.job(first.name))[:len(before)] == before
    store.cancel(first.name)
