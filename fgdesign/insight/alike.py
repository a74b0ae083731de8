"""Rows that went alike: routes as clusters, and the rows of a data set that took one input's route and lie nearest.

Knows nothing of pictures.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fgdesign.graph.types import TOKENS
from fgdesign.insight.answered_set import AnsweredSet, Model, inputs_of
from fgdesign.insight.attribute import answering_port
from fgdesign.insight.values import pooled
from fgdesign.model.device import fast_dtype, precision
from fgdesign.model.inputs import Inputs
from fgdesign.training.rows import outcomes

WITHIN = 0.25  # mean share of functions that routes of one cluster do not have in common
MOST_COMPARED = 1000  # rows of a route that are compared
NEAREST = 8
CLUSTER_COLUMNS = ("cluster", "rows", "share", "routes", "commonest", "functions", "layers", "right")

Places = NDArray[np.int64]


def route_clusters(answered: AnsweredSet, within: float = WITHIN) -> tuple[pd.DataFrame, Places]:
    """Routes that call nearly the same functions, together.

    Distance of two routes: of the functions that either called, and that not every row calls, the share that only one
    of them called (Jaccard); clusters by average linkage up to `within`. Returns: a table of the clusters, the largest
    first, with columns cluster (from 1), rows, share, routes (how many), commonest (the route most rows took),
    functions (calls of a row), layers, and right (NaN without labels); and (N,) each row's cluster.
    """
    telling = answered.called[:, ~answered.called.all(0)]
    kinds, code = np.unique(telling, axis=0, return_inverse=True)
    code = code.ravel()
    group = _clustered(kinds, within)[code] if len(answered) else np.zeros(0, np.int64)
    sizes = np.bincount(group)
    rank = np.empty(len(sizes), np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(1, len(sizes) + 1)
    group = rank[group] if len(answered) else group
    rows = []
    for cluster in range(1, len(sizes) + 1):
        mine = group == cluster
        names, counts = np.unique(answered.route[mine].astype(str), return_counts=True)
        rows.append({"cluster": cluster, "rows": int(mine.sum()), "share": float(mine.mean()), "routes": len(names),
                     "commonest": str(names[counts.argmax()]), "functions": float(answered.called[mine].sum(1).mean()),
                     "layers": float(answered.layers[mine].mean()),
                     "right": np.nan if answered.right is None else float(answered.right[mine].mean())})
    return pd.DataFrame(rows, columns=list(CLUSTER_COLUMNS)), group


def _clustered(kinds: NDArray[np.bool_], within: float) -> Places:
    """(R, M) different sets of calls -> (R,) their clusters."""
    if len(kinds) < 2:
        return np.zeros(len(kinds), np.int64)
    from sklearn.cluster import AgglomerativeClustering

    calls = kinds.astype(np.float64)
    common = calls @ calls.T
    either = calls.sum(1)[:, None] + calls.sum(1)[None] - common
    found: Places = AgglomerativeClustering(n_clusters=None, metric="precomputed", linkage="average",
                                            distance_threshold=within).fit_predict(1 - common / np.maximum(1, either))
    return found


def usage(answered: AnsweredSet) -> pd.DataFrame:
    """How many rows call each function. Columns: node, rows, share, right (of the rows that called it, else NaN)."""
    counts = answered.called.sum(0)
    rights = [np.nan if answered.right is None or not called.any() else float(answered.right[called].mean())
              for called in answered.called.T]
    return pd.DataFrame({"node": list(answered.nodes), "rows": counts,
                         "share": counts / max(1, len(answered)), "right": rights})


@dataclass(frozen=True)
class SameRoute:
    """Rows of a set that called exactly these functions. places: (n,) in the set. vectors: (n, D) of length one.

    what: where the vectors were read.
    """

    places: Places
    vectors: NDArray[np.float64]
    what: str

    def nearest(self, vector: NDArray[np.float64], most: int = NEAREST) -> pd.DataFrame:
        """Columns: place (in the set), likeness (cosine, 1 the same); the nearest first."""
        likeness = self.vectors @ (vector / max(1e-12, float(np.linalg.norm(vector))))
        order = np.argsort(-likeness, kind="stable")[:most]
        return pd.DataFrame({"place": self.places[order], "likeness": likeness[order]})


def same_route(model: Model, answered: AnsweredSet, called: Collection[str], inputs: Inputs, row: int = 0,
               most: int = NEAREST) -> tuple[pd.DataFrame, str]:
    """The rows of a set that called the same functions as one input and lie nearest to it.

    Nearness is the cosine between the values that the answering head reads, or between the words of the texts where a
    word function answered. Args: called: what the input called. Returns: places and likeness, and what was compared.
    """
    mask = np.array([node in set(called) for node in answered.nodes])
    places = np.flatnonzero((answered.called == mask).all(1))
    if not len(places):
        return pd.DataFrame({"place": np.zeros(0, np.int64), "likeness": np.zeros(0)}), ""
    places = places[np.unique(np.linspace(0, len(places) - 1, min(MOST_COMPARED, len(places))).astype(int))]
    port = _read_by_head(model, inputs, row)
    if port is None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        texts = [answered.data.texts[place] for place in places]
        made = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w+\b").fit([*texts, inputs.texts[row]])
        everything = made.transform([*texts, inputs.texts[row]]).toarray()
        return SameRoute(places, everything[:-1], "words").nearest(everything[-1], most), "words"
    vectors = _vectors(model, inputs_of(model, answered.data.subset(places)), port)
    known = ~np.isnan(vectors).any(1)
    vectors = vectors / np.maximum(1e-12, np.linalg.norm(vectors, axis=1, keepdims=True))
    mine = _vectors(model, inputs, port)[row]
    return SameRoute(places[known], vectors[known], port).nearest(mine, most), port


def _vectors(model: Model, inputs: Inputs, port: str) -> NDArray[np.float64]:
    """(N, D) a port's values as in use, sequences as their mean; NaN for rows that do not come there."""
    found: NDArray[np.float64] | None = None
    for rows, outcome in outcomes(model.network, inputs, model.device, wanted=(port,)):
        flow = outcome.flows.get(port)
        if flow is not None:
            values = pooled(flow)
            found = np.full((len(inputs), values.shape[1]), np.nan) if found is None else found
            found[rows if flow.rows is None else rows[flow.rows.cpu().numpy()]] = values
    return np.full((len(inputs), 1), np.nan) if found is None else found


def _read_by_head(model: Any, inputs: Inputs, row: int) -> str | None:
    """The port that the answering head reads; None where that is tokens, as of a word function."""
    network = model.network
    with torch.inference_mode(), precision(model.device, fast_dtype(model.device)):
        outcome = network(inputs.batch(np.array([row]), model.device), timed=True)
    node = answering_port(network, outcome.record.branches).partition(".")[0]
    graph, values = network.plan.graph, network.plan.found.values
    seen: set[str] = set()
    while node not in seen:  # through merges of opinions down to what a head reads
        seen.add(node)
        sources = [edge.source for edge in graph.into(node)]
        read = [port for port in sources if values[port].type not in (TOKENS, "logits")]
        if read:
            return str(read[0])
        deeper = [port for port in sources if values[port].type == "logits" and outcome.record.calls.get(
            port.partition(".")[0]) is not None]
        if not deeper:
            return None
        node = max(deeper, key=lambda port: network.plan.found.order.index(port.partition(".")[0])).partition(".")[0]
    return None
