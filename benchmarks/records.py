"""What a peer reached, kept on this machine: validation accuracy by step, and which test rows it got right at its best.

Training a peer takes minutes to hours, and the result does not depend on what else the machine does; so it is done
once, in as many pieces as it takes. Seconds are measured apart, in turn with ours. Knows nothing of how peers train.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np


class Unfinished(Exception):
    """A piece of a peer's training is over; the next call goes on with it."""


@dataclass
class Record:
    """curve: (steps, seconds as trained, validation accuracy) of each validation. right: of the test rows, as 0 and 1.

    The seconds are for information: pieces may have been trained while the machine was busy.
    """

    name: str
    curve: list[tuple[int, float, float]] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def best(self) -> float:
        return max((accuracy for _, _, accuracy in self.curve), default=-1.0)

    @property
    def best_place(self) -> int:
        """The first validation at the best accuracy."""
        return next(place for place, (_, _, accuracy) in enumerate(self.curve) if accuracy == self.best)

    @property
    def hits(self) -> np.ndarray:
        """(test rows,) bool."""
        return np.array(self.right, bool)


def folder() -> Path:
    """Where records are: FGDESIGN_RECORDS, or the user's cache folder."""
    base = os.environ.get("FGDESIGN_RECORDS")
    return Path(base) if base else Path.home() / ".cache" / "fgdesign" / "records"


def place_of(*what: object) -> Path:
    """A folder for one peer on one data set; another one for other rows or settings."""
    digest = hashlib.sha256(repr(what).encode()).hexdigest()[:10]
    words = "-".join(str(word).replace(" ", "_").replace(",", "") for word in what if isinstance(word, str))
    return folder() / f"{words[:60]}-{digest}"


def read(place: Path, name: str) -> Record:
    """The record as far as it is made."""
    file = place / "record.json"
    return Record(**json.loads(file.read_text("utf-8"))) if file.exists() else Record(name)


def write(place: Path, record: Record) -> None:
    """Keep a record, whole or not at all."""
    place.mkdir(parents=True, exist_ok=True)
    aside = place / "record.new"
    aside.write_text(json.dumps(asdict(record)) + "\n", "utf-8")
    aside.rename(place / "record.json")
