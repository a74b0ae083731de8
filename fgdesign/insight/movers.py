"""Which function moved a router's choice: each one above it is passed by, and its scores are read again.

Knows nothing of pictures.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import torch

from fgdesign.errors import GraphError, choices
from fgdesign.graph.infer import wiring
from fgdesign.insight.intervene import Change, branches_of, bypassable, steer_of
from fgdesign.model.device import fast_dtype, precision
from fgdesign.model.inputs import Inputs
from fgdesign.model.network import FunctionGraph
from fgdesign.model.steps import Record

COLUMNS = ("node", "before", "without", "moved", "flips")


def upstream(model: Any, inputs: Inputs, router: str, row: int = 0) -> pd.DataFrame:
    """What each function above a learned router or an exit did to its choice for one row, the strongest first.

    Columns: node; before (probability of the chosen branch, or how sure the exit was); without (the same with the node
    passed by); moved (before - without: what the node added); flips (whether the choice would be another one).
    Raises: GraphError for a router that is not there, or that the row did not come to.
    """
    network: FunctionGraph = model.network.eval()
    learned = [node for node in network.nodes_of_role("router") if network.plan.graph.node(node).type == "router/1"]
    known = [*learned, *network.nodes_of_role("exit")]
    if router not in known:
        raise GraphError(f"There is no learned router or exit '{router}' in this graph. {choices(known, router)}")
    first = _read(model, inputs, row, router, Change())
    if first is None:
        raise GraphError(f"This input did not come to '{router}': an earlier choice led it elsewhere.")
    above = nx.ancestors(wiring(network.plan.graph), router)
    rows = []
    for node in (node for node in bypassable(network) if node in above):
        other = _read(model, inputs, row, router, Change(bypass=frozenset({node})))
        if other is not None:
            rows.append({"node": node, "before": first[1][first[0]], "without": other[1][first[0]],
                         "moved": first[1][first[0]] - other[1][first[0]], "flips": other[0] != first[0]})
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.sort_values("moved", key=lambda moved: -moved.abs(), ignore_index=True)


def _read(model: Any, inputs: Inputs, row: int, router: str, change: Change) -> tuple[str, dict[str, float]] | None:
    """The chosen branch and the score of each, None where the row does not come there."""
    network: FunctionGraph = model.network
    batch = replace(inputs.batch(np.array([row]), model.device), steer=steer_of(network, change))
    with torch.inference_mode(), precision(model.device, fast_dtype(model.device)):
        record: Record = network(batch).record
    if router in record.choices:
        shares = record.choices[router][1].probabilities[0].float().tolist()
        scores = dict(zip(branches_of(network, router), shares, strict=True))
        return max(scores, key=lambda name: scores[name]), scores
    if router in record.exits:
        sure = float(record.exits[router][1][0])
        threshold: Any = network.module_of(router).get_buffer("threshold")
        return ("answer" if sure >= float(threshold) else "next"), {"answer": sure, "next": sure}
    return None
