"""What a run shows of itself beside its metrics: the load of the machine, and rows as the model sees them.

Both are files of the run folder that a resumption need not cut. Knows nothing of screens.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from fgdesign.runs.folder import RunFolder
from fgdesign.runs.process import team

if TYPE_CHECKING:
    import torch

    from fgdesign.runs.prepare import Prepared

SECONDS = 2.0  # between two looks at the machine, at first
SLOWER = 200  # a run is looked at about so many times before looks become rarer
MOST_EXAMPLES = 12
MOST_TOKENS = 96  # of an example that are written


@contextmanager
def watching(folder: RunFolder, device: torch.device) -> Iterator[None]:
    """While it lasts, lines of machine.jsonl are written, ever more rarely: time, cpu, memory and so on."""
    done = threading.Event()

    def look() -> None:
        processes, began = team(), time.monotonic()
        for process in processes:
            process.cpu_percent()
        psutil.cpu_percent()
        while not done.wait(max(SECONDS, (time.monotonic() - began) / SLOWER)):
            with (folder.path / "machine.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(load(processes, device)) + "\n")

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def load(processes: Sequence[psutil.Process], device: torch.device) -> dict[str, float]:
    """cpu: share of the machine's cores this run keeps busy; busy: that everything does; memory in bytes.

    Of several GPUs, the first.
    """
    free = psutil.virtual_memory()
    told = {"time": time.time(), "cpu": sum(one.cpu_percent() for one in processes) / 100 / (psutil.cpu_count() or 1),
            "busy": psutil.cpu_percent() / 100, "memory": float(sum(one.memory_info().rss for one in processes)),
            "free": float(free.available), "of": float(free.total)}
    if device.type == "cuda":
        import torch

        told |= {"gpu_memory": float(torch.cuda.memory_allocated(device)),
                 "gpu_of": float(torch.cuda.get_device_properties(device).total_memory)}
    return told


def write_examples(folder: RunFolder, ready: Prepared) -> None:
    """examples.json: some training rows after encoding; rows of all labels first, the same for the same seed."""
    rows, labels = ready.parts["train"], list(ready.data.labels)
    order = np.random.default_rng(0).permutation(len(rows))
    names = [label_of(rows.targets[row].tolist(), labels) for row in order[:2000]]
    firsts = [names.index(name) for name in dict.fromkeys(names)]
    chosen = [*firsts, *(place for place in range(len(names)) if place not in set(firsts))][:MOST_EXAMPLES]
    node, encoded = next(iter(rows.inputs.tokens.items()), ("", None))
    examples: list[dict[str, Any]] = []
    for place in chosen:
        row = int(order[place])
        told: dict[str, Any] = {"label": names[place], "text": rows.inputs.texts[row][:500]}
        if encoded is not None:
            ids = encoded.ids[encoded.offsets[row]:encoded.offsets[row + 1]]
            told |= {"tokens": ready.tokenizer.convert_ids_to_tokens(ids[:MOST_TOKENS].tolist()), "length": len(ids),
                     "cut": bool(encoded.truncated[row])}
        examples.append(told)
    folder.write("examples.json", {"node": node, "rows": len(rows), "examples": examples})


def label_of(target: Any, labels: list[str]) -> str:
    """A target as words: a label, several, or a number."""
    if isinstance(target, list):
        return ", ".join(name for name, on in zip(labels, target, strict=True) if on > 0.5) or "no label"
    return labels[target] if isinstance(target, int) else f"{target:.4g}"
