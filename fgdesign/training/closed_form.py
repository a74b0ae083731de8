"""What is fitted before the first step: word functions, and linear heads on what the backbone gives as it came.

Knows nothing of stages or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from fgdesign.model.blocks.heads import Head
from fgdesign.model.flows import column_texts
from fgdesign.model.lanes import side_by_side
from fgdesign.model.network import FunctionGraph
from fgdesign.training.fit import fit_linear
from fgdesign.training.rows import collect

if TYPE_CHECKING:
    from fgdesign.training.loop import Run

MOST_FIT_ROWS = 100_000


def fit_words(run: Run) -> None:
    """Fit each word function on the training rows it will see."""
    for node, module in run.network.lexicals().items():
        run.log({"kind": "note", "message": f"Fitting the word function '{node}'."})
        column = run.network.plan.text_column(node)
        texts = column_texts(column, run.train.inputs.texts, run.train.inputs.texts_b)
        module.fit(texts, run.train.targets.numpy())
        module.to(run.device)


def fit_heads(run: Run, known: tuple[str, ...]) -> list[str]:
    """Fit linear heads by L-BFGS on what they read at the start, side by side. Returns the nodes that were fitted."""
    network = run.network
    nodes = closed_form_heads(network, known)
    if not nodes:
        return []
    run.log({"kind": "note", "message": "Fitting the heads in closed form."})
    sources = {node: network.plan.graph.into(node, "in")[0].source for node in nodes}
    ports = tuple(dict.fromkeys(sources.values()))
    some = np.random.default_rng(run.settings.seed).permutation(len(run.train))[:MOST_FIT_ROWS]
    train = collect(network, run.train.inputs, run.device, ports, known=known, only=np.sort(some))
    valid = collect(network, run.valid.inputs, run.device, ports, known=known)
    modules = {node: module for node in nodes if isinstance(module := network.module_of(node), Head)}

    def fitted(node: str) -> tuple[Tensor, Tensor] | None:
        return _fitted(run, modules[node], train[sources[node]], valid[sources[node]])

    for module, found in zip(modules.values(), side_by_side(fitted, list(modules), run.device), strict=True):
        if found is not None:
            with torch.no_grad():
                module.out.weight.copy_(found[0])
                module.out.bias.copy_(found[1])
    return nodes


def closed_form_heads(network: FunctionGraph, known: Sequence[str]) -> list[str]:
    """Linear heads that learn, whose input is no open branch of a learned router and needs no pretrained layer."""
    found = []
    for node in network.nodes_of_role("head"):
        module, source = network.module_of(node), network.plan.graph.into(node, "in")[0].source
        if not isinstance(module, Head) or not isinstance(module.hidden, nn.Identity):
            continue
        open_gates, learns = network.plan.found.gates[source], module.out.weight.requires_grad
        if learns and not open_gates and not network.needed((source,), known, True).runs_backbone:
            found.append(node)
    return found


def _fitted(run: Run, module: Head, train: Tensor, valid: Tensor) -> tuple[Tensor, Tensor] | None:
    """Weight and bias of one head; None where too few rows reach it."""
    rows, others = (~t.isnan().any(1) for t in (train, valid))
    if int(rows.sum()) < 2:
        return None
    if not bool(others.any()):
        valid, others = train, rows
        valid_targets = run.train.targets
    else:
        valid_targets = run.valid.targets
    with torch.no_grad():
        features, valid_features = (module.norm(t[r].to(run.device)) for t, r in ((train, rows), (valid, others)))
    weight, bias, _ = fit_linear(features, run.train.targets[rows].to(run.device), module.out.out_features,
                                 run.objective.per_row, valid_features, valid_targets[others].to(run.device))
    return weight, bias
