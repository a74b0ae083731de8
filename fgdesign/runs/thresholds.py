"""The exit thresholds of a trained run, changed for all who use it from then on, and put back.

The trained values are kept beside the model. Knows nothing of how thresholds are chosen.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from fgdesign.errors import RunError, choices
from fgdesign.runs.folder import RunFolder

TRAINED = "trained_thresholds.json"
WEIGHTS = "model.safetensors"
NODE, ENDING = "node_", ".threshold"  # around an exit's name in the file
LEAST, MOST = 0.0, 2.0  # 0 answers always, above 1 never


def thresholds(run: RunFolder) -> dict[str, float]:
    """Per exit the threshold it answers from. Raises RunError."""
    names = _names(run)
    return {exit_name: float(tensor) for exit_name, tensor in _read(run, names).items()}


def trained_thresholds(run: RunFolder) -> dict[str, float] | None:
    """The thresholds that training fitted, where others are in use; None where these are."""
    try:
        kept = json.loads((run.path / TRAINED).read_text("utf-8"))
        return {str(name): float(value) for name, value in kept.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return None


def set_thresholds(run: RunFolder, wanted: Mapping[str, float]) -> dict[str, float]:
    """Change some thresholds; returns those in use. Raises RunError for an unknown exit or a value out of 0 to 2."""
    now = thresholds(run)
    for name, value in wanted.items():
        if name not in now:
            raise RunError(f"Run '{run.name}' has no exit '{name}'. {choices(now, name)}")
        if not LEAST <= value <= MOST:
            raise RunError(f"A threshold of {value:g} for '{name}' is not possible: 0 answers always, 1 where the exit "
                           "is wholly sure, 2 never. Give a number from 0 to 2.")
    if not wanted:
        return now
    if trained_thresholds(run) is None:
        run.write(TRAINED, now)
    _write(run, wanted)
    return now | dict(wanted)


def reset_thresholds(run: RunFolder) -> dict[str, float]:
    """Put back what training fitted; returns it. Nothing happens where that is in use. Raises RunError."""
    kept = trained_thresholds(run)
    if kept is None:
        return thresholds(run)
    _write(run, kept)
    (run.path / TRAINED).unlink(missing_ok=True)
    return kept


def parse(words: Sequence[str]) -> dict[str, float]:
    """Thresholds from words such as "exit_2=0.8". Raises RunError."""
    found = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise RunError(f"'{word}' is no threshold. Write an exit and a number: exit_2=0.8") from None
    return found


def _names(run: RunFolder) -> dict[str, str]:
    """Per exit the name of its tensor in the file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(run.model / WEIGHTS, "pt") as file:
            names: list[str] = list(file.keys())
    except (OSError, SafetensorError) as error:
        raise RunError(f"The weights of run '{run.path}' cannot be read: {error}. Train it again.") from error
    return {name.removesuffix(ENDING).rpartition(".")[2].removeprefix(NODE): name for name in names
            if name.endswith(ENDING)}


def _read(run: RunFolder, names: Mapping[str, str]) -> dict[str, float]:
    from safetensors import safe_open

    with safe_open(run.model / WEIGHTS, "pt") as file:
        return {exit_name: float(file.get_tensor(name)) for exit_name, name in names.items()}


def _write(run: RunFolder, wanted: Mapping[str, float]) -> None:
    """The weights with other thresholds, whole or not at all; what is kept in memory or on disk is then out of date."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    target, names = run.model / WEIGHTS, _names(run)
    tensors = load_file(target)
    with safe_open(target, "pt") as file:
        facts = file.metadata()
    for name, value in wanted.items():
        tensors[names[name]] = torch.tensor(float(value))
    aside = Path(f"{target}.new")
    save_file(tensors, aside, facts)
    os.replace(aside, target)
    os.utime(run.model / "config.json")
