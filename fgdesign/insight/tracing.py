"""What one input did in a graph: every node called, skipped, not reached or idle, with gates, scores and time.

Pure function of one run's record; knows nothing of files or Streamlit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fgdesign.graph.catalogue import CATALOGUE
from fgdesign.graph.infer import params_of
from fgdesign.graph.rows import Rows
from fgdesign.graph.types import TOKENS
from fgdesign.insight.values import measured, wanted_ports
from fgdesign.model.choosing import Exit
from fgdesign.model.device import fast_dtype, precision
from fgdesign.model.inputs import Inputs
from fgdesign.model.lanes import alone
from fgdesign.model.network import FunctionGraph
from fgdesign.model.steer import Steer
from fgdesign.model.steps import Record

IDLE_GATE = 0.05


def trace(network: FunctionGraph, inputs: Inputs, row: int, device: torch.device) -> tuple[dict[str, Any], Tensor]:
    """Run one row and tell what happened. Returns plain data (`trace --json`, answers aside) and logits (1, C)."""
    if network.training:
        network.eval()
    batch = inputs.batch(np.array([row]), device)
    with alone(1, device), torch.inference_mode(), precision(device, fast_dtype(device)):
        outcome = network(batch, wanted=wanted_ports(network), timed=True, count_layers=True)
    record = outcome.record
    taken = _taken(network, record, inputs.steer)
    tokens = max((flow.value.shape[-1] for flow in batch.tokens.values()), default=1)
    result = {
        "nodes": _nodes(network, record, taken, tokens, measured(network, outcome)),
        "edges": _edges(network, record, taken),
        "routers": _routers(network, record, taken, inputs.steer),
        "layers": int(record.layers.sum()) if record.layers is not None else 0,
        "exit": next((name for name, branch in taken.items() if branch == {"answer"}), None),
    }
    return result, network.logits(outcome, 1).float().cpu()


def difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """What two records of one graph do not have in common.

    only_first, only_second: ids of nodes that only one of them called. routers: per router or exit that both came to
    and that chose otherwise, the branches of each. layers: of the second less the first.
    """
    called = [{node["id"] for node in told["nodes"] if node["state"] in ("called", "idle")} for told in (first, second)]
    order = [node["id"] for node in first["nodes"]]
    routers = {name: (told["chosen"], second["routers"][name]["chosen"]) for name, told in first["routers"].items()
               if name in second["routers"] and told["chosen"] != second["routers"][name]["chosen"]}
    return {"only_first": [node for node in order if node in called[0] - called[1]],
            "only_second": [node for node in order if node in called[1] - called[0]],
            "routers": routers, "layers": second["layers"] - first["layers"]}


def _taken(network: FunctionGraph, record: Record, steer: Steer | None) -> dict[str, set[str]]:
    """Per router and exit that was reached, the branches the row took."""
    graph = network.plan.graph
    found: dict[str, set[str]] = {}
    for node in network.nodes_of_role("router", "exit"):
        names = CATALOGUE[graph.node(node).type].output_names(params_of(graph.node(node)))
        if node in record.choices:
            called = record.choices[node][1].called[0].tolist()
            found[node] = {name for name, is_called in zip(names, called, strict=True) if is_called}
        elif node in record.decisions:
            found[node] = {names[record.decisions[node][1][0].branch - 1]}
        elif node in record.exits:
            sure = float(record.exits[node][1][0])
            found[node] = {"answer" if sure >= _threshold(network, node, steer) else "next"}
    return found


def _threshold(network: FunctionGraph, node: str, steer: Steer | None) -> float:
    """From which certainty on an exit answers."""
    module = network.module_of(node)
    assert isinstance(module, Exit)
    return float(module.threshold) if steer is None else steer.thresholds.get(node, float(module.threshold))


def _state(rows: Rows, taken: dict[str, set[str]], exits: set[str]) -> str:
    """called; not reached, where only an exit that answered stood in the way; skipped otherwise."""
    verdicts = []
    for alternative in rows:
        missed = {(router, branch) for router, branch in alternative if branch not in taken.get(router, set())}
        if not missed:
            return "called"
        chosen_otherwise = any(router in taken and (router not in exits or branch == "answer")
                               for router, branch in missed)
        verdicts.append("skipped" if chosen_otherwise else "not reached")
    return "not reached" if "not reached" in verdicts else "skipped"


def _gate(rows: Rows, record: Record, network: FunctionGraph) -> float | None:
    """The product of the gates of learned routers on the row's way to these rows, None without any."""
    best = None
    for alternative in rows:
        weight, learned = 1.0, False
        for router, branch in alternative:
            if router in record.choices:
                names = network.plan.found.ways.branches[router]
                weight *= float(record.choices[router][1].gates[0, names.index(branch)])
                learned = True
        if learned:
            best = max(best or 0.0, weight)
    return best


def _nodes(network: FunctionGraph, record: Record, taken: dict[str, set[str]], tokens: int,
           values: Mapping[str, tuple[float, float]]) -> list[dict[str, Any]]:
    found, exits = network.plan.found, set(network.nodes_of_role("exit"))
    work = {n: _macs(network, n, tokens) for n in found.order}
    states = {n: "called" if n in record.calls else _state(found.node_rows[n], taken, exits) for n in found.order}
    total = sum(work[n] for n in found.order if states[n] == "called") or 1.0
    nodes = []
    for node in found.order:
        gate = _gate(found.node_rows[node], record, network) if states[node] == "called" else None
        state = "idle" if gate is not None and gate < IDLE_GATE else states[node]
        seconds = record.calls[node][2] if node in record.calls else 0.0
        norm, change = values.get(node, (None, None))
        nodes.append({
            "id": node, "type": network.plan.graph.node(node).type, "state": state, "gate": gate,
            "ms": seconds * 1000, "share": work[node] / total if states[node] == "called" else 0.0,
            "norm": norm, "change": None if change is None or change != change else change,
        })
    return nodes


def _macs(network: FunctionGraph, node: str, tokens: int) -> float:
    cost = network.plan.found.costs[node]
    return cost.macs_per_token * tokens + cost.macs_per_text


def _edges(network: FunctionGraph, record: Record, taken: dict[str, set[str]]) -> list[dict[str, Any]]:
    found, exits = network.plan.found, set(network.nodes_of_role("exit"))
    edges = []
    for edge in network.plan.graph.edges:
        state = _state(found.rows[edge.source], taken, exits)
        if state == "called" and edge.target_node not in record.calls:
            state = _state(found.node_rows[edge.target_node], taken, exits)
        gated = edge.source_node in record.choices and found.values[edge.source].type != TOKENS
        gate = _gate(found.rows[edge.source], record, network) if gated and state == "called" else None
        edges.append({"source": edge.source, "target": edge.target, "state": state, "gate": gate})
    return edges


def _routers(network: FunctionGraph, record: Record, taken: dict[str, set[str]],
             steer: Steer | None) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for node, branches in taken.items():
        names = network.plan.found.ways.branches[node]
        entry: dict[str, Any] = {"type": network.plan.graph.node(node).type, "chosen": sorted(branches), "reason": None}
        if node in record.choices:
            probabilities = record.choices[node][1].probabilities[0].tolist()
            entry["scores"] = dict(zip(names, probabilities, strict=True))
        elif node in record.decisions:
            decision = record.decisions[node][1][0]
            entry["scores"] = {name: float(name in branches) for name in names}
            entry |= {"reason": decision.reason, "rule": decision.rule, "span": decision.span}
        else:
            sure, threshold = float(record.exits[node][1][0]), _threshold(network, node, steer)
            entry["scores"] = {"answer": sure, "next": threshold}
            what = "answers here" if sure >= threshold else "goes on"
            entry["reason"] = f"{sure:.2f} sure, threshold {threshold:.2f}: {what}"
        told[node] = entry
    return told
