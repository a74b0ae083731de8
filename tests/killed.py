"""A kill at one of many writes, played within this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


class Writes:
    """Counts the calls of what it wraps; the one at `kill_at` is the last of its process, none where it is 0."""

    def __init__(self, kill_at: int) -> None:
        self.kill_at, self.made = kill_at, 0

    def counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.made += 1
            if self.made == self.kill_at:
                raise Killed
            return real(*args, **kwargs)
        return call
