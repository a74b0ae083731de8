"""The vocabulary of the catalogue: values on ports, parameters, costs, node types.

Knows nothing of particular node types, torch or Streamlit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fgdesign.errors import FgdesignError
from fgdesign.graph.backbones import BackboneInfo
from fgdesign.graph.spec import shown

TOKENS, SEQUENCE, VECTOR, LOGITS = "tokens", "sequence", "vector", "logits"
HIDDEN = (SEQUENCE, VECTOR)
ANY = (TOKENS, SEQUENCE, VECTOR, LOGITS)
MOST_RULES = 100


@dataclass(frozen=True)
class Value:
    """What flows through a port.

    type: tokens (ids and mask, B x T), sequence (B x T x width), vector (B x width) or
    logits (B x classes). width: 0 for tokens and for logits whose classes are not known yet.
    length: which positions a sequence has: the text node it comes from, plus soft prompts.
    """

    type: str
    width: int = 0
    length: str = ""

    def __str__(self) -> str:
        return f"{self.type} {self.width}" if self.width else self.type


@dataclass(frozen=True)
class Port:
    """A typed end of a node. `many` takes several edges; `optional` may stay empty."""

    name: str
    types: tuple[str, ...]
    many: bool = False
    optional: bool = False


@dataclass(frozen=True)
class Param:
    """One setting of a node type: its kind, range or choices, default, unit and help."""

    name: str
    kind: str  # int | float | bool | choice | text | rules
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    unit: str = ""

    def problem(self, value: Any) -> str | None:
        """Why `value` is not allowed, or None."""
        match self.kind:
            case "bool":
                fits, rule = isinstance(value, bool), "is not true or false"
            case "choice":
                fits = isinstance(value, str) and value in self.choices
                rule = f"is not one of: {', '.join(self.choices)}"
            case "text":
                fits, rule = isinstance(value, str) and len(value) <= 1000, "is not a text of 1,000 characters at most"
            case "rules":
                fits = isinstance(value, list) and len(value) <= MOST_RULES
                rule = f"is not a list of {MOST_RULES} rules at most"
            case _:
                return self._number_problem(value)
        return None if fits else f"{shown(value)} {rule}"

    def _number_problem(self, value: Any) -> str | None:
        low, high = float("-inf") if self.low is None else self.low, float("inf") if self.high is None else self.high
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"{shown(value)} is not a number"
        if self.kind == "int" and not isinstance(value, int):
            return f"{shown(value)} is not a whole number"
        return None if low <= value <= high else f"{shown(value)} is outside {low:g} to {high:g}"


@dataclass(frozen=True)
class Cost:
    """Parameters of a node and its multiply-adds, per token of a sequence and once per text."""

    parameters: int = 0
    trained: int = 0
    macs_per_token: int = 0
    macs_per_text: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.parameters + other.parameters,
            self.trained + other.trained,
            self.macs_per_token + other.macs_per_token,
            self.macs_per_text + other.macs_per_text,
        )


class ShapeError(FgdesignError):
    """Raised by a shape rule: why the inputs do not fit, and the fix."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


class MisfitError(ShapeError):
    """A value can never fit here, whatever is set or connected next: an edge that brings it is refused."""


@dataclass(frozen=True)
class Site:
    """Where a node stands while shapes and costs are inferred.

    params: with defaults filled in. inputs: per port the values that arrive, in drawing order.
    classes: number of classes (or targets); 0 while no data is known.
    """

    params: Mapping[str, Any]
    inputs: Mapping[str, Sequence[Value]]
    backbone: BackboneInfo
    tuning: str
    classes: int = 0
    outputs: Mapping[str, Value] = field(default_factory=dict)

    def first(self, port: str = "in") -> Value:
        return self.inputs[port][0]

    def all_same(self, port: str = "in") -> Value:
        """The one shape that all inputs of a port have. Raises MisfitError where they differ."""
        first, *others = self.inputs[port]
        for other in others:
            if other.type != first.type:
                raise MisfitError(f"it joins {first} with {other}", "Bring both to one type, for instance with pool.")
            if other.width != first.width and first.type == LOGITS:
                raise MisfitError("it joins the logits of classes with those of a number", "Use heads of one kind.")
            if other.width != first.width:
                raise MisfitError(f"it joins width {first.width} with width {other.width}",
                                  f"Insert project to {first.width} before it.")
            if other.length != first.length:
                raise MisfitError("it joins sequences of different lengths", "Pool each of them first.")
        return first

    def per(self, value: Value, macs: int, parameters: int = 0) -> Cost:
        """A cost that arises per token for a sequence and once per text for anything else."""
        trained = 0 if self.tuning == "frozen" else parameters
        if value.type == SEQUENCE:
            return Cost(parameters, trained, macs_per_token=macs)
        return Cost(parameters, trained, macs_per_text=macs)


Shapes = Callable[[Site], dict[str, Value]]
Costs = Callable[[Site], Cost]


def same_out(site: Site) -> dict[str, Value]:
    """Shape rule: what comes in goes out."""
    return {"out": site.all_same()}


def free(site: Site) -> Cost:
    """Cost rule: nothing worth counting."""
    return Cost()


@dataclass(frozen=True)
class NodeType:
    """One entry of the catalogue."""

    name: str
    category: str
    title: str
    summary: str
    inputs: tuple[Port, ...]
    shapes: Shapes = same_out
    costs: Costs = free
    params: tuple[Param, ...] = ()
    outputs: tuple[str, ...] = ("out",)
    tunings: tuple[str, ...] = ()
    default_tuning: str = "full"
    branches: bool = False  # outputs are branch_1 .. branch_N, N = params["branches"]
    role: str = "function"  # function | source | router | exit | merge | head | answer | lexical
    deterministic: bool = True

    def output_names(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        if not self.branches:
            return self.outputs
        return tuple(f"branch_{i + 1}" for i in range(self.with_defaults(params)["branches"]))

    def input(self, name: str) -> Port | None:
        return next((port for port in self.inputs if port.name == name), None)

    def param(self, name: str) -> Param | None:
        return next((param for param in self.params if param.name == name), None)

    def with_defaults(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Every parameter; what is not set, or set to what is not allowed, has its default."""
        full = {param.name: param.default for param in self.params}
        for param in self.params if params else ():
            if param.name in params and param.problem(params[param.name]) is None:
                full[param.name] = params[param.name]
        return full


def with_outputs(site: Site, outputs: Mapping[str, Value]) -> Site:
    return replace(site, outputs=outputs)
