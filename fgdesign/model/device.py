"""Which device computes, in which precision, and where it keeps what it computed once. Knows nothing of graphs."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from fgdesign.errors import DeviceError, choices

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def available() -> tuple[str, ...]:
    """The kinds of device of this machine, the fastest first."""
    found = ["cuda"] if torch.cuda.is_available() else []
    found += ["mps"] if torch.backends.mps.is_available() else []
    return (*found, "cpu")


def pick_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" is the fastest there is. Raises DeviceError with the choices."""
    kind = name.partition(":")[0]
    if kind not in DEVICES:
        raise DeviceError(f"Unknown device '{name}'. {choices(DEVICES, name)}")
    if kind != "auto" and kind not in available():
        raise DeviceError(f"This machine has no '{kind}' device. {choices(('auto', *available()))}")
    return torch.device(available()[0] if kind == "auto" else name)


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the device multiplies it natively, float16 on MPS, float32 otherwise.

    The environment variable FGDESIGN_PRECISION (float32, bfloat16, float16) decides instead where it is set, so that
    two machines compute alike. Raises DeviceError for another value.
    """
    wanted = os.environ.get("FGDESIGN_PRECISION", "auto")
    if wanted in PRECISIONS:
        return PRECISIONS[wanted]
    if wanted != "auto":
        raise DeviceError(f"FGDESIGN_PRECISION is '{wanted}'. {choices(('auto', *PRECISIONS), wanted)}")
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "mps":
        return torch.float16
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return torch.bfloat16 if native() else torch.float32


def step_dtype(device: torch.device, name: str) -> torch.dtype:
    """The precision of training steps: "auto", "float32" or "bfloat16". Raises DeviceError."""
    fast = fast_dtype(device)
    if name == "bfloat16" and fast != torch.bfloat16:
        raise DeviceError(f"Precision bfloat16 is not native to this machine's {device.type} and would be slower than "
                          "float32. Choose float32, or auto, which takes what is fastest here.")
    return torch.float32 if name == "float32" else fast


def moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on the device; to CUDA from pinned memory, so that copying and computing overlap."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def precision(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Autocast to `dtype`, or nothing for float32."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def out_of_memory_advice(batch_size: int, device: torch.device) -> str:
    """What to change after memory ran out at this batch size."""
    fitting = max(1, batch_size // 2)
    return (f"The {device.type} ran out of memory at batch size {batch_size}. Try --batch-size {fitting}, a smaller "
            "max_length on the text node, or more frozen layers.")


def default_folder() -> Path:
    """Where this machine keeps what it computed once: FGDESIGN_CACHE, or the user's cache folder."""
    base = os.environ.get("FGDESIGN_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fgdesign" / "static"
