"""One training with several seeds: what its numbers are worth. Knows nothing of torch."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fgdesign.graph.spec import Graph
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.store import Job, Store

LEVEL = 0.95
PARTS = ("test", "valid")


@dataclass(frozen=True)
class Spread:
    """A metric over seeds: mean, and the interval that holds the true mean in 95 of 100 cases (Student's t)."""

    mean: float
    low: float
    high: float
    values: tuple[float, ...]

    @property
    def alike(self) -> bool:
        """Whether every seed gave the same, as where all that learns is fitted in closed form."""
        return self.low == self.high


def spread(values: Sequence[float]) -> Spread:
    """Of one number the interval is everything."""
    n, mean = len(values), math.fsum(values) / len(values)
    if n < 2:
        return Spread(mean, -math.inf, math.inf, tuple(values))
    from scipy.stats import t

    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(t.ppf((1 + LEVEL) / 2, n - 1)) * deviation / math.sqrt(n)
    return Spread(mean, mean - half, mean + half, tuple(values))


def seeds_of(store: Store, name: str) -> list[Job]:
    """The runs that differ from this one in the seed alone, and itself; the oldest first."""
    one = store.job(name)
    found = store.jobs(group=_group(one))[::-1]
    return found if name in [job.name for job in found] else [one, *found]


def submit_seeds(store: Store, graph: Graph, data: Mapping[str, str | None], settings: Mapping[str, Any],
                 seeds: Sequence[int], **about: Any) -> list[RunFolder]:
    """Queue the same run with several seeds, as one group. Args: about: as `Store.submit`. Raises InputError."""
    group = about.pop("group", "") or f"seeds-{time.strftime('%Y%m%d-%H%M%S')}"
    return [store.submit(graph, data, {**settings, "seed": seed}, group=group, **about) for seed in seeds]


def more_seeds(store: Store, name: str, count: int) -> list[str]:
    """Queue the same training with as many seeds that were not used yet; returns the new runs. Raises InputError."""
    one, config = store.job(name), store.job(name).folder.config()
    used = {int(job.folder.config()["settings"]["seed"]) for job in seeds_of(store, name)}
    first = int(config["settings"]["seed"])
    fresh = [seed for seed in range(first, first + count + len(used)) if seed not in used][:count]
    group = _group(one)
    if one.trial is None:
        store.regroup(name, group)
    runs = submit_seeds(store, one.folder.graph(), config["data"], config["settings"], fresh, group=group,
                        start=config.get("start"), priority=one.priority, owner=one.owner)
    return [run.name for run in runs]


def _group(one: Job) -> str:
    """What the seeds of a run are called; the trials of a search are no seeds of each other."""
    return one.group_name if one.group_name and one.trial is None else f"seeds of {one.name}"


def summary(jobs: Sequence[Job]) -> dict[str, Any]:
    """How many runs there are and are through, on which rows they were measured, and the spread of every metric."""
    reports = [report for job in jobs if job.state == "succeeded" and (report := job.folder.report())]
    part = next((part for part in PARTS if reports and all(part in report for report in reports)), "")
    told: list[dict[str, Any]] = [report[part] for report in reports] if part else []
    names = [name for name, value in (told[0] if told else {}).items() if isinstance(value, float)]
    return {"runs": len(jobs), "done": len(reports), "part": part, "metrics": {
        name: spread([float(one[name]) for one in told]) for name in names
        if all(isinstance(one.get(name), int | float) for one in told)}}
