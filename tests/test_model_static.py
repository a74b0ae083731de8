"""Static values: the same as computed ones, found by content, and safe on disk."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_toys import CPU, TINY, tiny_folder, toy_inputs, toy_network, toy_texts
from torch import Tensor

from fgdesign.graph.spec import Graph
from fgdesign.graph.starters import Sketch
from fgdesign.model.backbone import random_backbone
from fgdesign.model.build import plan
from fgdesign.model.inputs import Inputs
from fgdesign.model.network import FunctionGraph
from fgdesign.model.static import StaticCache, port_key
from fgdesign.training.losses import objective

TOKENIZER = "toy"
TEXTS = toy_texts(14, seed=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def cache(tmp_path: Path) -> StaticCache:
    return StaticCache(tmp_path / "static")


def probe(folder: Path, kind: str = "vector", prefix: str = "", pool: str = "mean") -> Graph:
    """Frozen layers below a trained head, or below a trained layer."""
    s = Sketch()
    hidden = s.add(f"{prefix}embeddings", "embeddings", s.add(f"{prefix}text", "text", max_length=20))
    for index in (1, 2, 3):
        hidden = s.add(f"{prefix}layer_{index}", "encoder_layer", hidden, index=index,
                       tuning="full" if kind == "sequence" and index == 3 else None)
    s.add(f"{prefix}head", "classifier", s.add(f"{prefix}pool", "pool", hidden, method=pool), dropout=0.0)
    return replace(s.graph("probe"), backbone=str(folder))


def early_exit(folder: Path) -> Graph:
    """A frontier behind an exit, a routed upper part, and two frontiers of different kinds."""
    s = Sketch()
    lower = s.layers(s.text(max_length=20), 1, 1)
    head = s.add("head_1", "classifier", s.add("pool_1", "pool", lower), dropout=0.0)
    s.add("leave", "exit", lower, logits=head)
    upper = s.add("layer_2", "encoder_layer", "leave.next", index=2)
    s.add("router", "router", upper, branches=2)
    routed = s.add("merge", "merge", s.add("expert", "ffn", "router.branch_1", hidden=8), "router.branch_2")
    s.add("answer", "answer", "leave.answer", s.add("head_2", "classifier", s.add("pool_2", "pool", routed),
                                                    dropout=0.0))
    return replace(s.graph("early"), backbone=str(folder))


def fill(cache: StaticCache, network: FunctionGraph, texts: list[str] | None = None,
         texts_b: list[str] | None = None, tokenizer: str = TOKENIZER) -> tuple[Inputs, int]:
    inputs = toy_inputs(network, texts or TEXTS, texts_b)
    return inputs, cache.fill(network, inputs, network.plan.found.frontier, tokenizer, CPU)


def values(inputs: Inputs, port: str) -> tuple[Tensor, Tensor | None]:
    flow = inputs.static[port].flow(np.arange(len(inputs)), CPU)
    return flow.value, flow.mask


GRAPHS: list[tuple[Callable[[Path], Graph], float]] = [
    (probe, 1e-6),  # a pooled value is kept as float32; only the batch's padding differs
    (lambda folder: probe(folder, "sequence"), 2e-2),  # a sequence is rounded to bfloat16, 8 bits of mantissa
    (early_exit, 2e-2),
]


@pytest.mark.parametrize(("build", "tolerance"), GRAPHS, ids=["vector", "sequence", "early-exit"])
def test_training_on_cached_values_gives_the_loss_of_training_without(
    build: Callable[[Path], Graph], tolerance: float, folder: Path, cache: StaticCache
) -> None:
    network = toy_network(build(folder), shake=0.1)
    inputs, computed = fill(cache, network)
    assert computed == len(TEXTS)
    goal = objective(network.plan)
    losses, gradients = [], []
    for known in (False, True):
        network.zero_grad()
        torch.manual_seed(5)
        network.train()
        needed = network.needed(goal.ports, network.plan.found.frontier if known else (), open_exits=True)
        assert needed.reads_tokens != known
        batch = inputs.batch(np.arange(len(inputs)), CPU, given=needed.given, tokens=needed.reads_tokens)
        outcome = network(batch, wanted=goal.ports, open_exits=True)
        total = goal(outcome, torch.tensor([len(text) % 3 for text in TEXTS]), {})
        total.backward()
        losses.append(float(total.detach()))
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]))
    assert losses[1] == pytest.approx(losses[0], rel=tolerance)
    difference = (gradients[1] - gradients[0]).norm() / gradients[0].norm()
    assert float(difference) < 10 * tolerance


@pytest.mark.parametrize("build", [build for build, _ in GRAPHS], ids=["vector", "sequence", "early-exit"])
def test_cached_values_are_the_computed_ones(build: Callable[[Path], Graph], folder: Path, cache: StaticCache) -> None:
    network = toy_network(build(folder))
    inputs, _ = fill(cache, network)
    with torch.inference_mode():
        flows = network(inputs.batch(np.arange(len(inputs)), CPU), wanted=network.plan.found.frontier,
                        open_exits=True).flows
    assert flows
    for port, flow in flows.items():
        value, mask = values(inputs, port)
        if flow.mask is None:
            assert value.dim() == 2 and mask is None
            torch.testing.assert_close(value, flow.value, atol=1e-5, rtol=1e-5)
        else:
            assert mask is not None and torch.equal(mask, flow.mask)
            torch.testing.assert_close(value[mask], flow.value[mask], atol=1e-2, rtol=8e-3)
            assert not bool(value[~mask].any())


def test_a_vector_is_kept_bit_for_bit(folder: Path, cache: StaticCache) -> None:
    network = toy_network(probe(folder))
    inputs, _ = fill(cache, network, ["amber boat candle"] * 3)
    with torch.inference_mode():
        flow = network(inputs.batch(np.arange(1), CPU), wanted=("pool.out",)).flows["pool.out"]
    assert torch.equal(values(inputs, "pool.out")[0], flow.value.expand(3, -1))


def test_each_text_is_computed_once_and_new_ones_are_added(folder: Path, cache: StaticCache) -> None:
    network = toy_network(probe(folder))
    assert fill(cache, network, ["amber", "boat", "amber"])[1] == 2
    assert fill(cache, network, ["boat", "candle", "amber", "door"])[1] == 2
    inputs, computed = fill(cache, network, ["door", "boat", "amber"])
    assert computed == 0
    again = StaticCache(cache.folder.parent / "fresh")
    fresh, _ = fill(again, network, ["door", "boat", "amber"])
    torch.testing.assert_close(values(inputs, "pool.out"), values(fresh, "pool.out"))


def network_of(graph: Graph, seed: int = 1, **facts: object) -> FunctionGraph:
    backbone = replace(TINY, **facts)  # type: ignore[arg-type]
    return FunctionGraph(plan(graph, task="single", classes=3, backbone=backbone),
                         pretrained=random_backbone(backbone, seed=seed))


def test_the_same_static_part_is_found_whatever_is_called_drawn_or_trained_around_it(
    folder: Path, cache: StaticCache
) -> None:
    graph = probe(folder)
    assert fill(cache, network_of(graph))[1] == len(TEXTS)
    moved = graph.with_nodes(replace(node, position=(7.0, 9.0)) for node in graph.nodes)
    s = Sketch()
    pool = s.add("pool", "pool", s.layers(s.text(max_length=20), 1, 3))
    s.add("head", "classifier", s.add("merge", "gcn_merge", s.add("linear", "linear", pool), pool), hidden=9)
    other = replace(s.graph("other"), backbone=str(folder))
    for same in (moved, probe(folder, prefix="my_"), other):
        assert fill(cache, network_of(same))[1] == 0


@pytest.mark.parametrize("change", ["weight", "parameter", "tokenizer", "text", "second", "empty second", "activation",
                                    "heads", "drawn weight"])
def test_whatever_changes_a_value_changes_its_key(change: str, folder: Path, cache: StaticCache) -> None:
    network = network_of(probe(folder))
    fill(cache, network)
    if change == "weight":
        with torch.no_grad():
            next(iter(network.module_of("layer_1").parameters()))[0, 0] += 1e-6
        assert fill(cache, network)[1] == len(TEXTS)
    elif change == "parameter":
        assert fill(cache, network_of(probe(folder, pool="max")))[1] == len(TEXTS)
    elif change == "tokenizer":
        assert fill(cache, network, tokenizer="other")[1] == len(TEXTS)
    elif change == "text":
        assert fill(cache, network, [*TEXTS[1:], TEXTS[0] + " "])[1] == 1
    elif change in ("second", "empty second"):
        assert fill(cache, network, TEXTS, ["boat" if change == "second" else ""] * len(TEXTS))[1] == len(TEXTS)
    elif change in ("activation", "heads"):
        facts: dict[str, object] = {"activation": "relu"} if change == "activation" else {"heads": 4}
        assert fill(cache, network_of(probe(folder), **facts))[1] == len(TEXTS)
    else:
        keys = {port_key(network_of(weighed(folder, weight)), "total.out", TOKENIZER) for weight in (1.0, 2.0)}
        assert len(keys) == 2


def weighed(folder: Path, weight: float) -> Graph:
    s = Sketch()
    hidden = s.text(max_length=20)
    total = s.add("total", "add", hidden, s.layers(hidden, 1, 1), weights=(1.0, weight))
    s.add("head", "classifier", s.add("pool", "pool", total))
    return replace(s.graph("weighed"), backbone=str(folder))


def test_the_key_of_a_graph_with_many_ways_is_found_at_once(folder: Path) -> None:
    s = Sketch()
    hidden = s.text(max_length=20)
    for i in range(40):
        hidden = s.add(f"add_{i}", "add", hidden, s.add(f"l_{i}", "normalise", hidden))
    s.add("head", "classifier", s.add("pool", "pool", hidden))
    network = network_of(replace(s.graph("ladder"), backbone=str(folder)))
    start = time.process_time()
    port_key(network, "pool.out", TOKENIZER)
    assert time.process_time() - start < 5.0


def segments(cache: StaticCache) -> list[Path]:
    return sorted(cache.folder.glob("*/segment-*"))


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-3])


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("name", ["values.bin", "starts.npy", "hashes.bin", "manifest.json"])
@pytest.mark.parametrize("harm", [truncate, flip, empty, Path.unlink], ids=["cut", "flipped", "emptied", "deleted"])
def test_a_damaged_file_is_noticed_and_its_values_are_made_again(
    name: str, harm: Callable[[Path], None], folder: Path, cache: StaticCache
) -> None:
    network = toy_network(probe(folder, "sequence"))
    first, _ = fill(cache, network)
    expected = values(first, "layer_2.out")
    [segment] = segments(cache)
    harm(segment / name)
    inputs, computed = fill(cache, network)
    assert computed == len(TEXTS)
    assert segment not in segments(cache) and len(segments(cache)) == 1
    assert torch.equal(values(inputs, "layer_2.out")[0], expected[0])


def test_any_flipped_bit_of_a_manifest_is_noticed_or_does_no_harm(folder: Path, cache: StaticCache) -> None:
    network = toy_network(probe(folder))
    first, _ = fill(cache, network, TEXTS[:3])
    expected = values(first, "pool.out")[0]
    manifest = segments(cache)[0] / "manifest.json"
    whole = manifest.read_bytes()
    for place in range(0, len(whole), 3):
        data = bytearray(whole)
        data[place] ^= 1 << (place % 7)
        manifest = segments(cache)[0] / "manifest.json"
        manifest.write_bytes(data)
        inputs, _ = fill(cache, network, TEXTS[:3])
        torch.testing.assert_close(values(inputs, "pool.out")[0], expected)
        manifest = segments(cache)[0] / "manifest.json"
        whole = manifest.read_bytes() if bytes(data) != manifest.read_bytes() else whole


def fill_in_a_process(folder: Path, cache_folder: Path, together: Any, result: Path) -> None:
    torch.set_num_threads(1)
    network = toy_network(probe(folder, "sequence"))
    together.wait(60)
    inputs, _ = fill(StaticCache(cache_folder), network)
    np.save(result, values(inputs, "layer_2.out")[0].numpy())


def test_two_processes_may_fill_the_same_key_at_once(folder: Path, cache: StaticCache, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(2)
    results = [tmp_path / f"{name}.npy" for name in "ab"]
    processes = [context.Process(target=fill_in_a_process, args=(folder, cache.folder, together, result))
                 for result in results]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    inputs, computed = fill(cache, toy_network(probe(folder, "sequence")))
    assert computed == 0
    for result in results:
        assert np.array_equal(np.load(result), values(inputs, "layer_2.out")[0].numpy())
    assert not list(cache.folder.glob("*/writing-*"))


def size(cache: StaticCache) -> int:
    return sum(file.stat().st_size for file in cache.folder.rglob("*") if file.is_file())


def test_the_limit_is_kept_and_what_was_used_longest_ago_goes_first(folder: Path, cache: StaticCache) -> None:
    networks = [network_of(probe(folder), seed) for seed in (1, 2, 3)]
    for age, network in enumerate(networks[:2]):
        fill(cache, network)
        for manifest in cache.folder.glob("*/segment-*/manifest.json"):
            if time.time() - manifest.stat().st_mtime < 60:
                os.utime(manifest, (time.time() - 900 + 100 * age,) * 2)
    one = size(cache) // 2
    fill(cache, networks[0])  # used again, so the second is now the oldest
    small = replace(cache, limit=2 * one + 50)
    fill(small, networks[2])
    assert size(small) <= small.limit
    assert [fill(small, network)[1] for network in (networks[2], networks[0])] == [0, 0]
    assert fill(small, networks[1])[1] == len(TEXTS)


def test_what_is_in_use_stays_above_the_limit(folder: Path, cache: StaticCache) -> None:
    tight = replace(cache, limit=1)
    inputs, computed = fill(tight, network_of(probe(folder)))
    assert computed == len(TEXTS) and len(segments(tight)) == 1
    assert fill(tight, network_of(probe(folder)))[1] == 0
    fill(tight, network_of(probe(folder), seed=2))
    assert len(segments(tight)) == 1
    assert values(inputs, "pool.out")[0].shape == (len(TEXTS), TINY.width)  # still open after its files went


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_model_static import StaticCache, fill, probe, toy_network
from fgdesign.model import static
calls = []
add = static._Writer.add
def dies(self, flow, hashes):
    add(self, flow, hashes)
    self.file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
static._Writer.add = dies
fill(StaticCache(Path(sys.argv[2])), toy_network(probe(Path(sys.argv[1]))))
"""


def test_a_killed_writer_leaves_nothing_to_read_and_is_swept_up(folder: Path, cache: StaticCache) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, folder, cache.folder, Path(__file__).parent],
                          env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}, check=False)
    assert done.returncode < 0
    [left] = cache.folder.glob("*/writing-*")
    assert not segments(cache)
    network = toy_network(probe(folder))
    assert fill(cache, network)[1] == len(TEXTS)
    assert left.exists()  # its writer may still be alive
    for path in (left, *left.iterdir()):
        os.utime(path, (time.time() - 7200,) * 2)
    assert fill(cache, network)[1] == 0
    assert not left.exists()


def test_a_failed_pass_leaves_nothing_behind_and_the_mode_as_it_was(folder: Path, cache: StaticCache) -> None:
    network = toy_network(probe(folder)).train()

    def fails(done: int, total: int) -> None:
        raise KeyboardInterrupt

    inputs = toy_inputs(network, TEXTS)
    with pytest.raises(KeyboardInterrupt):
        cache.fill(network, inputs, ("pool.out",), TOKENIZER, CPU, fails)
    assert not [path for path in cache.folder.rglob("*") if path.is_file()]
    assert network.training


def test_progress_counts_the_rows(folder: Path, cache: StaticCache) -> None:
    network, seen = toy_network(probe(folder)), []
    inputs = toy_inputs(network, toy_texts(70, seed=8))
    cache.fill(network, inputs, ("pool.out",), TOKENIZER, CPU, lambda done, total: seen.append((done, total)))
    total = len(set(inputs.texts))
    assert seen == [(32, total), (64, total), (total, total)]


def test_a_manifest_is_plain_json(folder: Path, cache: StaticCache) -> None:
    fill(cache, toy_network(probe(folder)))
    manifest = json.loads((segments(cache)[0] / "manifest.json").read_text())
    assert (manifest["dtype"], manifest["width"]) == ("float32", TINY.width)
