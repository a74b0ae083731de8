"""How a run stands, as people read it: its state, the alarms it ended with, in words, a colour and a sign.

Knows nothing of pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from fgdesign.runs.folder import FINAL_STATES, RunFolder
from fgdesign.training.alarms import names

Colour = Literal["blue", "green", "red", "orange"]
LOOKS: dict[str, tuple[Colour, str]] = {
    "queued": ("blue", ":material/hourglass_top:"),
    "preparing": ("blue", ":material/hourglass_top:"),
    "running": ("blue", ":material/play_circle:"),
    "succeeded": ("green", ":material/check_circle:"),
    "failed": ("red", ":material/error:"),
    "stopped": ("orange", ":material/stop_circle:"),
    "paused": ("orange", ":material/pause_circle:"),
    "cancelled": ("orange", ":material/cancel:"),
}
WARNING = ":material/warning:"


@dataclass(frozen=True)
class Standing:
    """state: of the run; alarms: names of those it ended with, the gravest first. colour and sign are Streamlit's."""

    state: str
    alarms: tuple[str, ...]
    colour: Colour
    sign: str

    @property
    def words(self) -> str:
        """All of it: "succeeded, but: divergence"."""
        return f"{self.state}, but: {', '.join(self.alarms).lower()}" if self.alarms else self.state

    @property
    def marked(self) -> str:
        """The same for a cell of a table, which has no colour: a sign before it."""
        return f"⚠ {self.words}" if self.alarms else self.words

    @property
    def brief(self) -> str:
        """As much as fits into a line beside a name."""
        return f"{self.state}, alarm" if self.alarms else self.state


def standing(run: RunFolder, status: dict[str, Any] | None = None) -> Standing:
    """How a run stands now. status: where it is read already."""
    state = (status or run.status())["state"]
    colour, sign = LOOKS.get(state, ("blue", ":material/help:"))
    told = (run.report() or {}).get("alarms", ()) if state in FINAL_STATES else ()
    alarms = names(told)
    return Standing(state, alarms, "orange" if alarms and colour == "green" else colour, WARNING if alarms else sign)
