"""Training by the page: browser closed, server killed, all killed; the run goes on, its curves unbroken."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from serving import PATIENCE, free_port, serve
from supervised import end_supervisor

from fgdesign.graph import Graph, to_json
from fgdesign.runs.process import end_group, mark_of
from fgdesign.runs.store import Job, Store, open_store

pytestmark = pytest.mark.browser


class Place:
    """A workspace of its own with an app that can be killed and started again."""

    def __init__(self, root: Path, graph: Graph) -> None:
        self.root, self.graph, self.port = root, graph, free_port()
        (root / "project.json").write_text(json.dumps({"graph": json.loads(to_json(graph))}), "utf-8")
        self.server = serve(root, self.port)

    @property
    def store(self) -> Store:
        return open_store(self.root)

    @property
    def run(self) -> Job:
        return self.store.jobs()[-1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def address(self, name: str = "") -> str:
        return f"{self.url}/train" + (f"?run={name}" if name else "")

    def kill(self, *, all_of_it: bool) -> None:
        """kill -9 of the server; and of the supervisor and the run."""
        self.server.kill()
        self.server.wait()
        if all_of_it:
            boss = int((self.root / "supervisor.pid").read_text())
            end_group(boss, mark_of(boss))
            end_group(self.run.pid, self.run.pid_mark)

    def start(self) -> None:
        self.server = serve(self.root, self.port)

    def ended(self, state: str) -> None:
        """Wait until the store has heard what the run's own folder tells already."""
        end = time.monotonic() + 60
        while self.run.state != state:
            assert time.monotonic() < end, self.run
            time.sleep(0.1)

    def close(self) -> None:
        self.server.kill()
        self.server.wait()
        end_supervisor(self.root)


@pytest.fixture
def place(tmp_path: Path, tiny_graph: Callable[[str], Graph]) -> Iterator[Place]:
    found = Place(tmp_path, tiny_graph("routed-experts"))
    yield found
    found.close()


def steps(job: Job) -> list[tuple[str, int]]:
    return [(entry["stage"], entry["step"]) for entry in job.folder.metrics() if entry["kind"] == "step"]


def grows(job: Job) -> None:
    """Wait until more was learned than now."""
    before, end = len(steps(job)), time.monotonic() + 120
    while len(steps(job)) <= before:
        assert time.monotonic() < end, job.folder.status()
        time.sleep(0.1)


@pytest.mark.slow
def test_a_run_outlives_the_browser_the_server_and_the_machine(
    page: Any, browser: Any, place: Place, shot: Callable[[Any, str], Path]
) -> None:
    data = {"train": str(Path(__file__).parents[2] / "sample_data" / "support_tickets.csv")}
    run = place.store.submit(place.graph, data, {"epochs": 1000, "patience": 1000, "device": "cpu"})
    page.goto(place.address(run.name))
    page.get_by_text("Training loss").first.wait_for(timeout=120_000)
    job = place.run
    grows(job)
    page.goto("about:blank")
    grows(job)  # nobody looks
    place.kill(all_of_it=False)
    grows(job)  # nobody could look
    place.start()
    page.goto(place.address(job.name))
    page.get_by_text(re.compile("^running on cpu")).wait_for()
    assert place.run.attempt == 1
    place.kill(all_of_it=True)
    place.start()
    page.goto(place.address(job.name))
    page.get_by_text(re.compile("^running on cpu")).wait_for(timeout=120_000)
    grows(job)
    shot(page, "queue-after-a-power-cut")
    assert place.run.attempt == 2
    logged = steps(job)
    assert logged == sorted(set(logged), key=logged.index) and len(set(logged)) == len(logged)
    tune = [step for stage, step in logged if stage == logged[-1][0]]
    assert len({late - early for early, late in pairwise(tune)}) <= 1  # evenly, without a gap

    other = browser.new_context().new_page()  # a second device sees the same, and may act
    other.set_default_timeout(PATIENCE)
    other.goto(place.address(job.name))
    other.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_text("paused", exact=True).first.wait_for(timeout=60_000)
    page.get_by_role("button", name="Resume", exact=True).first.click()
    other.get_by_text(re.compile("^running on cpu")).wait_for(timeout=120_000)
    grows(job)
    other.get_by_role("button", name="Stop", exact=True).first.click()
    page.get_by_role("link", name="See routes").wait_for(timeout=120_000)
    best = [shown.get_by_test_id("stMetric").filter(has_text="best so far").inner_text() for shown in (page, other)]
    assert best[0] == best[1] and re.search(r"0\.\d", best[0])  # the same numbers on both
    place.ended("stopped")
    assert (place.run.folder.model / "model.safetensors").is_file()
