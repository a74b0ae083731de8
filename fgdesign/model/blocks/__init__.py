"""One block for every node type of the catalogue: what it computes, in torch.

A builder reads the node's place in the graph and calls a block with flat arguments; blocks know nothing of
graphs. A new node type is one entry in `fgdesign/graph/catalogue` and one line here.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from fgdesign.model.blocks import combine, functions, heads, merges, routers
from fgdesign.model.blocks.place import Place
from fgdesign.model.lexical import Lexical

Builder = Callable[[Place], nn.Module]

BLOCKS: dict[str, Builder] = {
    "soft_prompt/1": lambda p: functions.SoftPrompt(p.width, length=p.params["length"]),
    "linear/1": lambda p: functions.Linear(p.width, p.out_width, activation=p.params["activation"]),
    "activation/1": lambda p: functions.Activation(p.params["function"]),
    "ffn/1": lambda p: functions.Expert(
        p.width, hidden=p.params["hidden"], activation=p.params["activation"], residual=p.params["residual"],
        dropout=p.params["dropout"]),
    "adapter/1": lambda p: functions.Adapter(p.width, p.params["bottleneck"], p.params["activation"]),
    "layer_norm/1": lambda p: functions.LayerNorm(p.width),
    "dropout/1": lambda p: functions.Dropout(p.params["rate"]),
    "scale/1": lambda p: functions.Scale(p.params["value"], learned=p.params["learned"]),
    "pool/1": lambda p: functions.Pool(p.width, method=p.params["method"]),
    "project/1": lambda p: functions.Linear(p.width, p.out_width, activation="none"),
    "normalise/1": lambda p: functions.Normalise(p.params["method"]),
    "lexical/1": lambda p: Lexical(
        classes=p.classes, kind=p.task, ngrams=p.params["ngrams"], min_count=p.params["min_count"],
        max_terms=p.params["max_terms"], strength=p.params["strength"], characters=p.params["characters"], **p.sizes),
    "add/1": lambda p: combine.Add(p.edge_weights, learned=p.params["weights"] == "learned"),
    "multiply/1": lambda p: combine.Multiply(),
    "concat/1": lambda p: combine.Concat(),
    "gate/1": lambda p: combine.Gate(p.widths("control")[0], p.width if p.params["per"] == "channel" else 1),
    "router/1": lambda p: routers.Router(
        (p.widths("by") or p.widths("in"))[0], branches=p.params["branches"], k=p.params["k"],
        method=p.params["method"], scorer=p.params["scorer"], temperature=p.params["temperature"],
        noise=p.params["noise"]),
    "merge/1": lambda p: (
        merges.LogitMerge(len(p.widths("in")), kind=p.task, shared=p.params["rows"] == "shared")
        if p.type == "logits" else merges.Merge(p.params["method"])),
    "attention_merge/1": lambda p: merges.AttentionMerge(p.width),
    "gcn_merge/1": lambda p: merges.GCNMerge(
        p.width, len(p.widths("in")), adjacency=p.params["adjacency"], links=p.params["links"],
        depth=p.params["depth"], readout=p.params["readout"]),
    "classifier/1": lambda p: heads.Head(p.width, p.classes, **p.only("norm", "dropout", "hidden")),
    "multilabel/1": lambda p: heads.Head(p.width, p.classes, **p.only("norm", "dropout", "hidden")),
    "regressor/1": lambda p: heads.Head(p.width, 1, **p.only("norm", "dropout", "hidden")),
}

__all__ = ["BLOCKS", "Builder", "Place"]
