"""The web shell: who may talk to the server, where its files are, what its settings say, how words are made safe."""

from __future__ import annotations

import ast
import asyncio
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from fgdesign.errors import InputError
from fgdesign.ui import gate, launch, words
from fgdesign.ui.shell import PAGES

ROOT = Path(__file__).parents[1]


async def inner(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"in"})


def ask(kind: str, **headers: str) -> list[dict[str, Any]]:
    """What the gate answers to one request, as ASGI messages."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": f"{kind}.connect"}

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "path": "/", "headers": raw, "method": "GET"}
    asyncio.run(gate.Gate(inner)(scope, receive, send))
    return sent


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8501", 200),
        ("localhost:8501", 200),
        ("LOCALHOST", 200),
        ("[::1]:8501", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:8501", 403),
        ("evil.example@127.0.0.1.evil", 403),
        ("", 403),
        ("[", 403),
    ],
)
def test_only_known_hosts_are_answered(host: str, status: int) -> None:
    assert ask("http", host=host)[0]["status"] == status


@pytest.mark.parametrize(
    ("host", "origin", "answer"),
    [
        ("127.0.0.1:8501", "http://127.0.0.1:8501", "websocket.accept"),
        ("localhost:8501", "http://localhost:8501", "websocket.accept"),
        ("127.0.0.1:8501", None, "websocket.close"),
        ("127.0.0.1:8501", "null", "websocket.close"),
        ("127.0.0.1:8501", "http://evil.example", "websocket.close"),
        ("127.0.0.1:8501", "http://127.0.0.1:9999", "websocket.close"),
        ("evil.example:8501", "http://evil.example:8501", "websocket.close"),
    ],
)
def test_sockets_open_only_for_pages_of_this_server(host: str, origin: str | None, answer: str) -> None:
    headers = {"host": host} | ({} if origin is None else {"origin": origin})
    assert ask("websocket", **headers)[0]["type"] == answer


def test_further_hosts_are_named_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gate.HOSTS, "lab.example, Other.example")
    assert ask("http", host="lab.example:8501")[0]["status"] == 200
    assert ask("http", host="other.example")[0]["status"] == 200


def test_answers_carry_the_headers_that_browsers_heed() -> None:
    sent = dict(ask("http", host="localhost")[0]["headers"])
    assert sent[b"x-content-type-options"] == b"nosniff"
    assert b"frame-ancestors 'self'" in sent[b"content-security-policy"]


def test_the_app_is_an_asgi_application_and_a_script() -> None:
    code = "import app; print(type(app.app).__name__, [r.path for r in app.app._user_routes])"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.strip() == "App ['/healthz', '/upload/{desk}']"


def test_settings_keep_the_app_local_and_silent() -> None:
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))
    assert settings["server"]["address"] == "127.0.0.1"
    assert settings["server"]["maxUploadSize"] == 200
    assert settings["browser"]["gatherUsageStats"] is False
    assert settings["theme"]["light"].keys() == settings["theme"]["dark"].keys()


def test_every_page_without_a_model_opens_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        "from fgdesign.ui.shell import PAGES\n"
        "for name, *_ in PAGES:\n"
        "    shown = AppTest.from_file('app.py', default_timeout=60).switch_page(f'pages/{name}.py').run()\n"
        "    assert not shown.exception, shown.exception\n"
        "    print(name, 'torch' in sys.modules)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120,
        env={**os.environ, "FGDESIGN_WORKSPACE": str(tmp_path)},
    )
    assert told.stdout.splitlines() == [f"{name} False" for name, *_ in PAGES]


@pytest.mark.parametrize("path", sorted((ROOT / "pages").glob("*.py")), ids=lambda path: path.stem)
def test_pages_are_thin(path: Path) -> None:
    source = path.read_text("utf-8")
    assert len(source.splitlines()) <= 60
    assert ast.get_docstring(ast.parse(source))


def test_no_file_lets_html_through() -> None:
    files = [ROOT / "app.py", *(ROOT / "pages").glob("*.py"), *(ROOT / "fgdesign" / "ui").glob("*.py")]
    assert not [path.name for path in files if "unsafe_allow" in path.read_text("utf-8")]


def test_launch_finds_the_files_and_names_the_address() -> None:
    assert (launch.app_root() / "pages" / "home.py").is_file()
    assert launch.arguments(8600, "127.0.0.1")[2:] == ["--server.port", "8600", "--server.address", "127.0.0.1"]


def test_a_wheel_carries_every_package_and_the_app() -> None:
    named = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "fgdesign").rglob("*.py")}
    assert found | {"fgdesign._app", "fgdesign._app.pages", "fgdesign._app.sample_data"} == set(named["packages"])
    endings = {path.suffix for path in (ROOT / "fgdesign" / "ui").iterdir() if path.is_file()} - {".py"}
    assert {Path(pattern).suffix for pattern in named["package-data"]["fgdesign.ui"]} == endings


def test_launch_refuses_what_is_no_port() -> None:
    with pytest.raises(InputError, match="Port 99999 is not between 1 and 65535"):
        launch.run_app(99999)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("*b* [x](y)", r"\*b\* \[x\]\(y\)"),
        (":material/home:", r"\:material/home\:"),
        ("a\nb", "a b"),
        ("<img>", r"\<img\>"),
        ("x" * 60, "x" * 47 + "…"),
    ],
)
def test_labels_show_a_text_and_nothing_else(text: str, shown: str) -> None:
    assert words.label(text) == shown


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (59.4, "59 s"), (75, "1 min 15 s"), (120, "2 min"), (3720, "1 h 2 min")]
)
def test_durations(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


def test_commands_are_quoted_for_the_shell() -> None:
    assert words.command("trace", "my run", "--text", "it's") == """trace 'my run' --text 'it'"'"'s'"""
