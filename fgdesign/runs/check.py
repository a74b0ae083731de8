"""A look at a run before it begins: time, memory, disk, what is known already, and what stands in the way.

Estimates from a graph's costs; the speed is that of earlier runs on this machine where there are any. Knows nothing
of torch, processes or screens.
"""

from __future__ import annotations

import math
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from fgdesign.data import Dataset
from fgdesign.errors import DeviceError, FgdesignError, choices
from fgdesign.graph.backbones import describe_backbone
from fgdesign.graph.estimate import estimate
from fgdesign.graph.infer import Inference, infer, params_of, summarise, tuning_of
from fgdesign.graph.spec import Graph
from fgdesign.runs.effort import as_it_came, effort, is_static, tunes
from fgdesign.runs.executor import PLACE, slots_of_machine
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.ranks import hindrance
from fgdesign.runs.sinks import sinks_wanted
from fgdesign.training.metrics import judged_by
from fgdesign.training.order import rows_per_batch
from fgdesign.training.settings import Settings, check_nodes, rate_of, settings_from

PROGRAM_BYTES = 600e6  # of a training process before it holds anything
TOKENS_PER_WORD = 1.35
SPECIAL_TOKENS = 2
SAMPLE = 2000  # texts whose length is looked at
SLOWEST = 1e10  # multiply-adds a second that any machine of today reaches; a busy one may measure less
UNMEASURED = 0.5  # of the speed of one product that a whole step reaches, where no run was measured
BESIDE = 3.0  # seconds of a run beside steps and static part: it starts, measures, saves
PROCESS_START = 6.0  # seconds that each further process of a run needs to be there
LEARNED = 0.75  # of the rows, by the usual split; the others are measured on
MOST_RUNS = 10
TIGHT = 0.8  # share of what is free from which memory or disk is called tight
RARE = 0.02  # share of the rows below which a class is called rare


@dataclass(frozen=True)
class Check:
    """seconds: of the run, about; measured: by how many earlier runs; same: of this graph. Memory, disk in bytes.

    least: seconds where a trial says that tuning the layers does not pay; the same as `seconds` without a trial.
    known: the run that computed the static part of these rows, or "". problems: what stands in the way or is odd.
    """

    seconds: float
    least: float
    measured: int
    same: bool
    memory: float
    memory_free: float
    disk: float
    disk_free: float
    known: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Pace:
    """How fast a run was. rate: multiply-adds a second of its steps, 0 where there were hardly any.
    beside: seconds beside steps and static part; rows: it learned from."""

    rate: float
    beside: float
    rows: int

    def beside_for(self, rows: float) -> float:
        """The same for a run with other rows: it starts as long, and fits and measures by the rows."""
        return min(BESIDE, self.beside) + max(0.0, self.beside - BESIDE) * rows / max(1, self.rows)


def check(graph: Graph, data: Dataset, path: Path, settings: Settings, runs: Sequence[RunFolder], *,
          speed: float, place: Path) -> Check:
    """Look at a run before it begins. Raises GraphError or BackboneError where the graph has errors.

    Args: path: of the data file. runs: earlier ones. speed: multiply-adds a second. place: the workspace.
    """
    classes = max(1, len(data.labels))
    rows, tokens = len(data), mean_tokens(data.texts, graph)
    found, total, backbone = infer(graph, classes), summarise(graph, classes), describe_backbone(graph.backbone)
    needed = effort(graph, settings, max(1, round(LEARNED * rows)), tokens, classes)
    paces, same = measured_speeds(graph, settings, runs)
    guess, measured = max(SLOWEST, UNMEASURED * speed), [pace.rate for pace in paces if pace.rate]
    rate = median(measured) if measured else guess
    rate = rate if same else math.sqrt(rate * guess)  # other graphs tell of the machine, less of this one
    beside = median(pace.beside_for(LEARNED * rows) for pace in paces) if paces else BESIDE
    beside += (settings.processes - 1) * PROCESS_START
    known = known_static(graph, path, runs)
    about = estimate(graph, found, total, backbone, rate, tokens=round(tokens), batch=rows_per_batch(settings, tokens))
    free, room = float(psutil.virtual_memory().available), float(shutil.disk_usage(_existing(place)).free)
    disk = static_bytes(found, rows, tokens) * (not known) + run_bytes(total.parameters, total.trained)
    memory = settings.processes * (about.training_bytes + PROGRAM_BYTES)
    once, together = needed.static * (not known) / rate, _at_once(_device_kind(settings), settings)
    seconds, least = (once + steps / rate / together + beside for steps in (needed.learned, needed.least))
    made = Check(seconds, least, len(paces), same, memory, free, disk, room, known, ())
    return replace(made, problems=(*_room(made), *_devices(settings), *_settings(graph, data, settings),
                                   *_rows(data, settings)))


def run_bytes(parameters: int, trained: int) -> float:
    """The most that a run has on disk: three checkpoints while one is written, or two and the model.

    A checkpoint holds what is trained five times: as it is, at its best, averaged, and Adam's two averages.
    """
    return 4.0 * max(15 * trained, 10 * trained + parameters)


def mean_tokens(texts: Sequence[str], graph: Graph) -> float:
    """About how many tokens a text has, cut at the longest that the graph reads."""
    limits = [int(str(params_of(node)["max_length"])) for node in graph.nodes if node.type == "text/1"]
    longest = max(limits, default=64)
    some = texts[::max(1, len(texts) // SAMPLE)]
    lengths = [min(longest, SPECIAL_TOKENS + TOKENS_PER_WORD * len(text.split())) for text in some]
    return sum(lengths) / max(1, len(lengths))


def measured_speeds(graph: Graph, settings: Settings, runs: Sequence[RunFolder]) -> tuple[list[Pace], bool]:
    """How fast earlier runs were on such a device, by the same estimate of their work.

    Those of the same graph where there are any, and whether; else the newest of each graph that trains pretrained
    layers, or none, as this one does.
    """
    wanted = _device_kind(settings)
    same: list[Pace] = []
    others: dict[str, Pace] = {}
    for run in runs[:MOST_RUNS]:
        try:
            config, report, other = run.config(), run.report(), run.graph()
            if not report or report["state"] != "succeeded" or _kind_of(config) != wanted:
                continue
            pace = _pace(run, config, report["seconds"], other)
        except (FgdesignError, KeyError, TypeError):
            continue  # a run of an earlier version
        if other.identity == graph.identity:
            same.append(pace)
        elif tunes(other) == tunes(graph) and pace.rate:
            others.setdefault(other.identity, pace)
    return (same, True) if same else (list(others.values()), False)


def _pace(run: RunFolder, config: dict[str, Any], took: dict[str, float], graph: Graph) -> Pace:
    """Of a run: how much of its planned steps it did, by when it took, and all it did beside them."""
    settings, rows = settings_from(config["settings"]), config["rows"]["train"]
    planned = effort(graph, settings, rows, config["tokens"], max(1, len(config["labels"]))).learned
    reached = next((event["progress"] for event in reversed(run.metrics()) if event["kind"] == "step"), 1.0)
    done, training = planned * reached / _at_once(_kind_of(config), settings), took["training"]
    measured = bool(done) and training > 1  # else there are no steps, or too few to tell
    beside = took.get("total", 0.0) - took.get("static", 0.0) - (training if done else 0.0)
    return Pace(done / training if measured else 0.0, max(0.0, beside), rows)


def _kind_of(config: dict[str, Any]) -> str:
    return str(config.get("device", "cpu")).partition(":")[0]


def _device_kind(settings: Settings) -> str:
    """What the settings ask for: cpu, cuda or mps; auto takes the fastest that is here."""
    wanted = settings.device.partition(":")[0]
    return slots_of_machine()[0].partition(":")[0] if wanted == "auto" else wanted


def _at_once(kind: str, settings: Settings) -> int:
    """Devices that share the steps: several processes on the CPU have its cores between them."""
    return settings.processes if kind == "cuda" else 1


def known_static(graph: Graph, path: Path, runs: Sequence[RunFolder]) -> str:
    """The name of a finished run that computed the same static part of the same rows, or ""."""
    mine = static_part(graph)
    for run in runs[:MOST_RUNS]:
        try:
            same = run.config()["data"]["train"] == str(path) and run.report() is not None
            if same and static_part(run.graph()) == mine:
                return run.name
        except (FgdesignError, KeyError):
            continue
    return ""


def static_part(graph: Graph) -> tuple[str, frozenset[tuple[str, str]], frozenset[str]]:
    """What the static part is made of, whatever its nodes are called: backbone, nodes, edges' ends."""
    frozen = as_it_came(graph)
    found = infer(frozen)
    nodes = [node for node in frozen.nodes if is_static(found, node.id)]
    return (graph.backbone, frozenset((node.type, str(sorted(params_of(node).items()))) for node in nodes),
            frozenset(f"{edge.source}>{edge.target}" for edge in frozen.edges if is_static(found, edge.target_node)))


def static_bytes(found: Inference, rows: int, tokens: float) -> float:
    """Of the frontier on disk: sequences as bfloat16 without padding, vectors as float32."""
    values = [found.values[port] for port in found.frontier]
    return rows * sum(value.width * (2 * tokens if value.type == "sequence" else 4) for value in values)


def _existing(place: Path) -> Path:
    return next(folder for folder in (place, *place.absolute().parents) if folder.exists())


def _room(made: Check) -> list[str]:
    said = []
    if made.memory > TIGHT * made.memory_free:
        said.append(f"Memory is tight: about {made.memory / 1e9:.2g} GB are needed and {made.memory_free / 1e9:.2g} GB "
                    "are free. Halve the batch size, or freeze more layers.")
    if made.disk > TIGHT * made.disk_free:
        said.append(f"Disk is tight: about {made.disk / 1e9:.2g} GB are written and {made.disk_free / 1e9:.2g} GB are "
                    "free. Delete old runs.")
    return said


def _devices(settings: Settings) -> list[str]:
    """More processes than this machine has devices."""
    if settings.processes == 1:
        return []
    gpus, cores = sum(slot.startswith("cuda") for slot in set(slots_of_machine())), os.cpu_count() or 1
    words = hindrance(settings, gpus)
    if words or (gpus >= settings.processes and settings.device != "cpu") or cores >= settings.processes:
        return [words] if words else []
    return [f"{settings.processes} processes are asked, and this machine has {cores} cores: they would wait for each "
            f"other. Set processes to {cores} at most."]


def _settings(graph: Graph, data: Dataset, settings: Settings) -> list[str]:
    """Settings that do nothing here."""
    said = []
    for look in (lambda: check_nodes(settings, graph.ids), lambda: judged_by(data.task.kind, settings.metric),
                 lambda: sinks_wanted(settings.sink_names), lambda: _device(settings.device)):
        try:
            look()
        except FgdesignError as error:
            said.append(str(error))
    routers, exits = (any(node.type == kind for node in graph.nodes) for kind in ("router/1", "exit/1"))
    losses = ("mutual_information", "balance", "z_loss", "cost_penalty")
    if not routers and any(getattr(settings, name) >= 0 for name in losses):
        said.append("A weight of a router loss is set, but the graph has no learned router: it does nothing.")
    if not exits and (settings.exit_weight >= 0 or settings.distil >= 0):
        said.append("A weight of exits is set, but the graph has no exit: it does nothing.")
    if data.task.kind != "single" and (settings.class_weights or settings.label_smoothing):
        said.append("Class weights and label smoothing are for rows with one label each: they do nothing here.")
    idle = [node.id for node in graph.nodes if rate_of(settings, node.id) and tuning_of(node) == "frozen"]
    if idle:
        said.append(f"A rate is given to {', '.join(idle[:5])}, which is frozen and does not learn.")
    return said


def _device(name: str) -> None:
    """Raises DeviceError for one that this machine does not have; nvidia-smi is asked only about a GPU."""
    kind = name.partition(":")[0]
    if kind in ("auto", "cpu") or os.environ.get(PLACE) == "ray":  # whose machines are others
        return
    here = tuple(dict.fromkeys(slot.partition(":")[0] for slot in slots_of_machine()))
    if kind not in here:
        raise DeviceError(f"This machine has no '{kind}' device, so the run would fail. {choices(('auto', *here))}")


def _rows(data: Dataset, settings: Settings) -> list[str]:
    """What is odd about the rows."""
    if data.task.kind != "single" or data.targets is None:
        return []
    counts = Counter(data.targets.tolist())
    rare = [data.labels[label] for label, count in counts.items() if count < max(3, RARE * len(data) / len(counts))]
    said = []
    if rare:
        shown = ", ".join(f"'{name[:40]}'" for name in sorted(rare)[:5])
        said.append(f"Of some labels there are hardly any rows ({shown}): they cannot be learned or measured well. "
                    "Merge them in Data, or gather more rows.")
    if max(counts.values()) > 0.8 * len(data) and not settings.class_weights:
        said.append("More than four fifths of the rows have one label. Class weights make the others count.")
    return said
