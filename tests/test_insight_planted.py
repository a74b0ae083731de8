"""Planted facts: two experts that know one class group each and a router trained on them, and a router of no use.

Replay, badges, importance and health must state what was planted, from nothing but the trained graph and its rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import torch
from model_toys import CPU, TINY, WORDS, on_tiny, tiny_folder, toy_inputs, toy_tokenizer
from torch import nn

from fgdesign import insight
from fgdesign.data import Dataset
from fgdesign.data.columns import Columns
from fgdesign.data.task import Task
from fgdesign.graph.starters import Sketch
from fgdesign.insight.intervene import Change, steer_of
from fgdesign.model.backbone import random_backbone
from fgdesign.model.build import plan
from fgdesign.model.flows import Batch, Flow
from fgdesign.model.inputs import Inputs
from fgdesign.model.network import FunctionGraph

LABELS = ("fruit sweet", "fruit sour", "tool old", "tool new")
KEYS = ("lemon", "onion", "hammer", "needle")  # the word that tells each class; the first two are one group
FILLING = tuple(word for word in WORDS if word not in KEYS)
ROWS = 240


@dataclass
class Planted:
    """A model as `fgdesign.load_run` gives one, with its rows."""

    network: FunctionGraph
    data: Dataset
    tokenizer: Any
    labels: list[str]
    task: str = "single"
    device: torch.device = CPU

    def one(self, text: str) -> Inputs:
        return toy_inputs(self.network, [text])

    def predict(self, texts: list[str]) -> list[dict[str, Any]]:
        outputs = insight.answers(self, toy_inputs(self.network, texts)).outputs
        return [{"prediction": self.labels[int(row.argmax())],
                 "probabilities": dict(zip(self.labels, row.tolist(), strict=True))} for row in outputs]


def rows() -> Dataset:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 4, ROWS)
    texts = [" ".join(rng.permutation([KEYS[t], *rng.choice(FILLING, rng.integers(2, 5))])) for t in targets]
    return Dataset(texts, None, targets, Task("single", LABELS, ""), Columns("text", None, None, ()),
                   pd.DataFrame({"text": texts}), np.arange(2, ROWS + 2))


def sketch() -> Sketch:
    s = Sketch()
    pool = s.add("pool", "pool", s.layers(s.text(max_length=24), 1, 1))
    s.add("router", "router", pool, branches=2)
    experts = [s.add(f"expert_{i}", "ffn", f"router.branch_{i}", hidden=16, residual=False) for i in (1, 2)]
    s.add("head", "classifier", s.add("merge", "merge", *experts), dropout=0.0)
    return s


def learn(network: FunctionGraph, part: str, vectors: torch.Tensor, targets: torch.Tensor,
          change: Change, steps: int = 150) -> None:
    """Train one node alone on some rows. vectors: (n, D) the pooled texts."""
    parameters = list(network.module_of(part).parameters())
    optimiser = torch.optim.Adam(parameters, 0.03)
    steer = steer_of(network, change)
    for _ in range(steps):
        batch = Batch(len(vectors), given={"pool.out": Flow(vectors)}, steer=steer)
        logits = network.logits(network(batch), len(vectors))
        optimiser.zero_grad()
        nn.functional.cross_entropy(logits, targets).backward()
        optimiser.step()


@pytest.fixture(scope="module", params=["of use", "useless"])
def planted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Planted, bool]:
    """Experts are trained alone, frozen, then the router is; of no use: both experts are one and the same,
    and know all four classes."""
    of_use = request.param == "of use"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        graph = on_tiny(sketch(), tiny_folder(tmp_path_factory.mktemp("tiny")))
        what = plan(graph, task="single", classes=4, backbone=TINY)
        network = FunctionGraph(what, seed=0, pretrained=random_backbone(TINY, seed=1)).eval()
        data = rows()
        with torch.no_grad():  # the four words stand out, the encoder changes little
            for parameter in network.module_of("layer_1").parameters():
                parameter.mul_(0.05)
            words: Any = network.module_of("embeddings")
            for place, key in enumerate(KEYS):
                words.words.weight[WORDS.index(key) + 4, 4 * place : 4 * place + 4] += 8.0
            head: Any = network.module_of("head")
            head.norm = nn.Identity()
            head.out.weight.copy_(torch.eye(4, 16) * 2)
            head.out.bias.zero_()
            inputs = toy_inputs(network, data.texts)
            vectors = network(inputs.batch(np.arange(ROWS), CPU), wanted=("pool.out",)).flows["pool.out"].value
        targets = torch.as_tensor(data.targets)
        for number in (1, 2):
            mine = (targets // 2 == number - 1) if of_use else torch.ones(ROWS, dtype=torch.bool)
            learn(network, f"expert_{number}", vectors[mine], targets[mine],
                  Change(force={"router": f"branch_{number}"}))
        if not of_use:
            network.module_of("expert_2").load_state_dict(network.module_of("expert_1").state_dict())
        network.train()
        learn(network, "router", vectors, targets, Change())
        network.eval()
    return Planted(network, data, toy_tokenizer(), list(LABELS)), of_use


def group_of(data: Dataset) -> np.ndarray:
    return np.asarray(data.targets) // 2


def test_the_rows_go_where_they_were_meant_to(planted: tuple[Planted, bool]) -> None:
    model, of_use = planted
    found = insight.answered(model, model.data)
    assert found.right is not None and found.right.mean() > 0.95
    if of_use:
        assert (found.answers.called["router"].argmax(1) == group_of(model.data)).mean() > 0.97
    table = insight.route_by(found, "label")
    clear = table[(table["q"] < 0.05) & (table["share"] > table["elsewhere"])]
    owned = {(row.route, row.value) for row in clear.itertuples()}
    meant = {(f"router:branch_{1 + place // 2}", name) for place, name in enumerate(LABELS)}
    assert (meant <= owned) is of_use


def test_replay_and_badges_state_it(planted: tuple[Planted, bool]) -> None:
    model, of_use = planted
    inputs = toy_inputs(model.network, model.data.texts)
    groups, decisive, right = group_of(model.data), [], []
    for row in range(24):
        told, _ = insight.trace(model.network, inputs, row, CPU)
        states = {node["id"]: node["state"] for node in told["nodes"]}
        assert sorted((states["expert_1"], states["expert_2"])) == ["called", "skipped"]
        right.append(states[f"expert_{groups[row] + 1}"] == "called")
        badge = insight.OneText(model, inputs, row).badges()["router"]
        decisive.append(badge.decisive)
        if of_use and right[-1]:
            other = next(a for a in badge.alternatives if not a.taken)
            assert other.verdict.prediction.split()[0] != LABELS[model.data.targets[row]].split()[0]  # type: ignore[index]
    if of_use:
        assert np.mean(right) > 0.95
    assert np.mean(decisive) > 0.9 if of_use else np.mean(decisive) < 0.1


def test_importance_states_it(planted: tuple[Planted, bool]) -> None:
    model, of_use = planted
    table = insight.importance(model, model.data).set_index(["node", "change"])
    groups = group_of(model.data)
    for branch, knows in (("branch_1", groups == 0), ("branch_2", groups == 1)):
        row = table.loc[("router", branch)]
        if of_use:  # forcing a branch loses the classes that its expert does not know
            assert row["lost"] == pytest.approx(1 - knows.mean(), abs=0.05)
            assert row["lost_low"] > 0.3 and row["q"] < 0.01
        else:
            assert abs(row["lost"]) < 0.05
        assert row["lost_low"] <= row["lost"] <= row["lost_high"]
    assert table.index.get_level_values(0).isin(["router", "expert_1", "expert_2", "layer_1"]).all()


def test_health_and_the_verdict_state_it(planted: tuple[Planted, bool]) -> None:
    model, of_use = planted
    found = insight.answered(model, model.data)
    told = insight.health(found)[0]
    assert told.by_class is not None and told.by_class.p is not None
    if of_use:  # the route tells the group: ln 2 nats, which length does not
        assert told.by_class.value == pytest.approx(np.log(2), abs=0.08) and told.by_class.p < 0.01
        assert told.by_length.value < 0.03
        assert not told.collapsed and not told.dead and told.spread > 0.95
    keep = insight.earns(model, model.data)[0]
    assert keep.name == "router"
    gain = keep.table.set_index("control")["gain"]
    if of_use:
        assert keep.verdict.startswith("Routing earns its keep") and "beats every single branch" in keep.verdict
        assert gain["random routes"] > 0.3 and (keep.table["p"] < 0.01).all()
    else:
        assert keep.verdict.startswith("Routing is not shown to earn its keep"), keep.verdict
        assert gain.abs().max() < 0.05
    same = insight.stability([found, found])
    assert same["agreement"].tolist() == [1.0]


def test_a_forced_branch_answers_as_the_graph_rebuilt_without_the_other(planted: tuple[Planted, bool],
                                                                        tmp_path: Path) -> None:
    model, _ = planted
    inputs = toy_inputs(model.network, model.data.texts)
    for number in (1, 2):
        s = Sketch()
        pool = s.add("pool", "pool", s.layers(s.text(max_length=24), 1, 1))
        s.add("head", "classifier", s.add(f"expert_{number}", "ffn", pool, hidden=16, residual=False), dropout=0.0)
        what = plan(on_tiny(s, tiny_folder(tmp_path)), task="single", classes=4, backbone=TINY)
        rebuilt = FunctionGraph(what, seed=0, pretrained=random_backbone(TINY, seed=1)).eval()
        head: Any = rebuilt.module_of("head")
        head.norm = nn.Identity()
        rebuilt.load_state_dict({name: value for name, value in model.network.state_dict().items()
                                 if name in rebuilt.state_dict()})
        alone = insight.answers(Planted(rebuilt, model.data, None, model.labels), toy_inputs(rebuilt, inputs.texts))
        forced = insight.answers(model, inputs, Change(force={"router": f"branch_{number}"}))
        np.testing.assert_allclose(forced.outputs, alone.outputs, atol=1e-6)


def test_attributions_are_complete_and_name_the_word(planted: tuple[Planted, bool]) -> None:
    model, of_use = planted
    if not of_use:
        return
    inputs = toy_inputs(model.network, model.data.texts)
    hits = []
    for row in range(12):
        branch = f"branch_{group_of(model.data)[row] + 1}"
        gate, answer = insight.of_gate(model, inputs, "router", branch, row), insight.of_answer(model, inputs, row)
        assert gate.error < 0.05 and answer.error < 0.05
        start, end = answer.spans[answer.top(1)[0]]
        hits.append(answer.text[start:end] == KEYS[model.data.targets[row]])  # type: ignore[index]
    assert np.mean(hits) > 0.8


def test_shown_words_carry_the_answer_and_random_ones_do_not(planted: tuple[Planted, bool]) -> None:
    model, _ = planted
    texts = [text for text in model.data.texts if len(text.split()) >= 5][:12]
    table = insight.faithfulness(model, ["amber", *texts], share=0.2)
    assert table["text"].tolist() == texts and set(table["shown"]) == {1}
    assert table["comprehensiveness"].mean() > table["random_comprehensiveness"].mean() + 0.2
    assert table["sufficiency"].mean() < table["random_sufficiency"].mean() - 0.2


def test_every_name_of_the_package_is_there_and_figures_are_plotly(planted: tuple[Planted, bool]) -> None:
    model, _ = planted
    assert all(getattr(insight, name).__doc__ for name in insight.__all__)
    found = insight.answered(model, model.data)
    for figure in (insight.flow_figure(insight.flows(found)), insight.route_matrix(insight.route_by(found)),
                   insight.route_error_bars(insight.route_errors(found)),
                   insight.exit_curve(insight.exit_table(model, found))):
        assert isinstance(figure, go.Figure)
