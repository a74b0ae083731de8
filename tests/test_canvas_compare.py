"""The comparison of two graphs, in words and on the canvas."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from fgdesign.graph import STARTERS, Edge, Graph, layout
from fgdesign.graph.compare import compare
from fgdesign.graph.edit import add_node, disconnect, remove_nodes, rename_node, set_params, set_tuning
from fgdesign.ui import design_state
from fgdesign.ui.design_store import DraftStore
from fgdesign.views.canvas import canvas_data

PROBE = layout(STARTERS["linear-probe"].graph)


def weighted(graph: Graph) -> Graph:
    first, *rest = graph.edges
    return graph.with_edges([replace(first, weight=0.5), *rest])


FIRST = f"{PROBE.edges[0].source}>{PROBE.edges[0].target}"
CASES = {  # edit: (changes, the comparison in words)
    "nothing": (lambda g: g, {}, "no difference"),
    "moved": (lambda g: layout(g.with_nodes(replace(n, position=None) for n in g.nodes)), {}, "no difference"),
    "added": (lambda g: add_node(g, "text/1", node_id="more"), {"more": "added"}, "added more"),
    "removed": (
        lambda g: remove_nodes(g, ["classifier"]),
        {"classifier": "removed", "pool.out>classifier.in": "removed"},
        "removed classifier, pool.out>classifier.in",
    ),
    "set": (lambda g: set_params(g, "pool", method="max"), {"pool": "changed"}, "changed pool"),
    "tuned": (lambda g: set_tuning(g, ["layer_1"], "full"), {"layer_1": "changed"}, "changed layer_1"),
    "cut": (
        lambda g: disconnect(g, "pool.out", "classifier.in"),
        {"pool.out>classifier.in": "removed"},
        "removed pool.out>classifier.in",
    ),
    "weighted": (weighted, {FIRST: "changed"}, f"changed {FIRST}"),
}


@pytest.mark.parametrize(("edit", "changes", "words"), CASES.values(), ids=CASES)
def test_what_came_went_and_changed(edit: Any, changes: dict[str, str], words: str) -> None:
    found = compare(PROBE, edit(PROBE))
    assert (found.changes, str(found)) == (changes, words)


def test_a_renamed_node_went_and_came() -> None:
    found = compare(PROBE, rename_node(PROBE, "pool", "mean"))
    assert {"pool", "layer_6.out>pool.in"} <= set(found.names("removed"))
    assert {"mean", "layer_6.out>mean.in"} <= set(found.names("added"))
    assert str(found).startswith("added mean, layer_6.out>mean.in, mean.out>classifier.in; removed pool")


def test_of_many_changes_the_first_few_are_named() -> None:
    words = str(compare(PROBE, Graph("empty")))
    assert words.startswith("removed text, embeddings, layer_1, layer_2 and ") and words.endswith(" more")


def test_details_say_what_was_and_what_is() -> None:
    found = compare(PROBE, set_tuning(set_params(PROBE, "pool", method="max"), ["layer_1"], "lora"))
    assert found.details == {"pool": "method: default → 'max'", "layer_1": "tuning: default → lora"}


def test_what_went_stays_in_the_picture_beside_what_came() -> None:
    new = add_node(remove_nodes(PROBE, ["pool"]), "concat/1", node_id="both", position=PROBE.node("pool").position)
    found = compare(PROBE, new)
    assert found.graph.ids == (*new.ids, "pool")
    assert found.graph.node("pool").position != found.graph.node("both").position
    assert Edge("pool.out", "classifier.in") in found.graph.edges
    data = canvas_data(found.graph, changes=found)
    marks = {node["id"]: node.get("change") for node in data["nodes"]}
    assert (marks["pool"], marks["both"], marks["text"]) == ("removed", "added", None)
    assert {edge["id"]: edge.get("change") for edge in data["edges"]}["pool.out>classifier.in"] == "removed"


def test_a_version_is_compared_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FGDESIGN_WORKSPACE", str(tmp_path))
    page = AppTest.from_file(str(Path(__file__).parents[1] / "pages" / "design.py"), default_timeout=60).run()
    page.session_state[design_state.EDITOR].session.do({"op": "add", "type": "linear/1"})
    page.run()
    store = DraftStore(tmp_path / "graphs")
    store.save_version(store.drafts()[0].key, STARTERS["cheap-word-first"].graph)
    page.session_state["compare|1"] = True
    next(button for button in page.button if button.label == "Versions").click().run()
    assert not page.exception
    assert any(text.value == "since then: added linear" for text in page.text)
    drawn = [json.loads(item.proto.json) for item in page.get("bidi_component") if "nodes" in item.proto.json]
    marks = [{node["id"]: node.get("change") for node in data["nodes"]} for data in drawn]
    assert [found["linear"] for found in marks] == [None, "added"]
    store.save_version(store.drafts()[0].key, STARTERS["early-exit"].graph)
    page.session_state["version_other"] = 1
    next(button for button in page.button if button.label == "Versions").click().run()
    shown = [text.value for text in page.text if text.value.startswith("to version 1: ")]
    assert shown[0].startswith("to version 1: added words") and shown[1] == "to version 1: no difference"
