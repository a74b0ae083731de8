"""What each exit answers, and how right it would be on the rows that went on. Knows nothing of pictures."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fgdesign.insight.answered_set import AnsweredSet, Model, inputs_of, right_of
from fgdesign.insight.statistics import wilson
from fgdesign.training.evaluate import as_outputs
from fgdesign.training.rows import collect

COLUMNS = ("exit", "depth", "rows", "share", "answered", "answered_low", "answered_high", "went_on", "went_on_low",
           "went_on_high", "end", "end_low", "end_high")


def exit_table(model: Model, answered: AnsweredSet) -> pd.DataFrame:
    """Per exit in order and for the end of the graph: share of rows, and shares of right answers with 95 % intervals.

    Columns: COLUMNS. answered: right on the rows it answered; went_on: right on the rows that went on past it, had it
    answered them; end: right on those rows in the end. NaN where there is no such row or no label.
    """
    network, names = model.network, answered.answers.exit_names
    if not names or answered.right is None or answered.targets is None:
        return pd.DataFrame(columns=list(COLUMNS))
    sources = {name: network.plan.graph.into(name, "logits")[0].source for name in names}
    held = collect(network, inputs_of(model, answered.data), model.device, tuple(dict.fromkeys(sources.values())))
    found, exits = [], answered.answers.exits
    for place, name in [*enumerate(names), (-1, "answer")]:
        mine = exits == place
        row = {"exit": name, "depth": float(answered.layers[mine].mean()) if mine.any() else np.nan,
               "rows": int(mine.sum()), "share": float(mine.mean()), **_share("answered", answered.right[mine])}
        later = (exits > place) | (exits == -1) if place >= 0 else np.zeros(len(exits), bool)
        if place >= 0:
            row["depth"] = float(network.needed((sources[name],), (), True).layers)
            outputs = as_outputs(held[sources[name]].float(), answered.task)
            would = right_of(outputs, answered.targets, answered.task, answered.answers.decision)
            assert would is not None
            row |= _share("went_on", would[later])
        else:
            row |= _share("went_on", answered.right[later])
        found.append(row | _share("end", answered.right[later]))
    return pd.DataFrame(found, columns=list(COLUMNS))


def _share(name: str, right: np.ndarray) -> dict[str, float]:
    if not len(right):
        return {name: np.nan, f"{name}_low": np.nan, f"{name}_high": np.nan}
    low, high = wilson(right.sum(), len(right))
    return {name: float(right.mean()), f"{name}_low": float(low), f"{name}_high": float(high)}
