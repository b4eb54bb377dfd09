"""Memory of a process that computes the same again and again on a CPU."""

import contextlib
import ctypes

# Options of glibc's mallopt (malloc.h): when free memory at the heap's end goes back, and how many blocks lie outside.
TRIM_THRESHOLD, MMAP_MAX = -1, -4
NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Memory that is freed stays with this process, for its next step; nothing that is computed changes.

    By default glibc hands large tensors back to the system as they are freed, and every step waits for their pages to
    be cleared anew: up to a sixth of a small network's step. Where the C library is another one nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(TRIM_THRESHOLD, NEVER)
        mallopt(MMAP_MAX, 0)
