"""Arrays too large for memory: in a temporary file without a name, which goes when they go."""

from __future__ import annotations

import errno
import math
import os
from typing import IO, Any

import numpy as np

from ..backend import Array, Shape

__all__ = ["scratch_array"]

# The share of the free disk that a file may take: other programs need some, too.
MOST = 0.9
PIECE = 1 << 20


def scratch_array(shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Return an array in a memory-mapped file, in the folder for temporary files.

    The file has no name from the moment it is open (on Windows it has one that the system
    removes when it is closed), so nothing stays behind, however the process ends.

    Raises
    ------
    OSError
        If there is no room for it.
    """
    import mmap  # here, so that importing minnet stays quick
    import shutil
    import tempfile

    size = math.prod(shape) * dtype.itemsize
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if size > MOST * free:
        raise OSError(f"only {free / 1e9:.1f} GB are free in {tempfile.gettempdir()!r}")
    with tempfile.TemporaryFile(prefix="minnet-") as file:
        _take_room(file, size)
        memory = mmap.mmap(file.fileno(), size)  # keeps the file open for itself
    return np.frombuffer(memory, dtype).reshape(shape)


def _take_room(file: IO[bytes], size: int) -> None:
    """Make an empty file this long, and take the room on the disk.

    A file that is only declared long is no error on a full disk: writing to its memory then
    ends the process.
    """
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
            return
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise  # those two: this file system can't
    zeros = bytes(PIECE)
    for start in range(0, size, PIECE):
        file.write(zeros[: size - start])
    file.flush()
