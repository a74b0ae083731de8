"""About how long a text takes and how much memory training needs, from a graph's costs and a machine's speed.

Rough on purpose: small operations are free here, all attention heads are as long as the text. Knows nothing of
how the speed was measured, nor of torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from fgdesign.graph.backbones import BackboneInfo
from fgdesign.graph.infer import Inference, Summary, known_type
from fgdesign.graph.spec import Graph
from fgdesign.graph.types import HIDDEN, SEQUENCE

FLOAT = 4  # bytes
KEPT_PER_TRAINED = 3  # floats beside each trained weight: its gradient and Adam's two averages
LAYER_FLOATS = 17.0  # kept for the way back by an encoder layer, for each token and unit of width
HEAD_FLOATS = 2.5  # the same for each token, head and token attended to; both Korthikanti et al. 2022, section 4
NODE_FLOATS = 3.0  # by any other node, for each token and unit of what it puts out


@dataclass(frozen=True)
class Estimate:
    """milliseconds: for one text, routers and exits choosing evenly; deepest: where it calls every function.
    training_bytes: weights, optimiser, values."""

    milliseconds: float
    deepest: float
    training_bytes: float


def estimate(
    graph: Graph, found: Inference, total: Summary, backbone: BackboneInfo, rate: float, *,
    tokens: int = 32, batch: int = 32,
) -> Estimate:
    """Estimate a graph.

    Args: found, total: what `infer` and `summarise` gave. rate: multiply-adds a second.
        tokens: of a usual text. batch: texts in a training step.
    """
    usual, most = (a * tokens + total.macs_per_text for a in (total.expected_macs_per_token, total.macs_per_token))
    weights = FLOAT * (total.parameters + KEPT_PER_TRAINED * total.trained)
    floats = sum(_floats(graph, found, backbone, node_id, tokens) for node_id in found.costs)
    return Estimate(1000 * usual / rate, 1000 * most / rate, weights + FLOAT * batch * floats)


def _floats(graph: Graph, found: Inference, backbone: BackboneInfo, node_id: str, tokens: int) -> float:
    """Numbers that a node keeps of one text until the way back; what is static has no way back."""
    node = graph.node(node_id)
    entry = known_type(node)
    names = [f"{node_id}.{port}" for port in entry.output_names(entry.with_defaults(node.params))] if entry else []
    outputs = [found.values[name] for name in names if name in found.values and name not in found.static]
    share = found.ways.share(found.node_rows[node_id])
    if node.type == "encoder_layer/1" and outputs:
        return share * tokens * (LAYER_FLOATS * outputs[0].width + HEAD_FLOATS * backbone.heads * tokens)
    hidden = [value for value in outputs if value.type in HIDDEN][:1]  # a router's branches share one value
    return share * sum(NODE_FLOATS * value.width * (tokens if value.type == SEQUENCE else 1) for value in hidden)
