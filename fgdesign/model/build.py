"""From a checked graph to steps with fixed order and slots, and the modules they call.

Knows nothing of files, data or training.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import networkx as nx
import torch
from torch import nn

from fgdesign.graph.backbones import BackboneInfo, describe_backbone
from fgdesign.graph.catalogue import CATALOGUE
from fgdesign.graph.infer import Inference, infer, params_of, tuning_of, unites, weight_key, wiring
from fgdesign.graph.spec import Edge, Graph, Node
from fgdesign.model import choosing as c
from fgdesign.model import steps as s
from fgdesign.model.backbone import Backbone, EncoderLayer, random_backbone
from fgdesign.model.blocks import BLOCKS, Place
from fgdesign.model.dispatch import fused
from fgdesign.model.lexical import Lexical
from fgdesign.model.lora import TUNINGS, tune_layer

WANT_ALL = (s.Call, s.Words, s.Join, c.Leave, c.Route, c.RuleRoute)  # steps that do nothing without all their inputs


@dataclass(frozen=True)
class Plan:
    """What is built: a graph, the task's kind and number of classes, and what follows from them.

    sizes: per word function, the sizes of its fitted buffers.
    """

    graph: Graph
    task: str
    classes: int
    backbone: BackboneInfo
    found: Inference
    sizes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def incoming(self, node: Node) -> list[Edge]:
        """Edges in the order of the node's ports, then as drawn."""
        entry = CATALOGUE[node.type]
        return [edge for port in entry.inputs for edge in self.graph.into(node.id, port.name)]

    def text_column(self, node_id: str) -> str:
        """Which raw text a node reads: that of the text nodes above it, "all" where they differ."""
        above = (self.graph.node(n) for n in nx.ancestors(wiring(self.graph), node_id))
        columns = {str(params_of(node)["column"]) for node in above if node.type == "text/1"}
        return columns.pop() if len(columns) == 1 else "all"

    def needs_tokens(self, text_node: str) -> bool:
        """False for a text node that only word functions read."""
        return any(self.graph.node(edge.target_node).type != "lexical/1" for edge in self.graph.out_of(text_node))


def plan(graph: Graph, *, task: str, classes: int, backbone: BackboneInfo | None = None,
         sizes: Mapping[str, Mapping[str, int]] | None = None) -> Plan:
    """Infer what is needed to build a valid graph. classes: C, or 1 for a regression."""
    backbone = backbone or describe_backbone(graph.backbone)
    return Plan(graph, task, classes, backbone, infer(graph, classes, backbone), sizes or {})


def build_modules(what: Plan, seed: int, pretrained: Backbone | None = None) -> tuple[nn.ModuleDict, dict[str, str]]:
    """Every module of the graph, and node id -> its key. Nodes that share weights share a key.

    Each module draws its random start from (seed, key), so that adding a node changes no other node's start.
    """
    modules, keys = nn.ModuleDict(), {}
    backbone = pretrained or random_backbone(replace(what.backbone, dropout=0.0, attention_dropout=0.0), seed)
    for node_id in what.found.order:
        node = what.graph.node(node_id)
        key = "_".join(str(part) for part in weight_key(node))
        if key not in modules:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(zlib.crc32(f"{seed}:{key}".encode()))
                module = _module(what, node, backbone)
            if module is None:
                continue
            modules[key] = module
        keys[node_id] = key
    return modules, keys


def _module(what: Plan, node: Node, backbone: Backbone) -> nn.Module | None:
    params, tuning = params_of(node), tuning_of(node)
    if node.type == "embeddings/1":
        return backbone.embeddings.requires_grad_(tuning == "full")
    if node.type == "encoder_layer/1":
        layer = backbone.layers[int(str(params["index"])) - 1]
        assert isinstance(layer, EncoderLayer)
        if params["weights"] == "copy":
            layer = copy.deepcopy(layer)
        chosen = next(name for name in TUNINGS if name == tuning)
        return tune_layer(layer, tuning=chosen, rank=int(str(params["rank"])), alpha=float(str(params["alpha"])),
                          bottleneck=int(str(params["bottleneck"])))
    if node.type == "exit/1":
        return c.Exit(measure=str(params["measure"]), threshold=float(str(params["threshold"])),
                      several=what.task == "multi")
    if node.type not in BLOCKS:
        return None
    module = BLOCKS[node.type](place_of(what, node))
    return module.requires_grad_(tuning != "frozen")


def place_of(what: Plan, node: Node) -> Place:
    """What the node's builder may read."""
    entry = CATALOGUE[node.type]
    inputs = {port.name: [what.found.values[edge.source] for edge in what.graph.into(node.id, port.name)]
              for port in entry.inputs}
    weights = [1.0 if edge.weight is None else edge.weight for edge in what.graph.into(node.id, "in")]
    output = what.found.values[f"{node.id}.{entry.output_names(params_of(node))[0]}"]
    return Place(params_of(node), inputs, output, weights, what.classes, what.task, what.sizes.get(node.id, {}))


@dataclass(frozen=True)
class Program:
    """The compiled graph: all steps in order, and the slot of each port."""

    steps: tuple[s.Step, ...]
    slots: Mapping[str, int]
    answer: str

    def needed(self, wanted: Sequence[str], known: Sequence[str] = (), open_exits: bool = False) -> Needed:
        """The steps that compute some ports, and which of the known ports they read.

        With exits open a value passes an exit whatever its logits say, so these need not be computed, unless
        they say which rows are the exit's.
        """
        held = {self.slots[port]: port for port in known}
        slots = {self.slots[port] for port in wanted}
        chosen = []
        for step in reversed(self.steps):
            if (slots - held.keys()).intersection(step.outputs):
                chosen.append(step)
                passes = open_exits and isinstance(step, c.Leave) and step.aligned
                slots.update(step.inputs[:1] if passes else step.inputs)
        steps = tuple(reversed(chosen))
        given = tuple(port for slot, port in held.items() if slot in slots)
        kept = {self.slots[port] for port in wanted} | set(held)
        joined = fused(steps, kept)
        return Needed(steps, given, joined, _last_read(joined, kept), _jumps(joined))


def _last_read(steps: Sequence[s.Step], kept: Collection[int]) -> tuple[tuple[int, ...], ...]:
    """The slots that nothing reads after each step, so that values are let go as early as in code by hand."""
    found: list[tuple[int, ...]] = []
    seen = set(kept)
    for step in reversed(steps):
        found.append(tuple({*step.inputs, *step.outputs} - seen - {-1}))
        seen.update(step.inputs, step.outputs)
    return tuple(reversed(found))


def _jumps(steps: Sequence[s.Step]) -> dict[int, tuple[int, int]]:
    """Per place of an exit: the slot of the rows that go on, and the next step that has work when it is empty."""
    found = {}
    for place, leave in enumerate(steps):
        if isinstance(leave, c.Leave) and leave.outputs[1] >= 0:
            empty, at = {leave.outputs[1]}, place + 1
            while at < len(steps) and _idle(steps[at], empty):
                empty.update(steps[at].outputs)
                at += 1
            found[place] = (leave.outputs[1], at)
    return found


def _idle(step: s.Step, empty: set[int]) -> bool:
    """Whether a step does nothing while these slots are empty."""
    missing = [slot in empty for slot in step.inputs]
    return bool(missing) and (any(missing) if isinstance(step, WANT_ALL) else all(missing))


@dataclass(frozen=True)
class Needed:
    """steps: in order. given: known ports that they, or the caller, read. fused: the same in fewer steps, for runs
    that are neither timed nor steered. dropped: slots that are empty again after each of these. jumps: where in these
    an exit that all rows leave by leads to.
    """

    steps: tuple[s.Step, ...]
    given: tuple[str, ...]
    fused: tuple[s.Step, ...]
    dropped: tuple[tuple[int, ...], ...]
    jumps: Mapping[int, tuple[int, int]]

    @cached_property
    def reads_tokens(self) -> bool:
        """True where a step starts from token ids."""
        return any(isinstance(step, s.Source) for step in self.steps)

    @cached_property
    def layers(self) -> int:
        """How many of the steps are encoder layers."""
        return sum(isinstance(step, s.Layer) for step in self.steps)

    @property
    def runs_backbone(self) -> bool:
        """True where a step runs pretrained weights."""
        return any(isinstance(step, s.Embed | s.Layer) for step in self.steps)


def compile_program(what: Plan, modules: nn.ModuleDict, keys: Mapping[str, str]) -> Program:
    """Fix the order, the slots and the kind of each step."""
    ports = [port for node_id in what.found.order for port in _ports(what.graph.node(node_id))]
    slots = {port: i for i, port in enumerate(ports)}
    made = []
    for node_id in what.found.order:
        node = what.graph.node(node_id)
        inputs = tuple(slots[edge.source] for edge in what.incoming(node))
        outputs = tuple(
            slots[port] if what.graph.out_of(node_id, port.partition(".")[2]) or port == what.found.answer else -1
            for port in _ports(node)
        )
        block = modules[keys[node_id]] if node_id in keys else None
        made.append(_step(what, node, inputs, outputs, block))
    assert what.found.answer is not None
    return Program(tuple(made), slots, what.found.answer)


def _ports(node: Node) -> list[str]:
    return [f"{node.id}.{name}" for name in CATALOGUE[node.type].output_names(params_of(node))]


def _step(what: Plan, node: Node, inputs: tuple[int, ...], outputs: tuple[int, ...], block: nn.Module | None) -> s.Step:
    params, role = params_of(node), CATALOGUE[node.type].role
    start = (node.id, inputs, outputs)
    aligned = _aligned(what, node)
    match node.type:
        case "text/1":
            return s.Source(*start, silent=not what.needs_tokens(node.id))
        case "answer/1":
            return s.Collect(*start, sources=[edge.source for edge in what.incoming(node)])
        case "rule_router/1":
            return c.RuleRoute(*start, rules=list(_rules(params)), default=int(str(params["default"])), aligned=aligned,
                               column=what.text_column(node.id), several=what.task == "multi")
    assert block is not None
    match node.type:
        case "embeddings/1":
            return s.Embed(*start, block=block)
        case "encoder_layer/1":
            return s.Layer(*start, block=block, drop=float(str(params["layer_drop"])))
        case "lexical/1":
            assert isinstance(block, Lexical)
            return s.Words(*start, block=block, column=what.text_column(node.id))
        case "router/1":
            return c.Route(*start, block=block, by=len(inputs) - 1, aligned=aligned)
        case "exit/1":
            assert isinstance(block, c.Exit)
            return c.Leave(*start, block=block, aligned=aligned)
    if role == "head":
        return s.HeadCall(*start, block=block)
    if role == "merge":
        closing = _closing(what, node)
        return (s.Unite(*start, block=block, closing=closing) if unites(node) else
                s.Join(*start, block=block, closing=closing, aligned=aligned))
    return s.Call(*start, block=block, aligned=aligned)


def _rules(params: Mapping[str, object]) -> list[Mapping[str, object]]:
    rules = params["rules"]
    assert isinstance(rules, list)
    return rules


def _aligned(what: Plan, node: Node) -> bool:
    """True where all inputs surely hold the same rows in the same order, so that no join is needed."""
    held = {what.found.rows[edge.source] for edge in what.incoming(node)}
    return len(held) <= 1


def _closing(what: Plan, node: Node) -> frozenset[str]:
    """Learned routers whose gates are applied at this merge: its inputs came through different branches."""
    sources = [edge.source for edge in what.incoming(node)]
    gates = frozenset().union(*(what.found.gates[source] for source in sources))
    return gates - what.found.gates[f"{node.id}.out"]
