"""Tells transformers of saved function graphs, without loading transformers for those who never use it.

Where it is loaded already, the classes are registered at once; else when its Auto classes are imported: those of
models, slow to load, and those of configurations, which a tokeniser needs too.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

AUTO = "transformers.models.auto."
OURS = {AUTO + "configuration_auto": "fgdesign.model.configuration", AUTO + "modeling_auto": "fgdesign.model.modeling"}


def when_transformers_loads() -> None:
    """Register now or when the Auto classes come. Safe to call more than once."""
    for theirs, ours in OURS.items():
        if theirs in sys.modules:
            importlib.import_module(ours)
        elif not any(isinstance(finder, _Watcher) and finder.theirs == theirs for finder in sys.meta_path):
            sys.meta_path.insert(0, _Watcher(theirs))


class _Watcher(MetaPathFinder):
    """Finds nothing itself; puts a word in when a module is loaded."""

    def __init__(self, theirs: str) -> None:
        self.theirs = theirs

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self.theirs:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Then(spec.loader, OURS[name])
        return spec


class _Then(Loader):
    """Loads as the loader it wraps, then the module that registers ours."""

    def __init__(self, inner: Loader, ours: str) -> None:
        self.inner, self.ours = inner, ours

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.inner.exec_module(module)
        importlib.import_module(self.ours)
