"""Token ids of large tables that were tokenised before, kept on disk: one file for each table and length.

A file is found by what was tokenised and with what; a damaged one is made anew, and those used longest ago go first.
Knows nothing of torch.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from fgdesign.data.encode import Encoded, encode

LIMIT_BYTES = 2 << 30
FEWEST = 2000  # texts; fewer are tokenised in no time


@dataclass(frozen=True)
class KnownTokens:
    """Token ids kept in a folder, at most `limit` bytes. made_by: a hash of the tokeniser."""

    folder: Path
    made_by: str
    limit: int = LIMIT_BYTES

    def encode(self, tokenizer: Any, texts: Sequence[str], texts_b: Sequence[str] | None = None, *,
               max_length: int) -> Encoded:
        """As `encode` gives it, from disk where it is known. What cannot be kept, as on a full disk, is not."""
        if len(texts) < FEWEST:
            return encode(tokenizer, texts, texts_b, max_length=max_length)
        file = self.folder / f"{self._name(texts, texts_b, max_length)}.npz"
        found = _read(file)
        if found is None:
            found = encode(tokenizer, texts, texts_b, max_length=max_length)
            self._keep(file, found)
        return found

    def _name(self, texts: Sequence[str], texts_b: Sequence[str] | None, max_length: int) -> str:
        digest = hashlib.sha256(f"{self.made_by} {version('tokenizers')} {max_length}".encode())
        for column in filter(None, (texts, texts_b)):
            digest.update(np.fromiter(map(len, column), np.int64, len(column)).tobytes())
            digest.update("".join(column).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def _keep(self, file: Path, found: Encoded) -> None:
        aside = file.with_name(f"writing-{uuid.uuid4().hex}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with aside.open("wb") as out:
                np.savez(out, **asdict(found))
            os.replace(aside, file)
        except OSError:
            aside.unlink(missing_ok=True)
        self._make_room(file)

    def _make_room(self, in_use: Path) -> None:
        sized = []
        for file in self.folder.glob("*"):
            with suppress(OSError):  # another process is removing it
                sized.append((file.stat().st_mtime, file.stat().st_size, file))
        total = sum(size for _, size, _ in sized)
        for _, size, file in sorted(sized):
            if total > self.limit and file != in_use:
                with suppress(OSError):
                    file.unlink()
                total -= size


def _read(file: Path) -> Encoded | None:
    """What is kept, or None where nothing is or it is damaged; marks it as used."""
    try:
        with file.open("rb") as raw, np.load(raw, allow_pickle=False) as kept:
            found = Encoded(**{name: kept[name] for name in kept.files})
        file.touch()
    except Exception:  # a damaged byte leads a ZIP file's reader to errors of many kinds
        return None
    return found
