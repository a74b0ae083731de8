"""Repairs of rows, labels and roles clicked on the Data page: seen in table and recipe, undone, done again, kept over a
reload; a raised text limit undone on Design."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from serving import app_in
from test_data import settled, upload

pytestmark = pytest.mark.browser
ROWS = [(f"the {('parcel', 'invoice', 'screen')[row % 3]} number {row} came", ("good", "bad")[row % 2])
        for row in range(40)]  # fmt: skip


@pytest.fixture(scope="module")
def app_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An app with a workspace of its own."""
    with app_in(tmp_path_factory.mktemp("clicks"), trains=False) as address:
        yield address


def lines(labels: Callable[[int, str], str] = lambda row, label: label, head: str = "text,label") -> list[str]:
    return [head, *(f"{text},{labels(row, label)}" for row, (text, label) in enumerate(ROWS))]


def misread() -> bytes:
    long = '"first' + "\n" + "x\n" * 140 + 'last",good'
    rows = [*lines(), "one, two, three,bad", "a zero\0 byte,good", long, "le caf\ufffd du coin,bad", ""]
    return "\n".join(rows).encode()


def lists() -> bytes:
    return "\n".join([*lines(lambda row, label: f"\"['{label}', 'all']\""), ""]).encode()


def means() -> bytes:
    return "\n".join([*lines(lambda row, _: f"{row}.5"), f"{ROWS[0][0]},3.5", ""]).encode()


def one_class() -> bytes:
    kind = ("late,", "lost,", "broken,")
    return "\n".join([*lines(lambda row, _: f"x,{kind[row % 3]}", "text,label,kind,"), ""]).encode()


def headless() -> bytes:
    return "\n".join(["a rather long name for the texts,mood", *lines()[1:], ""]).encode()


def months() -> bytes:
    """A workbook of three sheets, two of the same columns."""
    made, file = openpyxl.Workbook(), io.BytesIO()
    made.active.title = "January"
    usual = ("text", "label")
    for name, head in (("January", usual), ("February", usual), ("March", ("message", "topic"))):
        sheet = made[name] if name in made.sheetnames else made.create_sheet(name)
        for row in (head, *((f"{text} in {name}", label) for text, label in ROWS)):
            sheet.append(row)
    made.save(file)
    return file.getvalue()


def another_month() -> bytes:
    return months()


def scripts() -> bytes:
    texts = ("посылка номер {} не пришла", "книга номер {} хорошая")
    more = [f"{texts[row % 2].format(row)},{('good', 'bad')[row % 2]}" for row in range(20)]
    return "\n".join([*lines(), *more, ""]).encode()


MADE: list[tuple[Callable[[], bytes], list[tuple[str, str]]]] = [  # file, (button, the sentence of the recipe)
    (misread, [
        ("Drop rows that were joined again", "Drop rows that were joined again: 1 row dropped."),
        ("Drop rows that had zero bytes", "Drop rows that had zero bytes: 1 row dropped."),
        ("Drop rows with a cell of very many lines", "Drop rows with a cell of very many lines: 1 row dropped."),
        ("Drop rows with lost letters", "Drop rows with lost letters in 'text': 1 row dropped."),
    ]),
    (lists, [("Read them as several labels", "Join labels that are written as lists by '|': 40 rows changed.")]),
    (means, [("Give each text the mean of its numbers", "Give rows of the same text the mean of their numbers")]),
    (one_class, [("Read 'kind' as the label", "Read 'kind' as the label: 0 cells changed.")]),
    (months, [("Join 2 sheets of the same columns", "Add the rows of 'February': 40 rows added.")]),
    (another_month, [("Read 'March'", "Read the sheet 'March': 40 rows read.")]),
    (scripts, [("Keep only rows in Cyrillic script", "Keep only rows in Cyrillic script in 'text': 40 rows dropped.")]),
    (headless, [("Take the first row as names of columns", "Take the first row as names of columns: ")]),
]  # fmt: skip


def reach(page: Any, name: str) -> Any:
    """A repair's button, in the notes where it is not above them."""
    button = page.get_by_role("button", name=name).first
    if not button.is_visible():
        page.locator("summary", has_text=re.compile(r"Notes \(")).click()
        button.wait_for()
        page.wait_for_timeout(500)  # it unfolds, and what is clicked meanwhile is missed
        settled(page)
    return button


@pytest.mark.parametrize(("make", "repairs"), MADE, ids=[make.__name__ for make, _ in MADE])
def test_a_repair_is_clicked_undone_and_kept_over_a_reload(
    page: Any, app_url: str, tmp_path: Path, shot: Callable[[Any, str], Path], make: Callable[[], bytes],
    repairs: list[tuple[str, str]],
) -> None:  # fmt: skip
    name = make.__name__
    path = tmp_path / f"{name}.csv"
    path.write_bytes(make())
    upload(page, app_url, path)
    title = page.get_by_role("heading", name=name.replace("_", " ").capitalize())
    title.wait_for()
    settled(page)
    for number, (button, said) in enumerate(repairs):
        reach(page, button).click()
        recipe = page.get_by_text(said).first
        recipe.wait_for()
        settled(page)
        if number == 0:
            recipe.scroll_into_view_if_needed()
            shot(page, f"clicks_{name}")
        assert not page.get_by_text(re.compile(r"^-\d")).count()  # no picture counts what is not there
        page.get_by_role("button", name="Undo").first.click()
        recipe.wait_for(state="detached")
        settled(page)
    for button, _ in repairs:
        reach(page, button).click()
        page.get_by_role("button", name=button).first.wait_for(state="hidden")
        settled(page)
    page.reload()
    title.wait_for()
    settled(page)
    for _, said in repairs:
        page.get_by_text(said).first.wait_for()
    page.get_by_role("button", name="Save as a new version").click()
    page.get_by_text("Recipe", exact=True).wait_for(state="detached")
    settled(page)
    shot(page, f"clicks_{name}_saved")
    assert page.get_by_role("button", name=repairs[0][0]).count() == 0


def test_texts_alone_are_labelled_by_hand(
    page: Any, app_url: str, tmp_path: Path, shot: Callable[[Any, str], Path]
) -> None:
    path = tmp_path / "bare.csv"
    path.write_text("\n".join(["text", *(text for text, _ in ROWS), ""]))
    upload(page, app_url, path)
    page.get_by_role("button", name="Add an empty column 'label'").click()
    page.get_by_text("No row has a label in 'label'").first.wait_for()
    settled(page)
    page.get_by_role("button", name="Label the rows by hand").click()
    page.get_by_role("textbox", name="Search the texts").wait_for()
    settled(page)
    page.locator("[data-testid=stDataFrame]").first.scroll_into_view_if_needed()
    shot(page, "clicks_by_hand")


def test_a_raised_text_limit_is_undone_on_design(
    page: Any, app_url: str, tmp_path: Path, shot: Callable[[Any, str], Path]
) -> None:
    path = tmp_path / "long.csv"
    path.write_text("\n".join([*lines(), *(f"{'a very long text ' * 40}{row},good" for row in range(9)), ""]))
    upload(page, app_url, path)
    page.get_by_role("heading", name="Long").wait_for()
    page.get_by_role("button", name="Let the graph read 128 tokens").click()
    page.get_by_text("The graph reads 128 tokens now.").wait_for()
    page.get_by_role("button", name="Let the graph read 256 tokens").wait_for()
    page.get_by_role("link", name="Design").first.click()
    page.wait_for_url("**/design*")
    settled(page)
    shot(page, "clicks_limit_design")
    page.get_by_role("button", name=re.compile("^Undo")).first.click()
    settled(page)
    page.wait_for_timeout(1000)
    page.get_by_role("link", name="Data", exact=True).first.click()
    page.get_by_role("button", name="Let the graph read 128 tokens").wait_for()
