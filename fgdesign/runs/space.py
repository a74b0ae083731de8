"""What a search may change: choices about settings and about the graph, as plain data; a good space for a graph.

A space is a JSON file:

    {"format": "fgdesign.space/1",
     "choices": {"settings.rate": {"low": 0.0003, "high": 0.003, "log": true},
                 "settings.batch_size": {"values": [16, 32, 64]},
                 "tuned.depth": {"low": 0, "high": 6},
                 "experts.router": {"values": [2, 4, 8]},
                 "exit.exit_2": {"values": [0, 1, 2, 3]},
                 "node.head_*.dropout": {"low": 0.0, "high": 0.4}}}

    settings.NAME          a setting of training
    tuned.depth, .kind     how many of the topmost layers learn; how: full, lora, adapter
    experts.ROUTER         how many equal experts stand behind a router
    exit.EXIT              the layer after which an exit sits; 0 takes it away
    node.NAMES.PARAM       a parameter of a node, of several with a comma, or of all that fit a name with *

A choice is a list of values, or a range: whole numbers where both ends are, "log" for one that spans magnitudes.
Knows nothing of torch, nor of what searches.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from fgdesign.errors import FgdesignError, InputError, choices
from fgdesign.graph import vary
from fgdesign.graph.backbones import describe_backbone
from fgdesign.graph.catalogue import node_type
from fgdesign.graph.edit import set_params
from fgdesign.graph.infer import params_of
from fgdesign.graph.spec import Graph
from fgdesign.training.settings import TABLE, Settings, layer_rate_of, settings_from

FORMAT = "fgdesign.space/1"
KINDS = ("settings", "tuned", "experts", "exit", "node")  # in this order a graph is changed
SAMPLES = 5  # of a range that is checked
MOST_BYTES = 50_000  # of a space file


@dataclass(frozen=True)
class Choice:
    """What one thing may be: one of `values`, or a number between `low` and `high`."""

    values: tuple[Any, ...] = ()
    low: float | int | None = None
    high: float | int | None = None
    log: bool = False

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def some(self) -> tuple[Any, ...]:
        """The values, or some of the range with both ends."""
        if self.low is None or self.high is None:
            return self.values
        step = (self.high - self.low) / (SAMPLES - 1)
        found = [self.low + step * number for number in range(SAMPLES)]
        return tuple(dict.fromkeys(round(value) for value in found)) if self.whole else tuple(found)

    def has(self, value: Any) -> bool:
        if self.low is None or self.high is None:
            return any(value == one and type(value) is type(one) for one in self.values)
        right = isinstance(value, int if self.whole else int | float) and not isinstance(value, bool)
        return right and self.low <= value <= self.high

    def plain(self) -> dict[str, Any]:
        if self.low is None:
            return {"values": list(self.values)}
        return {"low": self.low, "high": self.high} | ({"log": True} if self.log else {})

    def __str__(self) -> str:
        if self.low is None:
            return ", ".join(str(value) for value in self.values)
        return f"{self.low:g} to {self.high:g}" + (", by magnitude" if self.log else "")


Space = dict[str, Choice]


def title(name: str) -> str:
    """A choice as people call it."""
    what, _, rest = name.partition(".")
    if what == "settings":
        return TABLE[rest].label
    if what == "tuned":
        return {"depth": "Layers that learn", "kind": "How layers learn"}.get(rest, name)
    if what == "node":
        names, _, param = rest.rpartition(".")
        return f"{param.replace('_', ' ')} of {names}"
    return f"Experts of {rest}" if what == "experts" else f"{rest} after layer"


def read_space(source: str | Path | bytes | Mapping[str, Any]) -> Space:
    """A space from a file, from what one holds, or from plain data. Raises InputError with what is wrong."""
    data = source if isinstance(source, Mapping) else _parsed(source)
    if not isinstance(data, Mapping) or data.get("format") != FORMAT or not isinstance(data.get("choices"), Mapping):
        raise InputError(f'This is no space: it needs "format": "{FORMAT}" and "choices". Write one with: '
                         "fgdesign search GRAPH DATA --print-space")
    if not data["choices"]:
        raise InputError("The space has no choice, so there is nothing to search. Write a full one with: fgdesign "
                         "search GRAPH DATA --print-space")
    return {str(name): _read(str(name), told) for name, told in data["choices"].items()}


def _parsed(source: str | Path | bytes) -> Any:
    """What a file at a path, or its content, says. Raises InputError."""
    if isinstance(source, str) and source.lstrip().startswith("{"):
        source = source.encode()
    try:
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        if len(content) > MOST_BYTES:
            raise ValueError(f"it has {len(content):,} bytes, and {MOST_BYTES:,} are the limit")
        return json.loads(content.decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"The space cannot be read: {error}. Write one with: fgdesign search GRAPH DATA "
                         "--print-space") from None


def write_space(space: Space) -> str:
    """The text of a space file."""
    return json.dumps({"format": FORMAT, "choices": {name: one.plain() for name, one in space.items()}}, indent=1)


def check_space(space: Space, graph: Graph, settings: Settings) -> None:
    """Raises InputError for a choice that does not fit this graph, whichever else is chosen."""
    for name, choice in space.items():
        known_names(name, graph)
        for value in choice.some():
            try:
                varied(graph, settings, {name: value})
            except FgdesignError as error:
                raise InputError(f"Choice '{name}' may be {value!r}, which is not possible: {error}") from None


def varied(graph: Graph, settings: Settings, chosen: Mapping[str, Any]) -> tuple[Graph, Settings]:
    """The graph and the settings with what was chosen. Raises InputError or GraphError."""
    told = {name.partition(".")[2]: value for name, value in chosen.items() if name.startswith("settings.")}
    changed = settings_from(settings.as_dict() | told) if told else settings
    depth, kind = chosen.get("tuned.depth"), chosen.get("tuned.kind")
    if depth is not None or kind is not None:
        graph = vary.set_tuned(graph, vary.tuned_depth(graph) if depth is None else int(depth),
                               vary.tuned_kind(graph) if kind is None else str(kind))
    for name, value in sorted(chosen.items(), key=lambda item: KINDS.index(item[0].partition(".")[0])):
        what, _, whom = name.partition(".")
        if what == "experts":
            graph = vary.set_experts(graph, whom, int(value))
        elif what == "exit":
            graph = vary.place_exit(graph, whom, int(value))
        elif what == "node":
            graph = _with_param(graph, name, value)
    return graph, changed


def as_drawn(space: Space, graph: Graph, settings: Settings) -> dict[str, Any]:
    """What the graph and the settings have chosen already, where the space allows it."""
    found = {name: _now(name, graph, settings) for name in space}
    return {name: value for name, value in found.items() if space[name].has(value)}


def known_names(name: str, graph: Graph) -> tuple[str, ...]:
    """The nodes that a choice is about; none for one about settings. Raises InputError for what is not there."""
    what, _, rest = name.partition(".")
    if what == "settings" and rest in TABLE:
        return ()
    if what == "settings":
        raise InputError(f"Choice '{name}' is about no setting. {choices(TABLE, rest)}")
    if what == "tuned" and rest in ("depth", "kind") and vary.layers(graph):
        return ()
    if what == "node" and rest.count(".") == 1:
        return _fitting(name, graph)
    if what == "experts" and rest in graph.ids and vary.experts(graph, rest):
        return (rest,)
    if what == "exit" and rest in vary.exit_layers(graph):
        return (rest,)
    raise InputError(f"Choice '{name}' fits nothing in graph '{graph.name}'. A choice is settings.NAME, tuned.depth, "
                     "tuned.kind, experts.ROUTER, exit.EXIT or node.NAMES.PARAM.")


def _fitting(name: str, graph: Graph) -> tuple[str, ...]:
    _, names, param = name.split(".")
    wanted = [one.strip() for one in names.split(",")]
    found = tuple(node.id for node in graph.nodes if any(fnmatchcase(node.id, one) for one in wanted)
                  and node_type(node.type).param(param) is not None)
    if not found:
        raise InputError(f"Choice '{name}' fits no node that has a parameter '{param}'. {choices(graph.ids, names)}")
    return found


def _with_param(graph: Graph, name: str, value: Any) -> Graph:
    """Nodes that the structure took away are no longer asked for."""
    _, names, param = name.split(".")
    wanted = [one.strip() for one in names.split(",")]
    for node in graph.nodes:
        if any(fnmatchcase(node.id, one) for one in wanted) and node_type(node.type).param(param) is not None:
            calls = node.type == vary.ROUTER and param == "k"
            graph = vary.set_calls(graph, node.id, value) if calls else set_params(graph, node.id, **{param: value})
    return graph


def setting_now(name: str, graph: Graph, settings: Settings) -> Any:
    """What a setting comes to for a graph: the planner's rate of layers where none is set. Raises BackboneError."""
    if name == "layer_rate":
        return layer_rate_of(settings, describe_backbone(graph.backbone).width)
    return getattr(settings, name)


def _now(name: str, graph: Graph, settings: Settings) -> Any:
    what, _, rest = name.partition(".")
    if what == "settings":
        return setting_now(rest, graph, settings)
    if what == "tuned":
        return vary.tuned_depth(graph) if rest == "depth" else vary.tuned_kind(graph)
    if what == "experts":
        return len(vary.experts(graph, rest))
    if what == "exit":
        return vary.exit_layer(graph, rest)
    nodes = _fitting(name, graph)
    return params_of(graph.node(nodes[0]))[rest.split(".")[1]]


def _read(name: str, told: Any) -> Choice:
    """One choice. Raises InputError."""
    if not isinstance(told, Mapping) or set(told) not in ({"values"}, {"low", "high"}, {"low", "high", "log"}):
        raise InputError(f"Choice '{name}' is {told!r}; it has \"values\", or \"low\" and \"high\", and \"log\" where "
                         "it spans magnitudes.")
    if name.partition(".")[0] not in KINDS or not name.partition(".")[2]:
        raise InputError(f"There is no choice '{name}'. It begins with one of: {', '.join(KINDS)}.")
    if "values" in told:
        values = told["values"]
        if not isinstance(values, list) or len(values) < 2 or any(isinstance(v, dict | list) for v in values):
            raise InputError(f"Choice '{name}' has {values!r}; it needs two values at least, each a word, a number, "
                             "true or false.")
        return Choice(tuple(values))
    low, high, log = told["low"], told["high"], told.get("log", False)
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))
    if not numbers or not low < high or not isinstance(log, bool) or (log and low <= 0):
        raise InputError(f"Choice '{name}' goes from {low!r} to {high!r}; it needs two numbers, the lower first, both "
                         "above 0 for \"log\".")
    return Choice(low=low, high=high, log=log)


def with_drawn(choice: Choice, value: Any) -> Choice:
    """The same choice, so widened that a value belongs to it."""
    if choice.has(value) or value is None:
        return choice
    if choice.low is None or choice.high is None:
        return replace(choice, values=(value, *choice.values))
    return replace(choice, low=min(choice.low, value), high=max(choice.high, value))
