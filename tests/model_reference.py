"""What a graph means, written the slow way: one row at a time, recursively, without masks or batches.

Only the weights are taken from the network; encoder layers, embeddings and word functions, which have tests of
their own, are called on the single row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fgdesign.graph.catalogue import CATALOGUE
from fgdesign.graph.infer import params_of
from fgdesign.graph.spec import Node
from fgdesign.model.inputs import Inputs
from fgdesign.model.network import FunctionGraph

FUNCTIONS: dict[str, Any] = {
    "none": lambda x: x, "relu": torch.relu, "gelu": F.gelu, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    "abs": torch.abs,
}


@dataclass
class Held:
    """A value of this row: (T, H), (D,) or (C,), or for tokens (2, T); and the gates that still ride on it."""

    value: Tensor
    gates: dict[str, Tensor] = field(default_factory=dict)


class RowReference:
    """One row in evaluation mode. `port` gives what the row's value at a port is, None where the row is absent."""

    def __init__(self, network: FunctionGraph, inputs: Inputs, row: int, open_exits: bool = False) -> None:
        self.network, self.inputs, self.row, self.open_exits = network, inputs, row, open_exits
        self.graph = network.plan.graph
        self.known: dict[str, Held | None] = {}
        self.ran: set[str] = set()

    def logits(self) -> Tensor:
        held = self.port(self.network.answer)
        assert held is not None, "the row is never answered"
        return held.value

    def port(self, name: str) -> Held | None:
        if name not in self.known:
            node_id = name.partition(".")[0]
            outputs = self._outputs(self.graph.node(node_id))
            if any(held is not None for held in outputs.values()):
                self.ran.add(node_id)
            names = CATALOGUE[self.graph.node(node_id).type].output_names(params_of(self.graph.node(node_id)))
            self.known |= {f"{node_id}.{other}": outputs.get(other) for other in names}
        return self.known[name]

    def _into(self, node: Node, port: str = "in") -> list[Held | None]:
        return [self.port(edge.source) for edge in self.graph.into(node.id, port)]

    def _outputs(self, node: Node) -> dict[str, Held | None]:
        kind = node.type.removesuffix("/1")
        match kind:
            case "text":
                return {"out": self._tokens(node)}
            case "router" | "rule_router" | "exit":
                return getattr(self, f"_{kind}")(node)
            case "merge" | "attention_merge" | "gcn_merge":
                return {"out": self._united(node)}
            case "answer":
                present = [held for held in self._into(node) if held is not None]
                assert len(present) <= 1, "the row is answered twice"
                return {"out": present[0] if present else None}
        arriving = self._into(node) + self._into(node, "control")
        if any(held is None for held in arriving):
            return {"out": None}
        values = [held.value for held in arriving if held is not None]
        gates = {name: gate for held in arriving if held is not None for name, gate in held.gates.items()}
        value = getattr(self, f"_{kind}")(node, values)
        if CATALOGUE[node.type].role == "head":
            for gate in gates.values():
                value = value * gate
            gates = {}
        return {"out": Held(value, {} if kind == "lexical" else gates)}

    def _module(self, node: Node) -> Any:
        return self.network.module_of(node.id)

    def _tokens(self, node: Node) -> Held:
        encoded = self.inputs.tokens[node.id]
        span = slice(int(encoded.offsets[self.row]), int(encoded.offsets[self.row + 1]))
        return Held(torch.from_numpy(np.stack([encoded.ids[span], encoded.segments[span]]).astype(np.int64)))

    def _text(self, node: Node) -> str:
        first, seconds = self.inputs.texts[self.row], self.inputs.texts_b
        columns = set()
        waiting = [node]
        while waiting:
            above = waiting.pop()
            if above.type == "text/1":
                columns.add(above.params.get("column", "all"))
            waiting += [self.graph.node(edge.source_node) for edge in self.graph.into(above.id)]
        column = columns.pop() if len(columns) == 1 else "all"
        if seconds is None or column == "text":
            return first
        return seconds[self.row] if column == "second" else f"{first} {seconds[self.row]}"

    def _embeddings(self, node: Node, values: list[Tensor]) -> Tensor:
        ids, segments = values[0]
        return self._module(node)(ids[None], segments[None], torch.ones_like(ids[None], dtype=torch.bool))[0]

    def _encoder_layer(self, node: Node, values: list[Tensor]) -> Tensor:
        return self._module(node)(values[0][None], None)[0]

    def _soft_prompt(self, node: Node, values: list[Tensor]) -> Tensor:
        return torch.cat([self._module(node).prompt, values[0]])

    def _linear(self, node: Node, values: list[Tensor]) -> Tensor:
        linear = self._module(node).map
        return FUNCTIONS[str(params_of(node)["activation"])](values[0] @ linear.weight.T + linear.bias)

    def _project(self, node: Node, values: list[Tensor]) -> Tensor:
        linear = self._module(node).map
        return values[0] @ linear.weight.T + linear.bias

    def _activation(self, node: Node, values: list[Tensor]) -> Tensor:
        return FUNCTIONS[str(params_of(node)["function"])](values[0])

    def _ffn(self, node: Node, values: list[Tensor]) -> Tensor:
        m, params, x = self._module(node), params_of(node), values[0]
        inner = FUNCTIONS[str(params["activation"])](x @ m.inner.weight.T + m.inner.bias)
        out = inner @ m.outer.weight.T + m.outer.bias
        return x + out if params["residual"] else out

    def _adapter(self, node: Node, values: list[Tensor]) -> Tensor:
        m, x = self._module(node), values[0]
        inner = FUNCTIONS[str(params_of(node)["activation"])](x @ m.down.weight.T + m.down.bias)
        return x + inner @ m.up.weight.T + m.up.bias

    def _layer_norm(self, node: Node, values: list[Tensor]) -> Tensor:
        return normed(values[0], self._module(node).norm)

    def _dropout(self, node: Node, values: list[Tensor]) -> Tensor:
        return values[0]

    def _scale(self, node: Node, values: list[Tensor]) -> Tensor:
        return values[0] * self._module(node).factor

    def _pool(self, node: Node, values: list[Tensor]) -> Tensor:
        x = values[0]
        match params_of(node)["method"]:
            case "cls":
                return x[0]
            case "mean":
                return x.sum(0) / len(x)
            case "max":
                return x.max(0).values
        return ((x @ self._module(node).query).softmax(0)[:, None] * x).sum(0)

    def _normalise(self, node: Node, values: list[Tensor]) -> Tensor:
        x = values[0]
        if params_of(node)["method"] == "l2":
            return x / x.norm(dim=-1, keepdim=True)
        return (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()

    def _lexical(self, node: Node, values: list[Tensor]) -> Tensor:
        return self._module(node)([self._text(node)])[0]

    def _add(self, node: Node, values: list[Tensor]) -> Tensor:
        drawn = [1.0 if edge.weight is None else edge.weight for edge in self.graph.into(node.id)]
        weights = self._module(node).weights if params_of(node)["weights"] == "learned" else drawn
        return torch.stack([weight * value for weight, value in zip(weights, values, strict=True)]).sum(0)

    def _multiply(self, node: Node, values: list[Tensor]) -> Tensor:
        return torch.stack(values).prod(0)

    def _concat(self, node: Node, values: list[Tensor]) -> Tensor:
        return torch.cat(values, -1)

    def _gate(self, node: Node, values: list[Tensor]) -> Tensor:
        linear = self._module(node).map
        return values[0] * torch.sigmoid(values[1] @ linear.weight.T + linear.bias)

    def _classifier(self, node: Node, values: list[Tensor]) -> Tensor:
        m, x, params = self._module(node), values[0], params_of(node)
        if params["norm"]:
            x = normed(x, m.norm)
        if params["hidden"]:
            x = F.gelu(x @ m.hidden[0].weight.T + m.hidden[0].bias)
        return (x @ m.out.weight.T + m.out.bias) / m.temperature

    _multilabel = _regressor = _classifier

    def _router(self, node: Node) -> dict[str, Held | None]:
        held, control = self._into(node)[0], (self._into(node, "by") or self._into(node))[0]
        if held is None or control is None:
            return {}
        m, params = self._module(node), params_of(node)
        x = normed(control.value.mean(0) if control.value.dim() == 2 else control.value, m.norm)
        if params["scorer"] == "linear":
            scores = x @ m.scorer.weight.T + m.scorer.bias
        else:
            inner = F.gelu(x @ m.scorer[0].weight.T + m.scorer[0].bias)
            scores = inner @ m.scorer[2].weight.T + m.scorer[2].bias
        chances = (scores / params["temperature"]).exp()
        chances = chances / chances.sum()
        best = chances.argsort(descending=True)[: int(str(params["k"]))].tolist()
        found: dict[str, Held | None] = {}
        for branch in best:
            gate = chances[branch]
            if len(best) > 1 or params["method"] == "soft":
                gate = gate / chances[best].sum()
            if params["method"] == "straight_through":
                gate = torch.ones(())
            found[f"branch_{branch + 1}"] = Held(held.value, {**held.gates, node.id: gate})
        return found

    def _rule_router(self, node: Node) -> dict[str, Held | None]:
        held, by = self._into(node)[0], self._into(node, "by")
        if held is None or any(one is None for one in by):
            return {}
        params = params_of(node)
        branch = params["default"]
        for rule in params["rules"]:  # type: ignore[attr-defined]
            match rule["when"]:
                case "length":
                    fires = len(self._text(node).split()) <= rule["at_most"]
                case "keyword":
                    fires = bool({*self._text(node).split()} & {*rule["words"]})
                case "column":
                    fires = self.inputs.columns[rule["column"]][self.row] == rule["equals"]
                case _:
                    assert by[0] is not None
                    fires = sureness(by[0].value, "confidence") < rule["below"]
            if fires:
                branch = rule["to"]
                break
        return {f"branch_{branch}": held}

    def _exit(self, node: Node) -> dict[str, Held | None]:
        held, logits = self._into(node)[0], self._into(node, "logits")[0]
        if held is None or logits is None:
            return {}
        if self.open_exits:
            return {"next": held}
        several = self.network.plan.task == "multi"
        sure = sureness(logits.value, str(params_of(node)["measure"]), several)
        return {"answer": logits} if sure >= float(self._module(node).threshold) else {"next": held}

    def _united(self, node: Node) -> Held | None:
        sources = [edge.source for edge in self.graph.into(node.id)]
        arriving = self._into(node)
        there = [i for i, held in enumerate(arriving) if held is not None]
        shared = params_of(node).get("rows") == "shared"
        if not there or (shared and len(there) < len(arriving)):
            return None
        open_here = [open_branches(self.network, source) for source in sources]
        stays = {router for router, through in open_here[0].items()
                 if len(through) == 1 and all(other.get(router) == through for other in open_here)}
        held = [arriving[i] for i in there]
        gates: dict[str, Tensor] = {}
        weights = []
        for one in held:
            assert one is not None
            closed = [gate for router, gate in one.gates.items() if router not in stays]
            weights.append(torch.stack(closed).prod() if closed else torch.ones(()))
            gates |= {router: gate for router, gate in one.gates.items() if router in stays}
        values = [one.value for one in held if one is not None]
        if node.type == "attention_merge/1":
            return Held(self._attended(node, values, weights), gates)
        if node.type == "gcn_merge/1":
            return Held(self._convolved(node, values, weights, there, len(arriving)), gates)
        if self.network.plan.found.values[f"{node.id}.out"].type == "logits":
            return Held(self._opinions(node, values, there), gates)
        match params_of(node)["method"]:
            case "max":
                return Held(torch.stack(values).max(0).values, gates)
            case "mean":
                total = sum(w * x for w, x in zip(weights, values, strict=True)) / sum(weights)
                return Held(torch.as_tensor(total), gates)
        return Held(torch.as_tensor(sum(w * x for w, x in zip(weights, values, strict=True))), gates)

    def _opinions(self, node: Node, values: list[Tensor], there: list[int]) -> Tensor:
        weights = self._module(node).weights[there]
        task = self.network.plan.task
        parts = [w * (x.log_softmax(-1) if task == "single" else x) for w, x in zip(weights, values, strict=True)]
        total = torch.stack(parts).sum(0)
        return total / weights.sum() if task == "regression" else total

    def _attended(self, node: Node, values: list[Tensor], weights: list[Tensor]) -> Tensor:
        query = self._module(node).query
        scores = torch.stack([x @ query / math.sqrt(len(query)) + w.log()
                              for x, w in zip(values, weights, strict=True)])
        return (scores.softmax(0)[..., None] * torch.stack(values)).sum(0)

    def _convolved(self, node: Node, values: list[Tensor], weights: list[Tensor], there: list[int],
                   count: int) -> Tensor:
        m, params = self._module(node), params_of(node)
        links = torch.ones(count, count)
        if params["adjacency"] == "learned":
            links = torch.sigmoid(m.links + m.links.T)
        elif params["adjacency"] == "drawn":
            pairs = [tuple(int(end) - 1 for end in pair.split("-")) for pair in str(params["links"]).split(",")]
            links = torch.tensor([[float((i, j) in pairs or (j, i) in pairs) for j in range(count)]
                                  for i in range(count)])
        links = links.clone().fill_diagonal_(1.0)[there][:, there]
        degree = links.sum(1)
        x = [w * value for w, value in zip(weights, values, strict=True)]
        for step in range(int(str(params["depth"]))):
            fresh = []
            for i, mine in enumerate(x):
                total = sum(links[i, j] / (degree[i] * degree[j]).sqrt() * (other @ m.weight[step].T)
                            for j, other in enumerate(x)) + m.bias[step]
                fresh.append(mine + (total if step + 1 == int(str(params["depth"])) else total.relu()))
            x = fresh
        return torch.stack(x).sum(0) if params["readout"] == "sum" else torch.stack(x).mean(0)


def open_branches(network: FunctionGraph, port: str) -> dict[str, set[str]]:
    """Per learned router whose gate is still open at a port, the branches its value came through."""
    graph = network.plan.graph
    node = graph.node(port.partition(".")[0])
    above = [open_branches(network, edge.source) for edge in graph.into(node.id) if edge.target_port != "by"
             and not (node.type == "exit/1" and edge.target_port == ("logits" if port.endswith("next") else "in"))]
    if CATALOGUE[node.type].role in ("head", "lexical", "answer") or not above:
        return {}
    found: dict[str, set[str]] = {}
    for one in above:
        for router, branches in one.items():
            found[router] = found.get(router, set()) | branches
    if CATALOGUE[node.type].role == "merge":
        found = {router: branches for router, branches in found.items()
                 if len(branches) == 1 and all(one.get(router) == branches for one in above)}
    if node.type == "router/1":
        found[node.id] = {port.partition(".")[2]}
    return found


def normed(x: Tensor, norm: torch.nn.LayerNorm) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + norm.eps).sqrt() * norm.weight + norm.bias


def sureness(logits: Tensor, measure: str, several: bool = False) -> float:
    if several:
        return float(np.mean([sureness(torch.stack([x, -x]) / 2, measure) for x in logits]))
    p = sorted(logits.softmax(-1).tolist(), reverse=True)
    if measure == "entropy":
        return 1 + sum(q * math.log(q) for q in p if q) / math.log(len(p))
    return p[0] - p[1] if measure == "margin" else p[0]
