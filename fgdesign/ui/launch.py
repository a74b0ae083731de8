"""Start the web app, from the source tree or from an installed package. Knows nothing of pages."""

from __future__ import annotations

import os
from pathlib import Path

import fgdesign
from fgdesign.errors import InputError
from fgdesign.ui.gate import HOSTS, LOOPBACK


def app_root() -> Path:
    """The folder that holds app.py, pages/, .streamlit/ and sample_data/.

    In the source tree it is the one above the package; a wheel carries the same files as `fgdesign/_app`.
    """
    package = Path(fgdesign.__file__).resolve().parent
    for folder in (package.parent, package / "_app"):
        if (folder / "app.py").is_file() and (folder / "pages").is_dir():
            return folder
    raise InputError("The files of the web app are not installed. Install fgdesign again: pip install fgdesign")


def arguments(port: int, address: str) -> list[str]:
    """What `streamlit` is called with."""
    return ["run", str(app_root() / "app.py"), "--server.port", str(port), "--server.address", address]


def run_app(port: int = 8501, workspace: Path | None = None, address: str = "127.0.0.1") -> None:
    """Serve the app until it is interrupted.

    Args:
        port, address: where to listen; an address other than loopback lets other machines in, and the names they
            use must be listed in FGDESIGN_HOSTS.
        workspace: where graphs, data and runs are kept; FGDESIGN_WORKSPACE or the home folder by default.
    Raises: InputError when the port is not one.
    """
    if not 1 <= port <= 65535:
        raise InputError(f"Port {port} is not between 1 and 65535. Choose one, such as --port 8501.")
    if workspace is not None:
        os.environ["FGDESIGN_WORKSPACE"] = str(workspace.expanduser().resolve())
    if address not in LOOPBACK:
        os.environ[HOSTS] = ",".join(filter(None, (os.environ.get(HOSTS), address)))
    from streamlit.web import cli

    cli.main(arguments(port, address), standalone_mode=False)
