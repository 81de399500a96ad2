"""What tests of data share: an array that lives elsewhere, and the content of IDX files."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

CODES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


class Counted:
    """Rows read by slices or strictly increasing positions only, like a data set of h5py's."""

    def __init__(self, array: Any) -> None:
        self._array = np.asarray(array)
        self.shape, self.dtype = self._array.shape, self._array.dtype
        self.reads: list[int] = []

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, slice):
            key = np.asarray(key)
            if key.ndim != 1 or np.any(np.diff(key) <= 0):
                raise TypeError("Indexing elements must be in increasing order")
        rows = self._array[key]
        self.reads.append(len(rows))
        return rows


def idx(array: Any) -> bytes:
    """The content of an IDX file of an array."""
    array = np.asarray(array)
    header = bytes([0, 0, CODES[array.dtype.name], array.ndim])
    big = array.astype(array.dtype.newbyteorder(">"))
    return header + struct.pack(f">{array.ndim}I", *array.shape) + big.tobytes()
