"""Graphs of odd but legal shapes, each one function that sketches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fgdesign.graph.spec import Edge
from fgdesign.graph.starters import Sketch

SHORT = [{"when": "length", "at_most": 5, "to": 1}]


def base(s: Sketch, layers: int = 1) -> str:
    return s.layers(s.text(max_length=24), 1, layers)


def experts(s: Sketch, router: str, count: int, first: int = 1) -> list[str]:
    return [s.add(f"{router}_expert_{i}", "ffn", f"{router}.branch_{i}", hidden=8)
            for i in range(first, first + count)]


def finish(s: Sketch, source: str, head: str = "classifier") -> Sketch:
    s.add("head", head, source, hidden=5)
    return s


def weigh(s: Sketch, port: str, weights: str) -> str:
    """Set the parameter `weights` of the node just added."""
    s.nodes[-1] = replace(s.nodes[-1], params={**s.nodes[-1].params, "weights": weights})
    return port


def nested_routers() -> Sketch:
    s = Sketch()
    s.add("outer", "router", s.add("pool", "pool", base(s)), branches=2)
    s.add("inner", "router", "outer.branch_1", branches=3)
    inner = s.add("inner_merge", "merge", *experts(s, "inner", 3))
    return finish(s, s.add("outer_merge", "merge", inner, *experts(s, "outer", 1, first=2)))


def router_inside_a_branch() -> Sketch:
    s = Sketch()
    hidden = base(s)
    s.add("outer", "router", hidden, branches=2, scorer="mlp", temperature=0.3)
    before = s.add("before", "linear", "outer.branch_2", activation="tanh")
    s.add("inner", "router", before, branches=2, k=2)
    inner = s.add("inner_merge", "gcn_merge", "inner.branch_1", *experts(s, "inner", 1, first=2), readout="mean")
    after = s.add("after", "layer_norm", inner)
    merged = s.add("outer_merge", "merge", "outer.branch_1", after, method="max")
    return finish(s, s.add("pool", "pool", s.layers(merged, 2, 2)))


def exit_inside_a_branch() -> Sketch:
    s = Sketch()
    s.add("router", "router", s.add("pool", "pool", base(s)), branches=2)
    early = s.add("early", "classifier", "router.branch_1")
    s.add("leave", "exit", "router.branch_1", logits=early, measure="margin")
    merged = s.add("merge", "merge", s.add("more", "ffn", "leave.next", hidden=8), "router.branch_2")
    s.add("answer", "answer", "leave.answer", s.add("late", "classifier", merged))
    return s


def exit_on_tokens() -> Sketch:
    s = Sketch()
    s.text(max_length=24)
    words = s.add("words", "lexical", "text.out")
    s.edges = [edge for edge in s.edges if edge.target_node != "embeddings"]
    s.nodes = [node for node in s.nodes if node.id != "embeddings"]
    s.add("leave", "exit", "text.out", logits=words, measure="entropy")
    hidden = s.layers(s.add("embeddings", "embeddings", "leave.next"), 1, 2)
    s.add("answer", "answer", "leave.answer", s.add("late", "classifier", s.add("pool", "pool", hidden)))
    return s


def two_routers_feed_one_node() -> Sketch:
    s = Sketch()
    pool = s.add("pool", "pool", base(s))
    s.add("one", "router", pool, branches=2)
    s.add("two", "router", pool, branches=2, scorer="mlp")
    both = s.add("both", "ffn", s.add("meet", "merge", "one.branch_1", "two.branch_1"), hidden=8)
    rest = s.add("rest", "merge", both, "one.branch_2", "two.branch_2", method="mean")
    return finish(s, rest)


def same_layer_twice_shared() -> Sketch:
    s = Sketch()
    hidden = s.add("again", "encoder_layer", base(s, 2), index=2)
    s.add("router", "router", hidden, branches=2)
    third = s.add("third", "encoder_layer", "router.branch_1", index=1)
    return finish(s, s.add("pool", "pool", s.add("merge", "merge", third, "router.branch_2")))


def same_layer_twice_copied() -> Sketch:
    s = Sketch()
    hidden = weigh(s, s.add("again", "encoder_layer", base(s, 2), index=2, tuning="lora"), "copy")
    third = weigh(s, s.add("third", "encoder_layer", hidden, index=2, tuning="adapter"), "copy")
    return finish(s, s.add("pool", "pool", third, method="max"))


def two_text_nodes() -> Sketch:
    s = Sketch()
    sides = []
    for side, column in (("a", "text"), ("b", "second"), ("c", "all")):
        hidden = s.add(f"embeddings_{side}", "embeddings", s.add(f"text_{side}", "text", column=column, max_length=20))
        sides.append(s.add(f"pool_{side}", "pool", s.add(f"layer_{side}", "encoder_layer", hidden, index=1)))
    s.add("router", "router", s.add("both", "concat", *sides), branches=2)
    words = s.add("words", "lexical", "text_b.out")
    late = s.add("late", "classifier", s.add("merge", "merge", *experts(s, "router", 2)))
    s.add("opinion", "merge", late, words, s.add("all_words", "lexical", "text_c.out"), rows="shared")
    return s


def rules_on_tokens() -> Sketch:
    s = Sketch()
    s.add("text", "text", max_length=24)
    rules = [{"when": "keyword", "words": ["amber", "kite"], "to": 3}, *SHORT,
             {"when": "column", "column": "kind", "equals": "b", "to": 2}]
    s.add("rule", "rule_router", "text.out", branches=3, default=3, rules=rules)
    pools = []
    for branch in (1, 2):
        hidden = s.add(f"embeddings_{branch}", "embeddings", f"rule.branch_{branch}")
        pools.append(s.add(f"pool_{branch}", "pool", s.add(f"layer_{branch}", "encoder_layer", hidden, index=branch)))
    late = s.add("late", "classifier", s.add("merge", "merge", *pools))
    s.add("answer", "answer", late, s.add("words", "lexical", "rule.branch_3"))
    return s


def top_two_of_three_with_identity() -> Sketch:
    s = Sketch()
    s.add("router", "router", s.add("pool", "pool", base(s), method="attention"), branches=3, k=2)
    return finish(s, s.add("merge", "merge", *experts(s, "router", 2), "router.branch_3"))


def long_branch_joined_with_the_trunk() -> Sketch:
    s = Sketch()
    x = s.add("pool", "pool", base(s))
    s.add("router", "router", x, branches=2)
    deep = s.add("deep", "linear", s.add("wide", "ffn", "router.branch_1", hidden=8), activation="gelu")
    joined = s.add("joined", "add", deep, x, weights=(0.5, 2.0))
    gated = s.add("gated", "gate", joined, per="value")
    s.edges.append(Edge("pool.out", "gated.control"))
    return finish(s, s.add("merge", "merge", gated, "router.branch_2"))


def logits_united() -> Sketch:
    s = Sketch()
    s.add("router", "router", s.add("pool", "pool", base(s)), branches=2, k=2)
    heads = [s.add(f"head_{i}", "classifier", f"router.branch_{i}") for i in (1, 2)]
    s.add("rule", "rule_router", "pool.out", branches=2, default=2, rules=SHORT)
    heads.append(s.add("head_short", "classifier", "rule.branch_1"))
    s.add("opinion", "merge", *heads, s.add("head_long", "classifier", "rule.branch_2"))
    return s


def logits_shared() -> Sketch:
    s = Sketch()
    pool = s.add("pool", "pool", base(s))
    s.add("rule", "rule_router", pool, branches=2, default=2, rules=SHORT)
    words = s.add("words", "lexical", "text.out")
    two = s.add("two", "merge", s.add("head_1", "classifier", "rule.branch_1"), words, rows="shared")
    s.add("answer", "answer", two, s.add("head_2", "classifier", "rule.branch_2"))
    return s


def soft_prompts() -> Sketch:
    s = Sketch()
    hidden = s.add("prompt", "soft_prompt", s.text(max_length=20), length=3)
    s.add("router", "router", s.layers(hidden, 1, 1), branches=2)
    longer = s.add("scaled", "scale", "router.branch_1", value=-0.7, learned=True)
    merged = s.add("merge", "merge", longer, "router.branch_2")
    return finish(s, s.add("pool", "pool", s.layers(merged, 2, 3), method="cls"))


def sequences_merged_then_layers() -> Sketch:
    s = Sketch()
    s.add("router", "router", base(s), branches=3, k=2)
    merged = s.add("merge", "attention_merge", *experts(s, "router", 2), "router.branch_3")
    return finish(s, s.add("pool", "pool", s.layers(merged, 2, 4), method="max"))


def sequences_convolved() -> Sketch:
    s = Sketch()
    s.add("router", "router", base(s), branches=3, k=2)
    merged = s.add("merge", "gcn_merge", *experts(s, "router", 3), adjacency="learned", depth=2)
    return finish(s, s.add("pool", "pool", s.layers(merged, 2, 2), method="attention"))


def gates_open_until_a_classifier() -> Sketch:
    s = Sketch()
    s.add("router", "router", s.add("pool", "pool", base(s)), branches=2)
    s.add("inner", "router", "router.branch_1", branches=2, method="soft", k=2)
    heads = [s.add(f"head_{i}", "classifier", f"inner.branch_{i}") for i in (1, 2)]
    union = s.add("union", "merge", *heads)
    s.add("answer", "answer", union, s.add("other", "classifier", "router.branch_2"))
    return s


def exits_in_a_row() -> Sketch:
    s = Sketch()
    hidden, sources = s.text(max_length=24), []
    words = s.add("words", "lexical", "text.out")
    for index in (1, 2, 3):
        hidden = s.layers(hidden, index, index)
        head = s.add(f"head_{index}", "classifier", s.add(f"pool_{index}", "pool", hidden))
        opinion = s.add(f"opinion_{index}", "merge", head, words, rows="shared")
        if index < 3:
            s.add(f"leave_{index}", "exit", hidden, logits=opinion)
            sources.append(f"leave_{index}.answer")
            hidden = f"leave_{index}.next"
    s.add("answer", "answer", *sources, opinion)
    return s


def exit_with_logits_of_a_branch_only() -> Sketch:
    s = Sketch()
    x = s.add("pool", "pool", base(s))
    s.add("rule", "rule_router", x, branches=2, default=2, rules=SHORT)
    early = s.add("early", "classifier", "rule.branch_1")
    s.add("leave", "exit", x, logits=early)
    late = s.add("late", "classifier", "leave.next")
    s.add("answer", "answer", "leave.answer", late, s.add("other", "classifier", "rule.branch_2"))
    return s


def confidence_decides() -> Sketch:
    s = Sketch()
    pool = s.add("pool", "pool", base(s))
    words = s.add("words", "lexical", "text.out")
    s.add("rule", "rule_router", pool, branches=2, default=2, by=words,
          rules=[{"when": "confidence", "below": 0.7, "to": 1}])
    s.add("answer", "answer", s.add("head_1", "classifier", "rule.branch_1"), s.add("head_2", "classifier",
                                                                                    "rule.branch_2"))
    return s


def drawn_links_and_a_scored_side_value() -> Sketch:
    s = Sketch()
    lower = base(s)
    tap = s.add("tap", "pool", lower)
    pool = s.add("pool", "pool", s.layers(lower, 2, 2))
    s.add("router", "router", pool, by=tap, branches=4, k=3, method="straight_through")
    merged = s.add("merge", "gcn_merge", *experts(s, "router", 3), "router.branch_4", adjacency="drawn",
                   links="1-2, 3-4, 2-3", depth=2)
    return finish(s, merged)


def plain_branches_beside_the_identity() -> Sketch:
    s = Sketch()
    s.add("router", "router", s.add("pool", "pool", base(s)), branches=3)
    plain = s.add("plain", "linear", "router.branch_1")
    bare = s.add("bare", "ffn", "router.branch_2", residual=False)
    return finish(s, s.add("merge", "merge", plain, bare, "router.branch_3"))


def everything_small() -> Sketch:
    s = Sketch()
    hidden = base(s)
    a = s.add("project", "project", s.add("l2", "normalise", s.add("cls", "pool", hidden, method="cls")), width=10)
    adapted = s.add("adapted", "adapter", s.add("mean", "pool", hidden), bottleneck=4)
    b = s.add("project_2", "project", adapted, width=10)
    product = s.add("product", "multiply", a, b)
    total = s.add("total", "add", product, s.add("dropped", "dropout", a), weights=(1.0, -1.0))
    learned = weigh(s, s.add("learned", "add", total, b, weights=(0.5, 1.5)), "learned")
    return finish(s, s.add("standard", "normalise", s.add("absolute", "activation", learned, function="abs"),
                           method="standardise"))


GRAPHS: list[Callable[[], Sketch]] = [
    nested_routers, router_inside_a_branch, exit_inside_a_branch, exit_on_tokens, two_routers_feed_one_node,
    same_layer_twice_shared, same_layer_twice_copied, two_text_nodes, rules_on_tokens, top_two_of_three_with_identity,
    long_branch_joined_with_the_trunk, logits_united, logits_shared, soft_prompts, sequences_merged_then_layers,
    sequences_convolved, gates_open_until_a_classifier, exits_in_a_row, exit_with_logits_of_a_branch_only,
    confidence_decides, drawn_links_and_a_scored_side_value,
    plain_branches_beside_the_identity, everything_small,
]
