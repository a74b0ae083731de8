"""A data set answered once: what each row says agrees with the graph run on it alone, and is found again on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from model_graphs import exit_inside_a_branch, exits_in_a_row, logits_united, nested_routers, rules_on_tokens
from model_toys import CPU, halve_exits, on_tiny, tiny_folder, toy_inputs, toy_network, toy_texts, toy_tokenizer

from fgdesign.data import Dataset
from fgdesign.data.columns import Columns
from fgdesign.data.task import Task
from fgdesign.errors import DataError
from fgdesign.insight import answered_set as module
from fgdesign.insight.answered_set import AnsweredSet, answered, load_answered
from fgdesign.insight.router_health import stability
from fgdesign.insight.tracing import trace
from fgdesign.model.network import FunctionGraph

LABELS = ("ash", "birch", "=cedar")
ROWS = 30


@dataclass
class Toy:
    """A model as `fgdesign.load_run` gives one."""

    network: FunctionGraph
    task: str = "single"
    labels: Any = LABELS
    tokenizer: Any = None
    device: torch.device = CPU

    def __post_init__(self) -> None:
        self.tokenizer = toy_tokenizer()
        self.labels = [] if self.task == "regression" else list(self.labels)


def rows(task: str = "single", count: int = ROWS, *, second: bool = False) -> Dataset:
    rng = np.random.default_rng(3)
    targets = {"single": rng.integers(0, 3, count), "multi": rng.integers(0, 2, (count, 3)).astype(np.float32),
               "regression": rng.normal(size=count).astype(np.float32)}[task]
    texts = toy_texts(count, seed=4)
    frame = pd.DataFrame({"text": texts, "kind": rng.choice(["a", "b"], count), "length": "odd"})
    labels = () if task == "regression" else LABELS
    return Dataset(texts, toy_texts(count, seed=5) if second else None, targets, Task(task, labels, ""),  # type: ignore[arg-type]
                   Columns("text", None, None, ()), frame, np.arange(2, count + 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("tiny"))


def toy(folder: Path, sketch: Any, task: str = "single") -> Toy:
    network = toy_network(on_tiny(sketch(), folder, task), task, 1 if task == "regression" else 3, shake=0.6)
    if network.nodes_of_role("exit"):
        halve_exits(network, toy_inputs(network, toy_texts(ROWS, seed=4)))
        for node in network.nodes_of_role("exit"):  # no row stands on the very threshold
            network.module_of(node).threshold.sub_(1e-3)  # type: ignore[operator]
    return Toy(network, task)


@pytest.mark.parametrize("sketch", [nested_routers, exit_inside_a_branch, exits_in_a_row, rules_on_tokens,
                                    logits_united])
def test_every_row_is_told_as_its_own_trace_tells_it(folder: Path, sketch: Any) -> None:
    model, data = toy(folder, sketch), rows()
    found = answered(model, data)
    inputs = module.inputs_of(model, data)
    for row in range(0, ROWS, 5):
        told, logits = trace(model.network, inputs, row, CPU)
        np.testing.assert_allclose(found.outputs[row], logits.softmax(-1)[0].numpy(), atol=2e-2)
        assert found.layers[row] == told["layers"]
        assert found.exit[row] == (told["exit"] or "answer")
        states = {node["id"]: node["state"] in ("called", "idle") for node in told["nodes"]}
        assert dict(zip(found.nodes, found.called[row].tolist(), strict=True)) == states


def test_progress_ends_at_the_last_row(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    answered(toy(folder, exits_in_a_row), rows(count=150), lambda done, of: told.append((done, of)))
    done = [n for n, _ in told]
    assert len(told) > 2 and done == sorted(done) and told[-1] == (150, 150)


@pytest.mark.parametrize("task", ["single", "multi", "regression"])
def test_right_loss_and_confidence_follow_from_outputs(folder: Path, task: str) -> None:
    found = answered(toy(folder, nested_routers, task), rows(task))
    outputs, targets = found.outputs, found.targets
    assert found.loss is not None and targets is not None
    if task == "regression":
        assert found.right is None and found.confidence is None
        np.testing.assert_allclose(found.loss, (outputs - targets) ** 2, rtol=1e-5)
        assert found.prediction.dtype == np.float64
        return
    assert found.right is not None and found.confidence is not None and found.truth is not None
    np.testing.assert_array_equal(found.right, found.prediction == found.truth)
    if task == "single":
        np.testing.assert_allclose(found.loss, torch.nn.functional.nll_loss(
            torch.from_numpy(outputs).double().log(), torch.from_numpy(targets), reduction="none").numpy())
        np.testing.assert_allclose(found.confidence, outputs.max(1))
    else:
        kept = torch.nn.functional.binary_cross_entropy(
            torch.from_numpy(outputs).double(), torch.from_numpy(targets).double(), reduction="none")
        np.testing.assert_allclose(found.loss, kept.mean(1).numpy(), rtol=1e-6)


def test_the_table_has_our_columns_then_those_of_the_file(folder: Path) -> None:
    found = answered(toy(folder, nested_routers), rows())
    frame = found.frame()
    assert list(frame) == ["row", "text", "label", "prediction", "right", "confidence", "loss", "route", "layers",
                           "length", "script", "outer", "inner", "kind", "length (file)"]
    assert frame["row"].tolist() == list(range(2, ROWS + 2))
    assert set(frame["outer"]) <= {"branch_1", "branch_2"} and set(frame["script"]) == {"Latin"}
    other = set(frame.loc[frame["outer"] == "branch_2", "inner"])
    assert other <= {""}, "a router behind a branch not taken chose nothing"


def test_filters_meet(folder: Path) -> None:
    found = answered(toy(folder, nested_routers), rows())
    frame = found.frame()
    wanted = frame[frame["text"].str.contains("KITE", case=False) | True]
    assert len(found.where()) == len(wanted)
    places = found.where("kite", {"confidence": (0.0, 0.9)}, right=False)
    expected = frame[frame["text"].str.contains("kite") & (frame["confidence"] <= 0.9) & ~frame["right"]]
    assert places.tolist() == expected.index.tolist()
    some = found.at(places)
    assert some.frame()["row"].tolist() == expected["row"].tolist() and len(some.called) == len(places)
    with pytest.raises(DataError, match=r"no column 'rigth'.*right"):
        found.where(rigth=True)


def test_without_labels_there_is_an_answer_but_no_right(folder: Path) -> None:
    data = replace(rows(), targets=None)
    found = answered(toy(folder, rules_on_tokens), data)
    assert found.truth is None and found.right is None and found.loss is None
    assert not {"label", "right", "loss"} & set(found.frame())


def test_no_rows_are_no_trouble(folder: Path) -> None:
    assert len(answered(toy(folder, nested_routers), rows().subset([])).frame()) == 0


@pytest.mark.parametrize("sketch", [nested_routers, exits_in_a_row, rules_on_tokens])
def test_what_is_kept_comes_back_for_the_same_rows_only(folder: Path, tmp_path: Path, sketch: Any) -> None:
    data = rows()
    found = answered(toy(folder, sketch), data)
    file = tmp_path / "deep" / "rows.npz"
    found.save(file)
    again = load_answered(file, data)
    assert isinstance(again, AnsweredSet)
    pd.testing.assert_frame_equal(again.frame(), found.frame())
    assert (again.called == found.called).all() and again.nodes == found.nodes
    assert load_answered(file, data.subset(range(5))) is None
    file.write_bytes(file.read_bytes()[:200])
    assert load_answered(file, data) is None
    assert load_answered(tmp_path / "none.npz", data) is None


def test_runs_are_alike_where_their_rows_leave_at_the_same_exits(folder: Path) -> None:
    found = answered(toy(folder, exits_in_a_row), rows())
    assert len(set(found.exit.tolist())) > 1
    table = stability([found, found]).set_index("router")
    assert table.loc["exits", "agreement"] == pytest.approx(1.0)
    turned = replace(found, answers=replace(found.answers, exits=np.roll(found.answers.exits, 1)))
    assert stability([found, turned]).set_index("router").loc["exits", "agreement"] < 0.9
