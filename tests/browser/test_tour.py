"""The first visit, by mouse: home, design, train on the sample, watch, see routes. Every number is of a real run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser
TRAINING = 900_000  # milliseconds that the sample may take on a slow machine


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
