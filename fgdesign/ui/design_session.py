"""One person's work on one graph: history with names, selection, clipboard, and the talk with the canvas.

All edits come in as operations through `receive` (the canvas) or `do` (a form). Knows nothing of Streamlit
or files; the page keeps a session in the session state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fgdesign.errors import FgdesignError, GraphError
from fgdesign.graph.infer import Inference, Summary, infer, summarise
from fgdesign.graph.layout import placed
from fgdesign.graph.repair import repairs
from fgdesign.graph.spec import Graph
from fgdesign.graph.validate import Problem, validate
from fgdesign.ui import design_ops as ops
from fgdesign.views.canvas import canvas_data, slim
from fgdesign.views.canvas_cards import Cards
from fgdesign.views.canvas_feed import Feed
from fgdesign.views.canvas_layers import folded, unfolded

LONGEST_HISTORY = 200
MOST_REFUSALS = 5
MOST_REPAIRED = 12
MOST_TALKERS = 8


@dataclass(frozen=True)
class Step:
    """A graph as it was, and the name of the edit that left it."""

    name: str
    graph: Graph


@dataclass(frozen=True)
class Findings:
    """What is true of a graph: its problems with their repairs, its totals, what is static."""

    problems: tuple[Problem, ...] = ()
    fixes: tuple[tuple[tuple[str, Graph], ...], ...] = ()
    summary: Summary | None = None
    inferred: Inference = field(default_factory=Inference)

    @property
    def static(self) -> int:
        """How many nodes compute the same for a text every time."""
        return len({port.partition(".")[0] for port in self.inferred.static})


@dataclass
class DesignSession:
    """The state of one editor. `revision` counts changes; a higher `fit` asks the canvas to show all.

    folded: runs of encoder layers are shown as one card each; what is done to a card is done to its layers.
    tried: the wire that hung over a port last, and why it cannot be drawn.
    """

    graph: Graph
    classes: int = 0
    past: list[Step] = field(default_factory=list)
    future: list[Step] = field(default_factory=list)
    nodes: tuple[str, ...] = ()
    edges: tuple[str, ...] = ()
    clipboard: Graph | None = None
    acks: dict[str, int] = field(default_factory=dict)
    refused: list[dict[str, Any]] = field(default_factory=list)
    tried: dict[str, Any] | None = None
    revision: int = 0
    fit: int = 0
    folded: bool = False
    feed: Feed = field(default_factory=Feed)
    cards: Cards = field(default_factory=Cards)
    _known: tuple[Graph, int, Findings] | None = None

    def __post_init__(self) -> None:
        self.graph = placed(self.graph)

    def receive(self, batch: Mapping[str, Any]) -> None:
        """Apply a batch of the canvas, each operation once; refusals are kept for the next picture."""
        sid, sent = batch.get("sid"), batch.get("ops")
        if not isinstance(sid, str) or len(sid) > 40 or not isinstance(sent, list):
            return
        held = batch.get("have")
        self.feed.held = held if isinstance(held, int) else 0
        for op in sent:
            seq = op.get("seq") if isinstance(op, dict) else None
            if not isinstance(seq, int) or seq <= self.acks.get(sid, 0):
                continue
            try:
                self.do(unfolded(op, self.graph) if self.folded else op)
                if op["op"] == "try":  # the answer speaks of the ports by the names they have on the canvas
                    self.tried = {**(self.tried or {}), "start": op["start"], "end": op["end"]}
            except FgdesignError as error:
                self.refused = [*self.refused, {"sid": sid, "seq": seq, "text": str(error)}][-MOST_REFUSALS:]
            self.acks[sid] = seq
        while len(self.acks) > MOST_TALKERS:
            self.acks.pop(next(iter(self.acks)))

    def do(self, op: Mapping[str, Any]) -> None:
        """Apply one operation. Raises GraphError where it is refused; the graph is then as before."""
        match op.get("op"):
            case "select":
                self._select(ops.texts(op, "nodes"), ops.texts(op, "edges"))
            case "try":
                self.tried = ops.tried(self.graph, op)
            case "fold":
                self.folded = not self.folded
                self.fit += 1
            case "undo":
                self.undo()
            case "redo":
                self.redo()
            case "copy":
                self._copy(op)
            case "cut":
                self._copy(op)
                self._commit(ops.apply(self.graph, {"op": "delete", "nodes": op["nodes"], "edges": []}))
            case "paste":
                if self.clipboard is None:
                    raise GraphError("There is nothing to paste. Copy some nodes first.")
                self._commit(ops.paste(self.graph, self.clipboard, ops.point(op)))
            case "repair":
                self._repair(op)
            case _:
                self._commit(ops.apply(self.graph, op))
                self.fit += op.get("op") in ("open", "layout")

    def undo(self) -> None:
        """Take back the last edit, where there is one."""
        if self.past:
            step = self.past.pop()
            self.future.append(Step(step.name, self.graph))
            self._show(step.graph)

    def redo(self) -> None:
        """Do again what was taken back last, where there is something."""
        if self.future:
            step = self.future.pop()
            self.past.append(Step(step.name, self.graph))
            self._show(step.graph)

    def findings(self) -> Findings:
        """Problems, repairs and totals of the graph as it is; worked out once per graph."""
        if self._known is None or self._known[0] is not self.graph or self._known[1] != self.classes:
            self._known = (self.graph, self.classes, self._find())
        return self._known[2]

    def picture(self) -> dict[str, Any]:
        """All that the canvas needs to draw the graph and to settle its edits."""
        found = self.findings()
        shown = [
            {
                "code": problem.code,
                "text": str(problem),
                "node": problem.node,
                "severity": problem.severity,
                "repairs": [label for label, _ in fixes],
            }
            for problem, fixes in zip(found.problems, found.fixes, strict=True)
        ]
        data = self._drawn(found) | {
            "title": self.graph.name,
            "selected": {"nodes": list(self.nodes), "edges": list(self.edges)},
            "traced": False,
        }
        return (slim(folded(data, self.graph)) if self.folded else data) | {
            "folded": self.folded,
            "problems": shown,
            "acks": dict(self.acks),
            "refused": self.refused,
            "tried": self.tried,
            "fit": self.fit,
            "undo": self.past[-1].name if self.past else None,
            "redo": self.future[-1].name if self.future else None,
        }

    def _drawn(self, found: Findings) -> dict[str, Any]:
        """Cards and wires; folding needs them whole."""
        if self.folded:
            return canvas_data(self.graph, problems=found.problems, classes=self.classes, found=found.inferred)
        return self.cards.draw(self.graph, found.inferred, found.problems)

    def _find(self) -> Findings:
        """What is true of the graph; where nodes were only moved it is as before, but for the repairs."""
        known = self._known
        try:
            if known and known[1] == self.classes and _same_but_places(known[0], self.graph):
                before = known[2]
                problems, summary, inference = before.problems, before.summary, before.inferred
            else:
                inference = infer(self.graph, self.classes)
                problems = validate(self.graph, self.classes, inference)
                summary = summarise(self.graph, self.classes, inference)
        except FgdesignError as error:
            return Findings((Problem("backbone", str(error), "Choose another backbone."),), ((),))
        fixes = tuple(
            tuple(repairs(self.graph, problem, inference)) if i < MOST_REPAIRED else ()
            for i, problem in enumerate(problems)
        )
        return Findings(problems, fixes, summary, inference)

    def _repair(self, op: Mapping[str, Any]) -> None:
        wanted = [op.get("problem"), op.get("repair"), op.get("label")]
        offered = [
            repaired
            for i, fixes in enumerate(self.findings().fixes)
            for j, (name, repaired) in enumerate(fixes)
            if [i, j, name] == wanted
        ]
        if not offered:
            raise GraphError(
                "The graph has changed since this repair was offered. Press the repair shown now."
            )
        graph, label = offered[0], str(op["label"])
        new = tuple(node for node in graph.ids if node not in self.graph.ids)
        self._commit(ops.Outcome(graph, label[0].lower() + label[1:], new or self.nodes))

    def _copy(self, op: Mapping[str, Any]) -> None:
        self.clipboard = ops.cut_out(self.graph, ops.texts(op, "nodes"))

    def _commit(self, outcome: ops.Outcome) -> None:
        if outcome.graph != self.graph:
            self.past = [*self.past, Step(outcome.name, self.graph)][-LONGEST_HISTORY:]
            self.future = []
        nodes = self.nodes if outcome.nodes is None else outcome.nodes
        self._show(outcome.graph)
        self._select(nodes, outcome.edges)

    def _show(self, graph: Graph) -> None:
        if graph != self.graph:
            self.revision += 1
        self.graph = graph
        self._select(self.nodes, self.edges)

    def _select(self, nodes: list[str] | tuple[str, ...], edges: list[str] | tuple[str, ...]) -> None:
        wires = {f"{edge.source}>{edge.target}" for edge in self.graph.edges}
        self.nodes = tuple(node for node in nodes if node in self.graph.ids)
        self.edges = tuple(edge for edge in edges if edge in wires)


def _same_but_places(old: Graph, new: Graph) -> bool:
    return (
        (old.edges, old.backbone, old.task, len(old.nodes)) == (new.edges, new.backbone, new.task, len(new.nodes))
        and all(
            a is b or replace(a, position=b.position) == b for a, b in zip(old.nodes, new.nodes, strict=True)
        )
    )
