"""A function graph as a transformers model: saved, loaded, in pipelines, from ids alone."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from model_toys import (
    CPU,
    WORDS,
    answers,
    halve_exits,
    on_tiny,
    tiny_folder,
    toy_inputs,
    toy_network,
    toy_texts,
    toy_tokenizer,
)
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForSequenceClassification, pipeline

from fgdesign.errors import InputError, RunError
from fgdesign.graph.backbones import describe_backbone
from fgdesign.graph.spec import DEFAULT_BACKBONE
from fgdesign.graph.starters import STARTERS, Sketch
from fgdesign.model.backbone import load_tokenizer
from fgdesign.model.build import plan
from fgdesign.model.modeling import FunctionGraphModel
from fgdesign.model.network import FunctionGraph
from fgdesign.model.stored import load_network, save_network

LABELS = ("bad", "fair", "good")
TEXTS = toy_texts(9, seed=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("tiny"))


def sketch(head: str = "classifier") -> Sketch:
    """Words and a rule beside a learned router with every kind of tuning, ended by an exit."""
    s = Sketch()
    hidden = s.layers(s.layers(s.text(max_length=12), 1, 1), 2, 2, "lora")
    pool = s.add("pool", "pool", hidden, method="attention")
    s.add("rule", "rule_router", pool, branches=2, default=2, rules=[{"when": "keyword", "words": WORDS[:9], "to": 1}])
    s.add("router", "router", "rule.branch_2", branches=3, k=2)
    routed = s.add("merge", "gcn_merge", s.add("expert", "ffn", "router.branch_1", hidden=6), "router.branch_2",
                   "router.branch_3", adjacency="learned")
    both = s.add("both", "merge", routed, "rule.branch_1")
    late = s.add("head", head, both)
    if head != "regressor":
        s.add("leave", "exit", pool, logits=s.add("words", "lexical", "text.out"), threshold=0.6)
        s.edges = [replace(edge, source="leave.next") if edge.target == "rule.in" else edge for edge in s.edges]
        s.add("answer", "answer", "leave.answer", late)
    return s


TASKS = [("single", "classifier", LABELS), ("multi", "multilabel", LABELS), ("regression", "regressor", ())]


def made(folder: Path, task: str = "single", head: str = "classifier",
         labels: tuple[str, ...] = LABELS) -> FunctionGraphModel:
    network = toy_network(on_tiny(sketch(head), folder, task), task, max(1, len(labels)))
    halve_exits(network, toy_inputs(network, TEXTS))
    return FunctionGraphModel.around(network, labels).eval()


def tensors(texts: list[str], texts_b: list[str] | None = None) -> dict[str, torch.Tensor]:
    return dict(toy_tokenizer()(texts, texts_b, padding=True, return_tensors="pt", return_token_type_ids=True))


def same_logits(one: FunctionGraphModel, other: FunctionGraphModel) -> bool:
    """The same bits for the toy texts."""
    with torch.inference_mode():
        first, second = (model(**tensors(TEXTS), texts=TEXTS).logits for model in (one, other))
    return torch.equal(first, second)


@pytest.mark.parametrize("by", ["ours", "transformers"])
@pytest.mark.parametrize(("task", "head", "labels"), TASKS)
def test_what_is_saved_comes_back_to_the_bit_without_the_backbone(
    task: str, head: str, labels: tuple[str, ...], by: str, tmp_path: Path
) -> None:
    (tmp_path / "encoder").mkdir()
    model = made(tiny_folder(tmp_path / "encoder"), task, head, labels)
    if by == "ours":
        save_network(model.network, labels, tmp_path / "model")
    else:
        model.save_pretrained(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["config.json", "model.safetensors"]
    for path in (tmp_path / "encoder").iterdir():
        path.unlink()
    (tmp_path / "encoder").rmdir()
    describe_backbone.cache_clear()
    for loaded in (FunctionGraphModel.from_pretrained(tmp_path / "model"),
                   AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")):
        assert type(loaded) is FunctionGraphModel and not loaded.training
        assert {name: bool(torch.equal(tensor, model.state_dict()[name]))
                for name, tensor in loaded.state_dict().items()} == dict.fromkeys(model.state_dict(), True)
        assert same_logits(loaded, model)
    network, names = load_network(tmp_path / "model")
    assert not network.training and names == list(labels or ["value"])
    assert same_logits(FunctionGraphModel.around(network, labels), model)
    assert {name: tensor.requires_grad for name, tensor in network.named_parameters()} == {
        name: tensor.requires_grad for name, tensor in model.network.named_parameters()}
    config = AutoConfig.from_pretrained(tmp_path / "model")
    assert list(config.id2label.values()) == list(labels or ["value"])
    assert config.problem_type.startswith({"single": "single", "multi": "multi", "regression": "regression"}[task])


def test_our_files_are_those_of_transformers(folder: Path, tmp_path: Path) -> None:
    model = made(folder)
    save_network(model.network, LABELS, tmp_path / "ours")
    model.save_pretrained(tmp_path / "theirs")
    ours, theirs = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("ours", "theirs"))
    assert theirs.pop("transformers_version") and ours == theirs
    with (safe_open(tmp_path / "ours" / "model.safetensors", "pt") as one,
          safe_open(tmp_path / "theirs" / "model.safetensors", "pt") as other):
        assert sorted(one.keys()) == sorted(other.keys()) and one.metadata() == other.metadata()


@pytest.mark.parametrize(("name", "content"), [
    ("config.json", b"{"), ("config.json", b"[]"), ("config.json", None), ("model.safetensors", b"x" * 40),
    ("model.safetensors", None),
])
def test_a_damaged_model_is_told_as_one(name: str, content: bytes | None, folder: Path, tmp_path: Path) -> None:
    save_network(made(folder).network, LABELS, tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError, match=r"is damaged: .*Train it again\."):
        load_network(tmp_path)


def test_a_model_without_names_of_its_classes_is_told_as_damaged(folder: Path, tmp_path: Path) -> None:
    save_network(made(folder).network, LABELS, tmp_path)
    facts = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(facts | {"id2label": None}))
    with pytest.raises(RunError, match="is damaged"):
        load_network(tmp_path)


def test_ids_give_what_texts_give(folder: Path) -> None:
    model = made(folder)
    expected = answers(model.network, toy_inputs(model.network, TEXTS))
    with torch.inference_mode():
        torch.testing.assert_close(model(**tensors(TEXTS), texts=TEXTS).logits, expected)
        padded = {name: torch.nn.functional.pad(tensor, (0, 4)) for name, tensor in tensors(TEXTS).items()}
        torch.testing.assert_close(model(**padded, texts=TEXTS).logits, expected)
        one = model(toy_tokenizer()(TEXTS[0], return_tensors="pt").input_ids, texts=TEXTS[:1]).logits
    torch.testing.assert_close(one, expected[:1])


def test_long_ids_are_cut_as_the_tokeniser_cuts_texts(folder: Path) -> None:
    model = made(folder, *TASKS[2])  # without an exit by words
    texts = [" ".join(WORDS[:20]), "amber boat", " ".join(WORDS[5:16])]
    assert toy_inputs(model.network, texts).lengths.tolist() == [12, 4, 12]
    with torch.inference_mode():
        logits = model(**tensors(texts), texts=texts).logits
    torch.testing.assert_close(logits, answers(model.network, toy_inputs(model.network, texts)))


def test_texts_that_are_not_given_are_decoded(folder: Path, tmp_path: Path) -> None:
    model = made(folder)
    with pytest.raises(InputError, match=r"only token ids were given\. Pass texts"):
        model(**tensors(TEXTS))
    model.save_pretrained(tmp_path)
    toy_tokenizer().save_pretrained(tmp_path)
    loaded = FunctionGraphModel.from_pretrained(tmp_path)
    with torch.inference_mode():
        assert torch.equal(loaded(**tensors(TEXTS)).logits, model(**tensors(TEXTS), texts=TEXTS).logits)


@pytest.mark.parametrize(("task", "head", "labels"), TASKS)
def test_labels_give_a_loss_that_can_be_trained(task: str, head: str, labels: tuple[str, ...], folder: Path) -> None:
    model = made(folder, task, head, labels)
    targets = {"single": torch.tensor([0, 1, 2] * 3), "multi": torch.ones(9, 3, dtype=torch.int64),
               "regression": torch.arange(9.0)}[task]
    out = model(**tensors(TEXTS), labels=targets, texts=TEXTS)
    expected = {"single": lambda: torch.nn.functional.cross_entropy(out.logits, targets),
                "multi": lambda: -out.logits.sigmoid().log().mean(),
                "regression": lambda: (out.logits[:, 0] - targets).square().mean()}[task]()
    torch.testing.assert_close(out.loss, expected)
    out.loss.backward()
    assert model.network.module_of("head").out.weight.grad.any()


def test_a_text_node_of_the_second_text_needs_the_texts(folder: Path) -> None:
    s = Sketch()
    hidden = s.add("embeddings", "embeddings", s.add("text", "text", column="second", max_length=12))
    s.add("head", "classifier", s.add("pool", "pool", hidden))
    model = FunctionGraphModel.around(toy_network(on_tiny(s, folder)), LABELS)
    with pytest.raises(InputError, match=r"'text' reads the second text on its own; call predict"):
        model(**tensors(TEXTS))


def test_pairs_come_in_one_sequence(folder: Path) -> None:
    s = Sketch()
    s.add("head", "classifier", s.add("pool", "pool", s.layers(s.text(max_length=24), 1, 2)))
    model = FunctionGraphModel.around(toy_network(on_tiny(s, folder)), LABELS).eval()
    seconds = toy_texts(9, seed=1, most=6)
    inputs = toy_inputs(model.network, TEXTS, seconds)
    with torch.inference_mode():
        logits = model(**tensors(TEXTS, seconds)).logits
        expected = model.network(inputs.batch(np.arange(9), CPU)).flows["head.out"].value
    torch.testing.assert_close(logits, expected)


PIPELINE = """
import sys
import fgdesign
from transformers import pipeline
classify = pipeline("text-classification", sys.argv[1])
for text in sys.stdin.read().splitlines():
    found = classify(text)[0]
    print(found["label"], repr(found["score"]))
"""


def test_a_pipeline_of_the_default_backbone_in_a_process_that_only_imports_us(tmp_path: Path) -> None:
    info = describe_backbone(DEFAULT_BACKBONE)
    if info.folder is None:
        pytest.skip("the default backbone is not installed")
    s = Sketch()
    s.add("head", "classifier", s.add("pool", "pool", s.layers(s.text(), 1, 1)))
    network = FunctionGraph(plan(s.graph("small"), task="single", classes=3), seed=4).eval()
    tokenizer, texts = load_tokenizer(info), ["a fine day", "the worst of all films, and long as well"]
    save_network(network, LABELS, tmp_path)
    tokenizer.save_pretrained(tmp_path)
    done = subprocess.run([sys.executable, "-c", PIPELINE, tmp_path], input="\n".join(texts),
                          capture_output=True, text=True, check=True, timeout=120)
    from fgdesign.model.inputs import make_inputs

    chances = answers(network, make_inputs(network, tokenizer, texts)).softmax(1)
    found = [line.split() for line in done.stdout.splitlines()]
    assert [label for label, _ in found] == [LABELS[i] for i in chances.argmax(1).tolist()]
    assert [float(score) for _, score in found] == pytest.approx(chances.amax(1).tolist(), abs=1e-5)


def test_transformers_may_be_imported_first() -> None:
    code = ("from transformers.models.auto.modeling_auto import AutoModelForSequenceClassification as Auto; import "
            "fgdesign; print([model.__name__ for model in Auto._model_mapping.values() if 'Graph' in model.__name__])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "['FunctionGraphModel']"


def test_a_pipeline_of_a_graph_that_reads_words(folder: Path, tmp_path: Path) -> None:
    model = made(folder)
    model.save_pretrained(tmp_path)
    toy_tokenizer().save_pretrained(tmp_path)
    classify = pipeline("text-classification", str(tmp_path), top_k=None)
    found = classify(TEXTS, batch_size=4)
    chances = answers(model.network, toy_inputs(model.network, TEXTS)).softmax(1)
    for row, labels in enumerate(found):
        assert {one["label"]: one["score"] for one in labels} == pytest.approx(
            dict(zip(LABELS, chances[row].tolist(), strict=True)), abs=1e-5)


ANSWER = """
import sys, warnings
warnings.simplefilter("error")
import fgdesign, fgdesign.runs.job
from pathlib import Path
from transformers import AutoTokenizer
from fgdesign.model.stored import load_network
from fgdesign.training.adamw import AdamW
from fgdesign.training.fit import fit_temperature
import torch
network, labels = load_network(Path(sys.argv[1]))
AutoTokenizer.from_pretrained(sys.argv[1], local_files_only=True)
weight = torch.nn.Parameter(torch.ones(2))
optimiser = AdamW([{"params": [weight], "lr": 0.1}], 0.0)
weight.square().sum().backward()
optimiser.step()
fit_temperature(torch.eye(3) * 4, torch.tensor([0, 1, 1]), lambda o, t: torch.nn.functional.cross_entropy(o, t))
print(labels, sorted({"torch._dynamo", "sympy", "transformers.modeling_utils"} & set(sys.modules)))
"""


def test_a_process_that_trains_or_answers_loads_no_compiler_and_no_model_classes(folder: Path, tmp_path: Path) -> None:
    """Each costs a process seconds and a hundred megabytes."""
    save_network(made(folder).network, LABELS, tmp_path)
    toy_tokenizer().save_pretrained(tmp_path)
    done = subprocess.run([sys.executable, "-c", ANSWER, tmp_path], capture_output=True, text=True, timeout=120)
    assert (done.stdout.strip(), done.stderr) == (f"{list(LABELS)} []", "")


def test_importing_us_loads_neither_torch_nor_transformers() -> None:
    code = ("import sys, fgdesign; fgdesign.load_graph('linear-probe'); "
            "print(sorted({'torch', 'transformers', 'streamlit', 'sklearn'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["cheap-word-first", "routed-experts", "grow", "adapter-stack"])
def test_starters_survive_a_round_trip(name: str, tmp_path: Path) -> None:
    graph = STARTERS[name].graph
    tiny = replace(describe_backbone(DEFAULT_BACKBONE), width=12, heads=2, ffn_width=16, embedding_width=12,
                   vocab_size=60, dropout=0.0, attention_dropout=0.0)
    network = FunctionGraph(plan(graph, task="single", classes=3, backbone=tiny), seed=1).eval()
    texts = toy_texts(40, seed=9)
    for module in network.lexicals().values():
        module.fit(texts, np.arange(40) % 3)
    model = FunctionGraphModel.around(network, LABELS).eval()
    model.save_pretrained(tmp_path)
    loaded = FunctionGraphModel.from_pretrained(tmp_path)
    assert same_logits(loaded, model)
