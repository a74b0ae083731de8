"""The Design page without a browser: what the canvas is sent, and the inspector's forms."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from fgdesign.graph import STARTERS, Graph, load_file, to_json
from fgdesign.ui import design_inspector, design_state

PAGE = str(Path(__file__).parents[1] / "pages" / "design.py")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FGDESIGN_WORKSPACE", str(tmp_path))
    return tmp_path


def opened(graph: str = "") -> AppTest:
    page = AppTest.from_file(PAGE, default_timeout=60)
    if graph:
        page.query_params["graph"] = graph
    return page.run()


def sent(page: AppTest) -> dict[str, Any]:
    """The data the canvas was sent last."""
    found: dict[str, Any] = json.loads(page.get("bidi_component")[0].proto.json)
    return found


def select(page: AppTest, *nodes: str) -> AppTest:
    page.session_state[design_state.EDITOR].session.do({"op": "select", "nodes": list(nodes), "edges": []})
    return page.run()


def test_the_first_visit_shows_the_default_starter_ready_to_train(workspace: Path) -> None:
    page = opened()
    assert not page.exception
    data = sent(page)
    assert [node["id"] for node in data["nodes"]] == list(STARTERS["cheap-word-first"].graph.ids)
    assert (data["editable"], data["problems"]) == (True, [])
    summary = " ".join(caption.value for caption in page.caption)
    assert "ready to train" in summary
    assert re.search(r"about [\d.]+ ms per text of 32 tokens, about [\d.]+ ms where it calls all · ", summary)
    assert re.search(r" · about \d+\u2009MB of memory to train", summary)


def test_the_inspector_names_the_run_that_used_a_node(workspace: Path) -> None:
    folder = workspace / "runs" / "first-run"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "graph.json").write_text(to_json(STARTERS["cheap-word-first"].graph))
    page = select(opened(), "exit_1")
    assert "Last used in run first-run" in [text.value for text in page.text]
    assert any(text.value.startswith("After a training") for text in page.text)
    told = {"exits": [{"node": "exit_1", "share": 0.414, "depth": 1.0, "accuracy": 0.97}]}
    (folder / "report.json").write_text(json.dumps(told))
    page.run()
    assert "Last run: 41.4\u2009% of the rows left here, after 1 layers, 97\u2009% of them right" in [
        text.value for text in page.text
    ]
    page = select(page, "pool_1")
    assert "of the compute" in page.code[-1].value


def test_a_parameter_is_set_reset_and_saved(workspace: Path) -> None:
    page = select(opened(), "exit_1")
    next(field for field in page.number_input if "Tolerance" in field.label).set_value(0.05).run()
    assert not page.exception
    drafts = list((workspace / "graphs").glob("*.json"))
    assert load_file(drafts[0]).node("exit_1").params == {"tolerance": 0.05}
    next(button for button in page.button if button.label == "Reset to defaults").click().run()
    assert load_file(drafts[0]).node("exit_1").params == {}


def test_every_node_type_has_a_form(workspace: Path) -> None:
    page = opened()
    for name in ("router/1", "rule_router/1", "exit/1", "gcn_merge/1", "text/1", "scale/1", "lexical/1", "add/1"):
        page.session_state[design_state.EDITOR].session.do({"op": "add", "type": name})
        page.run()
        assert not page.exception, name
        assert page.text_input[0].value == page.session_state[design_state.EDITOR].session.nodes[0]


def test_a_field_that_is_reported_again_with_what_it_shows_edits_nothing() -> None:
    sent: list[str] = []
    made: dict[str, Any] = {}

    def field(_: str, **options: Any) -> None:
        made.update(options)

    design_inspector._widget(field, "Name", "pool", sent.append, "pool|name")
    for reported in ("pool", "mean"):
        st.session_state[made["key"]] = reported
        made["on_change"]()
    assert sent == ["mean"]


def test_a_name_that_is_taken_is_refused_with_the_reason(workspace: Path) -> None:
    page = select(opened(), "head_1")
    page.text_input[0].set_value("text").run()
    assert "already called 'text'" in page.text[0].value
    assert "head_1" in page.session_state[design_state.EDITOR].session.graph.ids


def test_a_draft_in_the_address_is_opened_and_a_missing_one_is_named(workspace: Path) -> None:
    (workspace / "graphs").mkdir()
    graph = Graph("Mine", STARTERS["linear-probe"].graph.nodes[:1])
    (workspace / "graphs" / "mine.json").write_text(to_json(graph))
    assert sent(opened("mine"))["title"] == "Mine"
    page = opened("gone")
    assert any("Cannot read the graph 'gone'" in text.value for text in page.text)
    assert sent(page)["title"] == "Mine"  # the project's graph


def test_a_change_made_elsewhere_is_shown_and_chosen(workspace: Path) -> None:
    page = select(opened(), "pool_1")
    page.text_input[0].set_value("mean_1").run()
    draft = next((workspace / "graphs").glob("*.json"))
    draft.write_text(to_json(STARTERS["linear-probe"].graph))
    page.text_input[0].set_value("mean_2").run()
    assert any("changed elsewhere" in text.value for text in page.text)
    assert load_file(draft) == STARTERS["linear-probe"].graph
    next(button for button in page.button if button.label == "Keep mine as a copy").click().run()
    assert not page.exception
    names = {path.stem: load_file(path).ids for path in (workspace / "graphs").glob("*.json")}
    assert sorted(names) == ["cheap-word-first", "cheap-word-first-2"]
    assert "mean_2" in names["cheap-word-first-2"]


def test_an_edit_whose_saving_was_cut_short_is_kept_and_saved_by_the_next_run(workspace: Path) -> None:
    page = opened()
    session = page.session_state[design_state.EDITOR].session
    session.do({"op": "add", "type": "linear/1", "x": 0, "y": 0, "after": ["pool_1"]})
    page.run()
    assert page.session_state[design_state.EDITOR].session is session
    assert sent(page)["undo"] == "add linear" and sent(page)["selected"]["nodes"] == ["linear"]
    drafts = list((workspace / "graphs").glob("*.json"))
    assert any("linear" in load_file(path).ids for path in drafts)
    assert "linear" in (workspace / "project.json").read_text()


def test_a_graph_put_into_the_project_elsewhere_is_opened(workspace: Path) -> None:
    page = opened()
    project = page.session_state["project"]
    page.session_state["project"] = replace(project, graph=STARTERS["early-exit"].graph)
    page.run()
    assert [node["id"] for node in sent(page)["nodes"]] == list(STARTERS["early-exit"].graph.ids)


def test_graphs_are_duplicated_deleted_and_brought_back(workspace: Path) -> None:
    page = select(opened(), "exit_1")
    page.text_input[0].set_value("first_exit").run()

    def press(words: str) -> None:
        next(button for button in page.button if words in (button.label, button.key)).click().run()
        assert not page.exception

    press("New")
    assert page.button(key="drop|cheap-word-first").disabled, "the open graph stays"
    press("Duplicate this graph")
    here = page.session_state[design_state.EDITOR]
    assert (here.key, "first_exit" in here.session.graph.ids) == ("cheap-word-first-2", True)
    press("New")
    press("drop|cheap-word-first")
    assert [path.stem for path in (workspace / "graphs").glob("*.json")] == ["cheap-word-first-2"]
    press("New")
    press("Bring back cheap-word-first")
    assert load_file(workspace / "graphs" / "cheap-word-first.json").node("first_exit")
