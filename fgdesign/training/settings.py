"""Every setting of a training run, with a default that trains well. Knows nothing of torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from fgdesign.errors import InputError, choices


@dataclass(frozen=True)
class Settings:
    """epochs: passes over the rows with the pretrained layers, -1 for 3 below 5,000 rows and else 2.

    warm_epochs: passes before that with the pretrained layers frozen, on cached values, -1 for 8 or, of few rows,
    more. batch_size: rows.
    layer_rate, rate: learning rates of pretrained weights and of all others; warm_rate: of the warm stage.
    patience: validations without gain before a stage ends. checkpoint_seconds: between two checkpoints.
    """

    epochs: int = -1
    warm_epochs: int = -1
    batch_size: int = 32
    layer_rate: float = 1.5e-4
    rate: float = 1e-3
    warm_rate: float = 2e-3
    weight_decay: float = 0.01
    warm_up: float = 0.1
    clip: float = 1.0
    label_smoothing: float = 0.0
    class_weights: bool = False
    validations: int = 2
    patience: int = 6
    seed: int = 0
    device: str = "auto"
    checkpoint_seconds: float = 15.0

    def __post_init__(self) -> None:
        for name, low, high in RANGES:
            value = getattr(self, name)
            kind, kinds = ("whole number", int) if name in WHOLE else ("number", int | float)
            if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
                raise InputError(f"Setting {name} is {value!r}; it is a {kind} between {low:g} and {high:g}.")
        if not isinstance(self.class_weights, bool):
            raise InputError(f"Setting class_weights is {self.class_weights!r}; it is true or false.")
        if not isinstance(self.device, str):
            raise InputError(f"Setting device is {self.device!r}; it is auto, cpu, cuda or mps.")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


WHOLE = ("epochs", "warm_epochs", "batch_size", "validations", "patience", "seed")
RANGES = (
    ("epochs", -1, 1000), ("warm_epochs", -1, 1000), ("batch_size", 1, 4096), ("layer_rate", 0, 1), ("rate", 0, 1),
    ("warm_rate", 0, 1), ("weight_decay", 0, 1), ("warm_up", 0, 1), ("clip", 0, 1e6), ("label_smoothing", 0, 0.9),
    ("validations", 1, 100), ("patience", 1, 1000), ("seed", 0, 2**31 - 1), ("checkpoint_seconds", 0, 1e6),
)


def settings_from(values: dict[str, Any]) -> Settings:
    """Settings from plain data. Raises InputError for an unknown name or a value out of range."""
    known = {field.name for field in fields(Settings)}
    for name in values:
        if name not in known:
            raise InputError(f"There is no setting '{name}'. {choices(known, name)}")
    return Settings(**values)
