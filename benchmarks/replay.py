"""How fast a route is replayed: from picking a text to the lit picture, in a headless Chromium, the model warm.

    python benchmarks/replay.py [--texts 20] [--run FOLDER] [--json FILE]

Trains the sample first where no run is given, opens its Routes page and picks texts of its data by mouse. Knows nothing
of how a route is computed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.canvas import ARGUMENTS, served  # noqa: E402

TARGET = 150  # milliseconds, the median
VISIBLE = 6  # texts of the list that need no scrolling
SAMPLE = ROOT / "sample_data" / "support_tickets.csv"
WATCH = """root => {
  const c = root.canvas, adopt = c.adopt.bind(c);
  globalThis.fgReplays = []; globalThis.fgPressed = 0;
  document.addEventListener('pointerup', () => { fgPressed = performance.now(); }, true);
  c.adopt = () => { adopt(); const pressed = fgPressed; if (!pressed) return; fgPressed = 0;
    requestAnimationFrame(() => setTimeout(() => fgReplays.push(performance.now() - pressed))); };
}"""


def pick(page: Page, turn: int) -> None:
    """Choose another text of the data by mouse; only the press on it is timed."""
    page.get_by_role("combobox", name="Pick a text of the data").click()
    options = page.get_by_role("option")
    options.first.wait_for()
    option = options.nth((turn + 1) % VISIBLE)  # the first one is shown already
    box = option.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 40, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.up()
    page.wait_for_function(f"fgReplays.length > {turn}", timeout=30_000)
    page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget], [data-stale=true]')")
    page.wait_for_timeout(300)


def measured(address: str, texts: int) -> list[float]:
    """Milliseconds from each press to its picture."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1440, "height": 1200})
        page.set_default_timeout(120_000)
        page.goto(address)
        page.get_by_text("Completeness error").or_(page.get_by_text("Exact shares")).first.wait_for()
        page.wait_for_timeout(1000)
        page.locator(".fg-root").first.evaluate(WATCH)
        for turn in range(texts):
            pick(page, turn)
        times: list[float] = page.evaluate("fgReplays")
        browser.close()
    return times


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--texts", type=int, default=20)
    asked.add_argument("--run", type=Path, help="a trained run's folder; without it the sample is trained")
    asked.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "runs" / "replay"
        place.parent.mkdir()
        if options.run:
            shutil.copytree(options.run, place)
        else:
            from fgdesign import train

            train("cheap-word-first", SAMPLE, out=place)
        with served(Path(folder), "pages/routes.py") as url:
            times = measured(f"{url}/?run=replay", options.texts + 2)[2:]  # the first ones warm
    found: dict[str, Any] = {"texts": len(times), "median_ms": round(median(times)), "slowest_ms": round(max(times)),
                             "target_ms": TARGET}
    print(json.dumps(found))
    if options.json:
        options.json.write_text(json.dumps(found) + "\n", "utf-8")


if __name__ == "__main__":
    main()
