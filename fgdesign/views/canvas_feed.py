"""What a canvas is sent: all of its data once, then only what changed since a version it is known to hold.

Knows nothing of Streamlit, nor of what the data mean but for cards and wires, which go one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from secrets import randbelow
from typing import Any

from fgdesign.views.canvas_cards import same

MOST_KEPT = 6
FIRST_VERSIONS = 2**40  # so many that two feeds do not meet

Data = Mapping[str, Any]


@dataclass
class Feed:
    """The way of one canvas's data to the browser. `held`: the version that the browser said it has, 0 for none."""

    held: int = 0
    version: int = field(default_factory=lambda: randbelow(FIRST_VERSIONS) + 1)
    kept: dict[int, Data] = field(default_factory=dict)

    def send(self, data: Data) -> dict[str, Any]:
        """The message that brings the browser from the version it holds to `data`, which is slim.

        Returns: the data with `version`; or, with `base` too, what is different from version `base`.
        """
        if data != self.kept.get(self.version):
            self.version += 1
            self.kept[self.version] = data
        recent = {self.held, *range(self.version - MOST_KEPT + 1, self.version + 1)}
        self.kept = {version: known for version, known in self.kept.items() if version in recent}
        known = self.kept.get(self.held)
        if known is None:
            return {**data, "version": self.version}
        return {**delta(known, data), "version": self.version, "base": self.held}


def delta(old: Data, new: Data) -> dict[str, Any]:
    """What turns `old` into `new`.

    Fields that differ; of `nodes` and `edges` those that are new or different, and in `gone` the names of those
    that are no more. `order` has the names of all nodes where new ones do not just follow those that were there.
    """
    changes = {key: value for key, value in new.items() if key not in old or old[key] != value}
    changes["gone"], changes["order"] = {}, None
    for key, name in (("nodes", _node_name), ("edges", _edge_name)):
        before, after = ({name(item): item for item in data[key]} for data in (old, new))
        changes[key] = [item for ident, item in after.items() if not same(item, before.get(ident))]
        changes["gone"][key] = [item for item in before if item not in after]
        usual = [*(item for item in before if item in after), *(item for item in after if item not in before)]
        if key == "nodes" and usual != list(after):
            changes["order"] = list(after)
    return changes


def _node_name(node: Data) -> str:
    return str(node["id"])


def _edge_name(edge: Data) -> str:
    return f"{edge['start']}>{edge['end']}"
