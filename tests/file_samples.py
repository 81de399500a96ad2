"""A net's file, and files made from its parts, for the tests of what is refused."""

import io
import json
import zipfile

import numpy as np

import minnet as mn


def sample() -> mn.Chain:
    """A small net with a bit of everything."""
    return mn.Chain(
        mn.Conv(1, 2), head=[mn.Flatten(), mn.Linear()], soft=mn.Softmax(),
        input=mn.ImageEncoder(3), output=mn.ClassDecoder(["a", "b"]),
    ).initialize()  # fmt: skip


def parts_of(path) -> dict[str, bytes]:
    """Return the parts of an archive."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def with_array(parts: dict[str, bytes], name: str, content: bytes) -> dict[str, bytes]:
    """Return parts with one more or another, which the description lists."""
    header = json.loads(parts["minnet.json"])
    header["arrays"] = sorted({*header["arrays"], name.removesuffix(".npy")})
    return {**parts, "minnet.json": json.dumps(header).encode(), name: content}


def packed(parts: dict[str, bytes], path, method: int = zipfile.ZIP_STORED):
    """Write an archive of these parts."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def with_header(path, change) -> None:
    """Rewrite the architecture in a file."""
    parts = parts_of(path)
    header = json.loads(parts["minnet.json"])
    change(header)
    packed({**parts, "minnet.json": json.dumps(header).encode()}, path)


def npy(array, **options) -> bytes:
    """Return an array as NumPy writes it."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def npy_header(description: str, content: bytes = b"") -> bytes:
    """Return a file of NumPy's format with any header."""
    text = description.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content
