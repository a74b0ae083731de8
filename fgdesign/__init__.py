"""Function Graph Designer: draw, train and explain function graphs over the layers of a pretrained BERT.

    import fgdesign as fg
    graph = fg.load_graph("routed-experts")
    run = fg.train(graph, "tickets.csv")
    run.predict(["where is my parcel"])
    run.trace("where is my parcel")

Importing it is cheap: torch is loaded when something is computed. Saved models work in transformers'
`pipeline` and Auto classes as soon as this package is imported.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fgdesign import register

try:
    __version__ = version("fgdesign")
except PackageNotFoundError:  # run from a folder that was never installed
    __version__ = "0"

_HOMES = {
    "load_graph": "fgdesign.graph", "Graph": "fgdesign.graph", "validate": "fgdesign.graph",
    "summarise": "fgdesign.graph", "STARTERS": "fgdesign.graph",
    "train": "fgdesign.api", "search": "fgdesign.api", "resume": "fgdesign.api", "load_run": "fgdesign.api",
    "TrainedRun": "fgdesign.api",
}
__all__ = ["STARTERS", "Graph", "TrainedRun", "load_graph", "load_run", "resume", "search", "summarise", "train",
           "validate"]

register.when_transformers_loads()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fgdesign' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
