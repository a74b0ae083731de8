"""Runs carried out as jobs of a Ray cluster that is there already: RAY_ADDRESS, http://head:8265, says where.

Every node sees the workspace under the same path and has the same Python with fgdesign. The store stays the record: a
job that Ray loses, and all that a restarted head has forgotten, is begun again from its last checkpoint like after any
other death. A cluster that answers without a token is refused. Knows nothing of the queue.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

from fgdesign.errors import InputError, MissingExtraError
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.process import ELSEWHERE
from fgdesign.runs.ranks import asked
from fgdesign.runs.worker import Order

ADDRESS, HERE = "RAY_ADDRESS", "http://127.0.0.1:8265"
ALIVE = ("PENDING", "RUNNING")
HANDED_ON = ("FGDESIGN_", "OMP_", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT", "WANDB_MODE", "WANDB_PROJECT")
LOOK_SECONDS = 1.0  # between two questions about one job
PATIENCE = 10.0  # seconds for an answer


@dataclass
class RayWorker:
    """A job that is submitted with its order. pid: none, as no number of another machine means anything here."""

    client: Any
    mark: str
    pid: int = 0

    def order(self, order: Order) -> None:
        """Submit it; where the cluster does not answer that is seen like a death."""
        processes = asked(RunFolder(Path(order.path)))
        words = replace(order, slot="").line().decode().strip()  # Ray itself says which GPU is the job's
        line = f"echo {shlex.quote(words)} | {shlex.quote(sys.executable)} -m fgdesign.runs.worker"
        told = {name: value for name, value in os.environ.items() if name.startswith(HANDED_ON)}
        try:
            self.client.submit_job(entrypoint=line, submission_id=self.mark, metadata={"run": order.name},
                                   entrypoint_num_cpus=processes,
                                   entrypoint_num_gpus=processes * order.slot.startswith("cuda"),
                                   runtime_env={"env_vars": {**told, ELSEWHERE: "1"}})
        except (OSError, RuntimeError) as error:
            print(f"{time.ctime()} Ray took no job for {order.name}: {error}", flush=True)

    def dismiss(self) -> None:
        """Nothing was begun yet."""


class RayExecutor:
    """Jobs of a cluster by their submission ids, which the store keeps as marks."""

    def __init__(self, client: Any = None) -> None:
        self.client = connect() if client is None else client
        self._seen: dict[str, tuple[float, bool]] = {}

    def warm(self) -> None:
        """A cluster has no process of ours that waits."""

    def take(self) -> RayWorker:
        return RayWorker(self.client, f"fgdesign-{uuid4().hex}")

    def is_alive(self, pid: int, mark: str) -> bool:
        """What the cluster says, at most a second ago; where it does not answer, nothing is known to have ended."""
        when, alive = self._seen.get(mark, (-LOOK_SECONDS, True))
        now = time.monotonic()
        if now - when >= LOOK_SECONDS:
            try:
                alive = str(getattr(self.client.get_job_status(mark), "value", "")) in ALIVE
            except OSError:
                alive = True
            except RuntimeError as error:  # 404: a head that began anew knows no job of before
                alive = "404" not in str(error)
            self._seen[mark] = (now, alive)
        return alive

    def exit_code(self, pid: int) -> int | None:
        return None

    def kill(self, pid: int, mark: str) -> None:
        try:
            self.client.stop_job(mark)
        except (OSError, RuntimeError) as error:
            print(f"{time.ctime()} Ray did not stop {mark}: {error}", flush=True)
        self._seen.pop(mark, None)

    def clear(self, pid: int) -> None:
        """Ray ends what a job began."""

    def close(self) -> None:
        """What works goes on."""


def connect() -> Any:
    """A client of the cluster's jobs. Raises MissingExtraError without Ray, InputError where none may be used."""
    address = os.environ.get(ADDRESS) or HERE
    if find_spec("ray") is None:
        raise MissingExtraError("ray", "ray")
    refuse_open(address)
    from ray.job_submission import JobSubmissionClient

    return JobSubmissionClient(address)


def refuse_open(address: str) -> None:
    """Raises InputError unless the cluster wants a token: on an open one, whoever reaches the port runs code."""
    if not address.startswith(("http://", "https://")):
        raise InputError(f"{ADDRESS} is '{address}'. It is the address of the cluster's jobs, such as {HERE}.")
    try:
        with urllib.request.urlopen(f"{address.rstrip('/')}/api/jobs/", timeout=PATIENCE):
            pass
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            return
        raise InputError(f"The Ray cluster at {address} answered {error.code} where its jobs were asked for.") from None
    except OSError as error:
        raise InputError(f"No Ray cluster answers at {address}: {error}. Start one, or name it in {ADDRESS}.") from None
    raise InputError(f"The Ray cluster at {address} lets anyone run code: it asks for no token. Start it with "
                     "RAY_AUTH_MODE=token, and give the same token here in RAY_AUTH_TOKEN.")
