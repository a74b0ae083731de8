"""Routes of one text and of two: values, movers, alike rows, and links that show the same again."""

from __future__ import annotations

import pytest
from test_insight_answered import rows
from test_pages import home, modelled, show, words
from test_route_set_pages import with_rows

from fgdesign.runs.folder import RunFolder
from fgdesign.ui.route_ask import LONGEST_LINK, packed, unpacked

__all__ = ["home", "modelled", "with_rows"]


@pytest.mark.parametrize("text", ["", "amber boat", "Ünï 退款 " * 900, "\x00<script>"])
def test_a_packed_text_comes_back(text: str) -> None:
    assert unpacked(packed(text)) == text


@pytest.mark.parametrize("letters", ["", "%%%", "abc", "eJw=", packed("x" * 50)[:-6] + "!!"])
def test_what_was_never_packed_is_no_text(letters: str) -> None:
    assert unpacked(letters) == ""


def test_a_long_text_stands_packed_in_the_address_and_a_short_one_plain(modelled: RunFolder) -> None:
    page = show("routes")
    page.text_area[0].set_value("kite lemon").run()
    assert page.query_params["text"] == "kite lemon" and "packed" not in page.query_params
    long = "kite lemon mirror " * (LONGEST_LINK // 10)
    page.text_area[0].set_value(long).run()
    assert "text" not in page.query_params
    again = show("routes", packed=page.query_params["packed"])
    assert not again.exception and again.text_area[0].value == long


def test_a_row_keeps_its_place_in_the_address_until_another_text_is_typed(with_rows: RunFolder) -> None:
    page = show("routes", part="test", row="7", step="3")
    assert not page.exception
    assert page.text_area[0].value == rows(count=60).texts[7]
    assert (page.query_params["part"], page.query_params["row"], page.query_params["step"]) == ("test", "7", "3")
    page.text_area[0].set_value("kite lemon").run()
    assert "row" not in page.query_params and "step" not in page.query_params


def test_values_stand_at_every_node_and_can_be_named(with_rows: RunFolder) -> None:
    page = show("routes")
    table = page.dataframe[-1].value
    assert {"length", "change against input"} <= set(table) and table.set_index("node").loc["layer_1", "length"] > 0
    next(toggle for toggle in page.toggle if toggle.label.startswith("Name the class")).set_value(True).run()
    assert not page.exception
    assert set(page.dataframe[-1].value["nearest class"].dropna()) <= {*rows().task.labels, ""}


def test_what_moved_a_choice_is_told(with_rows: RunFolder) -> None:
    page = show("routes")
    next(box for box in page.selectbox if box.label.startswith("Functions that moved")).select_index(0).run()
    assert not page.exception
    assert "moved how sure it was most" in words(page)


def test_training_rows_of_the_same_route_are_found(with_rows: RunFolder) -> None:
    page = show("routes", part="test", row="7")
    next(toggle for toggle in page.toggle if toggle.label.startswith("Training rows")).set_value(True).run()
    assert not page.exception, page.exception
    table = page.dataframe[-1].value
    assert table["text"].iloc[0] == rows(count=60).texts[7] and table["likeness"].iloc[0] > 0.98


def test_two_texts_are_told_apart_and_stand_in_the_address(with_rows: RunFolder) -> None:
    page = show("routes", text="amber boat", other=packed("candle door engine"))
    assert not page.exception, page.exception
    assert [area.value for area in page.text_area[:2]] == ["amber boat", "candle door engine"]
    said = words(page)
    assert "First text" in said and "Second text" in said
    assert "same route" in said or "The answers" in said
    page.text_area[1].set_value("amber boat").run()
    assert "Both took the same route" in words(page)
    assert unpacked(page.query_params["other"]) == "amber boat"
    page.text_area[1].set_value(" ").run()
    assert "Give two texts" in words(page)


def test_a_link_shows_what_was_picked_in_a_chart(with_rows: RunFolder) -> None:
    page = show("routes", look="flow", part="test")
    assert "Click a band or a block" in words(page) and "pick" not in page.query_params
    page = show("routes", look="flow", part="test", pick='"stop:0"')
    assert not page.exception and "Click a band or a block" not in words(page)
    assert page.query_params["pick"] == '"stop:0"'
    page.selectbox[0].run()
    assert page.query_params["pick"] == '"stop:0"'
    page.segmented_control(key="routes_look").set_value("classes").run()
    assert not page.exception and "pick" not in page.query_params and "Click a cell" in words(page)


@pytest.mark.parametrize("pick", ["{", "[1, 2]", '"stop:99999"', "null", '{"a": 1}', '"band:-1"'])
def test_a_link_that_names_nothing_picks_nothing(with_rows: RunFolder, pick: str) -> None:
    for look in ("flow", "classes", "errors", "alike", "exits"):
        page = show("routes", look=look, part="test", pick=pick)
        assert not page.exception, page.exception


def test_a_link_shows_the_rows_that_were_found(with_rows: RunFolder) -> None:
    page = show("routes", look="rows", part="test")
    page.text_input(key="find").set_value("amber").run()
    count = len(page.dataframe[-1].value)
    assert 0 < count < 60
    again = show("routes", look="rows", part="test", find="amber")
    assert not again.exception and len(again.dataframe[-1].value) == count
    again.segmented_control(key="routes_look").set_value("flow").run()
    assert not again.exception
