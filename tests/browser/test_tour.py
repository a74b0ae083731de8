"""The first visit, by mouse: home, design, train on the sample, watch, see routes. Every number is of a real run.

Then, on that run: from a confusion cell to a row to its route to a forced branch to a changed answer, by clicks.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import wait_until

pytestmark = pytest.mark.browser
TRAINING = 900_000  # milliseconds that the sample may take on a slow machine
ROOT = Path(__file__).parents[2]
CELL = """([title, cell]) => { for (const chart of document.querySelectorAll('.js-plotly-plot')) {
  const told = chart._fullLayout && chart._fullLayout.title && chart._fullLayout.title.text || '';
  if (!told.startsWith(title)) continue;
  chart.scrollIntoView({ block: 'center' });
  const points = chart.data.find((part) => part.type === 'scatter');
  const place = points.customdata.findIndex((pair) => pair[0] === cell[0] && pair[1] === cell[1]);
  const box = chart.getBoundingClientRect(), { xaxis, yaxis } = chart._fullLayout;
  const at = (values) => (values._inputArray || values)[place];
  return [box.left + xaxis._offset + xaxis.l2p(at(points.x)), box.top + yaxis._offset + yaxis.l2p(at(points.y))];
} }"""
HEAD, LINE = 35, 35  # pixels of a table's head and of a row


def settled(page: Any) -> None:
    """Wait until the page has drawn and its script is at rest."""
    page.wait_for_selector("[data-testid=stMain] [data-testid=stVerticalBlock]")
    page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget], [data-stale=true]')")


def test_five_clicks_from_the_sample_to_a_routed_answer(
    page: Any,
    app_url: str,
    shot: Callable[[Any, str], Path],
    workspace: Path,
) -> None:
    page.goto(app_url)
    page.get_by_role("button", name="Try it").wait_for()
    settled(page)
    shot(page, "1-home")
    page.get_by_role("button", name="Try it").click()
    page.wait_for_url("**/design*")
    page.get_by_text("parameters").first.wait_for()
    settled(page)
    shot(page, "2-design")
    page.get_by_role("button", name="Train on support tickets").click()
    page.get_by_text("Validation macro-F1, best so far").wait_for()
    assert re.search(r"[?&]run=[\w.-]+", page.url)
    page.get_by_text(re.compile(r"^best 0\.\d")).first.wait_for(timeout=TRAINING)
    shot(page, "3-train-live")
    page.reload()
    page.get_by_text(re.compile(r"^best 0\.\d")).first.wait_for()
    page.get_by_role("link", name="See routes").wait_for(timeout=TRAINING)
    settled(page)
    shot(page, "4-train-done")
    page.get_by_role("link", name="See routes").click()
    page.get_by_text("Called: full colour").wait_for(timeout=60_000)
    settled(page)
    shot(page, "5-routes-easy")
    area = page.get_by_role("textbox", name="Text", exact=True)
    easy = area.input_value()
    assert easy
    page.get_by_role("combobox", name="Pick a text of the data").click()
    page.get_by_role("option").last.click()
    page.wait_for_function("old => document.querySelector('textarea').value !== old", arg=easy)
    settled(page)
    shot(page, "6-routes-hard")
    assert list((workspace / "runs").glob("*/report.json"))


def test_a_broken_file_is_refused_in_words(page: Any, app_url: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.csv"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    page.goto(f"{app_url}/data")
    page.locator("input[type=file]").set_input_files(broken)
    page.get_by_text("This was not stored").wait_for()
    assert page.get_by_text("Traceback").count() == 0


def test_a_stranger_s_label_is_only_text(page: Any, app_url: str, tmp_path: Path) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\">"
    rows = "\n".join(
        f'"text number {i} with {evil.replace(chr(34), chr(34) * 2)}",{"**bold** <b>a</b>" if i % 2 else "plain"}'
        for i in range(20)
    )
    file = tmp_path / "[x](javascript:alert(1)).csv"
    file.write_text(f"text,label\n{rows}\n", "utf-8")
    page.goto(f"{app_url}/data")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_text("Rows per label").first.wait_for()
    settled(page)
    assert page.title() == "Data" or "owned" not in page.title()
    assert page.locator("a[href^=javascript], img[src=x]").count() == 0


@pytest.fixture(scope="module")
def run(workspace: Path) -> Path:
    """A trained run of the sample: the one that the tour left, else a new one."""
    kept = sorted((workspace / "runs").glob("*cheap-word-first/report.json"))
    if kept:
        return kept[-1].parent
    import fgdesign as fg

    data = ROOT / "sample_data" / "support_tickets.csv"
    return fg.train("cheap-word-first", data, out=workspace / "runs" / "tour-cheap-word-first").folder.path


def flipped_row(run: Path) -> tuple[tuple[str, str], int, str]:
    """A wrong test row: its cell (label, answer), its place among the cell's rows, and "exit: side" that flips it."""
    import fgdesign as fg
    from fgdesign import insight
    from fgdesign.insight.answered_set import inputs_of

    model = fg.load_run(run, device="cpu")
    data = model.parts()["test"]
    found = insight.answered(model, data)
    assert found.right is not None and found.truth is not None
    inputs = inputs_of(model, data)
    for row in np.flatnonzero(~found.right):
        one = insight.OneText(model, inputs, int(row))
        for node in model.network.nodes_of_role("exit"):
            change = insight.Change(force={node: "answer"})
            if one.verdict(change).prediction != one.first.prediction:
                cell = (str(found.truth[row]), str(found.prediction[row]))
                mine = np.flatnonzero((found.truth == cell[0]) & (found.prediction == cell[1]))
                return cell, mine.tolist().index(row), f"{node}: answer"
    raise AssertionError("no wrong row would be answered otherwise anywhere")


def test_from_a_confusion_cell_to_a_changed_answer(page: Any, app_url: str, run: Path,
                                                   shot: Callable[[Any, str], Path]) -> None:
    page.set_default_timeout(120_000)
    cell, place, force = flipped_row(run)
    page.goto(f"{app_url}/evaluate?run={run.name}&part=test")
    page.get_by_text("Confusion: true labels down").first.wait_for()
    settled(page)
    shot(page, "7-evaluate")
    page.mouse.click(*page.evaluate(CELL, ["Confusion", list(cell)]))
    page.get_by_text("Select a row to see its route").first.wait_for()
    settled(page)
    table = page.get_by_test_id("stDataFrame").first
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    page.mouse.click(box["x"] + 17, box["y"] + HEAD + LINE * place + LINE / 2)
    page.wait_for_url("**/routes*")
    page.get_by_text("Called: full colour").wait_for()
    settled(page)
    assert page.get_by_test_id("stHeading").get_by_text(cell[1], exact=True).count()
    shot(page, "8-routes-of-a-wrong-row")
    page.get_by_text("Completeness error").or_(page.get_by_text("Exact shares")).first.wait_for()
    settled(page)
    option = page.get_by_role("option", name=force)
    for _ in range(20):  # the list closes where the page still moves
        page.get_by_role("combobox", name="Force a branch").click()
        page.wait_for_timeout(1000)
        if option.count():
            break
    option.click()
    page.get_by_text("Changed: the answer flips").wait_for()
    assert f"force={force.replace(': ', '%3A')}" in page.url or f"force={force.replace(': ', ':')}" in page.url
    settled(page)
    shot(page, "9-routes-forced")
    page.reload()
    page.get_by_text("Changed: the answer flips").wait_for()


def test_calls_are_stepped_through_and_the_link_shows_the_same_step(page: Any, app_url: str, run: Path,
                                                                  shot: Callable[[Any, str], Path]) -> None:
    page.set_default_timeout(120_000)
    page.goto(f"{app_url}/routes?run={run.name}&part=test&row=0")
    page.get_by_label("Next call").wait_for()
    settled(page)
    calls = page.get_by_label("Call", exact=True)
    last = int(calls.get_attribute("max"))
    assert calls.input_value() == str(last)
    page.get_by_label("Call before").click()
    page.wait_for_url(f"**step={last - 1}*")
    settled(page)
    page.reload()
    page.get_by_label("Next call").wait_for()
    page.get_by_text(f"{last - 1} of {last}").first.wait_for()
    assert calls.input_value() == str(last - 1)
    shot(page, "10-routes-stepped")
    page.get_by_label("Next call").click()
    page.wait_for_function("!location.search.includes('step=')")


def test_a_function_of_the_usage_picture_opens_its_rows(page: Any, app_url: str, run: Path,
                                                        shot: Callable[[Any, str], Path]) -> None:
    page.set_default_timeout(120_000)
    page.goto(f"{app_url}/routes?run={run.name}&look=usage")
    page.get_by_text("Click a function to see its rows").wait_for()
    settled(page)
    shot(page, "11-usage")
    spot = page.locator(".fg-root").first.evaluate(
        "root => { const c = root.canvas, n = c.nodes.get('layer_1'), b = c.stage.getBoundingClientRect(),"
        " d = c.net.canvasToDOM({ x: n.x, y: n.y }); return [b.left + d.x, b.top + d.y]; }")
    page.mouse.click(*spot)
    page.get_by_text("Rows that call layer_1").wait_for()


def test_a_link_holds_what_was_picked_and_what_was_searched_for(page: Any, app_url: str, run: Path) -> None:
    page.set_default_timeout(120_000)
    page.goto(f"{app_url}/routes?run={run.name}&look=alike&part=test")
    bar = page.locator(".js-plotly-plot .point").first
    bar.wait_for()
    settled(page)
    box = bar.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.get_by_text("Cluster ").first.wait_for()
    page.wait_for_function("location.search.includes('pick=')")
    chosen = page.evaluate("new URLSearchParams(location.search).get('pick')")
    page.reload()
    page.get_by_text(f"Cluster {chosen}", exact=True).wait_for()
    page.get_by_text("Find rows", exact=True).click()
    title = page.get_by_text("Rows found")
    title.wait_for()
    settled(page)
    every = title.locator("xpath=ancestor-or-self::p").inner_text()
    page.get_by_label("Words in the text").fill("the")
    page.get_by_label("Words in the text").press("Enter")
    page.wait_for_function("location.search.includes('find=the') && !location.search.includes('pick=')")
    page.wait_for_function("every => !document.body.innerText.includes(every)", arg=every)
    found = title.locator("xpath=ancestor-or-self::p").inner_text()
    page.reload()
    page.wait_for_function("found => document.body.innerText.includes(found)", arg=found)
    settled(page)
    wait_until(lambda: page.get_by_label("Words in the text").input_value() == "the")
    table = page.locator("[data-testid=stDataFrame]").first.bounding_box()
    page.mouse.click(table["x"] + 18, table["y"] + HEAD + LINE / 2)
    page.wait_for_function("location.search.includes('row=') && !location.search.includes('look=')")
    page.get_by_label("Next call").wait_for()
