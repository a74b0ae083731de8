"""Public data sets for the benchmarks, and texts made up where they are missing. They never enter the project.

Looks in FGDESIGN_DATA, or in `shared/data` beside the project.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.measure import Question

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(os.environ.get("FGDESIGN_DATA") or ROOT.parent / "shared" / "data")


@dataclass(frozen=True)
class Split:
    """Files of one data set; valid None: cut from the training rows."""

    name: str
    train: Path
    test: Path
    valid: Path | None


def data_set(name: str, question: Question) -> Split | None:
    """A data set by its folder's name; None where it is missing, and the question says so."""
    folder = FOLDER / name
    if not (folder / "train.csv").exists():
        question.notes.append(f"{name} was left out, for it is not there. Set FGDESIGN_DATA to a folder with "
                              f"{name}/train.csv, test.csv and perhaps valid.csv (columns text,label).")
        return None
    valid = folder / "valid.csv"
    return Split(name, folder / "train.csv", folder / "test.csv", valid if valid.exists() else None)


def texts(count: int, name: str = "sst2") -> list[str]:
    """`count` texts of mixed length: public ones where they are, else the project's own samples, repeated."""
    file = FOLDER / name / "train.csv"
    own = ROOT / "sample_data" / "product_reviews.csv"
    column = pd.read_csv(file if file.exists() else own)["text"].astype(str).tolist()
    order = np.random.default_rng(0).permutation(len(column))
    return [column[order[i % len(column)]] for i in range(count)]
