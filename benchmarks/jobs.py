"""How fast the queue and the Train page answer: a start with a warm worker, a stop, a metric on the screen, rest.

The supervisor, the worker, the app and a headless Chromium are those that people use, in a workspace of their own. The
page is left out where Playwright or Chromium is not installed. Knows nothing of how a run trains.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.canvas import ARGUMENTS, ROOT, served
from benchmarks.measure import Question, Row
from fgdesign.graph import Graph, load_graph
from fgdesign.runs.process import end_group, mark_of
from fgdesign.runs.store import Job, Store, open_store
from fgdesign.views.numbers import plain

DATA = ROOT / "sample_data" / "product_reviews.csv"
WARM_SECONDS, PATIENCE = 10.0, 180.0
LONG = {"epochs": 50, "warm_epochs": 200, "patience": 1000, "validations": 4, "device": "cpu"}
VISITS, WRITERS = 5, 8
LIVE = """() => [...document.querySelectorAll('[data-testid=stMetric]')].some(box =>
  box.innerText.startsWith('Training loss') && /\\d/.test(box.innerText.split('loss')[1]))"""
WATCH = """() => { globalThis.fgSeen = []; let last = '';
  setInterval(() => { for (const box of document.querySelectorAll('[data-testid=stMetric]')) {
    if (!box.innerText.startsWith('Training loss')) continue;
    const now = box.querySelector('[data-testid=stMetricValue]').innerText.trim();
    if (now !== last) { last = now; fgSeen.push([Date.now() / 1000, now]); } } }, 10); }"""


def measure(quick: bool = False) -> Question:
    """Starts and stops of some runs, the supervisor at rest, and delays of what a run computes on the page."""
    found = Question("jobs", "The queue: starts, stops, what is on the screen, rest")
    graph = load_graph("routed-experts")
    warm = 2.0 if quick else WARM_SECONDS
    with tempfile.TemporaryDirectory() as folder, supervised(Path(folder), warm) as (store, supervisor):
        starts, stops = [], []
        for turn in range(1 + (1 if quick else 5)):  # the first computes the static part
            start, stop = one_run(store, graph, warm)
            if turn:
                starts.append(start)
                stops.append(stop)
        found.rows += [
            Row("submit to the first step, warm worker, static part known", max(starts), "s", target=3, higher=False,
                note=f"slowest of {len(starts)}, median {median(starts):.2f}"),
            Row("stop to a kept model", max(stops), "s", target=2, higher=False,
                note=f"slowest of {len(stops)}, median {median(stops):.2f}")]
        if not quick:
            found.rows += on_screen(found, store, graph, seconds=25)
            time.sleep(WARM_SECONDS)
        writers, each = (2, 20) if quick else (WRITERS, 500)
        found.rows.append(Row(f"a commit in the queue, {writers} processes writing without a pause, 99th percentile",
                              commits(Path(folder) / "commits", writers, each), "s", target=0.25, higher=False))
        found.rows.append(Row("supervisor at rest, of one core", 100 * at_rest(supervisor, 4 if quick else 30), "%",
                              target=1, higher=False))
    return found


@contextmanager
def supervised(root: Path, warm: float = WARM_SECONDS) -> Iterator[tuple[Store, psutil.Process]]:
    """A workspace with a supervisor whose worker is warm, after so many seconds."""
    environment = {**os.environ, "FGDESIGN_WORKSPACE": str(root), "FGDESIGN_CACHE": str(root / "cache")}
    boss = subprocess.Popen([sys.executable, "-m", "fgdesign", "supervise"], env=environment, cwd=ROOT,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    store = open_store(root)
    try:
        time.sleep(warm)
        yield store, psutil.Process(boss.pid)
    finally:
        for job in store.active():
            end_group(job.pid, job.pid_mark)
        for child in psutil.Process(boss.pid).children(recursive=True):
            end_group(child.pid, mark_of(child.pid))
        boss.kill()
        boss.wait()


def one_run(store: Store, graph: Graph, warm: float) -> tuple[float, float]:
    """Seconds from submit to the first step, and from stop to a model that is kept."""
    began = time.perf_counter()
    name = begun(store, graph).name
    start = time.perf_counter() - began
    wait(lambda: store.job(name).folder.has_learned())
    time.sleep(1.0)
    asked = time.perf_counter()
    store.stop(name)
    wait(lambda: store.job(name).state == "stopped")
    stop = time.perf_counter() - asked
    time.sleep(warm)  # another worker is made ready
    return start, stop


def begun(store: Store, graph: Graph) -> Job:
    """A long run after its first step."""
    name = store.submit(graph, {"train": str(DATA)}, LONG).name
    wait(lambda: any(event["kind"] == "step" for event in store.job(name).folder.metrics()))
    return store.job(name)


def on_screen(found: Question, store: Store, graph: Graph, seconds: float) -> list[Row]:
    """How long after a number was logged the page shows it, while the run goes on."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        found.notes.append("The page was left out: it needs Playwright and Chromium.")
        return []
    job = begun(store, graph)
    with served(store.root, "app.py") as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{url}/train?run={job.name}")
        page.get_by_text("Training loss").first.wait_for(timeout=60_000)
        page.evaluate(WATCH)
        page.wait_for_timeout(1000 * seconds)
        seen: list[tuple[float, str]] = page.evaluate("fgSeen")
        back = [seconds_until_live(page, page.reload) for _ in range(VISITS)]
        for _ in range(VISITS):  # as another device would: nothing kept, a session of its own
            other = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
            back.append(seconds_until_live(other, lambda other=other: other.goto(f"{url}/train?run={job.name}")))
            other.context.close()
        browser.close()
    store.cancel(job.name)
    late = delays(job.folder.metrics(), seen)
    wait(lambda: store.job(job.name).state == "cancelled")
    rows = [Row("a run on the screen again, after a reload or elsewhere", max(back), "s", target=2, higher=False,
                note=f"slowest of {len(back)}, median {median(back):.2f}")]
    if not late:
        found.notes.append("No step fell into the time that the page was watched.")
        return rows
    return [*rows, Row("a metric computed to on the screen", max(late), "s", target=1, higher=False,
                note=f"slowest of {len(late)}, median {median(late):.2f}")]


def seconds_until_live(page: Any, ask: Callable[[], object]) -> float:
    """From asking for the page until it shows a training loss."""
    began = time.perf_counter()
    ask()
    page.wait_for_function(LIVE, polling=20, timeout=60_000)
    return time.perf_counter() - began


def delays(events: list[dict[str, Any]], seen: list[tuple[float, str]]) -> list[float]:
    """For each step that was logged while the page was watched, how much later the page showed it or a later one.

    seen: when another number appeared, and which. A number that was there already was not late.
    """
    steps = [(event["time"], plain(event["loss"])) for event in events
             if event["kind"] == "step" and event["loss"] is not None]
    ends = [at for at, _ in seen[1:]]
    inside = [step for step in steps if seen and seen[0][0] < step[0] <= seen[-1][0]]

    def late(time_: float) -> float:
        for (at, text), end in zip(seen, ends, strict=False):
            told = next((when for when, written in steps if time_ <= when < end and written == text), None)
            if told is not None:
                return max(at, told) - time_
        return 0.0  # it was not replaced while the page was watched

    return [late(when) for when, _ in inside]


def commits(root: Path, writers: int, count: int) -> float:
    """Seconds of a commit at the 99th percentile, so many processes writing `count` each at once."""
    open_store(root)
    with multiprocessing.get_context("spawn").Pool(writers) as pool:
        took = [seconds for some in pool.starmap(_commit, [(root, count)] * writers, chunksize=1) for seconds in some]
    return sorted(took)[int(0.99 * len(took))]


def _commit(root: Path, count: int) -> list[float]:
    store, took = open_store(root), []
    for number in range(count):
        began = time.perf_counter()
        store.say(str(os.getpid()), "tick", str(number))
        took.append(time.perf_counter() - began)
    return took


def at_rest(process: psutil.Process, seconds: float) -> float:
    """The share of one core that a process takes."""
    def busy() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    before = busy()
    time.sleep(seconds)
    return (busy() - before) / seconds


def wait(true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > end:
            raise TimeoutError("the run did not get so far")
        time.sleep(0.005)
