"""The Routes page over a data set, look by look, with planted rows on a tiny graph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from test_insight_answered import rows
from test_pages import ToyRun, home, make_run, modelled, show, words

from fgdesign.runs.folder import RunFolder
from fgdesign.ui import models, route_set_store

__all__ = ["home", "modelled"]
LOOKS = {
    "flow": "rows. The widest band",
    "usage": "Share of 60 rows that call each function",
    "classes": "more often than on the other routes",
    "errors": "its share of the errors",
    "alike": "different routes fall into",
    "exits": "of the rows leave early",
    "worth": "Bars are 95 % intervals of a paired bootstrap",
    "health": "The route tells",
    "rows": "Rows found",
}


@pytest.fixture
def with_rows(modelled: RunFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunFolder]:
    """A run whose 60 test rows are at hand."""
    toy, data = models.trained(modelled), rows(count=60)
    assert isinstance(toy, ToyRun)
    toy.network.module_of("exit_1").threshold.fill_(0.5)
    toy.labels = list(data.task.labels)
    monkeypatch.setattr(route_set_store, "_parts", lambda path, changed: {"test": data, "valid": data.subset([]),
                                                                          "train": data})
    yield modelled


@pytest.mark.parametrize(("look", "said"), LOOKS.items())
def test_every_look_says_what_it_shows(with_rows: RunFolder, look: str, said: str) -> None:
    page = show("routes", look=look)
    assert not page.exception, page.exception
    assert said in words(page), words(page)


def test_routing_is_judged_in_a_sentence_and_kept_for_the_next_visit(with_rows: RunFolder) -> None:
    page = show("routes", look="health")
    assert any(text in words(page) for text in ("Routing is not shown to earn", "Routing earns", "Routing beats",
                                                "Routing does harm"))
    assert "The exits" in words(page)
    assert list(with_rows.path.glob("insight/*/test-keep.json"))
    again = show("routes", look="health")
    assert words(again) == words(page)


def test_rows_are_found_by_class_route_and_words(with_rows: RunFolder) -> None:
    page = show("routes", look="rows")
    table = page.dataframe[0].value
    assert len(table) == 60
    page.selectbox[0].select_index(1).run()
    assert set(page.dataframe[0].value["label"]) == {"=cedar"}
    page.text_input[0].set_value("no such word at all").run()
    assert "No row passes all filters" in words(page)
    assert not page.exception


def test_a_run_without_its_rows_says_what_to_do(modelled: RunFolder) -> None:
    page = show("routes", look="flow")
    assert not page.exception
    assert "Put the file back, or train again" in words(page)


def test_a_second_run_says_how_alike_it_routes(with_rows: RunFolder, home: Path) -> None:
    other = make_run(home, "20260102-two")
    other.model.mkdir()
    (other.model / "config.json").write_text("{}", "utf-8")
    page = show("routes", look="health", run=with_rows.name)
    page.multiselect[0].set_value([other.name]).run()
    assert not page.exception, page.exception
    assert "Routes agree at 1.00" in words(page)
