"""Nodes that unite rows from different branches: gated sum, attention, graph convolution."""

from __future__ import annotations

from fgdesign.graph.catalogue.functions import LEARNED
from fgdesign.graph.types import HIDDEN, LOGITS, Cost, NodeType, Param, Port, ShapeError, Site, Value

MERGE_IN = (Port("in", (*HIDDEN, LOGITS), many=True),)
HIDDEN_MERGE_IN = (Port("in", HIDDEN, many=True),)


def _merge_cost(site: Site) -> Cost:
    count = len(site.inputs["in"])
    return site.per(site.first(), count * site.first().width)  # the weights of logits are fitted, not trained


def _attention_cost(site: Site) -> Cost:
    width = site.first().width
    return site.per(site.first(), (len(site.inputs["in"]) + 1) * width, width)


def parse_links(links: str, count: int) -> list[tuple[int, int]]:
    """Drawn adjacency, such as "1-2, 2-3": pairs of inputs, from 1. Raises ShapeError."""
    pairs = []
    for part in filter(None, (piece.strip() for piece in links.split(","))):
        ends = part.split("-")
        if len(ends) != 2 or not all(end.strip().isdecimal() and 1 <= int(end) <= count for end in ends):
            raise ShapeError(f"link '{part}' does not name two of its {count} inputs",
                             "Write pairs such as: 1-2, 2-3")
        pairs.append((int(ends[0]) - 1, int(ends[1]) - 1))
    return pairs


def _gcn(site: Site) -> dict[str, Value]:
    parse_links(site.params["links"], len(site.inputs["in"]))
    return {"out": site.all_same()}


def _gcn_cost(site: Site) -> Cost:
    width, count, depth = site.first().width, len(site.inputs["in"]), site.params["depth"]
    learned = count * count if site.params["adjacency"] == "learned" else 0
    macs = depth * count * (width * width + count * width)
    return site.per(site.first(), macs, depth * (width * width + width) + learned)


ENTRIES = (
    NodeType(
        "merge/1", "merge", "Merge", "Unites the rows of its inputs; where a row comes more than once, combines them.",
        MERGE_IN, costs=_merge_cost, role="merge", tunings=LEARNED,
        params=(Param("method", "choice", "sum", "Gated sum, gated mean, or the largest value. Logits are always "
                      "joined as a softmax of weighted log-probabilities, weights fitted on validation.",
                      choices=("sum", "mean", "max")),
                Param("rows", "choice", "union", "Take every row that any input holds, or only rows that all inputs "
                      "hold (two opinions on one row).", choices=("union", "shared"))),
    ),
    NodeType(
        "attention_merge/1", "merge", "Attention merge", "Unites rows, weighting each called function by a learned "
        "attention.",
        HIDDEN_MERGE_IN, costs=_attention_cost, role="merge", tunings=LEARNED,
    ),
    NodeType(
        "gcn_merge/1", "merge", "GCN merge", "Unites rows by a graph convolution over the called functions "
        "(Kipf and Welling 2017).",
        HIDDEN_MERGE_IN, _gcn, _gcn_cost, role="merge", tunings=LEARNED,
        params=(
            Param("adjacency", "choice", "complete", "Which functions exchange values: all, the drawn links, or "
                  "learned strengths.", choices=("complete", "drawn", "learned")),
            Param("links", "text", "", "Drawn adjacency: pairs of inputs, such as 1-2, 2-3."),
            Param("depth", "int", 1, "Rounds of convolution.", 1, 4),
            Param("readout", "choice", "sum", "How the called functions' values become one.", choices=("sum", "mean")),
        ),
    ),
)
