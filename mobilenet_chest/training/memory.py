"""Memory allocation of a training on the CPU."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h of glibc
_INT_MAX = 2**31 - 1


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, instead of returning it to the kernel; glibc only.

    A training step frees and allocates the same large activations again and again. By default glibc returns them, and
    the kernel hands out zeroed pages one by one: 100,000 page faults and more in a step of MobileNetV3-Large (2 times
    48 images of 128 pixels). The arithmetic is the same bit for bit; between uses the process stays as large as it
    ever was. ``experiments/results/speed.md`` has what it gains.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # musl has none
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, _INT_MAX)
