"""Attributions: they add up, name the planted word, and word functions are told exactly."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from model_graphs import exits_in_a_row
from model_toys import (
    CPU,
    WORDS,
    halve_exits,
    on_tiny,
    spread_routers,
    tiny_folder,
    toy_inputs,
    toy_network,
    toy_texts,
    toy_tokenizer,
)
from test_insight_intervene import routed

from fgdesign.errors import GraphError
from fgdesign.graph.starters import Sketch
from fgdesign.insight.attribute import of_answer, of_gate, without
from fgdesign.model.lexical import Lexical, word_spans, words


def made(sketch: Sketch, folder: Path) -> tuple[SimpleNamespace, object]:
    network = toy_network(on_tiny(sketch, tiny_folder(folder)))
    inputs = toy_inputs(network, toy_texts(8, seed=5))
    spread_routers(network, inputs)
    halve_exits(network, inputs)
    return SimpleNamespace(network=network, device=CPU, labels=["a", "b", "c"], task="single",
                           tokenizer=toy_tokenizer()), inputs


@pytest.mark.parametrize("row", [0, 1, 2])
def test_shares_of_a_gate_add_up_to_what_it_gained(row: int, tmp_path: Path) -> None:
    model, inputs = made(routed(), tmp_path)
    told = of_gate(model, inputs, "router", "branch_2", row)
    assert told.error < 0.05
    assert told.values.sum() == pytest.approx(told.reached - told.start, abs=0.05 * abs(told.reached - told.start))
    with torch.no_grad():
        record = model.network(inputs.batch(np.array([row]), CPU)).record
    assert told.reached == pytest.approx(float(record.choices["router"][1].probabilities[0, 1]), abs=1e-5)
    assert [inputs.texts[row][start:end] for start, end in told.spans if end] == inputs.texts[row].split()


def test_shares_of_an_answer_add_up_whatever_exit_gave_it(tmp_path: Path) -> None:
    model, inputs = made(exits_in_a_row(), tmp_path)
    for row in range(8):
        told = of_answer(model, inputs, row)
        assert told.error < 0.05
        with torch.no_grad():
            outcome = model.network(inputs.batch(np.array([row]), CPU))
            best = float(model.network.logits(outcome, 1).softmax(-1).max())
        if "word" not in told.what:
            assert told.reached == pytest.approx(best, abs=1e-4)


def test_the_word_that_was_planted_moves_the_gate_most(tmp_path: Path) -> None:
    model, _ = made(routed(), tmp_path)
    network = model.network
    planted = WORDS.index("kettle") + 4
    with torch.no_grad():  # the router scores the direction that one word's vector points to
        for layer in ("layer_1", "layer_2"):
            for parameter in network.module_of(layer).parameters():
                parameter.mul_(0.05)
        embeddings = network.module_of("embeddings")
        embeddings.words.weight.mul_(0.05)
        embeddings.words.weight[planted] += torch.linspace(-3, 3, 16)
    texts = ["amber boat kettle door", "kettle garden pencil yarn", "ribbon quarry ink kettle nest"]
    inputs = toy_inputs(network, texts)
    for row, text in enumerate(texts):
        told = of_gate(model, inputs, "router", "branch_1", row)
        start, end = told.spans[told.top(1)[0]]
        assert text[start:end] == "kettle"
        assert "kettle" not in without(told, told.top(1))
        assert without(told, told.top(1), keep=True) == "kettle"


def test_a_gate_that_is_not_there_is_refused(tmp_path: Path) -> None:
    model, inputs = made(routed(), tmp_path)
    with pytest.raises(GraphError, match=r"no learned router 'pool'.*router"):
        of_gate(model, inputs, "pool", "branch_1")
    with pytest.raises(GraphError, match=r"no branch 'branch_7'.*branch_1"):
        of_gate(model, inputs, "router", "branch_7")


@pytest.mark.parametrize("text", ["Late refund, late again", "Ünïcode CAFÉ x", "退款 慢 refund", "!!", "한국어 a"])
def test_words_stand_where_they_are_said_to(text: str) -> None:
    spans = word_spans(text)
    assert [" ".join(words(text[start:end])) for start, end in spans] == words(text)


@pytest.mark.parametrize("characters", [0, 4])
def test_shares_of_words_are_exact(characters: int) -> None:
    texts = ["late refund again", "late parcel", "kind answer", "kind and quick refund"] * 5
    model = Lexical(classes=2, kind="single", ngrams=2, min_count=1, max_terms=500, strength=10.0,
                    characters=characters)
    model.fit(texts, np.array([0, 0, 1, 1] * 5))
    spans, shares, total = model.contributions("late refund, kind", 0)
    logits = model(["late refund, kind"])[0]
    bias = float(model.bias[0] - model.bias[1]) / float(model.temperature)
    assert total == pytest.approx(float(logits[0] - logits[1]) - bias, abs=1e-4)
    assert shares.sum() == pytest.approx(total)
    assert [("late refund, kind"[a:b], share > 0) for (a, b), share in zip(spans, shares, strict=True)] == [
        ("late", True), ("refund", shares[1] > 0), ("kind", False)]
