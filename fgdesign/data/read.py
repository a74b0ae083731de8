"""first version"""

from __future__ import annotations
import hashlib, io
from pathlib import Path
from typing import IO
import numpy as np, pandas as pd
from fgdesign.data.table import Table


def read_table(source: str | Path | IO[bytes], *, name: str = "") -> Table:
    data = Path(source).read_bytes() if isinstance(source, (str, Path)) else source.read()
    frame = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)
    return Table(frame, np.arange(len(frame)) + 2, "utf-8", ",", (), hashlib.sha256(data).hexdigest())
