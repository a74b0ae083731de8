"""Starts the app in a workspace, at a free port, and waits until it answers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from supervised import end_supervisor

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
PORTS: set[int] = set()  # of this process's apps, ended ones too
PATIENCE = 120_000  # milliseconds that a page may take: a slow machine may train beside


def free_port() -> int:
    """One that an earlier app had, if there is: the browser knows its scripts already."""
    for port in (*PORTS, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            found = int(probe.getsockname()[1])
            PORTS.add(found)
            return found
    raise AssertionError("no port is free")


def serve(workspace: Path, port: int, *, trains: bool = True) -> subprocess.Popen[bytes]:
    """Start the app, and wait until it answers. trains: False where nothing is, and so no worker is made ready."""
    environment = {
        **os.environ,
        "FGDESIGN_SUPERVISOR": "on" if trains else "off",
        "FGDESIGN_WORKSPACE": str(workspace),
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    line = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py"), "--server.port", str(port)]
    with (workspace / "app.log").open("ab") as log:
        server = subprocess.Popen([*line, "--server.headless", "true"], cwd=workspace, env=environment, stdout=log,
                                  stderr=log)
    wait_for(f"http://127.0.0.1:{port}/healthz", server, workspace / "app.log")
    return server


@contextmanager
def app_in(workspace: Path, *, trains: bool = True) -> Iterator[str]:
    """The address of an app that ends with the block, and its supervisor with it."""
    port = free_port()
    server = serve(workspace, port, trains=trains)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)
        end_supervisor(workspace)


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the app did not answer:\n{log.read_text('utf-8', 'replace')[-2000:]}")
