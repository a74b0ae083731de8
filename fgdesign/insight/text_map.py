"""Where texts lie in the space of a pretrained encoder: a map of two dimensions, and close texts of other labels.

A text is the mean of its last hidden states over real tokens, of length one (Reimers and Gurevych 2019); the map is
t-SNE from the two first principal components (van der Maaten and Hinton 2008), so near is alike and far means little.
Knows nothing of pages.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fgdesign.data import read_table
from fgdesign.data.apart import Progress
from fgdesign.data.dataset import Dataset, load_dataset
from fgdesign.data.encode import Encoded, buckets, encode
from fgdesign.data.mend import apply
from fgdesign.data.recipe import recipe_from
from fgdesign.graph.backbones import describe_backbone
from fgdesign.model.backbone import attention_mask_of, load_backbone, load_tokenizer

MOST = 1_500  # rows on the map
TOKENS = 128  # of a text that are looked at
BATCH = 4_096  # tokens of a batch
TEXT = 160  # characters that are shown of a text
CLOSE = 0.8  # cosine from which on two texts say nearly the same
MOST_PAIRS = 100
FEWEST = 30  # rows from which on neighbours mean something; with fewer the principal components are the map


def text_map(
    path: str, columns: dict[str, str | None], task: str, recipe: str, backbone: str, tell: Progress
) -> dict[str, Any]:
    """Points (x, y, row, label, text) of some rows spread evenly, and pairs of close texts with different labels.

    Raises:
        DataError: the table cannot be learnt from. BackboneError: the encoder is not there.
    """
    accepted = recipe_from(recipe)
    mended, _ = apply(accepted, read_table(path))
    data = load_dataset(mended, **accepted.renamed(columns), task=task)
    data = data.subset(np.unique(np.linspace(0, len(data) - 1, min(MOST, len(data))).astype(np.int64)))
    vectors = embeddings(data.texts, backbone, tell)
    labels = _label_words(data)
    points = placed(vectors)
    shown = [text[:TEXT] for text in data.texts]
    rows = data.row_numbers.tolist()
    return {
        "x": points[:, 0].round(4).tolist(), "y": points[:, 1].round(4).tolist(), "rows": rows, "labels": labels,
        "texts": shown, "pairs": _pairs(vectors, labels, rows, shown, data.task.kind),
    }  # fmt: skip


def embeddings(texts: list[str], backbone: str, tell: Progress) -> NDArray[np.float32]:
    """(N, H) vectors of length one."""
    info = describe_backbone(backbone)
    encoder, tokenizer = load_backbone(info), load_tokenizer(info)
    encoded = encode(tokenizer, texts, max_length=min(TOKENS, info.max_length))
    found = np.zeros((len(texts), info.width), np.float32)
    done = 0
    with torch.inference_mode():
        for rows in buckets(encoded.lengths, 1, seed=0, epoch=0, shuffle=False, tokens=BATCH):
            tell(done, len(texts))
            ids, mask = _padded(encoded, rows)
            hidden = encoder.embeddings(ids, None, mask)
            for layer in encoder.layers:
                hidden = layer(hidden, attention_mask_of(mask))
            weights = mask[..., None].float()
            mean = (hidden * weights).sum(1) / weights.sum(1)
            found[rows] = torch.nn.functional.normalize(mean, dim=-1).numpy()
            done += len(rows)
    tell(done, len(texts))
    return found


def _padded(encoded: Encoded, rows: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids, mask) of some rows: (B, T) int64 and bool."""
    lengths = encoded.lengths[rows]
    mask = np.arange(int(lengths.max()))[None] < lengths[:, None]
    ids = np.zeros(mask.shape, np.int64)
    ids[mask] = np.concatenate([encoded.ids[encoded.offsets[row] : encoded.offsets[row + 1]] for row in rows])
    return torch.from_numpy(ids), torch.from_numpy(mask)


def placed(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, 2) places on the map, the same for the same vectors."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if len(vectors) < 3:
        return np.zeros((len(vectors), 2))
    first = PCA(min(50, *vectors.shape), random_state=0).fit_transform(vectors)
    if len(vectors) < FEWEST:
        return np.asarray(first[:, :2], float)
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    start = first[:, :2] / max(float(first[:, 0].std()), 1e-12) * 1e-4
    return np.asarray(TSNE(2, init=start, perplexity=perplexity, random_state=0).fit_transform(first), float)


def _label_words(data: Dataset) -> list[str]:
    """The label of each row as people read it; for numbers the third they are in."""
    targets = np.asarray(data.targets)
    if data.task.kind == "regression":
        low, high = np.quantile(targets, (1 / 3, 2 / 3))
        names = (f"up to {low:.3g}", f"{low:.3g} to {high:.3g}", f"above {high:.3g}")
        return [names[int(value > low) + int(value > high)] for value in targets]
    if data.task.kind == "multi":
        return [", ".join(name for name, has in zip(data.labels, row, strict=True) if has) for row in targets]
    return [data.labels[int(place)] for place in targets]


def _pairs(
    vectors: NDArray[np.float32], labels: list[str], rows: list[int], texts: list[str], kind: str
) -> list[list[Any]]:
    """Closest texts of different labels: (cosine, row, label, text, row, label, text), the closest first."""
    if kind == "regression":
        return []
    cosine = np.triu(vectors @ vectors.T, 1)
    names = np.unique(labels, return_inverse=True)[1]
    cosine[names[:, None] == names[None]] = 0.0
    first, second = np.nonzero(cosine > CLOSE)
    order = np.argsort(-cosine[first, second], kind="stable")[:MOST_PAIRS]
    return [
        [round(float(cosine[a, b]), 3), rows[a], labels[a], texts[a], rows[b], labels[b], texts[b]]
        for a, b in zip(first[order].tolist(), second[order].tolist(), strict=True)
    ]
