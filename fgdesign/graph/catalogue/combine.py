"""Functions of several values that hold the same rows: sum, product, concatenation, gating."""

from __future__ import annotations

from dataclasses import replace

from fgdesign.graph.catalogue.functions import LEARNED
from fgdesign.graph.types import HIDDEN, Cost, MisfitError, NodeType, Param, Port, Site, Value

MANY_IN = (Port("in", HIDDEN, many=True),)


def _add_cost(site: Site) -> Cost:
    count = len(site.inputs["in"])
    return site.per(site.first(), count * site.first().width, count if site.params["weights"] == "learned" else 0)


def _multiply_cost(site: Site) -> Cost:
    return site.per(site.first(), len(site.inputs["in"]) * site.first().width)


def _concat(site: Site) -> dict[str, Value]:
    first, *others = site.inputs["in"]
    for other in others:
        if (other.type, other.length) != (first.type, first.length):
            raise MisfitError(f"it joins {first} with {other}", "Bring all inputs to one type, for instance with pool.")
    return {"out": replace(first, width=sum(value.width for value in site.inputs["in"]))}


def _gate(site: Site) -> dict[str, Value]:
    value, control = site.first(), site.first("control")
    if control.type == "sequence" and (value.type, value.length) != (control.type, control.length):
        raise MisfitError(f"its control is {control} for {value}", "Pool the control to a vector.")
    return {"out": value}


def _gate_cost(site: Site) -> Cost:
    value, control = site.first(), site.first("control")
    out = value.width if site.params["per"] == "channel" else 1
    return site.per(value, control.width * out, (control.width + 1) * out)


ENTRIES = (
    NodeType(
        "add/1", "combine", "Add", "The weighted sum of its inputs; weights stand on the edges.",
        MANY_IN, costs=_add_cost, tunings=LEARNED,
        params=(Param("weights", "choice", "fixed", "Keep the edge weights, or learn them from there.",
                      choices=("fixed", "learned")),),
    ),
    NodeType("multiply/1", "combine", "Multiply", "The product of its inputs, number by number.",
             MANY_IN, costs=_multiply_cost),
    NodeType("concat/1", "combine", "Concatenate", "Its inputs side by side.", MANY_IN, _concat),
    NodeType(
        "gate/1", "combine", "Gate", "Scales its input by sigmoid(W control + b), learned.",
        (Port("in", HIDDEN), Port("control", HIDDEN)), _gate, _gate_cost, tunings=LEARNED,
        params=(Param("per", "choice", "channel", "One gate for each channel, or one for the whole value.",
                      choices=("channel", "value")),),
    ),
)
