"""Flags of `fgdesign train` for every setting, made from the table of settings. Knows nothing of other commands."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from fgdesign.errors import InputError
from fgdesign.training.settings import DEFAULTS, GROUPS, PRESETS, TABLE, Settings, as_words, from_words, preset


def add_settings(made: argparse.ArgumentParser) -> None:
    """A flag for each setting, in the groups of the table; --preset and --set."""
    made.add_argument("--preset", default="balanced", choices=tuple(PRESETS), help="where the other settings start")
    made.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting by its name")
    for group in GROUPS:
        part = made.add_argument_group(f"settings: {group.lower()}")
        for name, about in TABLE.items():
            if about.group == group:
                default = getattr(DEFAULTS, name)
                shown = about.auto or as_words(default) or "none"
                metavar = "|".join(about.values) or ("true|false" if isinstance(default, bool) else about.unit or "X")
                part.add_argument(f"--{name.replace('_', '-')}", dest=f"set_{name}", metavar=metavar,
                                  type=partial(_typed, name), help=f"{about.help} Default: {shown}.")


def settings_of(options: argparse.Namespace) -> Settings:
    """What was asked for. Raises InputError."""
    chosen = {name: value for name in TABLE if (value := getattr(options, f"set_{name}")) is not None}
    return preset(options.preset, **chosen | dict(_setting(item) for item in options.set))


def _typed(name: str, words: str) -> Any:
    try:
        return from_words(name, words)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _setting(item: str) -> tuple[str, Any]:
    name, _, words = item.partition("=")
    name = name.replace("-", "_")
    return name, from_words(name, words) if name in TABLE else words
