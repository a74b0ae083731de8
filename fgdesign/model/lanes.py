"""Batches side by side: on a CPU each lane runs whole batches on one thread, as many lanes as there are threads.

No product waits for another thread and no core idles in what runs on one thread only, such as tokens being padded; all
threads on one batch are slower (LAB.md). Knows nothing of graphs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


def lanes_of(device: torch.device) -> int:
    """How many batches run at once."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def side_by_side(work: Callable[[T], R], items: Sequence[T], device: torch.device) -> Generator[R, None, None]:
    """work(item) for all items, in their order. Few results are made ahead of the one that is asked for.

    `work` runs in other threads: it enters inference mode and autocast itself.
    """
    lanes, threads = min(lanes_of(device), len(items)), torch.get_num_threads()
    if lanes < 2:
        yield from map(work, items)
        return
    pool = ThreadPoolExecutor(lanes, "lane", initializer=torch.set_num_threads, initargs=(1,))
    ahead: deque[Future[R]] = deque()
    try:
        for item in items:
            ahead.append(pool.submit(work, item))
            if len(ahead) > 2 * lanes:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads)  # the lanes' number is taken over by threads that begin later
