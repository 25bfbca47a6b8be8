"""Files mapped into memory, of which no descriptor stays open."""

import ctypes
import mmap
import os
import weakref
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

# What mmap returns when it fails, as ctypes gives it.
_FAILED = ctypes.c_void_p(-1).value


def map_bytes(path: Path) -> np.ndarray:
    """Map a file into memory, to be read only.

    Python's mmap, and with it numpy's, keeps a descriptor for each map, though none is needed once
    it is made (from Python 3.13 on it can be told not to). An index has four such files in each of
    its segments, and a process may have 1,024 descriptors by default. So the C library is asked.

    Args:
        path: The file.

    Returns:
        (n,) uint8, the bytes of the file. The map goes when the last array over it does.

    Raises:
        OSError: It cannot be opened or mapped.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        if size == 0:
            # There is nothing to map.
            return np.zeros(0, dtype=np.uint8)
        address = _library().mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
        if address == _FAILED:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)
    contents = (ctypes.c_ubyte * size).from_address(address)
    unmapped = weakref.finalize(contents, _library().munmap, address, size)
    # At its end the process lets go by itself, and a thread may read to the last.
    unmapped.atexit = False
    found: np.ndarray = np.frombuffer(memoryview(contents), dtype=np.uint8)
    # The pages are: to write to them would end the process.
    found.flags.writeable = False
    return found


@cache
def _library() -> Any:
    library = ctypes.CDLL(None, use_errno=True)
    sizes = ctypes.c_void_p, ctypes.c_size_t
    library.mmap.argtypes = [*sizes, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    library.mmap.restype = ctypes.c_void_p
    library.munmap.argtypes = [*sizes]
    return library
