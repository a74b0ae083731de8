"""What follows from a graph that was edited is the same whether it is worked out anew or from the graph before."""

from __future__ import annotations

import random

import pytest

from fgdesign.errors import FgdesignError
from fgdesign.graph import STARTERS, Graph, edit, layout
from fgdesign.graph.catalogue import CATALOGUE
from fgdesign.graph.infer import infer
from fgdesign.graph.spec import Edge


def one_edit(graph: Graph, luck: random.Random) -> Graph:
    """A random edit, sensible or not."""
    nodes, kind = [node.id for node in graph.nodes], luck.randrange(6)
    if kind == 0 or len(nodes) < 3:
        return edit.add_node(graph, luck.choice(sorted(CATALOGUE)))
    if kind == 1:
        return edit.remove_nodes(graph, [luck.choice(nodes)])
    if kind == 2 and graph.edges:
        gone = luck.choice(graph.edges)
        return graph.with_edges(edge for edge in graph.edges if edge is not gone)
    if kind == 3:
        node = graph.node(luck.choice(nodes))
        tunings = CATALOGUE[node.type].tunings
        return edit.set_tuning(graph, [node.id], luck.choice(tunings)) if tunings else graph
    if kind == 4:
        name = luck.choice(["branches", "width", "index"])
        return edit.set_params(graph, luck.choice(nodes), **{name: luck.randint(1, 5)})
    start, end = graph.node(luck.choice(nodes)), graph.node(luck.choice(nodes))
    outs = CATALOGUE[start.type].output_names(CATALOGUE[start.type].with_defaults(start.params))
    ins = CATALOGUE[end.type].inputs
    if not outs or not ins:
        return graph
    new = Edge(f"{start.id}.{luck.choice(outs)}", f"{end.id}.{luck.choice(ins).name}")
    return graph.with_edges((*graph.edges, new))


@pytest.mark.parametrize("name", sorted(STARTERS))
def test_an_edited_graph_is_inferred_as_one_never_seen(name: str) -> None:
    luck = random.Random(name)
    graph = layout(STARTERS[name].graph)
    infer(graph, 3)
    for _ in range(30):
        try:
            graph = one_edit(graph, luck)
        except FgdesignError:
            continue
        again = infer(graph, 3)
        anew = infer(graph, 3, fresh=True)
        assert again == anew
        assert list(again.values) == list(anew.values), "the order is the same too"
