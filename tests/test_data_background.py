"""Work behind the pages: done once, stopped, refused in words; uploads by their route; kills and full disks."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from fgdesign.data import apart, background, jobs, kept, store
from fgdesign.data.background import Job, Progress
from fgdesign.errors import DataError
from fgdesign.ui import data_intake, data_upload, library

ROOT = Path(__file__).parents[1]
TABLE = b"text,label\n" + b"".join(b"parcel %d is late,%d\n" % (i, i % 2) for i in range(60))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("FGDESIGN_WORKSPACE", str(tmp_path))
    yield tmp_path / "data"
    for job in list(background._jobs.values()):
        job.stop()
        background.forget(job)


def until(true: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def over(job: Job) -> Job:
    until(lambda: job.over)
    return job


def test_work_begun_twice_is_done_once_and_goes_on_without_anybody() -> None:
    go, times = threading.Event(), []

    def work(tell: Progress) -> str:
        times.append(1)
        tell(1, 3)
        go.wait(20)
        return "made"

    first = background.begin("k", "Making", work, owner="ann")
    until(lambda: first.part == 1)
    assert background.begin("k", "Making", work, owner="bob") is first and background.jobs("ann") == [first]
    go.set()
    assert (over(first).state, first.result, times) == ("done", "made", [1])
    assert background.find("k") is first
    background.forget(first)
    assert background.find("k") is None


def test_two_at_once_and_the_third_waits_and_can_be_stopped() -> None:
    go = threading.Event()
    begun = [background.begin(str(i), "Making", lambda tell: go.wait(20), owner="ann") for i in range(3)]
    until(lambda: [job.state for job in begun].count("running") == 2)
    waiting = next(job for job in begun if job.state == "waiting")
    waiting.stop()
    assert over(waiting).state == "stopped"
    go.set()
    assert {over(job).state for job in begun if job is not waiting} == {"done"}


def refuse(tell: Progress) -> None:
    raise DataError("Row 3 is odd. Mend it.")


def break_down(tell: Progress) -> None:
    raise KeyError("x")


@pytest.mark.parametrize(
    ("work", "said"), [(refuse, "Row 3 is odd. Mend it."), (break_down, "did not come to an end: KeyError")]
)
def test_work_that_fails_says_why(work: Callable[[Progress], None], said: str) -> None:
    job = over(background.begin("f", "Making", work))
    assert job.state == "refused" and said in job.refused


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setitem(data_intake._owners, "desk", "ann")
    return TestClient(Starlette(routes=[data_upload.ROUTE]))


def test_an_upload_is_stored_and_read_without_a_page(client: TestClient, home: Path) -> None:
    answer = client.post("/upload/desk", params={"name": "../tickets.csv"}, content=TABLE)
    assert answer.status_code == 202
    job = background.find(f"read_{answer.json()['id']}")
    assert job is not None and over(job).state == "done" and job.owner == "desk"
    file = library.find(job.result)
    assert file is not None and (file.name, file.owner) == ("../tickets.csv", "ann")
    assert kept.load_kept(file.path) is not None and file.path.parent == home
    again = client.post("/upload/desk", params={"name": "again.csv"}, content=TABLE).json()["id"]
    assert again == file.id and len(library.uploads()) == 1


def test_a_file_goes_to_the_page_that_asked_for_it(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    monkeypatch.setitem(data_upload._takers, "evaluate", taken.append)
    for zone, takers in (("evaluate", 1), ("nowhere", 0)):
        content = TABLE + zone.encode() + b" is new,0\n"
        answer = client.post("/upload/desk", params={"name": "test.csv", "zone": zone}, content=content)
        job = background.find(f"read_{answer.json()['id']}")
        assert job is not None and over(job).state == "done" and job.then is not None
        assert (job.then is data_intake.chosen) == (not takers)
        if takers:
            job.then(job.result)
            assert taken == [job.result]


@pytest.mark.parametrize(
    ("desk", "content", "code", "said"),
    [
        ("nobody", TABLE, 403, "no longer connected"),
        ("desk", b"", 422, r"x\.csv is empty"),
        ("desk", b"x" * 2000, 413, r"x\.csv is larger than"),
        ("desk", iter([b"x" * 900] * 3), 422, r"x\.csv is larger than"),
    ],
)
def test_an_upload_that_cannot_be_taken_leaves_nothing(
    desk: str, content: Any, code: int, said: str, client: TestClient, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_upload, "LIMIT", 1800)
    monkeypatch.setattr(store, "LIMIT", 1800)
    answer = client.post(f"/upload/{desk}", params={"name": "x.csv"}, content=content)
    assert answer.status_code == code and re.search(said, answer.json()["refused"])
    assert not home.exists() or not list(home.iterdir())


def test_an_upload_that_cannot_be_read_is_refused_in_words_and_taken_away(client: TestClient, home: Path) -> None:
    file_id = client.post("/upload/desk", params={"name": "p.csv"}, content=b"\x89PNG\r\n\x1a\n").json()["id"]
    job = background.find(f"read_{file_id}")
    assert job is not None and over(job).state == "refused" and "p.csv is a PNG picture" in job.refused
    assert not list(home.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_said_and_leaves_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def full(path: Path, mode: str = "r", **how: Any) -> Any:
        if mode != "xb":
            return opened(path, mode, **how)
        path.touch()
        return opened(Path("/dev/full"), "wb")

    monkeypatch.setattr(Path, "open", full)
    for content in (TABLE, TABLE * 1000):  # refused where it is flushed, and where it is written
        with pytest.raises(DataError, match=r"t\.csv cannot be stored: the disk is full\. Make room"):
            store.add(io.BytesIO(content), "t.csv", home)
        assert not list(home.iterdir())


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"t\.csv cannot be stored: .*file.* Let the workspace's folder be written to"):
        store.add(io.BytesIO(TABLE), "t.csv", tmp_path / "file")


def test_a_copy_for_which_there_is_no_room_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = store.add(io.BytesIO(TABLE), "t.csv", home)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(jobs, "keep", full)
    with pytest.raises(DataError, match=r"t\.csv cannot be stored: the disk is full"):
        jobs.keep_copy(str(file.path), "t.csv", lambda part, whole: None)


KILLED = """
import io, os, sys
from pathlib import Path
from fgdesign.data import jobs, store
step, folder = int(sys.argv[1]), Path(sys.argv[2])
count = 0
def counted(name):
    real = getattr(os, name)
    def call(*arguments, **how):
        global count
        count += 1
        if count == step:
            os.kill(os.getpid(), 9)
        return real(*arguments, **how)
    setattr(os, name, call)
for name in ("replace", "fsync"):
    counted(name)
file = store.add(io.BytesIO(sys.stdin.buffer.read()), "t.csv", folder)
jobs.keep_copy(str(file.path), "t.csv", lambda part, whole: None)
print(file.id)
"""


def test_a_kill_before_any_step_of_storing_leaves_nothing_half_written(home: Path) -> None:
    whole = False
    for step in range(1, 20):
        done = subprocess.run([sys.executable, "-c", KILLED, str(step), str(home)], input=TABLE, capture_output=True)
        for file in store.entries(home):  # what is listed can be read, whole
            assert file.path.read_bytes() == TABLE
            table = kept.load_kept(file.path)
            assert table is None or len(table) == 60
        whole = done.returncode == 0
        if whole:
            break
        assert done.returncode == -signal.SIGKILL
    assert whole and step > 3
    assert len(store.entries(home)) == 1
    for path in home.glob(".*"):
        os.utime(path, (0, 0))
    file = store.add(io.BytesIO(TABLE), "t.csv", home)
    assert sorted(path.name for path in home.iterdir()) == sorted(
        [file.path.name, f"{file.id}.about.json", kept.kept_path(file.path).name]
    )
    assert json.loads((home / f"{file.id}.about.json").read_text())["name"] == "t.csv"


@pytest.mark.parametrize(("pasted", "kept_rows"), [
    ("text\tlabel\n" + "late parcel\tmail\n" * 8, True), ("\n \n", False)])
def test_pasted_rows_are_read_behind_the_page_and_kept_only_where_they_can_be(
    pasted: str, kept_rows: bool, home: Path
) -> None:
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).switch_page("pages/data.py").run()
    page.text_area(key="pasted").set_value(pasted)
    page.button(key="use_pasted").click().run()
    assert not page.exception
    until(lambda: all(job.over for job in background._jobs.values()))
    page.run()
    assert not page.exception
    assert [file.name for file in library.uploads()] == (["pasted.csv"] if kept_rows else [])
    refused = [text.value for text in page.text if "pasted.csv" in text.value]
    assert bool(refused) is not kept_rows


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX processes")
@pytest.mark.parametrize("alone", [True, False])
def test_work_steps_back_behind_the_pages_by_session_too(alone: bool) -> None:
    line = "import os; from fgdesign.data.apart import step_back; step_back(); print(os.nice(0))"
    group = "; import pathlib; p = pathlib.Path('/proc/self/autogroup'); print(p.read_text() if p.exists() else '-')"
    begins = "import os; os.getsid(0) == os.getpid() or os.setsid()" if alone else "import os"
    told = subprocess.check_output([sys.executable, "-c", f"{begins}; {line}{group}"], text=True)
    nice, group = told.split("\n")[:2]
    assert int(nice) == max(os.nice(0), apart.NICE)
    if group != "-":
        assert group.endswith(f"nice {apart.NICE}") == alone
