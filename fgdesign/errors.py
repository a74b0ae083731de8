"""Every error a person can cause, in one tree. Knows nothing of graphs, torch or Streamlit.

    FgdesignError            anything a caller may catch; its message is meant for people
    ├── InputError           what was given is at fault; the message says what to change (exit code 1)
    │   ├── GraphError       a graph, node, port, edge or parameter
    │   ├── DataError        a file, column, row or label
    │   ├── BackboneError    a pretrained encoder that cannot be found, read or used
    │   ├── RunError         a run folder, checkpoint or cache
    │   └── DeviceError      a device that is absent or out of memory
    └── MissingExtraError    an optional package that is not installed (exit code 2)

A message gives the value, the rule it breaks, the choices, and the next step, in that order.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class FgdesignError(Exception):
    """Base of all errors of this package; `exit_code` is what the command line returns."""

    exit_code = 3


class InputError(FgdesignError):
    """What was given is at fault."""

    exit_code = 1


class GraphError(InputError):
    """A graph, node, port, edge or parameter is wrong."""


class DataError(InputError):
    """A file, column, row or label is wrong."""


class BackboneError(InputError):
    """A pretrained encoder cannot be found, read or used."""


class RunError(InputError):
    """A run folder, checkpoint or cache cannot be used."""


class DeviceError(InputError):
    """A device is absent or out of memory."""


class MissingExtraError(FgdesignError):
    """An optional package is not installed."""

    exit_code = 2

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed; it is optional. Install it with: pip install 'fgdesign[{extra}]'."
        )


def choices(known: Iterable[str], value: str = "") -> str:
    """A short, readable list of the possible values, the one most like `value` named first."""
    names = sorted(known)
    near = get_close_matches(value, names, n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    shown = ", ".join(names[:30]) + (f" and {len(names) - 30} more" if len(names) > 30 else "")
    return f"{hint}Choices: {shown or '(none)'}."
