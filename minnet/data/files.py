"""Reading arrays from files that may be broken or malicious: IDX and npz, checked as they come.

No file is believed about its sizes: what it declares is compared with what is there,
piece by piece, so memory grows only with what a file really holds.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np

from ..backend import Array, Shape
from ..errors import DataError, FormatError

__all__ = ["PathLike", "read_idx", "read_npz_arrays"]

PathLike: TypeAlias = "str | os.PathLike[str]"
Stream: TypeAlias = "IO[bytes] | BufferedIOBase"


# The third byte of an IDX file and what it says the numbers are (http://yann.lecun.com/exdb/mnist).
IDX_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_AXES = 32
PIECE = 1 << 20


def read_idx(path: PathLike) -> Array:
    """Read the array in an IDX file (the format of MNIST), plain or compressed by gzip.

    Parameters
    ----------
    path
        The file; what it is is seen from its first bytes, not from its name.

    Returns
    -------
    array
        With the dtype and shape that the file declares.

    Raises
    ------
    DataError
        If there is no such file.
    FormatError
        If it is truncated, altered, foreign, or declares another size than it has.
    """
    import gzip  # here, so that importing minnet stays quick

    where = os.fspath(path)
    try:
        with open(path, "rb") as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if not is_gzip:
                return _idx_array(file, where)
            with gzip.open(file) as stream:
                return _idx_array(stream, where)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise FormatError(f"{where!r} is no intact gzip file: {error}") from error
    except OSError as error:
        raise DataError(f"can't read {where!r}: {error}") from error


def _idx_array(stream: Stream, where: str) -> Array:
    """Return the array in an IDX file that is open at its start."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_DTYPES:
        raise FormatError(f"{where!r} is no IDX file: it begins with {magic!r}")
    axes = magic[3]
    sizes = stream.read(4 * axes)
    if not 1 <= axes <= MAX_AXES or len(sizes) < 4 * axes:
        raise FormatError(f"{where!r} is no intact IDX file: it declares {axes} axes")
    shape = struct.unpack(f">{axes}I", sizes)
    dtype = np.dtype(IDX_DTYPES[magic[2]])
    array = _exactly(stream, shape, dtype, where).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _exactly(stream: Stream, shape: Shape, dtype: np.dtype[Any], where: str) -> Array:
    """Read exactly the bytes of an array of this shape, one piece at a time; flat."""
    expected = math.prod(shape) * dtype.itemsize
    if expected == 0:
        raise FormatError(f"{where!r} declares an array of shape {shape}, without any numbers")
    content = bytearray()
    while piece := stream.read(min(PIECE, expected - len(content) + 1)):
        content += piece
        if len(content) > expected:
            raise FormatError(f"{where!r} holds more than the shape {shape} that it declares")
    if len(content) < expected:
        raise FormatError(
            f"{where!r} declares {expected} bytes of numbers (shape {shape}), "
            f"but holds {len(content)}"
        )
    return np.frombuffer(content, dtype=dtype)


def read_npz_arrays(path: PathLike, names: Sequence[str]) -> dict[str, Array]:
    """Read arrays by name from a file made by `numpy.savez` or `numpy.savez_compressed`.

    Raises
    ------
    DataError
        If there is no such file, or no such array in it.
    FormatError
        If it is truncated, altered, foreign, or holds pickled objects.
    """
    import zipfile  # here, so that importing minnet stays quick

    where = os.fspath(path)
    try:
        with zipfile.ZipFile(Path(path)) as archive:
            present = [name.removesuffix(".npy") for name in archive.namelist()]
            missing = [name for name in names if name not in present]
            if missing:
                raise DataError(
                    f"{where!r} has no array {missing[0]!r}; it has {', '.join(present)}"
                )
            arrays = {}
            for name in names:
                with archive.open(f"{name}.npy") as member:
                    arrays[name] = _npy_array(member, f"{where}: {name}")
            return arrays
    except FileNotFoundError as error:
        raise DataError(f"there is no file {where!r}") from error
    except (FormatError, DataError):
        raise
    except Exception as error:  # zipfile and its decompressors raise nearly anything
        raise FormatError(f"{where!r} is no intact npz file: {error}") from error


def _npy_array(stream: Stream, where: str) -> Array:
    """Return the array in an npy file that is open at its start."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        header = np.lib.format.read_array_header_2_0(stream)
    else:
        raise FormatError(f"{where!r} has version {version} of the npy format, expected 1.0 or 2.0")
    shape, is_fortran, dtype = header
    if dtype.kind not in "biufU":
        raise FormatError(
            f"{where!r} holds {dtype}: expected numbers or strings, and no pickled objects"
        )
    if len(shape) > MAX_AXES or any(side < 0 for side in shape):
        raise FormatError(f"{where!r} declares an impossible shape {shape}")
    flat = _exactly(stream, shape, dtype, where)
    return flat.reshape(shape, order="F" if is_fortran else "C")
