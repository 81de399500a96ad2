"""Files that are no nets: cut short, altered, foreign, newer, pickled."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from file_samples import npy, npy_header, packed, parts_of, sample, with_array, with_header

import minnet as mn


@pytest.fixture
def path(tmp_path):
    """A file with a net in it."""
    sample().save(tmp_path / "net.npz")
    return tmp_path / "net.npz"


# --- damage -----------------------------------------------------------------------------


def test_truncated_anywhere(path):
    content = path.read_bytes()
    places = np.random.default_rng(0).integers(0, len(content), 40)
    for end in [0, 1, 21, 22, len(content) - 1, *places]:
        path.write_bytes(content[:end])
        with pytest.raises(mn.FormatError, match=r"net\.npz: "):
            mn.load(path)


def test_altered_anywhere(path):
    content = path.read_bytes()
    arrays, shown = sample().arrays(), repr(sample())
    random = np.random.default_rng(0)
    loaded = refused = 0
    for place in range(0, len(content), 2):
        changed = bytearray(content)
        changed[place + random.integers(0, 2) if place + 1 < len(content) else place] ^= int(
            random.integers(1, 256)
        )
        path.write_bytes(changed)
        try:
            net = mn.load(path)
        except mn.FormatError:
            refused += 1
        else:
            loaded += 1
            assert repr(net) == shown
            for where, array in net.arrays().items():
                np.testing.assert_array_equal(array, arrays[where])
            assert net.arrays().keys() == arrays.keys()
    assert refused > loaded > 0  # a date in the archive may change, say


def test_two_bytes_altered(path):
    content = path.read_bytes()
    random = np.random.default_rng(1)
    for _ in range(400):
        changed = bytearray(content)
        for place in random.integers(0, len(content), 4):
            changed[place] = random.integers(0, 256)
        path.write_bytes(changed)
        try:
            assert repr(mn.load(path)) == repr(sample())
        except mn.FormatError as error:
            assert str(path) in str(error)


# --- foreign files ----------------------------------------------------------------------


def foreign_files(folder: Path):
    """Write files of other kinds and yield their paths."""
    (folder / "empty").write_bytes(b"")
    (folder / "text").write_text("this is no net")
    (folder / "noise").write_bytes(np.random.default_rng(0).bytes(5000))
    np.save(folder / "array.npy", np.ones(3))
    np.savez(folder / "arrays.npz", a=np.ones(3))
    np.savez(folder / "objects.npz", a=np.array([{}, None], object))
    packed({}, folder / "nothing.zip")
    packed({"readme": b"text"}, folder / "foreign.zip")
    packed({"minnet.json": b"\xff\xfe\xfd"}, folder / "bytes.npz")
    packed({"minnet.json": b"{"}, folder / "half.npz")
    packed({"minnet.json": b"[1, 2]"}, folder / "list.npz")
    packed({"minnet.json": b'{"format": "other"}'}, folder / "other.npz")
    return sorted(folder.iterdir())


def test_foreign_files(tmp_path):
    files = foreign_files(tmp_path)
    assert len(files) == 12
    for file in files:
        with pytest.raises(mn.FormatError, match=file.name):
            mn.load(file)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        mn.load(tmp_path / "net.npz")
    with pytest.raises(IsADirectoryError):
        mn.load(tmp_path)


def test_newer_versions_say_so(path):
    with_header(path, lambda header: header.update(version=2))
    with pytest.raises(
        mn.FormatError, match=r"newer minnet \(file version 2, this one reads up to 1\)"
    ):
        mn.load(path)
    for version in (0, -1, None, "1", 1.0, True, [1]):
        with_header(path, lambda header, version=version: header.update(version=version))
        with pytest.raises(mn.FormatError, match="makes no sense"):
            mn.load(path)


# --- architectures that can't be --------------------------------------------------------


def conv(header):
    """Return the description of the first layer."""
    return header["net"]["layers"][0]


def conv_with(**options):
    """Change options of the first layer."""
    return lambda header: conv(header)["options"].update(options)


def conv_as(kind, **options):
    """Change the first layer to another."""
    return lambda header: conv(header).update(type=kind, options=options)


def net_with(**entries):
    """Change entries of the net's description."""
    return lambda header: header["net"].update(entries)


def end(kind, **options):
    """Describe an encoder or decoder."""
    return {"type": kind, "options": options}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (conv_as("Convolution"), "no layer of the type 'Convolution'"),
        (conv_as("Layer"), "no layer of the type 'Layer'"),
        (conv_as("__class__"), "no layer of the type"),
        (conv_as(["Conv"]), "expected a description with a type"),
        (conv_as("Elementwise", function="os.system"), "there is no elementwise function"),
        (lambda h: conv(h).pop("options"), "lacks its options"),
        (conv_with(speed=3), "Conv makes no sense.*speed"),
        (conv_with(channels=0), "channels must be"),
        (conv_with(channels=None), "channels must be"),
        (conv_with(_arrays={}), "makes no sense"),
        (conv_with(window=[[[]]]), "makes no sense"),
        (conv_with(name="a.b"), "name"),
        (lambda h: h.update(net=conv(h)), "describes a layer, not a net"),
        (lambda h: h.pop("net"), "expected a description"),
        (lambda h: h["net"].pop("layers"), "lacks its layers"),
        (net_with(layers={"a": 3}), "lacks its layers"),
        (net_with(layers=[3]), "expected a description with a type, got 3"),
        (net_with(type="Graph"), "lacks its layers"),
        (net_with(type="Graph", layers={}), "lacks its wiring"),
        (net_with(type="Graph", layers={}, wiring={}), "Graph makes no sense"),
        (net_with(options={"layers": 3}), "makes no sense"),
        (net_with(input={"shape": [4, "x"]}), "makes no sense"),
        (net_with(input={"shape": [4, 10**30]}), "Conv of 2 dimensions"),
        (net_with(input={"ports": {"x": {"shape": [4]}}}), "makes no sense"),
        (net_with(input=end("Path")), "no encoder or decoder"),
        (net_with(input=end("ClassDecoder", labels=[1])), "makes no sense"),
        (net_with(input=end("FunctionEncoder", function="len")), "makes no sense"),
        (net_with(output=7), "expected a description"),
        (net_with(output=end("ClassDecoder", labels=[[]])), "ClassDecoder makes no sense"),
        (net_with(output=end("ClassDecoder", labels=["a"])), "don't fit ClassDecoder"),
        (lambda h: h["net"]["layers"].append(conv(h)), "Conv of 2 dimensions expects"),
        (lambda h: h.update(arrays={}), "are not those that its description lists"),
        (lambda h: h.update(arrays=[[], 3]), "are not those that its description lists"),
        (lambda h: h.pop("arrays"), "are not those that its description lists"),
    ],
)
def test_architectures_that_can_not_be(path, change, message):
    with_header(path, change)
    with pytest.raises(mn.FormatError, match=message):
        mn.load(path)


@pytest.mark.parametrize("opening", ['{"net":', "[", '{"type":"Chain","options":{},"layers":['])
def test_nested_too_deeply(path, opening):
    for depth in (600, 5000, 100_000):
        text = '{"format":"minnet","version":1,"net":' + opening * depth
        closing = {"[": "]", "{": "}"}
        ends = "".join(closing[c] for c in reversed(opening) if c in closing) * depth
        packed({"minnet.json": (text + ends + "}").encode()}, path)
        with pytest.raises(mn.FormatError):
            mn.load(path)


def test_numbers_beyond_reason(path):
    for size in (10**400, 1e400, float("nan"), -(10**18)):
        with_header(
            path, lambda h, n=size: h["net"]["layers"][1]["layers"][1]["options"].update(size=n)
        )
        with pytest.raises(mn.FormatError):
            mn.load(path)


# --- arrays that can't be ---------------------------------------------------------------


def test_missing_arrays_are_not_initialized(path):
    parts = parts_of(path)
    del parts["0.weight.npy"]
    with pytest.raises(mn.FormatError, match="are not those that its description lists"):
        mn.load(packed(parts, path))
    with_header(path, lambda header: header["arrays"].remove("0.weight"))
    net = mn.load(path)
    assert net.arrays().keys() == sample().deinitialize("0.weight").arrays().keys()
    assert net["head.1.weight"].shape == (4, 2)


@pytest.mark.parametrize(
    "name",
    ["0.scale.npy", "1.weight.npy", "0.weight", "soft.npy", "-3.weight.npy", "../../x.npy", "npy",
     "0/weight.npy", "minnet.json.npy", ".npy"],
)  # fmt: skip
def test_arrays_without_a_place(path, name):
    packed({**parts_of(path), name: npy(np.ones(3))}, path)
    with pytest.raises(mn.FormatError, match="are not those that its description lists"):
        mn.load(path)
    packed(with_array(parts_of(path), name, npy(np.ones(3))), path)
    with pytest.raises(mn.FormatError, match=r"has no place in the net|description lists"):
        mn.load(path)


def test_parts_that_come_twice(path):
    parts = parts_of(path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("0.weight.npy", parts["0.weight.npy"])
    with pytest.raises(mn.FormatError, match="two parts of the archive have the same name"):
        mn.load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy(np.ones((2, 2, 1, 2), "float32")), r"0: its weight has shape \(2, 2, 1, 2\)"),
        (npy(np.ones(4, "float32")), "its weight has shape"),
        (npy(np.ones((2, 2, 1, 1), "complex64")), "holds complex64, a net holds only numbers"),
        (npy(np.array([b"x"])), r"holds \|S1"),
        (npy(np.array(["x"])), "holds <U1"),
        (npy(np.ones(1, [("a", "f4")])), "holds"),
        (npy(np.array([{}], object), allow_pickle=True), "holds object, a net holds only numbers"),
        (npy(np.ones((2, 2, 1, 1)), version=(3, 0)), "in a format minnet doesn't use"),
        (npy(np.ones((2, 2, 1, 1)))[:-1], "doesn't hold as many numbers as it says"),
        (npy(np.ones((2, 2, 1, 1))) + b"x", "doesn't hold as many numbers"),
        (b"", "not a net that minnet wrote"),
        (b"\x93NUMPY", "not a net that minnet wrote"),
        (b"\x93NUMPY\x01\x00\xff\xff", "not a net"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "not a net"),
        (npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (2, -2)}"), "as many"),
        (npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (9**9,)}"), "not a net"),
        (npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1.5,)}"), "not a net"),
        (npy_header("__import__('os').system('true')"), "not a net"),
        (
            npy_header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"cos\n"),
            "holds obj",
        ),
    ],
)
def test_arrays_that_can_not_be(path, content, message):
    packed(with_array(parts_of(path), "0.weight.npy", content), path)
    with pytest.raises(mn.FormatError, match=message):
        mn.load(path)
