"""One file a net: a .npz archive of its arrays and, as JSON, its architecture. No pickle."""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
from pathlib import Path as FilePath
from typing import Any, BinaryIO

import numpy as np

from ..autodiff import value
from ..backend import Array, move
from ..errors import FormatError, MinnetError
from ..layers.base import Layer, Path, dotted, walk
from ..net import Net
from .architecture import describe, rebuild
from .members import read_array, read_bytes

__all__ = ["load", "save"]

# Raised by what would make programs of today misread files of tomorrow.
VERSION = 1
ARCHITECTURE = "minnet.json"


def save(net: Net, path: Any) -> None:
    """Write a net to one file.

    The file is written beside its place and then renamed, so a file of that name
    is at any time the old one or the new one, whole. Equal nets give equal bytes.
    NumPy can read the arrays, too (`numpy.load`), by their dotted paths.

    Parameters
    ----------
    net
        A Chain or Graph; arrays that aren't initialized yet are left out.
    path
        Where to; `.npz` is the usual ending.

    Raises
    ------
    FormatError
        If the net holds something no file can: a function, a layer of one's own.
    OSError
        If the file can't be written; the old one is still there then.

    Examples
    --------
    >>> import os, tempfile, minnet as mn
    >>> net = mn.Chain(mn.Linear(2), input=3).initialize()
    >>> path = os.path.join(tempfile.mkdtemp(), "net.npz")
    >>> mn.save(net, path)
    >>> mn.load(path)
    Chain(Linear(2), input=(3,))
    """
    if not isinstance(net, Net):
        raise FormatError(f"only nets can be saved, got {type(net).__name__}")
    arrays = {dotted(path): value(array) for path, array in net.arrays().items()}
    header = {
        "format": "minnet",
        "version": VERSION,
        "arrays": list(arrays),  # so that none can be lost without being missed
        "net": describe(net),
    }
    rebuild(header["net"])  # says now what would be wrong on loading
    target = FilePath(os.path.realpath(path))
    beside = target.parent / f".{os.urandom(6).hex()}.minnet"
    try:
        with open(beside, "xb") as file:
            _write(header, arrays, file)
            file.flush()
            os.fsync(file.fileno())  # the content is there before the name is
        os.replace(beside, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        raise


def _write(header: Any, arrays: dict[str, Any], file: BinaryIO) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        with _member(archive, ARCHITECTURE) as member:
            member.write(json.dumps(header, indent=1).encode())
        for name, array in arrays.items():
            with _member(archive, f"{name}.npy") as member:
                np.lib.format.write_array(member, move(array, "cpu"), allow_pickle=False)


def _member(archive: zipfile.ZipFile, name: str) -> Any:
    """Open a part of the archive for writing, the same bytes on every day and system."""
    info = zipfile.ZipInfo(name)  # with a fixed date
    info.create_system = 3
    info.external_attr = 0o644 << 16
    return archive.open(info, "w", force_zip64=True)


def load(path: Any) -> Net:
    """Read a net that `save` wrote.

    A file from a stranger can do nothing but fail to load: there is no pickle in it,
    only minnet's own layers are made, and no size is believed before it is checked.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Chain or Graph
        With its arrays, bit for bit; those that were not saved are not initialized.

    Raises
    ------
    FormatError
        If it isn't such a file: truncated, altered, foreign, or of a newer version.
    OSError
        If it can't be opened, such as FileNotFoundError.

    Examples
    --------
    >>> import os, tempfile, minnet as mn
    >>> path = os.path.join(tempfile.mkdtemp(), "net.npz")
    >>> mn.Chain(mn.Linear(2), input=3).initialize().save(path)
    >>> mn.load(path)["0.weight"].shape
    (3, 2)
    """
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _loaded(archive, os.fstat(file.fileno()).st_size)
        except MinnetError as error:
            raise FormatError(f"{path}: {error}") from error
        except Exception as error:  # whatever nonsense leads to, it is the file's
            raise FormatError(
                f"{path}: not a net that minnet wrote, or damaged ({error})"
            ) from error


def _loaded(archive: zipfile.ZipFile, size: int) -> Net:
    members = {info.filename: info for info in archive.infolist()}
    if len(members) < len(archive.infolist()):
        raise FormatError("two parts of the archive have the same name")
    if sum(info.file_size for info in members.values()) > size:
        raise FormatError("its parts say they are larger than the file")
    if ARCHITECTURE not in members:
        raise FormatError("there is no net in this archive")
    header = _header(read_bytes(archive, members.pop(ARCHITECTURE)))
    net = rebuild(header.get("net"))
    if not isinstance(net, Net):
        raise FormatError("the file describes a layer, not a net")
    listed = header.get("arrays")
    if not isinstance(listed, list) or {f"{name}.npy" for name in listed} != set(members):
        raise FormatError("the arrays in the archive are not those that its description lists")
    return _with_arrays(net, {name: read_array(archive, info) for name, info in members.items()})


def _header(content: bytes) -> dict[str, Any]:
    """Return the description in a file, if it is of a version that can be read."""
    header = json.loads(content)
    if not isinstance(header, dict) or header.get("format") != "minnet":
        raise FormatError("this is not a net that minnet wrote")
    version = header.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise FormatError(f"the version {version!r} makes no sense")
    if version > VERSION:
        raise FormatError(
            f"written by a newer minnet (file version {version}, this one reads up to {VERSION}): "
            "pip install --upgrade minnet"
        )
    return header


def _with_arrays(net: Net, members: dict[str, Array]) -> Net:
    """Return the net with the arrays in their places, all of which must have one."""
    layers: dict[Path, Layer] = {}
    for path, part in walk(net):
        names = {name: f"{dotted((*path, name))}.npy" for name in part.own_names()}
        arrays = {name: members.pop(m) for name, m in names.items() if m in members}
        if arrays:
            layers[path] = part.with_arrays_here(arrays)
    if members:
        raise FormatError(f"{next(iter(members))[:80]!r} has no place in the net")
    return net.with_layers(layers).with_ends() if layers else net  # with_ends: do they fit?
