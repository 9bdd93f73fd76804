"""How the C library hands out memory to torch on the CPU."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP = 1 << 30  # bytes


def keep_freed_memory() -> None:
    """Have glibc keep large blocks that torch frees, instead of giving them back to the system at once.

    Every activation of an update is a block of some megabytes; by default each is fetched from the system anew, zeroed
    page by page, and given back. Elsewhere than on Linux with glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _KEEP)
        mallopt(_M_TRIM_THRESHOLD, _KEEP)
