"""The files of a trained network, as transformers reads them, without loading the model classes of transformers.

Those cost a process several seconds and much memory. Knows nothing of runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from fgdesign.errors import RunError
from fgdesign.graph.backbones import BackboneInfo
from fgdesign.graph.spec import from_dict, to_dict
from fgdesign.model.build import plan
from fgdesign.model.network import FunctionGraph
from fgdesign.model.unfilled import Unfilled

CONFIG, WEIGHTS = "config.json", "model.safetensors"
PREFIX = "network."  # of a tensor's name: where `FunctionGraphModel` keeps the network
MODEL_TYPE = "fgdesign"
PROBLEMS = {"single": "single_label_classification", "multi": "multi_label_classification", "regression": "regression"}


def facts_of(network: FunctionGraph, labels: Sequence[str]) -> dict[str, Any]:
    """What `FunctionGraphConfig` is made of. labels: names of the C classes; empty for a regression."""
    what, names = network.plan, list(labels) or ["value"]
    return {
        "graph": to_dict(what.graph), "task": what.task,
        "backbone": {key: value for key, value in asdict(what.backbone).items() if key != "folder"},
        "lexical": {node: module.sizes for node, module in network.lexicals().items()},
        "id2label": dict(enumerate(names)), "label2id": {name: place for place, name in enumerate(names)},
    }


def empty_network(facts: Mapping[str, Any]) -> FunctionGraph:
    """The modules of a saved graph, without its weights."""
    backbone = replace(BackboneInfo(**facts["backbone"]), dropout=0.0, attention_dropout=0.0)
    classes = 1 if facts["task"] == "regression" else len(facts["id2label"] or ())
    return FunctionGraph(plan(from_dict(facts["graph"]), task=facts["task"], classes=classes, backbone=backbone,
                              sizes=facts["lexical"]))


def save_network(network: FunctionGraph, labels: Sequence[str], folder: Path) -> None:
    """Write config.json and model.safetensors; `AutoModelForSequenceClassification` reads them.

    Args: labels: names of the C classes; empty for a regression. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    facts = facts_of(network, labels)
    config = facts | {"architectures": ["FunctionGraphModel"], "model_type": MODEL_TYPE, "dtype": "float32",
                      "problem_type": PROBLEMS[facts["task"]]}
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
    tensors = {PREFIX + name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})


def load_network(folder: Path) -> tuple[FunctionGraph, list[str]]:
    """A saved network and the names of its classes.

    Every tensor gets memory of its own: a view of the file may start at any byte, kernels then sum in another order,
    and the same weights would not answer with the same bits.

    Raises RunError where a file is damaged.
    """
    try:
        facts = json.loads((folder / CONFIG).read_text("utf-8"))
        with Unfilled():
            network = empty_network(facts)
        tensors = {name.removeprefix(PREFIX): tensor.clone() for name, tensor in load_file(folder / WEIGHTS).items()}
        network.load_state_dict(tensors, assign=True)
        names = {int(place): str(name) for place, name in facts["id2label"].items()}
        return network.eval(), [names[place] for place in range(len(names))]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise damaged(folder, error) from error


def damaged(folder: Path, error: Exception) -> RunError:
    """What is said where a saved model, or its tokeniser, cannot be read."""
    return RunError(f"The model in '{folder}' is damaged: {error}. Train it again.")
