"""The second way to draw: a graph made with tables and forms alone, and the branches of routers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from fgdesign.errors import GraphError
from fgdesign.graph import STARTERS, Graph, errors
from fgdesign.graph.branches import NEW, reorder
from fgdesign.graph.spec import Edge, Node
from fgdesign.ui import design_page, design_state
from fgdesign.ui.design_branches import leads_to
from fgdesign.ui.design_session import DesignSession
from fgdesign.ui.design_tables import edge_edits, node_edits

PAGE = str(Path(__file__).parents[1] / "pages" / "design.py")
RULES = [{"when": "keyword", "words": ["refund"], "to": 1}, {"when": "length", "at_most": 6, "to": 3}]
RULED = Graph(
    "Ruled",
    (Node("text", "text/1"), Node("rules", "rule_router/1", {"branches": 3, "rules": RULES, "default": 3}),
     Node("a", "lexical/1"), Node("b", "lexical/1"), Node("c", "lexical/1"), Node("merge", "merge/1")),
    (Edge("text.out", "rules.in"), *(Edge(f"rules.branch_{i}", f"{name}.in") for i, name in enumerate("abc", 1)),
     *(Edge(f"{name}.out", "merge.in") for name in "abc")),
)


def ways(graph: Graph, node: str) -> list[tuple[str, str]]:
    return [(edge.source_port, edge.target_node) for edge in graph.out_of(node)]


ORDERS: list[tuple[list[int], list[tuple[str, str]], list[int], int]] = [
    ([1, 2, 3, NEW], [("branch_1", "a"), ("branch_2", "b"), ("branch_3", "c")], [1, 3], 3),
    ([2, 3], [("branch_1", "b"), ("branch_2", "c")], [2], 2),
    ([3, 1, 2], [("branch_2", "a"), ("branch_3", "b"), ("branch_1", "c")], [2, 1], 1),
    ([1, 2], [("branch_1", "a"), ("branch_2", "b")], [1], 2),
]


@pytest.mark.parametrize(("order", "edges", "rules", "default"), ORDERS, ids=["add", "remove", "sort", "default"])
def test_edges_rules_and_the_default_follow_their_branch(
    order: list[int], edges: list[tuple[str, str]], rules: list[int], default: int
) -> None:
    changed = reorder(RULED, "rules", order)
    node = changed.node("rules")
    full = {"branches": 2, "default": 2, **node.params}
    assert ways(changed, "rules") == edges
    assert (full["branches"], [rule["to"] for rule in full["rules"]], full["default"]) == (len(order), rules, default)


def test_a_router_calls_no_more_branches_than_it_has() -> None:
    graph = Graph("g", (Node("router", "router/1", {"branches": 3, "k": 3}),))
    assert reorder(graph, "router", [1, 3]).node("router").params == {"k": 2}


@pytest.mark.parametrize("order", [[1], [1, 1, 2], [1, 4], []])
def test_an_order_that_cannot_be_is_refused(order: list[int]) -> None:
    with pytest.raises(GraphError, match="name at least 2, each once, from 1 to 3"):
        reorder(RULED, "rules", order)


@pytest.mark.parametrize("op", [{"order": "12"}, {"order": [1, None]}, {"order": [True, 2]}, {}])
def test_malformed_orders_are_refused(op: dict[str, Any]) -> None:
    with pytest.raises(GraphError, match="not a list of branches"):
        DesignSession(RULED).do({"op": "branches", "id": "rules", **op})


def test_weights_of_edges_are_set_taken_away_and_checked() -> None:
    here = DesignSession(STARTERS["linear-probe"].graph)
    edge = here.graph.edges[0]
    op = {"op": "weight", "start": edge.source, "end": edge.target}
    here.do({**op, "weight": 0.5})
    assert here.graph.edges[0].weight == 0.5
    assert here.picture()["undo"] == f"weigh {edge.source} to {edge.target}"
    here.do({**op, "weight": None})
    assert here.graph.edges[0].weight is None
    for bad in ("1", True, float("nan"), 1e9):
        with pytest.raises(GraphError, match="'weight' is not a number"):
            here.do({**op, "weight": bad})
    with pytest.raises(GraphError, match="There is no edge"):
        here.do({"op": "weight", "start": "text.out", "end": "nowhere.in", "weight": 1})


def test_a_branch_is_named_by_what_it_calls() -> None:
    router = RULED.node("rules")
    graph = reorder(RULED, "rules", [1, 2, 3, NEW]).with_edges((*RULED.edges, Edge("rules.branch_4", "merge.in")))
    assert leads_to(RULED, router, 2) == "b"
    assert leads_to(graph, graph.node("rules"), 4) == "merge, identity"
    assert leads_to(Graph("g", (router,)), router, 1) == "nothing yet"


def test_cells_of_the_tables_become_operations() -> None:
    nodes = [Node("a", "linear/1"), Node("b", "linear/1")]
    assert node_edits(nodes, {1: {"Node": "c", "Tuning": "frozen"}}) == [
        {"op": "tuning", "nodes": ["b"], "tuning": "frozen"}, {"op": "rename", "id": "b", "name": "c"},
    ]
    edges = [Edge("a.out", "b.in"), Edge("a.out", "c.in")]
    changes = {"edited_rows": {0: {"To": "d.in"}, 1: {"Weight": 2.0}}, "deleted_rows": [1],
               "added_rows": [{"From": "a.out", "To": "e.in"}, {"From": "a.out"}]}
    assert edge_edits(edges, changes) == [
        {"op": "reconnect", "old_start": "a.out", "old_end": "b.in", "start": "a.out", "end": "d.in"},
        {"op": "weight", "start": "a.out", "end": "c.in", "weight": 2.0},
        {"op": "connect", "start": "a.out", "end": "e.in"},
        {"op": "delete", "nodes": [], "edges": ["a.out>c.in"]},
    ]


class Tables:
    """The page with its tables, as a person with a keyboard uses it."""

    def __init__(self) -> None:
        self.page = AppTest.from_file(PAGE, default_timeout=60)
        self.page.session_state[design_page.VIEW] = "tables"
        self.page.run()
        assert not self.page.exception and not self.page.get("bidi_component")

    @property
    def graph(self) -> Graph:
        found: Graph = self.page.session_state[design_state.EDITOR].session.graph
        return found

    def press(self, words: str) -> None:
        next(b for b in self.page.button if words in (b.label, b.help) or b.key == words).click().run()
        assert not self.page.exception

    def add(self, kind: str, *behind: str) -> None:
        self.page.multiselect(key="design_table_nodes").set_value(list(behind)).run()
        self.page.selectbox(key="form|add").set_value(kind).run()
        self.press("form|add_button")

    def ends(self, start: str, end: str) -> None:
        self.page.selectbox(key="form|from").set_value(start).run()
        self.page.selectbox(key="form|to").set_value(end).run()


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    monkeypatch.setenv("FGDESIGN_WORKSPACE", str(tmp_path))
    (tmp_path / "project.json").write_text(json.dumps({"graph": {"format": "fgdesign.graph/1", "name": "mine"}}))
    return Tables()


def test_a_routed_graph_is_made_with_forms_alone(tables: Tables) -> None:
    tables.add("text/1")
    for kind, behind in (("embeddings/1", "text"), ("encoder_layer/1", "embeddings"), ("router/1", "layer_1")):
        tables.add(kind, behind)
    tables.press("A new branch, the last")
    for _ in range(2):
        tables.add("ffn/1", "router")
    tables.add("merge/1", "ffn", "ffn_2")
    tables.ends("router.branch_3", "merge.in")
    tables.press("Connect")
    tables.add("pool/1", "merge")
    tables.add("classifier/1", "pool")
    assert errors(tables.graph) == ()
    assert ways(tables.graph, "router") == [("branch_1", "ffn"), ("branch_2", "ffn_2"), ("branch_3", "merge")]
    tables.page.multiselect(key="design_table_nodes").set_value(["router"]).run()
    assert "3 → merge, identity" in [text.value for text in tables.page.text]
    tables.press("Remove branch 1")
    assert ways(tables.graph, "router") == [("branch_1", "ffn_2"), ("branch_2", "merge")]
    tables.press("Undo: remove a branch of router")
    assert len(ways(tables.graph, "router")) == 3


def test_what_cannot_be_connected_says_why_before_it_is_tried_and_offers_what_fits(tables: Tables) -> None:
    for kind in ("text/1", "pool/1"):
        tables.add(kind)
    tables.ends("text.out", "pool.in")
    assert next(b for b in tables.page.button if b.label == "Connect").disabled
    assert any("types differ" in text.value or "takes sequence" in text.value for text in tables.page.text)
    tables.press("form|bridge")
    assert [edge.target for edge in tables.graph.edges] == ["embeddings.in", "pool.in"]
    tables.press("Remove edge")
    assert len(tables.graph.edges) == 1
    tables.press("table|fix|0|0")
    assert len(tables.graph.edges) == 2, "the problem of the loose node is repaired from the list"


def test_an_edge_that_is_selected_has_its_weight_in_the_inspector(tables: Tables) -> None:
    tables.add("text/1")
    tables.add("embeddings/1", "text")
    tables.add("add/1", "embeddings")
    session = tables.page.session_state[design_state.EDITOR].session
    session.do({"op": "select", "nodes": [], "edges": ["embeddings.out>add.in"]})
    tables.page.run()
    next(field for field in tables.page.number_input if field.label == "Weight").set_value(0.5).run()
    assert tables.graph.edges[-1].weight == 0.5
    session.do({"op": "select", "nodes": [], "edges": ["embeddings.out>add.in"]})
    tables.page.run()
    tables.press("Delete")
    assert len(tables.graph.edges) == 1
