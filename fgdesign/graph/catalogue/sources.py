"""Where values come from: texts, embeddings, soft prompts and the pretrained encoder layers."""

from __future__ import annotations

from fgdesign.graph.types import SEQUENCE, TOKENS, Cost, MisfitError, NodeType, Param, Port, ShapeError, Site, Value

LAYER_TUNINGS = ("frozen", "lora", "adapter", "full")


def _text(site: Site) -> dict[str, Value]:
    limit = site.backbone.max_length
    if site.params["max_length"] > limit:
        raise ShapeError(f"max_length is {site.params['max_length']}, but {site.backbone.name} has {limit} positions",
                         f"Set max_length to {limit} or less.")
    return {"out": Value(TOKENS, 0, f"{site.params['column']}:{site.params['max_length']}")}


def _embeddings(site: Site) -> dict[str, Value]:
    return {"out": Value(SEQUENCE, site.backbone.width, site.first().length)}


def _embeddings_cost(site: Site) -> Cost:
    b = site.backbone
    size = (b.vocab_size + b.max_length + b.position_offset + b.type_vocab + 2) * b.embedding_width
    projection = 0 if b.embedding_width == b.width else (b.embedding_width + 1) * b.width
    trained = 0 if site.tuning == "frozen" else size + projection
    return Cost(size + projection, trained, macs_per_token=projection)


def _soft_prompt(site: Site) -> dict[str, Value]:
    value = site.first()
    return {"out": Value(SEQUENCE, value.width, f"{value.length}+{site.params['length']}")}


def _soft_prompt_cost(site: Site) -> Cost:
    return site.per(site.first(), 0, site.params["length"] * site.first().width)


def _layer(site: Site) -> dict[str, Value]:
    value, b = site.first(), site.backbone
    if value.width != b.width:
        raise MisfitError(f"it takes {SEQUENCE} {b.width} but is fed {value}",
                          f"Insert project to {b.width} before it.")
    if not 1 <= site.params["index"] <= b.layers:
        raise ShapeError(f"index is {site.params['index']}, but {b.name} has layers 1 to {b.layers}",
                         f"Set index between 1 and {b.layers}.")
    return {"out": value}


def _layer_cost(site: Site) -> Cost:
    h, f = site.backbone.width, site.backbone.ffn_width
    matrices = 4 * h * h + 2 * h * f
    size = matrices + 4 * h + f + h + 4 * h
    extra = {
        "lora": 2 * site.params["rank"] * (5 * h + f),  # q, k, v, attention out, both halves of the ffn
        "adapter": 2 * (2 * h * site.params["bottleneck"] + site.params["bottleneck"] + h),
    }.get(site.tuning, 0)
    attention = 2 * h * 32  # scores and weighted sum, at a typical 32 tokens
    return Cost(size + extra, size if site.tuning == "full" else extra, macs_per_token=matrices + extra + attention)


ENTRIES = (
    NodeType(
        "text/1", "input", "Text", "Reads one text per row and cuts it into tokens.",
        (), _text, outputs=("out",), role="source",
        params=(
            Param("max_length", "int", 64, "Longer texts are cut here.", 4, 8192, unit="tokens"),
            Param("column", "choice", "all", "What to read: the text and, where the data has one, the second text in "
                  "one sequence; only the text; or only the second text.", choices=("all", "text", "second")),
        ),
    ),
    NodeType(
        "embeddings/1", "input", "Embeddings", "Looks up the backbone's word, position and segment vectors.",
        (Port("in", (TOKENS,)),), _embeddings, _embeddings_cost, tunings=("frozen", "full"), default_tuning="frozen",
    ),
    NodeType(
        "soft_prompt/1", "input", "Soft prompt", "Puts learned vectors in front of the sequence (Lester et al. 2021).",
        (Port("in", (SEQUENCE,)),), _soft_prompt, _soft_prompt_cost, tunings=("full", "frozen"),
        params=(Param("length", "int", 8, "How many vectors.", 1, 128, unit="vectors"),),
    ),
    NodeType(
        "encoder_layer/1", "pretrained", "Encoder layer", "One layer of the pretrained backbone: attention, then a "
        "feed-forward network.",
        (Port("in", (SEQUENCE,)),), _layer, _layer_cost, tunings=LAYER_TUNINGS, default_tuning="frozen",
        params=(
            Param("index", "int", 1, "Which layer of the backbone, from 1.", 1, 96),
            Param("weights", "choice", "shared", "Nodes with the same index share their weights, or each has an own "
                  "copy.", choices=("shared", "copy")),
            Param("rank", "int", 8, "Rank of the LoRA update (tuning = lora).", 1, 256),
            Param("alpha", "float", 16.0, "Scale of the LoRA update (tuning = lora).", 0.1, 1024),
            Param("bottleneck", "int", 48, "Width of the adapter (tuning = adapter).", 1, 4096),
            Param("layer_drop", "float", 0.0, "Share of training batches that skip this layer, so that it can be left "
                  "out later (Fan et al. 2020).", 0, 0.9),
        ),
    ),
)
