"""What is wrong with a graph, as tables: a broken graph, the rule's code, the node, words of message and fix."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fgdesign.errors import BackboneError, GraphError
from fgdesign.graph.catalogue import CATALOGUE
from fgdesign.graph.edit import fit_task
from fgdesign.graph.infer import infer, summarise
from fgdesign.graph.spec import Edge, Graph, Node
from fgdesign.graph.starters import STARTERS, Sketch
from fgdesign.graph.validate import connection_problem, errors, require_valid, validate

Draw = Callable[[Sketch], object]


def pooled(s: Sketch) -> str:
    return s.add("pool", "pool", s.text())


def head(s: Sketch, source: str, node_id: str = "head", kind: str = "classifier", **params: Any) -> str:
    return s.add(node_id, kind, source, **params)


def drawn(draw: Draw) -> Graph:
    sketch = Sketch()
    draw(sketch)
    return sketch.graph("drawn")


# ---------------------------------------------------------------- graphs that are right, in odd shapes

def top_k_merged(s: Sketch) -> None:
    s.add("router", "router", pooled(s), branches=4, k=3)
    head(s, s.add("merge", "merge", *(f"router.branch_{i}" for i in (1, 2, 3, 4))))


def top_k_join_of_all(s: Sketch) -> None:
    """Every row takes both branches, so an ordinary node may join them."""
    s.add("router", "router", pooled(s), branches=2, k=2)
    head(s, s.add("both", "add", "router.branch_1", "router.branch_2"))


def nested_routers(s: Sketch) -> None:
    s.add("outer", "router", pooled(s), branches=2)
    s.add("inner", "router", "outer.branch_1", branches=3)
    inside = s.add("inside", "merge", *(f"inner.branch_{i}" for i in (1, 2, 3)))
    head(s, s.add("outside", "merge", inside, "outer.branch_2"))


def nested_routers_merged_at_once(s: Sketch) -> None:
    s.add("outer", "router", pooled(s), branches=2)
    s.add("inner", "router", "outer.branch_1", branches=2)
    head(s, s.add("merge", "merge", "inner.branch_1", "inner.branch_2", "outer.branch_2"))


def expert_shared_by_two_routers(s: Sketch) -> None:
    x = pooled(s)
    s.add("first", "router", x, branches=2)
    s.add("second", "rule_router", x, branches=2)
    expert = s.add("expert", "ffn", s.add("called", "merge", "first.branch_1", "second.branch_1"))
    head(s, s.add("merge", "merge", expert, "first.branch_2", "second.branch_2"))


def exit_inside_a_branch(s: Sketch) -> None:
    s.add("router", "router", pooled(s), branches=2)
    early = head(s, "router.branch_1", "early")
    s.add("exit", "exit", "router.branch_1", logits=early)
    late = head(s, s.add("merge", "merge", s.add("deep", "ffn", "exit.next"), "router.branch_2"), "late")
    s.add("answer", "answer", "exit.answer", late)


def exit_after_a_merge(s: Sketch) -> None:
    s.add("router", "router", pooled(s), branches=2)
    merged = s.add("merge", "merge", "router.branch_1", "router.branch_2")
    s.add("exit", "exit", merged, logits=head(s, merged, "early"))
    s.add("answer", "answer", "exit.answer", head(s, "exit.next", "late"))


def exit_on_tokens_and_on_logits(s: Sketch) -> None:
    words = s.add("words", "lexical", s.add("text", "text"))
    s.add("exit_0", "exit", "text.out", logits=words)
    late = head(s, s.add("pool", "pool", s.add("embeddings", "embeddings", "exit_0.next")), "late")
    s.add("exit_1", "exit", late, logits=s.add("opinion", "merge", late, words, rows="shared"))
    s.add("answer", "answer", "exit_0.answer", "exit_1.answer", "exit_1.next")


def router_after_an_exit(s: Sketch) -> None:
    x = pooled(s)
    s.add("exit", "exit", x, logits=head(s, x, "early"))
    s.add("router", "router", "exit.next", branches=2)
    late = [head(s, f"router.branch_{i}", f"late_{i}") for i in (1, 2)]
    s.add("answer", "answer", *late, "exit.answer")


def branches_that_answer(s: Sketch) -> None:
    s.add("router", "rule_router", pooled(s), branches=3, rules=[{"when": "length", "at_most": 3, "to": 3}])
    s.add("answer", "answer", *(head(s, f"router.branch_{i}", f"head_{i}") for i in (1, 2, 3)))


def two_texts_with_soft_prompt(s: Sketch) -> None:
    parts = []
    for side, column in (("a", "text"), ("b", "second")):
        hidden = s.add(f"prompt_{side}", "soft_prompt", s.add(f"emb_{side}", "embeddings",
                                                              s.add(side, "text", column=column)))
        parts.append(s.add(f"pool_{side}", "pool", hidden))
    head(s, s.add("both", "concat", *parts))


def sequences_routed_and_merged(s: Sketch) -> None:
    s.add("router", "router", s.text(), branches=2)
    s.add("layer", "encoder_layer", "router.branch_1", index=4)
    head(s, s.add("pool", "pool", s.add("merge", "attention_merge", "layer.out", "router.branch_2")))


def tokens_routed_by_a_tap(s: Sketch) -> None:
    tap = pooled(s)
    s.add("router", "router", "text.out", by=tap, branches=2)
    one = s.add("one", "lexical", "router.branch_1")
    two = head(s, s.add("pool_2", "pool", s.add("emb_2", "embeddings", "router.branch_2")), "two")
    s.add("answer", "answer", one, two)


def rule_by_confidence(s: Sketch) -> None:
    x = pooled(s)
    early = head(s, x, "early")
    s.add("sure", "rule_router", x, branches=2, rules=[{"when": "confidence", "below": 0.8, "to": 1}], by=early)
    head(s, s.add("merge", "merge", s.add("expert", "ffn", "sure.branch_1"), "sure.branch_2"))


def weighted_difference(s: Sketch) -> None:
    x = pooled(s)
    head(s, s.add("difference", "add", x, s.add("f", "linear", x), weights=(1.0, -1.0)))


RIGHT: list[Draw] = [
    top_k_merged, top_k_join_of_all, nested_routers, nested_routers_merged_at_once, expert_shared_by_two_routers,
    exit_inside_a_branch, exit_after_a_merge, exit_on_tokens_and_on_logits, router_after_an_exit,
    branches_that_answer, two_texts_with_soft_prompt, sequences_routed_and_merged, tokens_routed_by_a_tap,
    rule_by_confidence, weighted_difference,
]


@pytest.mark.parametrize("draw", RIGHT, ids=lambda draw: draw.__name__)
def test_odd_but_right_graphs_have_no_problem(draw: Draw) -> None:
    graph = drawn(draw)
    assert validate(graph) == validate(graph, 3) == ()
    require_valid(graph)


# ---------------------------------------------------------------- graphs that are wrong

def missing_pool(s: Sketch) -> None:
    head(s, s.text())


def unequal_widths(s: Sketch) -> None:
    x = pooled(s)
    head(s, s.add("sum", "add", x, s.add("small", "project", x, width=7)))


def unequal_lengths(s: Sketch) -> None:
    hidden = s.text()
    head(s, s.add("pool", "pool", s.add("sum", "add", hidden, s.add("prompt", "soft_prompt", hidden))))


def sequence_with_vector(s: Sketch) -> None:
    head(s, s.add("pool_2", "pool", s.add("both", "concat", s.text(), s.add("pool", "pool", "embeddings.out"))))


def classes_with_number(s: Sketch) -> None:
    x = pooled(s)
    s.add("merge", "merge", head(s, x), head(s, x, "number", "regressor"))


def wide_layer(s: Sketch) -> None:
    head(s, s.add("pool", "pool", s.add("layer", "encoder_layer", s.add("wide", "project", s.text(), width=16))))


def layer_nine(s: Sketch) -> None:
    head(s, s.add("pool", "pool", s.add("layer", "encoder_layer", s.text(), index=9)))


def text_too_long(s: Sketch) -> None:
    head(s, s.add("pool", "pool", s.text(max_length=600)))


def k_too_large(s: Sketch) -> None:
    s.add("router", "router", pooled(s), branches=2, k=3)
    head(s, s.add("merge", "merge", "router.branch_1", "router.branch_2"))


def router_that_sees_nothing(s: Sketch) -> None:
    s.add("router", "router", s.add("text", "text"), branches=2)
    s.add("merge", "merge", *(s.add(f"words_{i}", "lexical", f"router.branch_{i}") for i in (1, 2)))


def default_out_of_range(s: Sketch) -> None:
    s.add("router", "rule_router", pooled(s), branches=2, default=5)
    head(s, s.add("merge", "merge", "router.branch_1", "router.branch_2"))


def confidence_of_nothing(s: Sketch) -> None:
    s.add("router", "rule_router", pooled(s), rules=[{"when": "confidence", "below": 0.5, "to": 1}])
    head(s, s.add("merge", "merge", "router.branch_1", "router.branch_2"))


def links_to_nowhere(s: Sketch) -> None:
    s.add("router", "router", pooled(s), k=2)
    head(s, s.add("merge", "gcn_merge", "router.branch_1", "router.branch_2", adjacency="drawn", links="1-2, ²-3"))


def branches_meet(s: Sketch) -> None:
    s.add("router", "router", pooled(s), branches=2)
    head(s, s.add("sum", "add", "router.branch_1", s.add("f", "linear", "router.branch_2")))


def branches_meet_when_trained(s: Sketch) -> None:
    """A soft router calls all branches in training, but one of them afterwards."""
    s.add("router", "router", pooled(s), branches=2, method="soft")
    head(s, s.add("sum", "add", "router.branch_1", "router.branch_2"))


def shared_merge_of_branches(s: Sketch) -> None:
    s.add("router", "router", pooled(s), branches=2)
    head(s, s.add("merge", "merge", "router.branch_1", "router.branch_2", rows="shared"))


def exit_meets_next(s: Sketch) -> None:
    x = pooled(s)
    s.add("exit", "exit", x, logits=head(s, x, "early"))
    s.add("answer", "merge", "exit.answer", head(s, "exit.next"), rows="shared")


def loose_branch(s: Sketch) -> None:
    s.add("router", "router", pooled(s), branches=3)
    head(s, s.add("merge", "merge", "router.branch_1", "router.branch_3"))


def loose_exit(s: Sketch) -> None:
    x = pooled(s)
    s.add("exit", "exit", x, logits=head(s, x, "early"))
    head(s, "exit.next")


def branch_into_a_dead_end(s: Sketch) -> None:
    s.add("router", "router", pooled(s), branches=2)
    s.add("end", "linear", "router.branch_2")
    head(s, "router.branch_1")


def two_of_four_top_k(s: Sketch) -> None:
    """Rows that take branches 3 and 4 are lost, those with 1 or 2 are not."""
    s.add("router", "router", pooled(s), branches=4, k=2)
    s.add("both", "add", "router.branch_3", "router.branch_4")
    s.add("answer", "answer", head(s, s.add("merge", "merge", "router.branch_1", "router.branch_2")))
    s.add("other", "activation", "both.out")


def join_of_some_of_top_k(s: Sketch) -> None:
    """Only rows that take both branches reach the end."""
    s.add("router", "router", pooled(s), branches=3, k=2)
    pair = s.add("pair", "multiply", "router.branch_1", "router.branch_2")
    head(s, s.add("last", "multiply", pair, s.add("third", "merge", "router.branch_3", pair)))


def answered_by_two_branches(s: Sketch) -> None:
    s.add("router", "router", pooled(s), branches=2, k=2)
    s.add("answer", "answer", *(head(s, f"router.branch_{i}", f"head_{i}") for i in (1, 2)))


def answered_by_two_branches_in_training(s: Sketch) -> None:
    s.add("router", "router", pooled(s), branches=2, method="soft")
    s.add("answer", "answer", *(head(s, f"router.branch_{i}", f"head_{i}") for i in (1, 2)))


def answered_before_the_exit_too(s: Sketch) -> None:
    x = pooled(s)
    s.add("exit", "exit", x, logits=head(s, x, "early"))
    s.add("answer", "answer", "exit.answer", head(s, x, "extra"))
    head(s, "exit.next", "late")


def two_heads(s: Sketch) -> None:
    x = pooled(s)
    head(s, x, "one")
    head(s, x, "two")


def two_collectors(s: Sketch) -> None:
    s.add("second", "answer", s.add("first", "answer", head(s, pooled(s))))


def no_head(s: Sketch) -> None:
    pooled(s)


def side_branch(s: Sketch) -> None:
    head(s, pooled(s))
    s.add("tap", "pool", "embeddings.out")


def sure_regression(s: Sketch) -> None:
    x = pooled(s)
    number = head(s, x, "number", "regressor")
    s.add("exit", "exit", x, logits=s.add("mean", "merge", number))
    s.add("answer", "answer", "exit.answer", head(s, "exit.next", "late", "regressor"))


def layer_twice_tuned_apart(s: Sketch) -> None:
    hidden = s.layers(s.text(), 1, 1, "lora")
    head(s, s.add("pool", "pool", s.add("again", "encoder_layer", hidden, index=1)))


def layer_twice_with_two_ranks(s: Sketch) -> None:
    hidden = s.layers(s.text(), 1, 1, "lora")
    head(s, s.add("pool", "pool", s.add("again", "encoder_layer", hidden, index=1, tuning="lora", rank=4)))


def embeddings_twice_tuned_apart(s: Sketch) -> None:
    s.add("other", "embeddings", s.add("text", "text"), tuning="full")
    s.add("embeddings", "embeddings", "text.out")
    head(s, s.add("pool", "pool", s.add("sum", "add", "embeddings.out", "other.out")))


def weight_without_use(s: Sketch) -> None:
    s.add("head", "classifier", pooled(s), weights=(0.5,))


def endless_weight(s: Sketch) -> None:
    head(s, s.add("sum", "add", pooled(s), weights=(float("inf"),)))


WRONG: list[tuple[Draw, str, str, str, str]] = [
    (missing_pool, "type", "head", "Cannot connect embeddings.out (sequence 384) to head.in (vector): types differ.",
     "Insert pool between them."),
    (unequal_widths, "shape", "sum", "Node 'sum' (Add): it joins width 384 with width 7.",
     "Insert project to 384 before it."),
    (unequal_lengths, "shape", "sum", "joins sequences of different lengths", "Pool each of them first."),
    (sequence_with_vector, "shape", "both", "it joins sequence 384 with vector 384",
     "Bring all inputs to one type, for instance with pool."),
    (classes_with_number, "shape", "merge", "joins the logits of classes with those of a number",
     "Use heads of one kind."),
    (wide_layer, "shape", "layer", "it takes sequence 384 but is fed sequence 16", "Insert project to 384 before it."),
    (layer_nine, "shape", "layer", "index is 9, but all-MiniLM-L6-v2 has layers 1 to 6", "Set index between 1 and 6."),
    (text_too_long, "shape", "text", "max_length is 600, but all-MiniLM-L6-v2 has 512 positions",
     "Set max_length to 512 or less."),
    (k_too_large, "shape", "router", "k is 3, but there are 2 branches", "Lower k, or add branches."),
    (router_that_sees_nothing, "shape", "router", "it is fed tokens, from which it cannot score branches",
     "Connect a vector or sequence to its 'by' port."),
    (default_out_of_range, "shape", "router", "the default branch is 5 of 2", "Choose an existing branch."),
    (confidence_of_nothing, "shape", "router", "a confidence rule has nothing to read",
     "Connect logits to its 'by' port."),
    (links_to_nowhere, "shape", "merge", "link '²-3' does not name two of its 2 inputs", "Write pairs such as: 1-2"),
    (branches_meet, "unmerged", "sum", "joins values of different branches (router.branch_1, f.out)",
     "Unite the branches with a merge."),
    (branches_meet_when_trained, "unmerged", "sum", "it would have no rows", "Unite the branches with a merge."),
    (shared_merge_of_branches, "unmerged", "merge", "it would have no rows", "Unite the branches with a merge."),
    (exit_meets_next, "unmerged", "answer", "joins values of different branches (exit.answer, head.out)",
     "Unite the branches with a merge."),
    (loose_branch, "lost-rows", "router", "router.branch_2 leads nowhere: rows that take it would be lost.",
     "straight into the merge makes it the identity."),
    (loose_exit, "lost-rows", "exit", "exit.answer leads nowhere: rows that exit would be lost.",
     "Connect it to an answer node."),
    (branch_into_a_dead_end, "lost-rows", "router", "Rows that take router.branch_2 never reach the answer 'head'.",
     "Connect the end of that branch to the merge or answer."),
    (branch_into_a_dead_end, "no-effect", "end", "Node 'end' reaches no answer.", "Connect it onward, or remove it."),
    (two_of_four_top_k, "lost-rows", "router",
     "Rows that take router.branch_3 and router.branch_4 never reach the answer 'answer'.", "Connect the end"),
    (join_of_some_of_top_k, "lost-rows", "router",
     "Rows that take router.branch_2 and router.branch_3 never reach the answer 'head'.", "Connect the end"),
    (answered_by_two_branches, "answered-twice", "answer", "reach 'answer' both from head_1.out and from head_2.out.",
     "Unite these two with a merge first."),
    (answered_by_two_branches_in_training, "answered-twice", "answer", "both from head_1.out and from head_2.out.",
     "Unite these two with a merge first."),
    (answered_before_the_exit_too, "answered-twice", "answer", "both from exit.answer and from extra.out", "merge"),
    (two_heads, "many-answers", "two", "The graph has 2 answers: one.out, two.out.", "one answer node"),
    (two_collectors, "many-answers", "second", "The graph has 2 answers: first.out, second.out.", "one answer node"),
    (no_head, "no-answer", "", "The graph has no answer.", "Add a classifier (or multi-label, regressor) at the end."),
    (side_branch, "no-effect", "tap", "Node 'tap' reaches no answer.", "Connect it onward, or remove it."),
    (sure_regression, "unsure-exit", "exit", "Exit 'exit' reads a number, which has no confidence.",
     "Use a classifier, or leave the exit out."),
    (layer_twice_tuned_apart, "shared-tuning", "again", "'layer_1' (tuning lora) and 'again' (tuning frozen)",
     "Set both alike, or set weights = copy on one."),
    (layer_twice_with_two_ranks, "shared-settings", "again", "'layer_1' (rank 8) and 'again' (rank 4)",
     "Set both alike, or set weights = copy on one."),
    (embeddings_twice_tuned_apart, "shared-tuning", "embeddings", "'other' (tuning full) and 'embeddings'",
     "Set both alike."),
    (weight_without_use, "edge-weight", "head", "pool.out -> head.in has the weight 0.5, which has no effect",
     "Remove it, or put a scale into the edge."),
    (endless_weight, "edge-weight", "sum", "has the weight inf, which is not finite", "Set a number"),
]


@pytest.mark.parametrize(("draw", "code", "node", "message", "fix"), WRONG, ids=lambda v: getattr(v, "__name__", ""))
def test_a_wrong_graph_is_told_where_why_and_how_to_mend(
    draw: Draw, code: str, node: str, message: str, fix: str
) -> None:
    problems = [p for p in validate(drawn(draw), 3) if p.code == code]
    assert [p.node or "" for p in problems] == [node]
    assert message in problems[0].message and fix in problems[0].fix


BASE = drawn(lambda s: head(s, pooled(s)))
EDGE = Edge("pool.out", "head.in")


def with_edge(source: str, target: str) -> Graph:
    return BASE.with_edges((*BASE.edges, Edge(source, target)))


def with_node(**fields: Any) -> Graph:
    return BASE.with_nodes((replace(BASE.nodes[0], **fields), *BASE.nodes[1:]))


NAMES: list[tuple[Graph, str, str | None, str, str]] = [
    (with_node(type="txt/1"), "unknown-type", "text", "unknown type 'txt/1'", "Did you mean text/1?"),
    (with_node(params={"lenght": 3}), "unknown-parameter", "text", "(Text) has no parameter 'lenght'",
     "Choices: column, max_length"),
    (with_node(params={"max_length": 3}), "bad-parameter", "text", "max_length: 3 is outside 4 to 8192",
     "remove it for the default 64"),
    (with_node(params={"max_length": [[{}]]}), "bad-parameter", "text", "max_length: [[{}]] is not a number",
     "default 64"),
    (with_node(tuning="full"), "bad-tuning", "text", "(Text) cannot be tuned as 'full'", "nothing to train"),
    (BASE.with_nodes(replace(n, tuning="lora") if n.id == "head" else n for n in BASE.nodes), "bad-tuning", "head",
     "(Classifier) cannot be tuned as 'lora'", "Choices: frozen, full"),
    (BASE.with_nodes((*BASE.nodes, Node("Bad id", "text/1"))), "bad-id", "Bad id", "'Bad id' is not a lower-case",
     "Rename"),
    (BASE.with_nodes((*BASE.nodes, BASE.nodes[-1])), "double-id", "head", "Two nodes are called 'head'", "Rename one"),
    (with_edge("pole.out", "head.in"), "unknown-node", None, "names 'pole', which is no node", "Did you mean pool?"),
    (with_edge("pool.out", "heads.in"), "unknown-node", None, "names 'heads', which is no node", "Did you mean head?"),
    (with_edge("pool.result", "head.in"), "unknown-port", "pool", "'pool' (Pool) has no output 'result'",
     "Choices: out."),
    (with_edge("pool.out", "head.on"), "unknown-port", "head", "'head' (Classifier) has no input 'on'",
     "Choices: in."),
    (with_edge("nobody.out", "head.on"), "unknown-port", "head", "has no input 'on'", "Choices: in."),
    (with_edge("pool.out", "text.in"), "unknown-port", "text", "'text' (Text) has no input 'in'", "Choices: (none)."),
    (with_edge("embeddings.out", "head.in"), "fed-twice", "head", "head.in is fed 2 times (pool.out, embeddings.out)",
     "join the values with add, concat or merge"),
    (with_edge("pool.out", "head.in"), "fed-twice", "head", "head.in is fed 2 times", "Keep one edge"),
    (BASE.with_edges(BASE.edges[1:]), "missing-input", "embeddings", "embeddings.in is fed by nothing; it takes tokens",
     "Connect text."),
    (BASE.with_edges(BASE.edges[:-1]), "missing-input", "head", "head.in is fed by nothing; it takes vector",
     "Connect pool."),
    (Graph("empty"), "no-answer", None, "The graph has no answer.", "Add a classifier"),
    (drawn(lambda s: (s.add("a", "linear", "c.out"), s.add("b", "linear", "a.out"), s.add("c", "linear", "b.out"))),
     "cycle", "a", "The nodes form a cycle: a -> b -> c -> a. Values flow one way.", "for instance c -> a"),
    (drawn(lambda s: s.add("a", "add", "a.out")), "cycle", "a", "a cycle: a -> a.", "for instance a -> a"),
]


@pytest.mark.parametrize(("graph", "code", "node", "message", "fix"), NAMES)
def test_names_ports_and_cycles(graph: Graph, code: str, node: str | None, message: str, fix: str) -> None:
    problems = [p for p in validate(graph) if p.code == code]
    assert [p.node for p in problems] == [node]
    assert message in problems[0].message and fix in problems[0].fix


def test_all_problems_come_at_once_errors_first() -> None:
    def draw(s: Sketch) -> None:
        s.add("router", "router", pooled(s), branches=3, k=1, temperature=-1.0)
        joined = s.add("sum", "add", "router.branch_1", "router.branch_2")
        s.add("head", "classifier", joined, weights=(2.0,), dropout="much")
        s.add("layer", "encoder_layer", "embeddings.out", index=40)
        s.add("alone", "linear")

    problems = validate(drawn(draw))
    assert {(p.code, p.node) for p in problems} == {
        ("bad-parameter", "router"), ("bad-parameter", "head"), ("edge-weight", "head"), ("unmerged", "sum"),
        ("lost-rows", "router"), ("shape", "layer"), ("missing-input", "alone"),
    }
    assert [p.severity for p in problems] == ["error"] * 6 + ["warning"]
    assert len(errors(drawn(draw))) == 6


def test_a_graph_behind_a_cycle_is_still_read_up_to_it() -> None:
    def draw(s: Sketch) -> None:
        head(s, s.text())
        s.add("a", "linear", "b.out")
        s.add("b", "linear", "a.out")

    assert {p.code for p in validate(drawn(draw))} == {"cycle", "type"}
    assert infer(drawn(draw)).order == ("text", "embeddings", "head")


def test_require_valid_lists_every_error_on_a_line() -> None:
    with pytest.raises(GraphError, match=r"Graph 'drawn' cannot be used yet \(1 problems\):\n- Cannot connect"):
        require_valid(drawn(missing_pool))
    require_valid(drawn(weight_without_use))


def test_unknown_backbone_is_an_error_of_its_own() -> None:
    with pytest.raises(BackboneError, match="Cannot find the backbone '/no/such/folder'"):
        validate(Graph("g", backbone="/no/such/folder"))


def test_an_exit_in_a_regression_is_refused() -> None:
    problems = errors(fit_task(STARTERS["early-exit"].graph, "regression"))
    assert {(p.code, p.node) for p in problems} == {("unsure-exit", "exit_1"), ("unsure-exit", "exit_3")}


def test_a_tangle_of_routers_is_told_not_computed() -> None:
    def draw(s: Sketch) -> None:
        x, parts = pooled(s), []
        for i in range(4):
            s.add(f"router_{i}", "router", x, branches=16)
            parts.append(s.add(f"some_{i}", "merge", *(f"router_{i}.branch_{b}" for b in range(1, 16))))
        head(s, s.add("product", "multiply", *parts))

    problems = [p for p in validate(drawn(draw)) if p.code == "shape"]
    assert [p.node for p in problems] == ["product"]
    assert "more than 1,024 combinations" in problems[0].message and "Merge the branches" in problems[0].fix


def test_one_rule_does_not_flood_the_list() -> None:
    nodes = tuple(Node(f"n{i}", "nothing/1") for i in range(2000))
    edges = tuple(Edge(f"m{i}.out", f"n{i % 2000}.in") for i in range(20_000))
    problems = validate(Graph("flood", nodes, edges))
    assert {code: sum(p.code == code for p in problems) for code in ("unknown-type", "unknown-node")} == \
        {"unknown-type": 100, "unknown-node": 100}


CONNECT: list[tuple[Graph, Edge, str | None]] = [
    (BASE, Edge("pool.out", "nobody.in"), "names 'nobody', which is no node"),
    (BASE, Edge("pool.out", "head.in"), "head.in is already fed by pool.out; it takes one value"),
    (BASE, Edge("pool.out", "pool.in"), "pool.in is already fed by embeddings.out"),
    (BASE.with_edges(BASE.edges[:-1]), Edge("pool.out", "head.in"), None),
    (BASE.with_edges(BASE.edges[:-1]), Edge("embeddings.out", "head.in"), "types differ"),
    (drawn(lambda s: (s.add("a", "add", "b.out"), s.add("b", "add"))), Edge("a.out", "b.in"), "b -> a -> b"),
    (drawn(lambda s: s.add("a", "add")), Edge("a.out", "a.in"), "a cycle: a -> a"),
    (drawn(lambda s: s.add("a", "add", pooled(s))), Edge("pool.out", "a.in"), "pool.out already feeds a.in"),
    (drawn(lambda s: (s.add("small", "project", pooled(s)), s.add("a", "add", "pool.out"))), Edge("small.out", "a.in"),
     "it joins width 384 with width 128"),
    (drawn(lambda s: (s.add("r", "router", pooled(s)), s.add("a", "add", "r.branch_1"))), Edge("r.branch_2", "a.in"),
     "joins values of different branches"),
    (drawn(lambda s: (s.add("r", "router", pooled(s)), s.add("m", "merge", "r.branch_1"))), Edge("r.branch_2", "m.in"),
     None),
    (drawn(lambda s: (s.add("text", "text"), s.add("r", "router"))), Edge("text.out", "r.in"), None),
    (drawn(lambda s: (s.text(), s.add("layer", "encoder_layer", index=9))), Edge("embeddings.out", "layer.in"), None),
]


@pytest.mark.parametrize(("graph", "edge", "message"), CONNECT)
def test_an_edge_is_judged_before_it_is_drawn(graph: Graph, edge: Edge, message: str | None) -> None:
    problem = connection_problem(graph, edge)
    assert (problem is None) == (message is None)
    assert problem is None or (message or "") in problem.message


MALFORMED: list[Any] = [
    None, True, -1, 0, 3, 2.5, 1e308, float("nan"), float("inf"), 10**400, "", "x", "sum", "1-2", "x" * 5000, [], [[]],
    [None], [{"when": []}], [{"when": "length", "at_most": None, "to": "1"}], {}, {"a": {"b": []}},
]


@pytest.mark.parametrize("seed", range(40))
def test_nothing_malformed_makes_validation_fall_over(seed: int) -> None:
    """Starters with random nodes, parameters, tunings and edges swapped for rubbish."""
    rng = random.Random(seed)
    graph = rng.choice(list(STARTERS.values())).graph
    nodes, edges = list(graph.nodes), list(graph.edges)
    names = [param.name for entry in CATALOGUE.values() for param in entry.params]
    ports = ["in", "out", "by", "logits", "next", "answer", "branch_1", "branch_9", "", "x.y"]
    for _ in range(12):
        i, j = rng.randrange(len(nodes)), rng.randrange(len(edges))
        match rng.randrange(5):
            case 0:
                nodes[i] = replace(nodes[i], params={rng.choice(names): rng.choice(MALFORMED) for _ in range(4)})
            case 1:
                entry = CATALOGUE[nodes[i].type] if nodes[i].type in CATALOGUE else CATALOGUE["router/1"]
                nodes[i] = replace(nodes[i], params={p.name: rng.choice(MALFORMED) for p in entry.params})
            case 2:
                nodes[i] = replace(nodes[i], type=rng.choice([*CATALOGUE, "nothing/1"]))
            case 3:
                nodes[i] = replace(nodes[i], tuning=rng.choice(["full", "lora", "", "x"]))
            case 4:
                source, target = (f"{rng.choice([*graph.ids, 'nobody'])}.{rng.choice(ports)}" for _ in range(2))
                edges[j] = Edge(source, target, rng.choice([None, 1.0, float("nan")]))
    broken = Graph("broken", tuple(nodes), tuple(edges))
    problems = validate(broken, 3)
    assert problems and all(len(str(p)) < 1500 and p.fix for p in problems)
    assert summarise(broken, 3).nodes == len(nodes)
    for edge in edges[:4]:
        connection_problem(broken, edge)
