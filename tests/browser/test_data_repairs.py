"""Repairs that only a person accepts, clicked on the Data page and undone; a table of Markdown that is pasted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import app_in
from test_data import settled, upload

pytestmark = pytest.mark.browser
POLISH = ("Zamówienie przyszło uszkodzone", "Proszę o zwrot pieniędzy", "Jestem bardzo zadowolony", "Świetna obsługa")
MISREAD = [  # button, the sentence of the recipe
    ("Drop rows with fewer cells than the header", "Drop rows with fewer cells than the header: 1 row dropped."),
    ("Drop rows with more cells than the header", "Drop rows with more cells than the header: 1 row dropped."),
    ("Drop rows with a quote that never closes", "Drop rows with a quote that never closes: 1 row dropped."),
    ("Drop rows with quotes against the rules", "Drop rows with quotes against the rules: 1 row dropped."),
    ("Keep at most 10 times the smallest", "Keep at most 10 times the rows of the smallest label: "),
    ("Drop rows of more than 64 tokens", "Drop rows of more than 64 tokens in text, counted by all-MiniLM-L6-v2: "),
    ("Read as cp1252", "Read letters as another encoding: 'cp1250' to 'cp1252': "),
]
TOLD = [
    ("Drop rows with bytes that are no letters", "Drop rows with bytes that are no letters: 1 row dropped."),
    ("Take 2 labels out of the texts", "Take the names of labels out of the texts: 'bad', 'good': 120 cells changed."),
]


@pytest.fixture(scope="module")
def app_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An app with a workspace of its own."""
    with app_in(tmp_path_factory.mktemp("choice"), trains=False) as address:
        yield address


def misread(path: Path) -> Path:
    """A file of Poland with one row of each kind that is misread, one large class, and long texts."""
    rows = [f"{POLISH[row % 4]} {row} {'bardzo ' * (90 if row % 10 == 9 else 1)},{'zły' if row < 4 else 'dobry'}"
            for row in range(99)]  # fmt: skip
    rows += ["tylko tekst", "jeden,dwa,trzy,cztery", '"nie zamknięty,dobry', '"on "mówi" tak",dobry']
    path.write_bytes("\n".join(["text,label", *rows, ""]).encode("cp1250"))
    return path


def told(path: Path) -> Path:
    """A file whose texts name their labels, with a byte that is no letter."""
    rows = [f"{('good', 'bad')[row % 2]}: größer als {row},{('good', 'bad')[row % 2]}" for row in range(119)]
    path.write_bytes("\n".join(["text,label", *rows]).encode() + b"\ngood: gr\xf6\xdfer als sonst,good\n")
    return path


@pytest.mark.parametrize(("make", "repairs"), [(misread, MISREAD), (told, TOLD)], ids=["misread", "told"])
def test_each_repair_is_clicked_and_undone(
    page: Any, app_url: str, tmp_path: Path, shot: Callable[[Any, str], Path], make: Callable[[Path], Path],
    repairs: list[tuple[str, str]],
) -> None:
    upload(page, app_url, make(tmp_path / f"{make.__name__}.csv"))
    page.get_by_role("heading", name=make.__name__.capitalize()).wait_for()
    settled(page)
    for number, (button, said) in enumerate(repairs):
        page.get_by_role("button", name=button).first.click()
        page.get_by_text(said).first.wait_for()
        settled(page)
        page.get_by_text(said).first.scroll_into_view_if_needed()
        shot(page, f"choice_{make.__name__}_{number}")
        page.get_by_role("button", name="Undo").first.click()
        page.get_by_text(said).first.wait_for(state="detached")
        settled(page)
    for width, scheme in ((1440, "light"), (1024, "light"), (1440, "dark"), (1024, "dark")):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 1400})
        page.reload()
        page.get_by_role("heading", name=make.__name__.capitalize()).wait_for()
        settled(page)
        page.get_by_text("Findings", exact=True).last.scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        shot(page, f"choice_{make.__name__}_{width}_{scheme}")
        clipped = "[...document.querySelectorAll('button p')].filter(p => p.scrollWidth > p.clientWidth + 1).length"
        assert page.evaluate(clipped) == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_settings_beside_findings_are_turned_on_and_off(page: Any, app_url: str, tmp_path: Path) -> None:
    upload(page, app_url, misread(tmp_path / "settings.csv"))
    page.get_by_role("heading", name="Settings").wait_for()
    page.get_by_role("button", name="Turn class weights on").click()
    page.get_by_role("button", name="Turn class weights off").wait_for()
    page.get_by_role("button", name="Let the graph read 128 tokens").click()
    page.get_by_role("button", name="Let the graph read 256 tokens").wait_for()
    page.get_by_text("The graph reads 128 tokens now.").wait_for()
    page.get_by_role("link", name=re.compile("Train")).first.click()
    page.get_by_role("tab", name="Loss").click()
    settled(page)
    assert page.locator("label", has_text="Class weights").locator("input").first.is_checked()


def test_a_table_of_markdown_is_pasted(page: Any, app_url: str, shot: Callable[[Any, str], Path]) -> None:
    page.goto(f"{app_url}/data")
    settled(page)
    page.get_by_role("button", name="Paste a table").click()
    rows = "\n".join(f"| where is parcel {row} | {('late', 'lost')[row % 2]} |" for row in range(30))
    page.get_by_role("textbox", name=re.compile("Cells copied")).fill(f"| text | label |\n|---|:-:|\n{rows}")
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Use these rows").click()
    page.get_by_role("heading", name="Pasted").wait_for()
    page.get_by_text("Text: text · label: label.").wait_for()
    settled(page)
    shot(page, "choice_markdown")
