"""Where a block stands in its graph: what a builder may read. Knows nothing of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fgdesign.graph.types import Value


@dataclass(frozen=True)
class Place:
    """params: with defaults. inputs: values per port. edge_weights: of the port `in`, 1.0 where none is drawn.

    classes: C of the task. task: single, multi or regression. sizes: of buffers that were fitted before.
    """

    params: Mapping[str, Any]
    inputs: Mapping[str, Sequence[Value]]
    output: Value
    edge_weights: Sequence[float]
    classes: int
    task: str
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def width(self) -> int:
        return self.inputs["in"][0].width

    @property
    def type(self) -> str:
        return self.inputs["in"][0].type

    @property
    def out_width(self) -> int:
        return self.output.width

    def widths(self, port: str) -> list[int]:
        return [value.width for value in self.inputs.get(port, ())]

    def only(self, *names: str) -> dict[str, Any]:
        return {name: self.params[name] for name in names}
