"""Which tokens moved a gate or an answer: integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365) by Captum
on the embeddings, and the exact shares of a word function's terms. Knows nothing of runs, files or screens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fgdesign.errors import GraphError, choices
from fgdesign.insight.intervene import Change, branches_of, steer_of
from fgdesign.model.flows import Batch, Flow
from fgdesign.model.inputs import Inputs
from fgdesign.model.lexical import Lexical
from fgdesign.model.network import FunctionGraph

STEPS = (12, 32, 128, 512)
TOLERANCE = 0.05


@dataclass(frozen=True)
class Attribution:
    """How much each token moved a number.

    text: what was read. spans: T (start, end) character spans, (0, 0) for special tokens. values: (T,) shares that sum
    to `reached` - `start`, the number with the text and with padding in its place. error: the part of that sum that
    is missing, as a share of it: the completeness error of integrated gradients; 0 where shares are exact.
    """

    text: str
    what: str
    spans: tuple[tuple[int, int], ...]
    values: np.ndarray
    start: float
    reached: float
    error: float

    def top(self, count: int) -> list[int]:
        """Places of the tokens of the text that moved the number most, the largest first."""
        real = [i for i, (start, end) in enumerate(self.spans) if end > start]
        return sorted(real, key=lambda i: -abs(float(self.values[i])))[:count]


def of_gate(model: Any, inputs: Inputs, router: str, branch: str, row: int = 0) -> Attribution:
    """Which tokens moved the probability that a learned router gives to a branch. Raises GraphError."""
    network = model.network
    learned = [n for n in network.nodes_of_role("router") if network.plan.graph.node(n).type == "router/1"]
    if router not in learned:
        raise GraphError(f"There is no learned router '{router}' in this graph. {choices(learned, router)}")
    names = branches_of(network, router)
    if branch not in names:
        raise GraphError(f"Router '{router}' has no branch '{branch}'. {choices(names, branch)}")
    place, wanted = names.index(branch), f"{router}.{branch}"

    def score(batch: Batch) -> Tensor:
        steer = steer_of(network, Change(force={router: branch}))
        record = network(replace(batch, steer=steer), wanted=(wanted,), open_exits=True).record
        found: Tensor = record.choices[router][1].probabilities[:, place]
        return found

    return _integrated(model, inputs, row, score, f"probability of {router}.{branch}")


def of_answer(model: Any, inputs: Inputs, row: int = 0) -> Attribution:
    """Which tokens moved the answer that was given, the route held as it was.

    The number is the probability of the answered class, or the value of a regression; of several labels, that of the
    most probable. Shares of a word function's own answer are exact log-odds.
    """
    network: FunctionGraph = model.network.eval()
    batch = inputs.batch(np.array([row]), model.device)
    with torch.inference_mode():
        outcome = network(batch)
        logits = network.logits(outcome, 1)
    best = int(logits[0].argmax())
    port = answering_port(network, outcome.record.branches)
    words = _word_function(network, port)
    if words is not None:
        return _of_words(words, inputs.texts[row], best)
    held = {node: branches_of(network, node)[int(choice.called[0].nonzero()[0])]
            for node, (_, choice) in outcome.record.choices.items() if int(choice.called[0].sum()) == 1}
    steer = steer_of(network, Change(force=held, gates="own"))

    def score(batch: Batch) -> Tensor:
        flow = network(replace(batch, steer=steer), wanted=(port,), open_exits=True).flows[port]
        if network.plan.task == "regression":
            value: Tensor = flow.value[:, 0].float()
            return value
        shares: Tensor = flow.value.float()
        return (shares.softmax(-1) if network.plan.task == "single" else shares.sigmoid())[:, best]

    name = model.labels[best] if network.plan.task != "regression" else "the value"
    return _integrated(model, inputs, row, score, f"probability of {name}" if model.labels else name)


def answering_port(network: FunctionGraph, branches: dict[str, dict[str, Tensor | None]]) -> str:
    """The port whose logits the row was answered with."""
    for sources in branches.values():
        for port, rows in sources.items():
            if rows is None or len(rows):
                node = port.partition(".")[0]
                logits = network.plan.graph.into(node, "logits")
                return logits[0].source if logits else port
    return network.answer


def _word_function(network: FunctionGraph, port: str) -> Lexical | None:
    node = port.partition(".")[0]
    return network.lexicals().get(node)


def _of_words(words: Lexical, text: str, best: int) -> Attribution:
    """Exact: a term's share of the logit, over the mean of the other classes; runs of words are shared out."""
    spans, shares, total = words.contributions(text, best)
    return Attribution(text, "log-odds of the word function", tuple(spans), shares, 0.0, total, 0.0)


def _integrated(model: Any, inputs: Inputs, row: int, score: Callable[[Batch], Tensor], what: str) -> Attribution:
    """Integrated gradients along the straight line from padding to the text, with as many steps as it needs."""
    from captum.attr import IntegratedGradients

    network: FunctionGraph = model.network.eval()
    graph = network.plan.graph
    nodes = [node for node in network.plan.found.order if graph.node(node).type == "embeddings/1"]
    base = inputs.batch(np.array([row]), model.device)
    ports = tuple(f"{node}.out" for node in nodes)
    blank = replace(base, tokens={name: _blank(flow, model.tokenizer) for name, flow in base.tokens.items()})
    with torch.no_grad():
        flows, start = (network(batch, wanted=ports, open_exits=True).flows for batch in (base, blank))

    def forward(*values: Tensor) -> Tensor:
        count = len(values[0])
        given = {port: Flow(value, _rows(flows[port].mask, count)) for port, value in zip(ports, values, strict=True)}
        tokens = {name: Flow(flow.value.expand(count, -1, -1), _rows(flow.mask, count))
                  for name, flow in base.tokens.items()}
        texts_b = None if base.texts_b is None else list(base.texts_b) * count
        return score(replace(base, size=count, given=given, tokens=tokens, texts=list(base.texts) * count,
                             texts_b=texts_b, columns={k: list(v) * count for k, v in base.columns.items()}))

    ends = tuple(flows[port].value.detach() for port in ports)
    starts = tuple(start[port].value.detach() for port in ports)
    with torch.no_grad():
        low, high = float(forward(*starts)[0]), float(forward(*ends)[0])
    method = IntegratedGradients(forward, multiply_by_inputs=True)
    error, values = np.inf, np.zeros(0)
    for steps in STEPS:
        found = method.attribute(ends, baselines=starts, n_steps=steps, internal_batch_size=32)
        values = np.concatenate([part[0].sum(-1).detach().cpu().numpy() for part in found])
        error = abs(float(values.sum()) - (high - low)) / max(abs(high - low), 1e-6)
        if error < TOLERANCE:
            break
    network.zero_grad(set_to_none=True)
    text, spans = _spans(model, inputs, row, [flows[port].value.shape[1] for port in ports])
    return Attribution(text, what, spans, values, low, high, error)


def _blank(flow: Flow, tokenizer: Any) -> Flow:
    """The same special tokens with padding in place of the words."""
    ids = flow.value.clone()
    special = torch.tensor(sorted(tokenizer.all_special_ids), device=ids.device)
    ids[:, 0] = torch.where(torch.isin(ids[:, 0], special), ids[:, 0], tokenizer.pad_token_id or 0)
    return Flow(ids, flow.mask, flow.rows)


def _rows(mask: Tensor | None, count: int) -> Tensor | None:
    return None if mask is None else mask.expand(count, -1)


def _spans(model: Any, inputs: Inputs, row: int, lengths: Sequence[int]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Character spans of each view's tokens in the text, the second one set behind the first."""
    texts_b = inputs.texts_b
    text = inputs.texts[row] if texts_b is None else f"{inputs.texts[row]} {texts_b[row]}"
    backend = model.tokenizer.backend_tokenizer
    spans: list[tuple[int, int]] = []
    for length in lengths:
        encoded = backend.encode(inputs.texts[row], None if texts_b is None else texts_b[row])
        shift = [0, len(inputs.texts[row]) + 1]
        mine = [(start + shift[kind], end + shift[kind]) if end > start else (0, 0)
                for (start, end), kind in zip(encoded.offsets, encoded.type_ids, strict=True)]
        spans += (mine + [(0, 0)] * length)[:length]
    return text, tuple(spans)


def without(attribution: Attribution, places: Sequence[int], *, keep: bool = False) -> str:
    """The text with some tokens cut out, or (`keep`) with nothing else left."""
    text, chosen = attribution.text, {i for place in places for i in range(*attribution.spans[place])}
    return " ".join("".join(c if (i in chosen) == keep else " " for i, c in enumerate(text)).split())

