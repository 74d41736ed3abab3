"""How a training process holds its memory."""

import ctypes

# The names of <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Tells glibc to keep what is freed for the next step, rather than hand it back to the system.

    A step makes and frees about the same gigabytes of tensors as the one before. By default glibc maps every large one
    anew, and the system clears it page by page: on some machines that takes longer than the products. It holds for the
    whole process until its end. Other C libraries have no such switch, and are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)
