"""From a graph and files to what the loop trains: data, splits, network, rows, static values.

The one place where data, model and training meet. Knows nothing of processes or screens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fgdesign.data import Dataset, Splits, given_splits, load_dataset
from fgdesign.data.known_tokens import KnownTokens
from fgdesign.data.split_rule import split_rule
from fgdesign.errors import DataError, RunError, choices
from fgdesign.graph.backbones import describe_backbone
from fgdesign.graph.edit import fit_task
from fgdesign.graph.infer import known_type, params_of
from fgdesign.graph.spec import Graph
from fgdesign.graph.validate import require_valid
from fgdesign.model.backbone import Backbone, EncoderLayer, load_backbone, load_tokenizer
from fgdesign.model.build import plan
from fgdesign.model.device import default_folder
from fgdesign.model.inputs import Inputs, make_inputs
from fgdesign.model.network import PRETRAINED, FunctionGraph
from fgdesign.runs.folder import RunFolder
from fgdesign.training.losses import Objective, objective, weighed
from fgdesign.training.rows import Rows
from fgdesign.training.settings import Settings

Note = Callable[[str], None]


@dataclass(frozen=True)
class DataChoice:
    """Which files and columns to learn from. Paths are files that `read_table` reads; split: a rule."""

    train: str
    valid: str | None = None
    test: str | None = None
    text: str | None = None
    text_b: str | None = None
    label: str | None = None
    task: str = "auto"
    split: str | None = None


@dataclass(frozen=True)
class Prepared:
    """Everything that training starts from. parts: train, valid and test rows."""

    graph: Graph
    data: Dataset
    splits: Splits
    network: FunctionGraph
    tokenizer: Any
    tokenizer_hash: str
    parts: dict[str, Rows]
    goal: Objective
    notes: tuple[str, ...]


def read_data(choice: DataChoice) -> tuple[Dataset, Splits]:
    """All rows of the given files and their parts. Raises DataError."""
    train = load_dataset(choice.train, text=choice.text, text_b=choice.text_b, label=choice.label, task=choice.task)
    found = train.columns
    others: dict[str, Dataset | None] = {}
    for part, path in (("valid", choice.valid), ("test", choice.test)):
        others[part] = None if path is None else load_dataset(
            path, text=found.text, text_b=found.text_b, label=found.label, task=train.task.kind, labels=train.labels)
    return given_splits(train, others["valid"], others["test"], split_rule(choice.split))


def parts_of(run: RunFolder) -> dict[str, Dataset]:
    """A run's own rows: test, valid and train, as they were in training. Raises RunError or DataError."""
    config = run.config()
    try:
        choice = DataChoice(**config["data"])
    except (KeyError, TypeError):
        raise RunError(f"Run '{run.path}' does not say which data it learned from. Train it again.") from None
    data, splits = read_data(choice)
    return {part: data.subset(getattr(splits, part)) for part in ("test", "valid", "train")}


def fitted_graph(graph: Graph, data: Dataset, *, has_start: bool) -> tuple[Graph, list[str]]:
    """The graph as this data needs it: right heads; nothing frozen that was never trained. And what was changed."""
    notes = []
    kind = data.task.kind
    fitted = fit_task(graph, kind)
    if [n.type for n in fitted.nodes] != [n.type for n in graph.nodes]:
        notes.append(f"The heads were set for this task: {kind}.")
    if not has_start:
        raw = [n.id for n in fitted.nodes if n.tuning == "frozen" and n.type not in PRETRAINED and _learns(n)]
        if raw:
            notes.append(f"Frozen but never trained: {', '.join(raw)}. They learn this time; name an earlier run to "
                         "keep them as they were there.")
            fitted = fitted.with_nodes(replace(n, tuning=None) if n.id in raw else n for n in fitted.nodes)
    return fitted, notes


def _learns(node: Any) -> bool:
    entry = known_type(node)
    return entry is not None and bool(entry.tunings)


def prepare(graph: Graph, data: Dataset, splits: Splits, settings: Settings, *, device: torch.device,
            start: FunctionGraph | None = None, start_labels: Sequence[str] = (), note: Note = print) -> Prepared:
    """Build the network and the rows of each part. Raises GraphError or BackboneError."""
    classes = max(1, len(data.labels))
    graph, notes = fitted_graph(graph, data, has_start=start is not None)
    require_valid(graph, classes)
    columns = _columns_read(graph, data)
    subsets = {"train": data.subset(splits.train), "valid": data.subset(splits.valid), "test": data.subset(splits.test)}
    if not len(splits.valid):
        subsets["valid"] = subsets["train"]
        notes.append("There are no validation rows; the training rows stand in for them.")
    branches = teacher_branches(graph, subsets["train"], start_labels, notes)
    info = describe_backbone(graph.backbone)
    tokenizer, backbone = load_tokenizer(info), without_dropout(load_backbone(info))
    network = FunctionGraph(plan(graph, task=data.task.kind, classes=classes), seed=settings.seed, pretrained=backbone)
    if start is not None:
        notes.append(take_over(network, start, data.labels, start_labels))
    network.to(device)
    for message in notes:
        note(message)
    made_by = tokenizer_hash(tokenizer)
    parts = {name: _rows(network, inputs_of(network, tokenizer, part, columns, made_by), part, branches)
             for name, part in subsets.items()}
    goal = objective(network.plan, class_weights=_class_weights(parts["train"].targets, classes, settings, device),
                     smoothing=settings.label_smoothing, spread=_spread(parts["train"].targets))
    return Prepared(graph, data, splits, network, tokenizer, made_by, parts, weighed(goal, settings), tuple(notes))


def without_dropout(backbone: Backbone) -> Backbone:
    """Fine-tuning a few epochs needs none, and steps are faster without."""
    for module in backbone.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif isinstance(module, EncoderLayer):
            module.attention_dropout = 0.0
    return backbone


def inputs_of(network: FunctionGraph, tokenizer: Any, data: Dataset, columns: Sequence[str],
              made_by: str = "") -> Inputs:
    """A data set as a network reads it; a large one is tokenised once. made_by: the tokeniser's hash, if at hand."""
    known = KnownTokens(default_folder() / "tokens", made_by or tokenizer_hash(tokenizer))
    extra = {name: data.frame[name].astype(str).tolist() for name in columns if name in data.frame}
    return make_inputs(network, tokenizer, data.texts, data.texts_b, extra, tokenise=known.encode)


def _rows(network: FunctionGraph, inputs: Inputs, data: Dataset, branches: dict[str, dict[str, int]]) -> Rows:
    assert data.targets is not None
    graph, taught = network.plan.graph, {}
    for router, places in branches.items():
        cells = data.frame[str(params_of(graph.node(router))["teacher"])].astype(str).str.strip()
        taught[router] = torch.tensor([places.get(cell, -1) for cell in cells])
    return Rows(inputs, torch.from_numpy(np.asarray(data.targets)), taught)


def teacher_branches(graph: Graph, train: Dataset, known: Sequence[str], notes: list[str]) -> dict[str, dict[str, int]]:
    """Per router with a teacher column, the branch (from 0) of each value: values whose labels are `known` first.

    So the first branch, where an earlier run's head is, gets the rows that run was trained for. Adds notes.
    """
    found = {}
    for node in graph.nodes:
        column = str(params_of(node)["teacher"]) if node.type == "router/1" else ""
        if not column:
            continue
        if column not in train.frame:
            notes.append(f"There is no column '{column}' to teach router '{node.id}'; it learns from the answers.")
            continue
        familiar = pd.Series(_has_label(train, known)).groupby(train.frame[column].astype(str).str.strip()).mean()
        values = sorted((value for value in familiar.index if value), key=lambda value: (-familiar[value], value))
        taken = values[:int(str(params_of(node)["branches"]))]
        found[node.id] = {value: place for place, value in enumerate(taken)}
        shown = ", ".join(f"'{value}' to branch_{place}" for place, value in enumerate(taken, 1))
        rest = f"; {len(values) - len(taken)} other values teach nothing" if len(values) > len(taken) else ""
        notes.append(f"Column '{column}' teaches router '{node.id}': {shown or 'it is empty'}{rest}.")
    return found


def _has_label(data: Dataset, names: Sequence[str]) -> np.ndarray:
    """(N,) bool: rows whose label, or one of whose labels, is among `names`."""
    mine = np.array([label in names for label in data.labels], bool)
    targets = np.asarray(data.targets)
    has = np.zeros(len(targets), bool)
    if data.task.kind == "single":
        has |= mine[targets]
    elif data.task.kind == "multi":
        has |= (targets > 0) @ mine
    return has


def _columns_read(graph: Graph, data: Dataset) -> list[str]:
    """Data columns that rules of this graph look at. Raises DataError where one is missing."""
    names = []
    for node in graph.nodes:
        if node.type == "rule_router/1":
            rules = params_of(node)["rules"]
            assert isinstance(rules, list)
            names += [rule["column"] for rule in rules if rule["when"] == "column"]
            for name in names:
                if name not in data.frame:
                    raise DataError(f"Rule router '{node.id}' reads column '{name}', which the data does not have. "
                                    f"{choices(map(str, data.frame.columns), name)}")
    return list(dict.fromkeys(names))


def _class_weights(targets: Tensor, classes: int, settings: Settings, device: torch.device) -> Tensor | None:
    if not settings.class_weights or targets.dim() != 1 or targets.dtype.is_floating_point:
        return None
    counts = torch.bincount(targets, minlength=classes).clamp(min=1).float()
    return (len(targets) / (classes * counts)).to(device)


def _spread(targets: Tensor) -> float:
    if not targets.dtype.is_floating_point or targets.dim() != 1 or len(targets) < 2:
        return 1.0
    return max(float(targets.var()), 1e-6)


def tokenizer_hash(tokenizer: Any) -> str:
    """What tells two tokenisers apart; their truncation settings do not count."""
    tokens = tokenizer.backend_tokenizer
    cut, padded = tokens.truncation, tokens.padding
    tokens.no_truncation()
    tokens.no_padding()
    described = tokens.to_str()
    if cut is not None:
        tokens.enable_truncation(**cut)
    if padded is not None:
        tokens.enable_padding(**padded)
    return hashlib.sha256(described.encode()).hexdigest()


def take_over(network: FunctionGraph, start: FunctionGraph, labels: Sequence[str], old: Sequence[str]) -> str:
    """Copy every tensor of the same name that fits from another network; rows of heads go by label."""
    mine, theirs = network.state_dict(), start.state_dict()
    heads = tuple(f"modules_by_key.{network.keys[node]}.out." for node in network.nodes_of_role("head"))
    rows = [(labels.index(name), old.index(name)) for name in old if name in labels]
    taken = 0
    for name, tensor in theirs.items():
        target, is_head = mine.get(name), name.startswith(heads)
        if target is None or name.endswith("temperature"):
            continue
        if target.shape == tensor.shape and (tuple(labels) == tuple(old) or not is_head):
            mine[name] = tensor
        elif is_head and target.shape[1:] == tensor.shape[1:] and len(tensor) == len(old):
            fresh = torch.zeros_like(target) if name.endswith("weight") else torch.full_like(target, -10.0)
            for to, source in rows:
                fresh[to] = tensor[source]
            mine[name] = fresh
        else:
            continue
        taken += 1
    network.load_state_dict(mine)
    return f"Started from an earlier run: {taken} of {len(mine)} tensors were taken over."
