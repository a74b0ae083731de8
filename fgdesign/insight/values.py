"""What stands at the nodes that one input called: how large, how far from its input, nearest to which class.

A probe (nearest class mean of standardised values, fitted on labelled rows) says which class a value looks like, and
how often that is right on rows it was not fitted on. Knows nothing of pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from fgdesign.data import Dataset
from fgdesign.errors import DataError
from fgdesign.graph.catalogue import CATALOGUE
from fgdesign.graph.infer import params_of
from fgdesign.graph.types import TOKENS
from fgdesign.insight.answered_set import Model, inputs_of
from fgdesign.model.blocks.functions import masked_mean
from fgdesign.model.device import fast_dtype, precision
from fgdesign.model.flows import Flow
from fgdesign.model.inputs import Inputs
from fgdesign.model.network import FunctionGraph, Outcome
from fgdesign.training.rows import outcomes

MOST_PROBED = 400  # labelled rows that probes are fitted and tried on, half each
FEWEST = 8  # rows of a node from which on a probe is made
COLUMNS = ("node", "norm", "change", "nearest", "probe")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Probe:
    """The class means of one node's values. accuracy: on rows it was not fitted on, None without such rows.

    means: (K, D) standardised; None for logits, which name their class themselves. classes: (K,) class numbers.
    centre, scale: (D,).
    """

    means: Floats | None
    classes: NDArray[np.int64]
    centre: Floats
    scale: Floats
    accuracy: float | None

    def nearest(self, values: Floats) -> NDArray[np.int64]:
        """(n, D) values -> (n,) the class whose mean is nearest, or whose logit is largest."""
        if self.means is None:
            largest: NDArray[np.int64] = values.argmax(1)
            return largest
        flat = (values - self.centre) / self.scale
        far = ((flat[:, None, :] - self.means[None]) ** 2).sum(-1)
        found: NDArray[np.int64] = self.classes[far.argmin(1)]
        return found


def output_ports(network: FunctionGraph) -> dict[str, str]:
    """Per node with one output that is no token ids: its port."""
    found, graph, ports = network.plan.found, network.plan.graph, {}
    for node in found.order:
        outputs = CATALOGUE[graph.node(node).type].output_names(params_of(graph.node(node)))
        if len(outputs) == 1 and found.values[f"{node}.{outputs[0]}"].type != TOKENS:
            ports[node] = f"{node}.{outputs[0]}"
    return ports


def probes(model: Model, data: Dataset, *, most: int = MOST_PROBED) -> dict[str, Probe]:
    """A probe for every node that enough of the rows reach, exits open.

    Args: data: rows of one label each. Raises: DataError where rows have several labels, numbers or none.
    """
    if model.task != "single" or data.targets is None:
        raise DataError("Values are probed for classes: give rows with one label each.")
    places = np.unique(np.linspace(0, len(data) - 1, min(most, len(data))).astype(int))
    some, ports = data.subset(places), output_ports(model.network)
    targets = np.asarray(some.targets)
    held: dict[str, list[tuple[NDArray[np.int64], Floats]]] = {node: [] for node in ports}
    for rows, outcome in outcomes(model.network, inputs_of(model, some), model.device, wanted=tuple(ports.values()),
                                  open_exits=True):
        for node, port in ports.items():
            flow = outcome.flows.get(port)
            if flow is not None:
                mine = rows if flow.rows is None else rows[flow.rows.cpu().numpy()]
                held[node].append((mine, pooled(flow)))
    found = {}
    for node, parts in held.items():
        if sum(len(mine) for mine, _ in parts) >= FEWEST:
            order = np.concatenate([mine for mine, _ in parts])
            values = np.concatenate([values for _, values in parts])
            is_logits = model.network.plan.found.values[ports[node]].type == "logits"
            made = _named(values, targets[order]) if is_logits else _probe(values, targets[order], order % 2 == 0)
            found[node] = made
    return found


def _named(logits: Floats, targets: NDArray[np.int64]) -> Probe:
    """Logits as they are: nothing is fitted."""
    right = float((logits.argmax(1) == targets).mean())
    return Probe(None, np.arange(logits.shape[1]), np.zeros(1), np.ones(1), right)


def _probe(values: Floats, targets: NDArray[np.int64], fitted: NDArray[np.bool_]) -> Probe:
    """Class means of the fitted rows, tried on the others."""
    if not fitted.any() or fitted.all():
        fitted = np.ones(len(values), bool)
    mine, classes = values[fitted], np.unique(targets[fitted])
    centre, scale = mine.mean(0), mine.std(0) + 1e-6
    means = np.stack([((mine[targets[fitted] == k] - centre) / scale).mean(0) for k in classes])
    probe = Probe(means, classes, centre, scale, None)
    others = ~fitted
    right = float((probe.nearest(values[others]) == targets[others]).mean()) if others.any() else None
    return Probe(means, classes, centre, scale, right)


def node_values(model: Model, inputs: Inputs, row: int = 0, probed: Mapping[str, Probe] | None = None) -> pd.DataFrame:
    """Every called node with one output, in running order.

    Columns: node; norm (mean length of its vectors); change (length of output less input over that of the input, NaN
    where they differ in width or kind); nearest (the class its probe names, "" without one); probe (how often that
    probe is right, NaN without one).
    """
    network, ports = model.network, output_ports(model.network)
    with torch.inference_mode(), precision(model.device, fast_dtype(model.device)):
        outcome = network(inputs.batch(np.array([row]), model.device), wanted=wanted_ports(network), timed=True)
    rows: list[dict[str, Any]] = []
    for node, (norm, change) in measured(network, outcome).items():
        probe = (probed or {}).get(node)
        flow = outcome.flows[ports[node]]
        rows.append({
            "node": node, "norm": norm, "change": change,
            "nearest": "" if probe is None else str(model.labels[int(probe.nearest(pooled(flow))[0])]),
            "probe": np.nan if probe is None or probe.accuracy is None else probe.accuracy})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def wanted_ports(network: FunctionGraph) -> tuple[str, ...]:
    """What a run has to give for `measured`: every node's output, what each reads, and the answer."""
    ports = output_ports(network)
    return tuple(dict.fromkeys([*ports.values(), *_read_by(network, ports).values(), network.answer]))


def measured(network: FunctionGraph, outcome: Outcome) -> dict[str, tuple[float, float]]:
    """Per node that one row called: the mean length of its vectors, and their change against the input, else NaN.

    outcome: of one row, timed, with `wanted_ports`.
    """
    ports, found = output_ports(network), {}
    before = _read_by(network, ports)
    for node, port in ports.items():
        flow = outcome.flows.get(port)
        if flow is not None and node in outcome.record.calls:
            found[node] = (float(_real(flow).norm(dim=-1).mean()),
                           _change(flow, outcome.flows.get(before.get(node, ""))))
    return found


def _read_by(network: FunctionGraph, ports: Mapping[str, str]) -> dict[str, str]:
    """Per node with one input that is a value: the port it reads."""
    graph = network.plan.graph
    sources = {node: graph.into(node)[0].source for node in ports if len(graph.into(node)) == 1}
    return {node: source for node, source in sources.items() if _holds_value(network, source)}


def _holds_value(network: FunctionGraph, port: str) -> bool:
    return network.plan.found.values[port].type != TOKENS


def _real(flow: Flow) -> Tensor:
    """(m, D) float32: the vectors on real positions of one row."""
    value = flow.value[0].float()
    if value.dim() == 1:
        return value[None]
    return value if flow.mask is None else value[flow.mask[0]]


def _change(flow: Flow, source: Flow | None) -> float:
    if source is None or source.value.shape != flow.value.shape:
        return float("nan")
    old = _real(source)
    return float(((_real(flow) - old).norm(dim=-1) / old.norm(dim=-1).clamp(min=1e-9)).mean())


def pooled(flow: Flow) -> Floats:
    """(n, D) float64: vectors as they are, sequences as the mean over real positions."""
    value = flow.value.float()
    pooled = masked_mean(value, flow.mask) if value.dim() == 3 else value
    return pooled.cpu().numpy().astype(np.float64)
