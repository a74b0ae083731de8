"""The starter graphs: all sound, all explained, and the textbook case as it is written in books."""

from __future__ import annotations

from pathlib import Path

import pytest

from fgdesign.errors import GraphError
from fgdesign.graph.edit import fit_task
from fgdesign.graph.infer import infer, summarise
from fgdesign.graph.layout import layout
from fgdesign.graph.spec import from_json, to_json
from fgdesign.graph.starters import DEFAULT, STARTERS, Starter, load_graph
from fgdesign.graph.types import Value
from fgdesign.graph.validate import errors, validate

NAMED = {
    "cheap-word-first", "two-opinions", "grow", "linear-probe", "textbook-sentiment", "layer-taps", "routed-experts",
    "gcn-experts", "early-exit", "adapter-stack", "rule-and-learned", "lora-upper-half",
}
EACH = pytest.mark.parametrize("starter", STARTERS.values(), ids=lambda starter: starter.name)


def test_all_named_starters_are_there() -> None:
    assert set(STARTERS) >= NAMED and DEFAULT == "cheap-word-first"


@EACH
def test_a_starter_is_sound_and_explained(starter: Starter) -> None:
    graph = starter.graph
    assert starter.name == graph.name and starter.title
    assert "Expect" in starter.about and starter.about.endswith(".") and 100 < len(starter.about) < 500
    assert validate(graph) == validate(graph, 3) == ()
    assert from_json(to_json(graph)) == graph
    assert all(node.position is not None for node in layout(graph).nodes)


@EACH
def test_a_starter_answers_every_row_with_logits_of_the_task(starter: Starter) -> None:
    found = infer(starter.graph, 5)
    assert found.answer is not None and found.values[found.answer] == Value("logits", 5)
    assert len(found.order) == len(starter.graph.nodes) == len(found.costs)


@EACH
@pytest.mark.parametrize("kind", ["single", "multi", "regression"])
def test_a_starter_fits_other_tasks_or_says_why_not(starter: Starter, kind: str) -> None:
    codes = {problem.code for problem in errors(fit_task(starter.graph, kind), 1 if kind == "regression" else 4)}
    exits = any(node.type == "exit/1" for node in starter.graph.nodes)
    assert codes == ({"unsure-exit"} if exits and kind == "regression" else set())


def test_identities_differ() -> None:
    assert len({starter.graph.identity for starter in STARTERS.values()}) == len(STARTERS)


def test_the_textbook_case() -> None:
    """y1 = x + F1(x) + F2(x), y2 = sigma(y1), y = W y2 + b over the first two layers."""
    graph = STARTERS["textbook-sentiment"].graph
    assert [node.params["index"] for node in graph.nodes if node.type == "encoder_layer/1"] == [1, 2]
    assert [edge.source for edge in graph.into("y_1")] == ["x.out", "f_1.out", "f_2.out"]
    assert [edge.source for edge in (*graph.into("f_1"), *graph.into("f_2"))] == ["x.out", "x.out"]
    assert (graph.node("y_2").type, graph.node("y_2").params) == ("activation/1", {"function": "sigmoid"})
    assert graph.into("answer")[0].source == "y_2.out" and graph.node("answer").params["norm"] is False


def test_the_default_answers_from_words_first_and_joins_them_at_every_head() -> None:
    graph = STARTERS[DEFAULT].graph
    assert graph.into("exit_0", "logits")[0].source == "words.out"
    assert graph.into("embeddings")[0].source == "exit_0.next"
    for i in range(1, 7):
        assert [edge.source for edge in graph.into(f"opinion_{i}")] == [f"head_{i}.out", "words.out"]
        assert graph.node(f"opinion_{i}").params == {"rows": "shared"}
        assert graph.node(f"layer_{i}").tuning == (None if i < 3 else "full")
    assert len(graph.into("answer")) == 7


def test_routed_experts_have_four_experts_a_straight_way_and_few_trained_weights() -> None:
    graph = STARTERS["routed-experts"].graph
    experts = [f"expert_{i}.out" for i in (1, 2, 3, 4)]
    assert [edge.source for edge in graph.into("merge")] == [*experts, "router.branch_5"]
    assert graph.node("merge").type == "gcn_merge/1" and summarise(graph, 2).trained < 7_000_000


def test_load_graph_takes_names_paths_and_graphs(tmp_path: Path) -> None:
    graph = STARTERS["grow"].graph
    path = tmp_path / "mine.json"
    path.write_text(to_json(graph), encoding="utf-8")
    assert load_graph("grow") == load_graph(str(path)) == load_graph(path) == load_graph(graph) == graph
    with pytest.raises(GraphError, match=r"'gros' is neither a graph file nor a starter. Did you mean grow"):
        load_graph("gros")
    for odd in ("x" * 5000, "a\0b", ""):
        with pytest.raises(GraphError, match="neither a graph file nor a starter"):
            load_graph(odd)
