"""The static part, computed once: values of the frontier kept on disk by content, ragged, memory-mapped.

A value is found again by a hash of what computes it (pretrained weights, static nodes, tokeniser) and of the
texts. Each write is a segment: a folder made aside and renamed into place, so that readers see all of it or
nothing and two writers cannot harm each other. A segment that does not match its checksum is thrown away and
its values are computed again. Knows nothing of data sets or training.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fgdesign.errors import RunError
from fgdesign.graph.infer import params_of
from fgdesign.model.device import fast_dtype, moved, precision
from fgdesign.model.flows import Flow
from fgdesign.model.inputs import Inputs
from fgdesign.model.lanes import side_by_side
from fgdesign.model.network import FunctionGraph, Outcome

LIMIT_BYTES = 8 << 30
BATCH_ROWS = 32
STALE_SECONDS = 3600  # a folder that was being written longer ago was left by a process that died
ATTEMPTS = 3
DTYPES = {"sequence": torch.bfloat16, "vector": torch.float32}
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Segment:
    """Values of some texts for one port. values: (tokens, width); starts: (rows + 1,) int64; width may be 0 rows."""

    folder: Path
    values: Tensor
    starts: np.ndarray
    hashes: list[bytes]


@dataclass(frozen=True)
class Stored:
    """Values of a port for N rows. place: (N, 2) int64, the segment and the row in it."""

    kind: str
    segments: Sequence[Segment]
    place: np.ndarray

    def flow(self, rows: np.ndarray, device: torch.device) -> Flow:
        """The rows' values as float32: (n, D), or (n, T, H) padded with its mask."""
        spans = [self._span(*self.place[row]) for row in rows]
        if self.kind == "vector":
            return Flow(moved(torch.cat(spans).float(), device))
        longest = max(len(span) for span in spans)
        value = torch.zeros(len(rows), longest, spans[0].shape[1])
        for i, span in enumerate(spans):
            value[i, : len(span)] = span
        lengths = torch.tensor([len(span) for span in spans])
        mask = None if bool((lengths == longest).all()) else torch.arange(longest) < lengths[:, None]
        return Flow(moved(value, device), None if mask is None else moved(mask, device))

    def _span(self, segment: int, row: int) -> Tensor:
        starts = self.segments[segment].starts
        return self.segments[segment].values[starts[row]:starts[row + 1]]


@dataclass(frozen=True)
class StaticCache:
    """Values on disk, at most `limit` bytes; the ones used longest ago go first."""

    folder: Path
    limit: int = LIMIT_BYTES

    def fill(self, network: FunctionGraph, inputs: Inputs, ports: Sequence[str], tokenizer: str, device: torch.device,
             progress: Progress | None = None) -> int:
        """Make `inputs.static` hold these ports, computing what is not stored. Returns rows computed.

        Args: tokenizer: hash of the tokeniser.
        Raises: RunError when what was just written cannot be read back.
        """
        memo: dict[str, str] = {}
        dtype = str(fast_dtype(device)).removeprefix("torch.")  # values of another precision are other values
        keys = {port: f"{port_key(network, port, tokenizer, memo)}-{dtype}" for port in ports}
        self._sweep()
        computed = 0
        for _ in range(ATTEMPTS):  # another process may make room and take what was found
            known = {port: self._open(key) for port, key in keys.items()}
            missing = _missing(known, inputs)
            if not len(missing):
                break
            self._compute(network, inputs, keys, missing, device, progress)
            computed += len(missing)
        else:
            raise RunError(f"Static values written to {self.folder} cannot be read back. Check that the disk is sound "
                           "and has room, or set FGDESIGN_CACHE to another folder.")
        for port in ports:
            kind = network.plan.found.values[port].type
            inputs.static[port] = Stored(kind, known[port], _places(known[port], inputs.hashes))
        self._evict({segment.folder for segments in known.values() for segment in segments})
        return computed

    def _compute(self, network: FunctionGraph, inputs: Inputs, keys: dict[str, str], rows: np.ndarray,
                 device: torch.device, progress: Progress | None) -> None:
        was_training = network.training
        network.eval()
        dtype, parts = fast_dtype(device), [rows[at:at + BATCH_ROWS] for at in range(0, len(rows), BATCH_ROWS)]
        done = 0

        def run(part: np.ndarray) -> Outcome:
            with torch.inference_mode(), precision(device, dtype):
                found: Outcome = network(inputs.batch(part, device), wanted=tuple(keys), open_exits=True)
                return found

        writers = {port: _Writer(self.folder / key, DTYPES[network.plan.found.values[port].type])
                   for port, key in keys.items()}
        try:
            with closing(side_by_side(run, parts, device)) as made:
                for part, outcome in zip(parts, made, strict=True):
                    for port, writer in writers.items():
                        writer.add(outcome.flows[port], [inputs.hashes[row] for row in part])
                    done += len(part)
                    if progress:
                        progress(done, len(rows))
            for writer in writers.values():
                writer.commit()
        finally:
            for writer in writers.values():
                writer.discard()
            network.train(was_training)

    def _open(self, key: str) -> list[Segment]:
        """Whole segments of a key; damaged ones are removed."""
        found = []
        for folder in sorted((self.folder / key).glob("segment-*")):
            segment = _read(folder)
            if segment is None:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                found.append(segment)
        return found

    def _sweep(self) -> None:
        """Remove folders that writers left when they died."""
        for folder in self.folder.glob("*/writing-*"):
            try:
                touched = max(entry.stat().st_mtime for entry in (folder, *folder.iterdir()))
            except OSError:
                continue  # its writer has just finished
            if touched < time.time() - STALE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)

    def _evict(self, in_use: set[Path]) -> None:
        """Remove segments used longest ago until the limit holds; those in use stay."""
        sized = []
        for manifest in self.folder.glob("*/segment-*/manifest.json"):
            try:
                size = sum(file.stat().st_size for file in manifest.parent.iterdir())
                sized.append((manifest.stat().st_mtime, size, manifest.parent))
            except OSError:
                continue  # another process is removing it
        total = sum(size for _, size, _ in sized)
        for _, size, folder in sorted(sized):
            if total <= self.limit:
                return
            if folder not in in_use:
                shutil.rmtree(folder, ignore_errors=True)
                total -= size


class _Writer:
    """Writes one segment aside; `commit` renames it into place."""

    def __init__(self, key_folder: Path, dtype: torch.dtype) -> None:
        self.name = uuid.uuid4().hex
        self.key_folder, self.dtype = key_folder, dtype
        self.aside = key_folder / f"writing-{self.name}"
        self.aside.mkdir(parents=True)
        self.file = (self.aside / "values.bin").open("wb")
        self.starts, self.width, self.checksum = [0], 0, 0
        self.hashes: list[bytes] = []

    def add(self, flow: Flow, hashes: list[bytes]) -> None:
        value = flow.value.detach().to("cpu", self.dtype)
        if value.dim() == 2:
            lengths = [1] * len(value)
        else:
            full = torch.ones(value.shape[:2], dtype=torch.bool) if flow.mask is None else flow.mask.cpu()
            value, lengths = value[full], full.sum(1).tolist()
        data = value.contiguous().view(torch.uint8).numpy().tobytes()
        self.checksum = zlib.crc32(data, self.checksum)
        self.file.write(data)
        self.width = value.shape[1]
        self.hashes += hashes
        for length in lengths:
            self.starts.append(self.starts[-1] + length)

    def commit(self) -> None:
        np.save(self.aside / "starts.npy", np.array(self.starts, np.int64), allow_pickle=False)
        (self.aside / "hashes.bin").write_bytes(b"".join(self.hashes))
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        sums = {name: zlib.crc32((self.aside / name).read_bytes()) for name in ("starts.npy", "hashes.bin")}
        manifest = {"dtype": str(self.dtype).removeprefix("torch."), "width": self.width,
                    "values.bin": self.checksum, **sums}
        (self.aside / "manifest.json").write_text(json.dumps(manifest))
        self.aside.rename(self.key_folder / f"segment-{self.name}")

    def discard(self) -> None:
        self.file.close()
        shutil.rmtree(self.aside, ignore_errors=True)


def _read(folder: Path) -> Segment | None:
    """A segment, or None where it is incomplete or damaged."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        os.utime(folder / "manifest.json")
        for name in ("starts.npy", "hashes.bin"):
            if zlib.crc32((folder / name).read_bytes()) != manifest[name]:
                return None
        starts = np.load(folder / "starts.npy", allow_pickle=False)
        digests = (folder / "hashes.bin").read_bytes()
        dtype = getattr(torch, manifest["dtype"])
        shape = (int(starts[-1]), manifest["width"])
        if (folder / "values.bin").stat().st_size != shape[0] * shape[1] * dtype.itemsize:
            return None
        raw = np.memmap(folder / "values.bin", np.uint8, "c")
        if zlib.crc32(raw.data) != manifest["values.bin"]:
            return None
        values = torch.from_numpy(raw).view(dtype).view(shape)
        return Segment(folder, values, starts, [digests[i:i + 16] for i in range(0, len(digests), 16)])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None


def _missing(known: dict[str, list[Segment]], inputs: Inputs) -> np.ndarray:
    """(n,) int64 rows, one of each text of which some port has no value, the shortest first."""
    held = [{digest for segment in segments for digest in segment.hashes} for segments in known.values()]
    first: dict[bytes, int] = {}
    for row, digest in enumerate(inputs.hashes):
        if any(digest not in mine for mine in held):
            first.setdefault(digest, row)
    return np.array(sorted(first.values(), key=lambda row: inputs.lengths[row]), dtype=np.int64)


def _places(segments: Sequence[Segment], hashes: Sequence[bytes]) -> np.ndarray:
    index = {digest: (s, row) for s, segment in enumerate(segments) for row, digest in enumerate(segment.hashes)}
    return np.array([index[digest] for digest in hashes], dtype=np.int64).reshape(-1, 2)


def port_key(network: FunctionGraph, port: str, tokenizer: str, memo: dict[str, str] | None = None) -> str:
    """SHA-256 of what computes a static port: node types, parameters, weights, edges; not what nodes are called.

    Args: tokenizer: a hash of the tokeniser. memo: keys of the same network found before, filled here.
    """
    memo = {} if memo is None else memo
    if port not in memo:
        memo[port] = _port_key(network, port, tokenizer, memo)
    return memo[port]


def _port_key(network: FunctionGraph, port: str, tokenizer: str, memo: dict[str, str]) -> str:
    graph = network.plan.graph
    node = graph.node(port.partition(".")[0])
    if node.type == "exit/1":  # in training a value passes an exit unchanged
        return port_key(network, graph.into(node.id, "in")[0].source, tokenizer, memo)
    inputs = [[port_key(network, edge.source, tokenizer, memo), edge.target_port, edge.weight]
              for edge in graph.into(node.id)]
    weights = _weights_hash(network.module_of(node.id)) if node.id in network.keys else ""
    what = [node.type, params_of(node), weights, inputs, port.partition(".")[2], tokenizer, _encoder_facts(network)]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def _encoder_facts(network: FunctionGraph) -> dict[str, object]:
    """What the backbone computes beside its weights: heads, activation and the like; not where it lies."""
    facts = asdict(network.plan.backbone)
    return {name: facts[name] for name in ("heads", "activation", "eps", "position_offset", "type_vocab")}


def _weights_hash(module: nn.Module) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
