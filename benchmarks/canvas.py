"""How fast the canvas answers: from pointer-up to the picture that Python has confirmed, in a headless Chromium.

    python benchmarks/canvas.py [--edits 12] [--sizes 15 100 300 500] [--json FILE]

Starts the app on a free port with a workspace of its own and edits by real mouse events: cards are
dragged and wires are drawn, in turn; then one card is dragged while frames are timed. Prints a Markdown table
and JSON. Knows nothing of how an edit is made.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from fgdesign.graph import Graph, layout, to_json
from fgdesign.graph.spec import Edge, Node

ROOT = Path(__file__).resolve().parents[1]
TARGETS = {15: 120, 100: 130, 300: None, 500: 160}  # milliseconds, at so many nodes
DRAG_STEPS = 120
CHAIN = 8
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
WATCH = """root => {
  const c = root.canvas, adopt = c.adopt.bind(c), edit = c.edit.bind(c);
  globalThis.fgTimes = [];
  addEventListener('pointerup', () => { c.up = performance.now(); }, true);
  c.edit = (op) => {
    edit(op);
    requestAnimationFrame(() => setTimeout(() => { c.local = performance.now() - c.up; }));
  };
  c.adopt = () => { adopt(); const up = c.up; if (!up) return; c.up = 0;
    requestAnimationFrame(() => setTimeout(() => fgTimes.push([performance.now() - up, c.local]))); };
}"""
NEAR = """root => { const c = root.canvas, s = c.nodes.get('sum');
  const fed = [...c.edges.values()].filter((e) => e.to === 'sum');
  return [...c.nodes.values()].filter((n) => n.type === 'layer_norm/1' && !fed.some((e) => e.from === n.id))
    .sort((a, b) => Math.hypot(a.x - s.x, a.y - s.y) - Math.hypot(b.x - s.x, b.y - s.y)).map((n) => n.id); }"""
SHOW = """(root, ids) => { const c = root.canvas, [a, b] = ids.map((id) => c.nodes.get(id)), w = c.stage.clientWidth,
  h = c.stage.clientHeight, scale = Math.min(0.7, w / (Math.abs(a.x - b.x) + 400), h / (Math.abs(a.y - b.y) + 300));
  c.net.moveTo({ position: { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 }, scale }); }"""
CARD = """(root, id) => { const c = root.canvas, n = c.nodes.get(id), b = c.stage.getBoundingClientRect(),
  d = c.net.canvasToDOM({x: n.x, y: n.y - n.h / 2 + 12}); return [b.left + d.x, b.top + d.y]; }"""
PORT = """(root, [end, side]) => { const c = root.canvas, b = c.stage.getBoundingClientRect(),
  d = c.net.canvasToDOM(fgCanvas.endPoint(c.nodes, end, side)); return [b.left + d.x, b.top + d.y]; }"""
FRAMES = """() => { const found = globalThis.fgFrames = []; let last = performance.now();
  const tick = () => { const now = performance.now(); found.push(now - last); last = now;
    if (globalThis.fgFrames === found) requestAnimationFrame(tick); };
  requestAnimationFrame(tick); }"""
STOP = "() => { const found = globalThis.fgFrames; globalThis.fgFrames = null; return found.slice(2); }"
FIT = "root => root.canvas.fit()"
FIRST = """const shadows = [], attach = Element.prototype.attachShadow;
Element.prototype.attachShadow = function (...given) {
  const made = attach.apply(this, given);
  shadows.push(made);
  return made;
};
const look = () => {
  const roots = shadows.map((shadow) => shadow.querySelector('.fg-root'));
  if (roots.some((root) => root && root.canvas.data && !root.canvas.outbox.ops.length)) {
    requestAnimationFrame(() => { globalThis.fgFirst = performance.now(); });
  } else requestAnimationFrame(look);
};
look();"""
ROOT_LOOKS = "root => { const c = root.canvas; return c && c.data && !c.outbox.ops.length ? c.nodes.size : -1; }"


def graph_of(size: int) -> Graph:
    """Chains of norms side by side over one encoder, added, pooled and classified: `size` nodes."""
    nodes = [Node("text", "text/1"), Node("embeddings", "embeddings/1")]
    edges = [Edge("text.out", "embeddings.in")]
    for i in range(size - 5):
        node = f"n_{i}"
        nodes.append(Node(node, "layer_norm/1"))
        edges.append(Edge("embeddings.out" if i % CHAIN == 0 else f"n_{i - 1}.out", f"{node}.in"))
        if i % CHAIN == CHAIN - 1 or i == size - 6:
            edges.append(Edge(f"{node}.out", "sum.in"))
    nodes += [Node("sum", "add/1"), Node("pool", "pool/1"), Node("head", "classifier/1")]
    edges += [Edge("sum.out", "pool.in"), Edge("pool.out", "head.in")]
    return layout(Graph(f"Bench {size}", tuple(nodes), tuple(edges)))


@contextmanager
def served(workspace: Path, script: str = "app.py") -> Iterator[str]:
    """The app, or one page, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = {"server.port": port, "server.address": "127.0.0.1", "server.headless": "true"}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", script, *words],
        cwd=ROOT,
        env={**os.environ, "FGDESIGN_WORKSPACE": str(workspace), "PYTHONPATH": str(ROOT), "FGDESIGN_SUPERVISOR": "off"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            time.sleep(0.2)
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).close()
                break
            except OSError:
                continue
        yield url
    finally:
        server.terminate()
        server.wait(20)


def opened(page: Page, address: str, size: int) -> float:
    """Open a graph; returns the seconds from the navigation until its canvas is drawn and can be used."""
    page.add_init_script(FIRST)
    page.goto(address)
    root = page.locator(".fg-root")
    root.wait_for(timeout=60_000)
    while root.evaluate(ROOT_LOOKS) != size:
        page.wait_for_timeout(10)
    return float(page.evaluate("fgFirst")) / 1000


def drag(page: Page, start: list[float], end: list[float]) -> None:
    """One drag of the mouse."""
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=3)
    page.mouse.move(*end, steps=3)
    page.wait_for_timeout(50)
    page.mouse.up()


def one_edit(page: Page, node: str, turn: int) -> None:
    """Drag a card a little, or draw a wire from it, and wait for the answer."""
    root = page.locator(".fg-root")
    root.evaluate(SHOW, [node, "sum"])
    page.wait_for_timeout(100)
    if turn % 2 == 0:
        x, y = root.evaluate(CARD, node)
        drag(page, [x, y], [x + 20, y + 20])
    else:
        drag(page, root.evaluate(PORT, [f"{node}.out", "out"]), root.evaluate(PORT, ["sum.in", "in"]))
    page.wait_for_function(f"fgTimes.length > {turn}", timeout=20_000)
    page.wait_for_timeout(300)


def frames(page: Page, node: str) -> list[float]:
    """Milliseconds between frames while a card is dragged over the whole graph in view."""
    root = page.locator(".fg-root")
    root.evaluate(FIT)
    page.wait_for_timeout(300)
    x, y = root.evaluate(CARD, node)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 8, y + 8)
    page.evaluate(FRAMES)
    for step in range(DRAG_STEPS):
        page.mouse.move(x + 8 + step, y + 8 + step % 20)
    found: list[float] = page.evaluate(STOP)
    page.mouse.up()
    return found


def measured(browser: Browser, address: str, size: int, edits: int) -> dict[str, Any]:
    """Medians of one size: milliseconds to the confirmed and to the local picture, bytes, first canvas."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    sizes = {"down": 0, "up": 0}

    def count(way: str, payload: str | bytes) -> None:
        sizes[way] += len(payload)

    def listen(socket: Any) -> None:
        socket.on("framereceived", lambda payload: count("down", payload))
        socket.on("framesent", lambda payload: count("up", payload))

    page.on("websocket", listen)
    first = opened(page, address, size)
    page.wait_for_timeout(1500)
    page.locator(".fg-root").evaluate(WATCH)
    near = page.locator(".fg-root").evaluate(NEAR)
    edit_bytes = []
    for turn in range(edits):
        before = dict(sizes)
        one_edit(page, near[turn // 2 % len(near)], turn)
        edit_bytes.append((sizes["down"] - before["down"], sizes["up"] - before["up"]))
    times = page.evaluate("fgTimes")
    drawn = frames(page, near[0])
    page.close()
    return {
        "nodes": size,
        "confirmed_ms": round(median(total for total, _ in times)),
        "slowest_ms": round(max(total for total, _ in times)),
        "target_ms": TARGETS.get(size),
        "local_ms": round(median(local for _, local in times), 1),
        "received_bytes": round(median(down for down, _ in edit_bytes)),
        "sent_bytes": round(median(up for _, up in edit_bytes)),
        "first_canvas_s": round(first, 2),
        "drag_frame_ms": round(median(drawn), 1),
        "drag_frame_95_ms": round(sorted(drawn)[int(0.95 * len(drawn))], 1),
    }


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--edits", type=int, default=12, help="edits for each size")
    asked.add_argument("--sizes", type=int, nargs="+", default=list(TARGETS))
    asked.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = asked.parse_args()
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    found = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        graphs = Path(folder) / "graphs"
        graphs.mkdir()
        for size in options.sizes:
            (graphs / f"bench-{size}.json").write_text(to_json(graph_of(size)), "utf-8")
        with served(Path(folder)) as url:
            browser = play.chromium.launch(executable_path=program, args=ARGUMENTS)
            warm = browser.new_page()
            opened(warm, f"{url}/design?graph=bench-{options.sizes[0]}", options.sizes[0])
            warm.close()
            for size in options.sizes:
                found.append(measured(browser, f"{url}/design?graph=bench-{size}", size, options.edits))
            browser.close()
    report(found, options.json)


def report(found: list[dict[str, Any]], file: Path | None) -> None:
    """The numbers as a table and as JSON."""
    print("| nodes | confirmed, ms | slowest | target | drawn, ms | received, kB | sent, kB | first canvas, s "
          "| frame, ms | 95 % of frames, ms |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in found:
        print(f"| {row['nodes']} | {row['confirmed_ms']} | {row['slowest_ms']} | {row['target_ms'] or ''} "
              f"| {row['local_ms']} | {row['received_bytes'] / 1000:.1f} | {row['sent_bytes'] / 1000:.1f} "
              f"| {row['first_canvas_s']} | {row['drag_frame_ms']} | {row['drag_frame_95_ms']} |")
    text = json.dumps(found)
    print(text)
    if file:
        file.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
