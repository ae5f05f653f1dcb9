"""What of a file is in the machine's memory only: what would be gone if the machine died now.

Source: cachestat(2), in Linux since 6.5.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path
from typing import Final

_CACHESTAT: Final = 451  # on every architecture
PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_libc = ctypes.CDLL(None, use_errno=True)


class _Range(ctypes.Structure):
    _fields_ = (("offset", ctypes.c_uint64), ("length", ctypes.c_uint64))


class _Pages(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in ("cached", "dirty", "writeback", "evicted", "recently_evicted")
    )


class CannotTellError(Exception):
    """This kernel does not say which pages of a file are still to be written."""


def on_disk(path: Path) -> int:
    """How many bytes from the file's beginning are on its disk, to the page below."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        low, high = 0, -(-size // PAGE)
        if not _unwritten(file.fileno(), 0, high):
            return size
        # All pages below `low` are written, one below `high` is not.
        while high - low > 1:
            middle = (low + high) // 2
            if _unwritten(file.fileno(), low, middle):
                high = middle
            else:
                low = middle
        return low * PAGE


def _unwritten(descriptor: int, first: int, last: int) -> int:
    """Pages from `first` to before `last` that are not on the disk, or on their way only."""
    pages = _Pages()
    span = _Range(first * PAGE, (last - first) * PAGE)
    if _libc.syscall(_CACHESTAT, descriptor, ctypes.byref(span), ctypes.byref(pages), 0):
        number = ctypes.get_errno()
        if number == errno.ENOSYS:
            raise CannotTellError("cachestat(2) is not there: Linux before 6.5")
        raise OSError(number, os.strerror(number))
    return pages.dirty + pages.writeback
