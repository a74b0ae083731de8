"""Functions of one value: F_i(x) = sigma(W x + b), experts, adapters, normalisation and the like."""

from __future__ import annotations

from dataclasses import replace

from fgdesign.graph.types import HIDDEN, LOGITS, SEQUENCE, TOKENS, VECTOR, Cost, NodeType, Param, Port, Site, Value

ACTIVATIONS = ("none", "sigmoid", "tanh", "relu", "gelu")
HIDDEN_IN = (Port("in", HIDDEN),)
LEARNED = ("full", "frozen")


def _to_width(site: Site) -> dict[str, Value]:
    value = site.first()
    return {"out": replace(value, width=site.params["width"] or value.width)}


def _linear_cost(site: Site) -> Cost:
    value = site.first()
    size = value.width * (site.params["width"] or value.width)
    return site.per(value, size, size + (site.params["width"] or value.width))


def _bottleneck_cost(site: Site) -> Cost:
    value, inner = site.first(), site.params.get("hidden", site.params.get("bottleneck", 0))
    return site.per(value, 2 * value.width * inner, 2 * value.width * inner + inner + value.width)


def _norm_cost(site: Site) -> Cost:
    return site.per(site.first(), site.first().width, 2 * site.first().width)


def _scale_cost(site: Site) -> Cost:
    return site.per(site.first(), site.first().width, 1 if site.params["learned"] else 0)


def _pool(site: Site) -> dict[str, Value]:
    return {"out": Value(VECTOR, site.first().width)}


def _pool_cost(site: Site) -> Cost:
    width = site.first().width
    return site.per(site.first(), width, width if site.params["method"] == "attention" else 0)


def _logits(site: Site) -> dict[str, Value]:
    return {"out": Value(LOGITS, site.classes)}


def _lexical_cost(site: Site) -> Cost:
    return Cost(parameters=site.params["max_terms"] * site.classes, macs_per_token=2 * site.classes)


WIDTH = Param("width", "int", 0, "Output width; 0 keeps the input's.", 0, 16384)

ENTRIES = (
    NodeType(
        "linear/1", "function", "Linear", "A plain function node: activation(W x + b).",
        HIDDEN_IN, _to_width, _linear_cost, tunings=LEARNED,
        params=(WIDTH, Param("activation", "choice", "sigmoid", "Applied to the result.", choices=ACTIVATIONS)),
    ),
    NodeType(
        "activation/1", "function", "Activation", "A fixed non-linear function of every number.",
        HIDDEN_IN, params=(Param("function", "choice", "gelu", "Which function.", choices=(*ACTIVATIONS[1:], "abs")),),
    ),
    NodeType(
        "ffn/1", "function", "Expert", "A feed-forward network with one hidden layer, added to its input.",
        HIDDEN_IN, costs=_bottleneck_cost, tunings=LEARNED,
        params=(
            Param("hidden", "int", 128, "Width of the hidden layer.", 1, 16384),
            Param("activation", "choice", "gelu", "Of the hidden layer.", choices=ACTIVATIONS[1:]),
            Param("residual", "bool", True, "Add the input to the result; the network then starts as the identity."),
            Param("dropout", "float", 0.0, "Share of hidden numbers set to zero in training.", 0, 0.9),
        ),
    ),
    NodeType(
        "adapter/1", "function", "Adapter", "A bottleneck with a residual path, the identity at the start "
        "(Houlsby et al. 2019).",
        HIDDEN_IN, costs=_bottleneck_cost, tunings=LEARNED,
        params=(
            Param("bottleneck", "int", 48, "Width of the bottleneck.", 1, 4096),
            Param("activation", "choice", "gelu", "In the bottleneck.", choices=ACTIVATIONS[1:]),
        ),
    ),
    NodeType("layer_norm/1", "function", "Layer norm", "Normalises each position, with learned scale and shift.",
             HIDDEN_IN, costs=_norm_cost, tunings=LEARNED),
    NodeType(
        "dropout/1", "function", "Dropout", "Sets a share of the numbers to zero in training.",
        HIDDEN_IN, deterministic=False,
        params=(Param("rate", "float", 0.1, "Share of the numbers set to zero in training.", 0, 0.9),),
    ),
    NodeType(
        "scale/1", "function", "Scale", "Multiplies by one number, fixed or learned.",
        HIDDEN_IN, costs=_scale_cost, tunings=LEARNED,
        params=(Param("value", "float", 1.0, "The number, or where learning starts.", -100, 100),
                Param("learned", "bool", False, "Learn the number.")),
    ),
    NodeType(
        "pool/1", "shape", "Pool", "Makes one vector of a sequence.",
        (Port("in", (SEQUENCE,)),), _pool, _pool_cost, tunings=LEARNED,
        params=(Param("method", "choice", "mean", "The first position, the mean, the largest value, or a learned "
                      "attention over the positions.", choices=("cls", "mean", "max", "attention")),),
    ),
    NodeType(
        "project/1", "shape", "Project", "A linear map to another width (dimension reduction).",
        HIDDEN_IN, _to_width, _linear_cost, tunings=LEARNED,
        params=(Param("width", "int", 128, "Output width; 0 keeps the input's.", 0, 16384),),
    ),
    NodeType(
        "normalise/1", "shape", "Normalise", "Brings values to a common size, nothing learned.",
        HIDDEN_IN, params=(Param("method", "choice", "l2", "Length one, or mean zero and deviation one per position.",
                                 choices=("l2", "standardise")),),
    ),
    NodeType(
        "lexical/1", "function", "Word function", "TF-IDF over words and a logistic regression: a cheap function of "
        "another kind, 30 to 250 microseconds a text.",
        (Port("in", (TOKENS,)),), _logits, _lexical_cost, role="lexical",
        params=(
            Param("ngrams", "int", 2, "Longest run of words that counts as one term.", 1, 3, unit="words"),
            Param("characters", "int", -1, "Longest run of characters within a word that counts as a term, too; 0 for "
                  "none, -1 for 4 where that answers rows held out clearly better.", -1, 8),
            Param("min_count", "int", 2, "Terms in fewer texts are left out.", 1, 100, unit="texts"),
            Param("max_terms", "int", 50_000, "Only the most frequent terms are kept.", 100, 500_000, unit="terms"),
            Param("strength", "float", 10.0, "Inverse regularisation C of the logistic regression.", 0.001, 1000),
        ),
    ),
)
