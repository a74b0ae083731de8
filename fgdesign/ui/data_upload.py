"""Files from the browser to the store without passing through a page's script: a drop zone and the route it sends to.

A transfer belongs to the browser's window, so it goes on whatever page is looked at; its bytes go to the disk as they
come. Knows nothing of what is done with a file afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.resources import files

import streamlit as st
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fgdesign.data.store import CHUNK, ENDINGS, LIMIT, Incoming
from fgdesign.errors import FgdesignError
from fgdesign.ui import data_intake, library

_zone = st.components.v2.component(
    "fg_upload",
    html="<div class='fg-upload'></div>\n",
    js=files("fgdesign.ui").joinpath("data_upload.js").read_text("utf-8"),
    css=files("fgdesign.ui").joinpath("data_upload.css").read_text("utf-8"),
)


_takers: dict[str, Callable[[str], None]] = {}  # name of a drop zone -> what is done with a file's id


def show(zone: str = "upload", then: Callable[[str], None] = data_intake.chosen) -> None:
    """The drop zone, and the transfers that go on.

    Args: zone: names it. then: takes the id of a file that was read, in the session that sent it.
    """
    _takers[zone] = then
    data = {"desk": data_intake.desk(), "zone": zone, "endings": ",".join(ENDINGS), "most": LIMIT}
    _zone(key=zone, data=data, on_sent_change=_nothing)


def _nothing() -> None:
    """A trigger needs a callback to be known to Streamlit; the rerun alone is enough."""


async def receive(request: Request) -> Response:
    """Take one file of a session: 202 when it is stored and being read, else a sentence that says why not."""
    desk, name = request.path_params["desk"], request.query_params.get("name") or "table.csv"
    owner = data_intake.owner_of(desk)
    if owner is None:
        return _refuse("This page is no longer connected. Load it again, then send the file once more.", 403)
    if int(request.headers.get("content-length") or 0) > LIMIT:
        return _refuse(f"{name} is larger than {LIMIT >> 20} MB, the most that is kept. Upload a part of it.", 413)
    try:
        with Incoming(name, library.folder()) as incoming:
            await _copy(request, incoming)
            file = await asyncio.to_thread(incoming.publish, owner=owner)
    except FgdesignError as error:
        return _refuse(str(error), 422)
    except ClientDisconnect:
        return _refuse("The transfer was ended.", 400)
    then = _takers.get(request.query_params.get("zone", ""), data_intake.chosen)
    data_intake.read(file, desk, new=not incoming.known, then=then)
    return JSONResponse({"id": file.id}, 202)


async def _copy(request: Request, incoming: Incoming) -> None:
    """The body to the disk, a megabyte at a time."""
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        pieces.append(piece)
        size += len(piece)
        if size >= CHUNK:
            await asyncio.to_thread(incoming.write, b"".join(pieces))
            pieces, size = [], 0
    await asyncio.to_thread(incoming.write, b"".join(pieces))


def _refuse(sentence: str, code: int) -> Response:
    return JSONResponse({"refused": sentence}, code)


ROUTE = Route("/upload/{desk}", receive, methods=["POST"])
