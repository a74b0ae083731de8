"""Batches side by side: on a CPU each lane runs whole batches on one thread, as many lanes as there are threads.

No product waits for another thread and no core idles in what runs on one thread only, such as tokens being padded; all
threads on one batch are slower (LAB.md). Knows nothing of graphs.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

import torch

OTHERS = 0.5  # threads of others, beside as many of ours as there are cores, from which on the cores are busy
T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def one_thread(when: bool = True) -> Iterator[None]:
    """What stands in the block is computed on one thread, if so: threads of a product wait for each other, and so for
    one that is put aside while others keep the cores busy (LAB.md)."""
    threads = torch.get_num_threads()
    if not when or threads < 2:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def alone(rows: int, device: torch.device) -> AbstractContextManager[None]:
    """One text by itself is computed on one thread where others keep the cores busy. Several rows, or cores that are
    free: nothing changes, so that what a run measures has the same bits beside any load."""
    return one_thread(rows == 1 and device.type == "cpu" and load() >= torch.get_num_threads() + OTHERS)


def load() -> float:
    """How many threads ran or wanted to in the last minute, our own included; 0 where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


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
