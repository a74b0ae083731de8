"""Nodes that answer: classifier, multi-label and regression heads, and the collector of exits."""

from __future__ import annotations

from fgdesign.graph.catalogue.functions import LEARNED
from fgdesign.graph.types import LOGITS, VECTOR, Cost, NodeType, Param, Port, Shapes, Site, Value

HEAD_TYPES = {"single": "classifier/1", "multi": "multilabel/1", "regression": "regressor/1"}
HEAD_PARAMS = (
    Param("norm", "bool", True, "Normalise the vector first (layer norm, learned)."),
    Param("dropout", "float", 0.1, "Share of the vector's numbers set to zero in training.", 0, 0.9),
    Param("hidden", "int", 0, "Width of a hidden layer; 0 for none.", 0, 8192),
)


def _logits(site: Site) -> dict[str, Value]:
    return {"out": Value(LOGITS, site.classes)}


def _one(site: Site) -> dict[str, Value]:
    return {"out": Value(LOGITS, 1)}


def _head_cost(site: Site) -> Cost:
    width, inner, out = site.first().width, site.params["hidden"], site.outputs["out"].width
    size = width * inner + inner * out if inner else width * out
    norm = 2 * width if site.params["norm"] else 0
    return site.per(site.first(), size, size + inner + out + norm)


def _head(name: str, title: str, summary: str, shapes: Shapes = _logits) -> NodeType:
    return NodeType(name, "answer", title, summary, (Port("in", (VECTOR,)),), shapes, _head_cost,
                    params=HEAD_PARAMS, tunings=LEARNED, role="head")


ENTRIES = (
    _head("classifier/1", "Classifier", "One label out of several: softmax over the classes."),
    _head("multilabel/1", "Multi-label", "Any number of labels: a sigmoid for each."),
    _head("regressor/1", "Regressor", "A number.", _one),
    NodeType("answer/1", "answer", "Answer", "Collects the answers of exits and branches: one for each row.",
             (Port("in", (LOGITS,), many=True),), role="answer"),
)
