"""Several processes that train one run: who takes which rows, how gradients are summed, who decides.

The loop is written once, for a `Group`. Alone it does nothing; `Ranks` are the processes that torchrun started on this
machine. All hold the same weights and optimiser. Each learns from its shard of the rows of every batch, gradients are
summed, and all make the same update. The first measures, decides, saves and writes; the others hear of it.

Losses of rows are weighted by rows, so that the sum over shards is the loss of the whole batch. A router's losses are
means over the rows that it sees together (how even their load is): they are computed for each shard by itself and
averaged, as they are for each batch where gradients are accumulated. Noise of routers is drawn for each shard.
Knows nothing of files, graphs or screens.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, distributed

Told = TypeVar("Told")
BUCKET = 1 << 23  # numbers that are summed at a time, 32 MB
WORDS = 120  # bytes of what is told in one message; longer words take two
LONGEST = timedelta(days=7)  # for what the others wait for: the static part of many rows. A death is seen at once


class RankLost(Exception):
    """Another process of this run has ended; that one knows why."""


class Group:
    """The processes that train a run: here, this one alone."""

    rank = 0
    size = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that decides and writes."""
        return self.rank == 0

    @property
    def salt(self) -> tuple[int, ...]:
        """What a seed is joined with, so that shards draw noise of their own; nothing in the first process."""
        return (self.rank,) if self.rank else ()

    def device(self, picked: torch.device) -> torch.device:
        """Where this process computes, when the run's device is `picked`."""
        return picked

    def shard(self, rows: np.ndarray) -> np.ndarray:
        """The rows of a batch, (n,) of like length, that this process learns from; none where there are too few."""
        return rows

    def heard(self, say: Callable[[], Told]) -> Told:
        """What the first process says, plain data that JSON can hold; the others wait for it."""
        return say()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """While the others wait, this process has their threads too."""
        yield

    def hand_out(self, give: Callable[[], Mapping[str, Tensor]], take: Callable[[Mapping[str, Tensor]], None]) -> None:
        """The others take the tensors that the first gives."""

    def add(self, parameters: Sequence[torch.nn.Parameter], total: Tensor) -> None:
        """Sum `total`, (), and the gradients over all processes, in place.

        One that no process has stays absent; where only some have it, it counts as zero in the others.
        """


class Ranks(Group):
    """Processes joined by torch.distributed; numbers on a GPU are summed by NCCL, all others by gloo."""

    def __init__(self, rank: int, size: int, local: int) -> None:
        self.rank, self.size, self.local = rank, size, local

    def device(self, picked: torch.device) -> torch.device:
        return torch.device("cuda", self.local) if picked.type == "cuda" else picked

    def shard(self, rows: np.ndarray) -> np.ndarray:
        return rows[self.rank::self.size]

    def heard(self, say: Callable[[], Told]) -> Told:
        told = say() if self.first else None
        words = json.dumps(told).encode()
        head = torch.zeros(8 + WORDS, dtype=torch.uint8)
        if self.first:
            start = len(words).to_bytes(8, "little") + words[:WORDS]
            head[:len(start)] = torch.frombuffer(bytearray(start), dtype=torch.uint8)
        self._spread(head)
        size = int.from_bytes(bytes(head[:8].tolist()), "little")
        if size > WORDS:
            whole = torch.frombuffer(bytearray(words), dtype=torch.uint8) if self.first else \
                torch.empty(size, dtype=torch.uint8)
            self._spread(whole)
        else:
            whole = head[8:8 + size]
        heard: Told = told if self.first else json.loads(bytes(whole.tolist()))  # type: ignore[assignment]
        return heard

    @contextmanager
    def lent(self) -> Iterator[None]:
        threads = torch.get_num_threads()
        torch.set_num_threads(threads * self.size)
        try:
            yield
        finally:
            torch.set_num_threads(threads)

    def hand_out(self, give: Callable[[], Mapping[str, Tensor]], take: Callable[[Mapping[str, Tensor]], None]) -> None:
        given = {name: tensor.detach().cpu().contiguous() for name, tensor in give().items()} if self.first else {}
        listed = [[name, str(tensor.dtype).removeprefix("torch."), *tensor.shape] for name, tensor in given.items()]
        for name, kind, *shape in self.heard(lambda: listed):
            tensor = given[str(name)] if self.first else torch.empty(
                [int(side) for side in shape], dtype=getattr(torch, str(kind)))
            given[str(name)] = tensor
            if tensor.numel():
                self._spread(tensor)
        if not self.first:
            take(given)

    def add(self, parameters: Sequence[torch.nn.Parameter], total: Tensor) -> None:
        used = torch.tensor([float(parameter.grad is not None) for parameter in parameters])
        head = torch.cat([total.detach().float().reshape(1), used.to(total.device)])
        self._sum(head)
        total.copy_(head[0])
        counts = head[1:].tolist()
        for bucket in _buckets([parameter for parameter, count in zip(parameters, counts, strict=True) if count]):
            grads = [torch.zeros_like(one) if one.grad is None else one.grad for one in bucket]
            flat = torch.cat([grad.flatten() for grad in grads])
            self._sum(flat)
            start = 0
            for parameter, grad in zip(bucket, grads, strict=True):
                parameter.grad = grad.copy_(flat[start:start + grad.numel()].view_as(grad))
                start += grad.numel()

    def _sum(self, tensor: Tensor) -> None:
        with _together():
            distributed.all_reduce(tensor)

    def _spread(self, tensor: Tensor) -> None:
        with _together():
            distributed.broadcast(tensor, 0)


def join(device: str, meeting: Path) -> Ranks:
    """The group of the processes that torchrun started, this one among them.

    Where there are fewer GPUs than processes they are joined all the same, to say so.

    Args: device: as the run's setting has it. meeting: a file by which they find each other: no port is opened for it
        that another user could reach.
    """
    rank, size, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    on_gpus = device != "cpu" and torch.cuda.device_count() >= size
    if on_gpus:
        torch.cuda.set_device(local)
    with _together():
        distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo", init_method=f"file://{meeting}",
                                       rank=rank, world_size=size, timeout=LONGEST)
    return Ranks(distributed.get_rank(), distributed.get_world_size(), local)


@contextmanager
def _together() -> Iterator[None]:
    """What is done by all: where it fails, one of the others is gone."""
    try:
        yield
    except RuntimeError as error:
        raise RankLost(f"Another process of this run has ended: {error}") from error


def _buckets(parameters: Sequence[torch.nn.Parameter]) -> Iterator[list[torch.nn.Parameter]]:
    """Parts of so many numbers about, each of one type."""
    bucket: list[torch.nn.Parameter] = []
    size = 0
    for parameter in parameters:
        if bucket and (size + parameter.numel() > BUCKET or parameter.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(parameter)
        size += parameter.numel()
    if bucket:
        yield bucket
