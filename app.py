"""The web app in one file: the ASGI application that serves it, and the script that shows its pages.

Run it with `fgdesign app`, `streamlit run app.py` or `uvicorn app:app`. Knows nothing of what a page does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

from fgdesign.runs.supervisor import VISIT, ensure
from fgdesign.ui import data_upload
from fgdesign.ui.gate import Gate
from fgdesign.ui.shell import show_page


async def healthz(request: Request) -> Response:
    """Says that the server answers."""
    return JSONResponse({"status": "ok"})


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """Runs that wait, or were cut off, go on as soon as the app is there; its supervisor stays awake with it."""
    task = asyncio.create_task(keep_supervised())
    yield
    task.cancel()


async def keep_supervised() -> None:
    """Have a supervisor at work for as long as the app is there."""
    while True:
        ensure()
        await asyncio.sleep(VISIT)


PagesManager.uses_pages_directory = False  # pages come by the navigation alone, also the first one asked for
app = st.App(
    str(Path(__file__).resolve()),
    lifespan=lifespan,
    routes=[Route("/healthz", healthz), data_upload.ROUTE],
    middleware=[Middleware(Gate)],
)

if get_script_run_ctx(suppress_warning=True) is not None:
    show_page(Path(__file__).resolve().parent / "pages")
