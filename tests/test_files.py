"""Files of arrays: as they should be, and every way in which they may be broken."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_samples import CODES, idx
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minnet.data import read_idx, read_npz
from minnet.errors import DataError, FormatError

IMAGES = np.arange(60, dtype=np.uint8).reshape(5, 4, 3)
LABELS = np.array([1, 0, 2, 1, 0], dtype=np.uint8)


# --- IDX --------------------------------------------------------------------------------


@given(
    st.sampled_from(sorted(CODES)).flatmap(
        lambda name: hnp.arrays(name, hnp.array_shapes(max_dims=4, max_side=4))
    ),
    st.booleans(),
)
def test_idx_round_trip(tmp_path_factory: pytest.TempPathFactory, array: Any, zipped: bool) -> None:
    path = tmp_path_factory.mktemp("idx") / "array"
    path.write_bytes(gzip.compress(idx(array)) if zipped else idx(array))
    again = read_idx(path)
    assert again.dtype == array.dtype
    assert again.flags.writeable
    np.testing.assert_array_equal(again, array)
    np.testing.assert_array_equal(read_idx(str(path)), array)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no IDX file"),
        (b"\0\0", "no IDX file"),
        (b"\0\1\x08\1" + b"\0\0\0\1a", "no IDX file"),
        (b"\0\0\x0a\1" + b"\0\0\0\1a", "no IDX file"),
        (b"PK\3\4 a zip", "no IDX file"),
        (b"\0\0\x08\0a", "0 axes"),
        (b"\0\0\x08\3\0\0\0\1", "3 axes"),
        (b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"a", "255 axes"),
        (idx(IMAGES)[:-1], "declares 60 bytes.*holds 59"),
        (idx(IMAGES)[:16], "holds 0"),
        (idx(IMAGES) + b"a", "holds more"),
        (b"\0\0\x08\2\0\0\0\0\0\0\0\5", "without any numbers"),
        (b"\0\0\x0e\3" + b"\xff" * 12 + b"abc", "holds 3"),
    ],
)
def test_idx_refused(tmp_path: Path, content: bytes, message: str, zipped: bool) -> None:
    path = tmp_path / "array"
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(FormatError, match=message):
        read_idx(path)


@given(st.data())
def test_altered_gzip_is_refused(
    tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("idx") / "array.gz"
    content = bytearray(gzip.compress(idx(IMAGES)))
    at = draw.draw(st.integers(10, len(content) - 1))  # after what gzip doesn't check
    if draw.draw(st.booleans()):
        content[at] ^= draw.draw(st.integers(1, 255))
    else:
        del content[at:]
    path.write_bytes(content)
    with pytest.raises(FormatError):
        read_idx(path)


@pytest.mark.parametrize("zipped", [False, True])
def test_declared_sizes_are_not_believed(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "array"
    content = b"\0\0\x0e\2" + struct.pack(">2I", 2**31, 2**20) + b"few"
    path.write_bytes(gzip.compress(content) if zipped else content)
    assert peak_while(read_idx, path) < 10_000_000


@pytest.mark.parametrize("zipped", [False, True])
def test_more_than_declared_is_not_read(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "array"
    content = idx(IMAGES) + bytes(50_000_000)
    path.write_bytes(gzip.compress(content, 1) if zipped else content)
    del content
    assert peak_while(read_idx, path) < 10_000_000


def peak_while(read: Any, path: Path) -> int:
    """How much memory reading a bad file takes before it is refused."""
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            read(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(DataError, match=path.name):
            read_idx(path)


# --- npz --------------------------------------------------------------------------------


@given(
    hnp.arrays(
        hnp.floating_dtypes() | hnp.integer_dtypes(), hnp.array_shapes(min_dims=2, max_dims=3)
    ),
    st.booleans(),
    st.booleans(),
)
def test_npz_round_trip(
    tmp_path_factory: pytest.TempPathFactory, x: Any, fortran: bool, small: bool
) -> None:
    path = tmp_path_factory.mktemp("npz") / "data.npz"
    x = np.asfortranarray(x) if fortran else x
    y = np.arange(len(x)) % 2
    (np.savez_compressed if small else np.savez)(path, x=x, y=y, names=["no", "yes"])
    dataset = read_npz(path)
    assert dataset.x.dtype == x.dtype
    np.testing.assert_array_equal(dataset.x, x)
    assert dataset.y.tolist() == y.tolist()
    named = read_npz(str(path), classes="names")
    assert named.y.tolist() == [["no", "yes"][i] for i in y]
    assert named.classes == ("no", "yes")
    assert read_npz(path, x="y", y="y").x.tolist() == y.tolist()


def npy(array: Any, **header: Any) -> bytes:
    """The content of an npy file, with another header if asked."""
    file = io.BytesIO()
    if header:
        np.lib.format.write_array_header_1_0(file, header)
        return file.getvalue() + np.asarray(array).tobytes()
    np.lib.format.write_array(file, np.asarray(array), allow_pickle=True)
    return file.getvalue()


def npz(path: Path, **members: bytes) -> Path:
    """A file of npy files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy(np.array([{}], dtype=object)), "object.*pickled"),
        (npy(np.zeros(3, dtype="i4,f4")), "numbers or strings"),
        (npy(b"abc", descr="<f4", fortran_order=False, shape=(10**9, 10**6)), "holds 3"),
        (npy(b"abc", descr="<U99999999", fortran_order=False, shape=(9,)), "holds 3"),
        (npy(b"abc", descr="|u1", fortran_order=False, shape=(2,)), "holds more"),
        (npy(b"abc", descr="|u1", fortran_order=False, shape=(-1,)), "impossible"),
        (npy(b"a", descr="|u1", fortran_order=False, shape=(1,) * 40), "impossible"),
        (npy(b"", descr="|u1", fortran_order=False, shape=(0, 2**62)), "without any"),
        (npy(b"abc", descr="nonsense", fortran_order=False, shape=(3,)), "no intact npz"),
        (b"\x93NUMPY\3\0" + npy(np.zeros(3))[8:], "version"),
        (npy(np.zeros(3))[:20], "no intact npz"),
        (b"abc", "no intact npz"),
        (b"", "no intact npz"),
    ],
)
def test_npz_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = npz(tmp_path / "data.npz", x=content, y=npy(np.zeros(1, int)))
    assert peak_while(read_npz, path) < 10_000_000
    with pytest.raises(FormatError, match=message):
        read_npz(path)


def test_npz_of_the_second_version(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.arange(3), version=(2, 0))
    path = npz(tmp_path / "data.npz", x=file.getvalue(), y=file.getvalue())
    assert read_npz(path).x.tolist() == [0, 1, 2]


@given(st.data())
def test_altered_npz_never_gives_other_numbers(
    tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("npz") / "data.npz"
    np.savez_compressed(path, x=IMAGES, y=LABELS)
    content = bytearray(path.read_bytes())
    at = draw.draw(st.integers(0, len(content) - 1))
    if draw.draw(st.booleans()):
        content[at] ^= draw.draw(st.integers(1, 255))
    else:
        del content[at:]
    path.write_bytes(content)
    try:
        dataset = read_npz(path)
    except (FormatError, DataError):
        return
    np.testing.assert_array_equal(dataset.x, IMAGES)  # a date was altered, or the like
    np.testing.assert_array_equal(dataset.y, LABELS)


def test_npz_without_what_is_asked_for(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", images=IMAGES, y=LABELS, more=LABELS[:2])
    with pytest.raises(DataError, match="no array 'x'; it has images, y, more"):
        read_npz(tmp_path / "data.npz")
    with pytest.raises(DataError, match=r"no file .*nowhere\.npz"):
        read_npz(tmp_path / "nowhere.npz")
    with pytest.raises(FormatError, match="belong together"):
        read_npz(tmp_path / "data.npz", x="images", y="more")
    with pytest.raises(FormatError, match="from 0 to 1"):
        read_npz(tmp_path / "data.npz", x="images", classes="more")
    (tmp_path / "text.npz").write_text("not a zip file")
    with pytest.raises(FormatError, match="no intact npz"):
        read_npz(tmp_path / "text.npz")
    with pytest.raises((FormatError, DataError)):
        read_npz(tmp_path)
