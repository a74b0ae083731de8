"""Every setting of a training run: one table with default, range, unit and help. Knows nothing of torch or graphs.

The command line, the page's form, the check of values and the command to copy are all made from this table. A value
of -1, where it is allowed, leaves the choice to the planner or to what is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any

from fgdesign.errors import InputError, choices

GROUPS = ("Length", "Learning rate", "Batches", "Loss", "Routers and exits", "Machine")
PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "fast": ("One pass, few checks: a first impression.",
             {"epochs": 1, "warm_epochs": 4, "validations": 1, "patience": 2}),
    "balanced": ("The defaults: as good as most data allow, without waiting for the last tenth of a point.", {}),
    "thorough": ("Twice the passes or more on a rate that falls along a cosine.",
                 {"epochs": 6, "schedule": "cosine", "patience": 24}),
}


@dataclass(frozen=True)
class About:
    """What a setting is. low, high: its range. step: of a field's buttons, 0 for one that follows from the default.
    auto: what -1 means; brief: in the words of a narrow field. values: the choices of a word."""

    group: str
    label: str
    help: str
    unit: str = ""
    low: float = 0.0
    high: float = 0.0
    step: float = 0.0
    auto: str = ""
    brief: str = ""
    values: tuple[str, ...] = ()


def _of(default: Any, group: str, label: str, help: str, **more: Any) -> Any:
    return field(default=default, metadata={"about": About(group, label, help, **more)})


LAYER_RATE, NARROW = 3e-4, 384  # the planner's rate of pretrained layers up to this width
AS_DRAWN = "as drawn in the graph"


@dataclass(frozen=True)
class Settings:
    """How a run trains. Raises InputError for a value out of its range."""

    epochs: int = _of(-1, "Length", "Epochs", "Passes over the rows with the pretrained layers that are trained.",
                      unit="passes", high=1000, auto="3 below 5,000 rows, else 2", brief="2 or 3, by rows")
    warm_epochs: int = _of(-1, "Length", "Warm epochs", "Passes before that with the pretrained layers frozen, on "
                           "cached values: cheap.", unit="passes", high=1000, auto="8, more for few rows")
    validations: int = _of(-1, "Length", "Validations per epoch", "How often the validation rows are measured; the "
                           "best model seen is the one kept. The planner takes fewer where few rows are learned from.",
                           low=1, high=100, auto="4 while layers learn, else 2")
    metric: str = _of("auto", "Length", "Judged by", "What decides on the validation rows which model is kept, and "
                      "when a stage ends early; of two as good but for luck, the loss. Auto is macro-F1, of several "
                      "labels micro-F1, of numbers Pearson.",
                      values=("auto", "accuracy", "macro_f1", "micro_f1", "log_loss", "ece", "roc_auc", "mae", "rmse",
                              "pearson", "spearman"))
    patience: int = _of(12, "Length", "Patience", "Validations without a gain after which a stage ends early.",
                        unit="validations", low=1, high=1000)
    trial: int = _of(-1, "Length", "Trial", "Steps after which tuning the layers ends unless it has gained over what "
                     "came before; 0 for no trial.", unit="steps", high=1_000_000,
                     auto="48 where that is a head in closed form and the graph has no exits",
                     brief="48 or none, by the graph")
    rate: float = _of(1e-3, "Learning rate", "Rate", "Peak learning rate of everything but pretrained weights.",
                      high=1)
    layer_rate: float = _of(-1.0, "Learning rate", "Rate of pretrained layers", "Peak learning rate of pretrained "
                            "weights; adapters and LoRA learn at the other rate. Wide encoders want a smaller one.",
                            high=1, step=5e-5, auto="3e-4, or 7.5e-5 at width 768")
    warm_rate: float = _of(2e-3, "Learning rate", "Rate of the warm stage", "Peak learning rate while the pretrained "
                           "layers are frozen.", high=1)
    rates: str = _of("", "Learning rate", "Rates by node", "Peak learning rates of single nodes or, with * in the "
                     "name, of groups: layer_6=0.0001, expert_*=0.003. The first name that fits counts.", high=1)
    schedule: str = _of("linear", "Learning rate", "Schedule", "How the rate goes on after the warm-up: falls "
                        "evenly, falls along a cosine, or stays.", values=("linear", "cosine", "constant"))
    warm_up: float = _of(0.1, "Learning rate", "Warm-up", "Share of the steps in which the rate climbs to its peak.",
                         unit="share", high=1)
    weight_decay: float = _of(0.01, "Learning rate", "Weight decay", "How strongly AdamW pulls weights towards zero.",
                              high=1)
    clip: float = _of(1.0, "Learning rate", "Gradient clipping", "Gradients longer than this are shortened to it; 0 "
                      "leaves them alone.", unit="norm", high=1e6)
    batch_size: int = _of(32, "Batches", "Batch size", "Rows that are computed together.", unit="rows", low=1,
                          high=4096)
    batch_tokens: int = _of(0, "Batches", "Tokens per batch", "Where it is not 0, batches hold as many rows as fit "
                            "into so many tokens, padding included, instead of a fixed number.", unit="tokens", low=0,
                            high=1_000_000)
    accumulate: int = _of(1, "Batches", "Gradient accumulation", "Batches whose gradients are summed before the "
                          "weights change: larger steps in the same memory.", unit="batches", low=1, high=1024)
    averaging: float = _of(0.98, "Learning rate", "Averaging", "What is validated and kept is a running average of the "
                           "weights, of which this much stays at each step; 0 for the weights as they are.",
                           unit="share", high=0.9999, step=0.005)
    class_weights: bool = _of(False, "Loss", "Class weights", "Rare classes weigh more: each by the inverse of its "
                              "share.")
    label_smoothing: float = _of(0.0, "Loss", "Label smoothing", "Probability spread over the other classes in the "
                                 "target; makes answers less certain.", high=0.9)
    mutual_information: float = _of(-1.0, "Routers and exits", "Mutual-information loss", "Weight of the loss that "
                                    "makes each choice sure and all branches used.", high=100, auto=AS_DRAWN)
    balance: float = _of(-1.0, "Routers and exits", "Balance loss", "Weight of the loss that evens out the load of "
                         "branches.", high=100, auto=AS_DRAWN)
    z_loss: float = _of(-1.0, "Routers and exits", "Router z-loss", "Weight of the loss that keeps scores small.",
                        high=100, auto=AS_DRAWN)
    cost_penalty: float = _of(-1.0, "Routers and exits", "Cost penalty", "Weight of the loss that prefers cheap "
                              "branches.", high=100, auto=AS_DRAWN)
    exit_weight: float = _of(-1.0, "Routers and exits", "Weight of exits", "Weight of each exit's own loss beside "
                             "that of the last answer.", high=100, auto=AS_DRAWN)
    distil: float = _of(-1.0, "Routers and exits", "Self-distillation", "Share of an exit's loss that makes it "
                        "imitate the last answer instead of the labels.", high=1, auto=AS_DRAWN)
    seed: int = _of(0, "Machine", "Seed", "The same seed gives the same run.", high=2**31 - 1)
    device: str = _of("auto", "Machine", "Device", "Where it is computed; auto takes a GPU where there is one. A "
                      "number after a colon chooses among several: cuda:1.", values=("auto", "cpu", "cuda", "mps"))
    processes: int = _of(1, "Machine", "Processes", "How many processes train the run together: each on a GPU of its "
                         "own or, on the CPU, with its share of the cores. Each learns from its share of the rows of "
                         "every batch, so the batch size means the same.", low=1, high=8)
    precision: str = _of("auto", "Machine", "Precision", "Of training steps; weights are float32 in any case. auto "
                         "is bfloat16 where the device multiplies it natively.",
                         values=("auto", "float32", "bfloat16"))
    sinks: str = _of("", "Machine", "Numbers also to", "Programs that get the numbers too, with commas: tensorboard, "
                     "mlflow, wandb. Empty: those that FGDESIGN_SINKS names.",
                     values=("tensorboard", "mlflow", "wandb"))
    checkpoint_seconds: float = _of(15.0, "Machine", "Checkpoint every", "Time between two checkpoints; after a "
                                    "crash the run goes on from the last.", unit="seconds", high=1e6)

    def __post_init__(self) -> None:
        for entry in fields(self):
            _check(entry, getattr(self, entry.name))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def by_node(self) -> dict[str, float]:
        """What `rates` gives to which names, in its order."""
        pairs = (pair.partition("=") for pair in self.rates.split(",") if pair.strip())
        return {name.strip(): float(rate) for name, _, rate in pairs}

    @property
    def sink_names(self) -> tuple[str, ...]:
        """The programs that `sinks` names."""
        return tuple(filter(None, map(str.strip, self.sinks.split(","))))

    @property
    def changed(self) -> dict[str, Any]:
        """What is not as by default, by name."""
        return {name: value for name, value in self.as_dict().items() if value != getattr(DEFAULTS, name)}

    @property
    def preset(self) -> str:
        """The preset that these settings follow, whatever seed and device; "" where there is none."""
        mine = {name: value for name, value in self.changed.items() if TABLE[name].group != "Machine"}
        return next((name for name, (_, values) in PRESETS.items() if values == mine), "")


def _check(entry: Field[Any], value: Any) -> None:
    name, about, default = entry.name, entry.metadata["about"], entry.default
    if name == "rates":
        _check_rates(value)
    elif name == "sinks":
        _check_sinks(value, about.values)
    elif about.values:
        if not isinstance(value, str) or (value.partition(":")[0] if name == "device" else value) not in about.values:
            raise InputError(f"Setting {name} is {value!r}; it is one of: {', '.join(about.values)}.")
    elif isinstance(default, bool):
        if not isinstance(value, bool):
            raise InputError(f"Setting {name} is {value!r}; it is true or false.")
    else:
        kind, kinds = ("whole number", int) if isinstance(default, int) else ("number", int | float)
        right = isinstance(value, kinds) and not isinstance(value, bool)
        if not right or not (about.low <= value <= about.high or (about.auto and value == -1)):
            auto = f", or -1: {about.auto}" if about.auto else ""
            raise InputError(f"Setting {name} is {value!r}; it is a {kind} between {about.low:g} and "
                             f"{about.high:g}{auto}.")


def _check_sinks(sinks: Any, known: tuple[str, ...]) -> None:
    for one in filter(None, map(str.strip, sinks.split(",") if isinstance(sinks, str) else ["?"])):
        if one not in known:
            raise InputError(f"Setting sinks names '{one}'. {choices(known, one)}")


def _check_rates(rates: Any) -> None:
    for pair in filter(str.strip, rates.split(",") if isinstance(rates, str) else ["="]):
        name, _, rate = pair.partition("=")
        try:
            right = bool(name.strip()) and 0 <= float(rate) <= 1
        except ValueError:
            right = False
        if not right:
            raise InputError(f"Setting rates is {rates!r}; it gives names of nodes rates between 0 and 1, such as "
                             "layer_6=0.0001, expert_*=0.003.")


DEFAULTS = Settings()
TABLE: Mapping[str, About] = {entry.name: entry.metadata["about"] for entry in fields(Settings)}


def settings_from(values: Mapping[str, Any]) -> Settings:
    """Settings from plain data. Raises InputError for an unknown name or a value out of range."""
    for name in values:
        if name not in TABLE:
            raise InputError(f"There is no setting '{name}'. {choices(TABLE, name)}")
    return Settings(**values)


def preset(name: str, **values: Any) -> Settings:
    """A preset with some values of one's own. Raises InputError for an unknown preset."""
    if name not in PRESETS:
        raise InputError(f"There is no preset '{name}'. {choices(PRESETS, name)}")
    return settings_from(PRESETS[name][1] | values)


def check_nodes(settings: Settings, nodes: tuple[str, ...]) -> None:
    """Raises InputError for a rate whose name fits none of a graph's nodes."""
    for pattern in settings.by_node:
        if not any(fnmatchcase(node, pattern) for node in nodes):
            raise InputError(f"Setting rates names '{pattern}', which no node of this graph is called. "
                             f"{choices(nodes, pattern)}")


def rate_of(settings: Settings, node: str) -> tuple[str, float] | None:
    """The name in `rates` that fits a node, and its rate; None where none fits."""
    return next(((name, rate) for name, rate in settings.by_node.items() if fnmatchcase(node, name)), None)


def layer_rate_of(settings: Settings, width: int) -> float:
    """Peak learning rate of the pretrained weights of an encoder of this width: as set, or the planner's."""
    return settings.layer_rate if settings.layer_rate >= 0 else LAYER_RATE * min(1.0, NARROW / width) ** 2


def as_words(value: Any) -> str:
    """A value as the command line takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def from_words(name: str, words: str) -> Any:
    """A value from what a person typed. Raises InputError."""
    default = getattr(DEFAULTS, name)
    try:
        return {"true": True, "false": False}[words.lower()] if isinstance(default, bool) else type(default)(words)
    except (ValueError, KeyError):
        kind = {int: "a whole number", float: "a number", bool: "true or false"}[type(default)]
        raise InputError(f"Setting {name} is '{words}'; it is {kind}.") from None
