"""The Data page by mouse: rows edited into versions, splits, uploads that no click loses, a million rows."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from serving import app_in

pytestmark = pytest.mark.browser
WORDS, LABELS = ("fine", "late"), ("good", "bad")
SUBJECTS = ("parcel", "invoice", "login", "refund", "screen", "battery", "delivery", "account")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of its own: the tour wants to find nothing in its."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def app_url(workspace: Path) -> Iterator[str]:
    with app_in(workspace, trains=False) as address:
        yield address


def settled(page: Any) -> None:
    """Wait until the page has drawn and its script is at rest."""
    page.wait_for_selector("[data-testid=stMain] [data-testid=stVerticalBlock]")
    page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget], [data-stale=true]')")


def broken(path: Path) -> Path:
    """A table with gaps, variants and copies, in UTF-16 with semicolons."""
    rows = [f"the {SUBJECTS[i % 8]} number {i} is {WORDS[i % 2]};{LABELS[i % 2]}" for i in range(120)]
    rows += ["nobody knows what this is;", ";bad", "the parcel is late again;BAD", rows[0], rows[1]]
    path.write_text("text;label\n" + "\n".join(rows) + "\n", "utf-16")
    return path


def view(page: Any, name: str) -> None:
    """Turn to one of the views below the pictures."""
    page.locator("[data-testid=stButtonGroup] button", has_text=name).click()
    settled(page)


def upload(page: Any, app_url: str, file: Path) -> None:
    page.goto(f"{app_url}/data")
    page.get_by_text("Upload a table").wait_for()
    settled(page)
    page.locator("input[type=file]").first.set_input_files(file)


def test_an_edited_cell_is_a_version(
    page: Any, app_url: str, tmp_path: Path, shot: Callable[[Any, str], Path]
) -> None:
    file = tmp_path / "edited.csv"
    file.write_text("text,label,day\n" + "".join(f"a {SUBJECTS[i % 8]} of {i},{'xy'[i % 2]},{i}\n" for i in range(40)))
    upload(page, app_url, file)
    page.get_by_text("Edited", exact=True).first.wait_for()  # until then the page shows a sample
    settled(page)
    view(page, "Rows")
    table = page.locator("[data-testid=stDataFrame]").first
    table.scroll_into_view_if_needed()
    settled(page)
    box = table.bounding_box()
    cell = page.locator(".gdg-input").last
    for x in (400, 520, 640):  # a table is a picture; its columns are as wide as it likes
        page.mouse.dblclick(box["x"] + x, box["y"] + 52)
        cell.wait_for()
        if cell.is_enabled():
            break
        page.keyboard.press("Escape")
    cell.fill("quite another text")
    cell.press("Enter")
    page.get_by_text("Not saved yet: 1 cell changed.").wait_for()
    shot(page, "data-edited")
    page.get_by_role("button", name="Save as a new version").click()
    page.get_by_text("Not saved yet").wait_for(state="detached")
    settled(page)
    view(page, "Versions")
    page.get_by_text("1 cell changed.").first.wait_for()
    page.get_by_text("Changed cells").wait_for()
    page.get_by_role("button", name="Go to it").click()
    settled(page)
    view(page, "Split")
    page.get_by_role("combobox", name=re.compile("Share rows out")).click()
    page.get_by_role("option", name="by time").click()
    page.get_by_role("combobox", name=re.compile("Column")).wait_for()
    page.wait_for_timeout(1000)
    settled(page)  # the run that brought the second list has ended, so a click stays open
    page.get_by_role("combobox", name=re.compile("Column")).click()
    page.get_by_role("option", name="day").click()
    page.get_by_text("--split time=day").first.wait_for(state="attached")
    shot(page, "data-split")


def is_server(process: psutil.Process, port: int) -> bool:
    return process.status() != psutil.STATUS_ZOMBIE and str(port) in process.cmdline()


def stored(workspace: Path, name: str) -> list[Path]:
    """What the workspace keeps of data sets of this name, with a table that was read."""
    notes = (workspace / "data").glob("*.about.json")
    found = [note for note in notes if json.loads(note.read_text())["name"] == name]
    return [note for note in found if list(note.parent.glob(f"{note.name[:16]}.*.arrow"))]


def until(true: Callable[[], object], page: Any, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        page.wait_for_timeout(100)


@pytest.mark.parametrize(("rows", "wait"), [(20, 0), (20, 300), (150_000, 0), (150_000, 400), (150_000, 1500)])
def test_an_upload_is_not_lost_whatever_is_clicked_meanwhile(
    rows: int, wait: int, page: Any, app_url: str, tmp_path: Path, workspace: Path
) -> None:
    name = f"left_{rows}_{wait}"
    lines = (f"the {SUBJECTS[i % 8]} {i} of {name} is {WORDS[i % 2]},{LABELS[i % 2]}\n" for i in range(rows))
    (tmp_path / f"{name}.csv").write_text("text,label\n" + "".join(lines))
    upload(page, app_url, tmp_path / f"{name}.csv")
    page.wait_for_timeout(wait)
    page.get_by_role("link", name="Design").first.click()
    page.wait_for_url("**/design*")
    until(lambda: stored(workspace, f"{name}.csv"), page)
    page.get_by_role("link", name="Data", exact=True).first.click()
    page.get_by_role("heading", name=name.replace("_", " ").capitalize()).wait_for()


def test_a_version_is_not_lost_when_something_else_is_clicked_at_once(
    page: Any, app_url: str, tmp_path: Path, workspace: Path
) -> None:
    upload(page, app_url, broken(tmp_path / "hurried.csv"))
    page.get_by_role("heading", name="Hurried").wait_for()
    page.get_by_role("button", name="Repair all").click()
    page.get_by_role("button", name="Save as a new version").click()
    page.get_by_role("link", name="Home").first.click()
    until(lambda: len(stored(workspace, "hurried.csv")) == 2, page)
    page.get_by_role("link", name="Data", exact=True).first.click()
    page.get_by_text("Findings: nothing to repair").wait_for()
    view(page, "Versions")
    page.get_by_text("version 2", exact=True).wait_for()


def test_a_refused_upload_says_why_until_it_is_dismissed(page: Any, app_url: str, tmp_path: Path) -> None:
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    upload(page, app_url, tmp_path / "picture.csv")
    said = page.get_by_text("picture.csv is a PNG picture")
    said.wait_for()
    page.get_by_role("link", name="Design").first.click()
    page.wait_for_url("**/design*")
    page.get_by_role("link", name="Data", exact=True).first.click()
    said.wait_for()
    page.get_by_role("button", name="Dismiss").click()
    said.wait_for(state="detached")


def test_a_million_rows_are_taken_while_other_pages_answer(
    page: Any, browser: Any, app_url: str, tmp_path: Path, workspace: Path
) -> None:
    port = int(app_url.rpartition(":")[2])
    server = next(process for process in psutil.Process().children() if is_server(process, port))
    with (tmp_path / "million.csv").open("w") as file:
        file.write("text,label\n")
        file.writelines(f"the {SUBJECTS[i % 8]} {i} is {WORDS[i % 2]},{LABELS[i % 2]}\n" for i in range(1_000_000))
    other = browser.new_page()
    other.goto(f"{app_url}/design")
    settled(other)
    before, visits = server.memory_info().rss, 0
    upload(page, app_url, tmp_path / "million.csv")
    end = time.monotonic() + 180
    while not stored(workspace, "million.csv"):
        assert time.monotonic() < end
        other.goto(f"{app_url}/", wait_until="commit")
        settled(other)
        visits += not stored(workspace, "million.csv")
    other.close()
    page.get_by_role("heading", name="Million").wait_for()
    assert visits  # other pages are drawn meanwhile
    assert server.memory_info().rss - before < 400e6


def test_rows_are_clicked_and_texts_of_a_test_file_dropped(page: Any, app_url: str, tmp_path: Path) -> None:
    rows = [f"the {SUBJECTS[i % 8]} number {i} is {WORDS[i % 2]},{LABELS[i % 2]}" for i in range(80)]
    for name, some in (("exam", [*rows[:3], "quite another one,good", "and one more,bad"]), ("lessons", rows)):
        (tmp_path / f"{name}.csv").write_text("text,label\n" + "\n".join(some) + "\n")
        upload(page, app_url, tmp_path / f"{name}.csv")
        page.get_by_role("heading", name=name.capitalize()).wait_for()
    page.set_viewport_size({"width": 1024, "height": 1200})
    settled(page)
    box = page.get_by_role("combobox", name=re.compile("Look for texts of a test file"))
    box.scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # a list that is opened while the page still scrolls is closed again
    box.click()
    page.get_by_role("option", name="exam").click()
    page.get_by_role("button", name="Rows 2, 3, 4").click()
    page.locator("[data-testid=stDataFrame]").first.wait_for()
    clipped = "[...document.querySelectorAll('button p')].filter(p => p.scrollWidth > p.clientWidth + 1).length"
    assert page.evaluate(clipped) == 0
    page.get_by_role("button", name="Drop 3 texts from this table").click()
    page.get_by_text("Drop 3 texts that the test table has too: 3 rows dropped.").wait_for()
    page.get_by_text("of the test table too").wait_for(state="detached")
