"""Saving and loading nets: everything comes back as it was, and a failed save leaves no trace."""

import json
import os
import resource
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from net_samples import example_inputs, inception_block, nets, residual_block

import minnet as mn

DATA = Path(__file__).parent / "data"


def small() -> mn.Chain:
    """A net to be written over and over."""
    return mn.Chain(a=mn.Linear(2), input=3).initialize()


def everything_equal(one, other) -> bool:
    """Tell whether two nets are the same, array for array and bit for bit."""
    ours, theirs = one.arrays(), other.arrays()
    return (
        repr(one) == repr(other)
        and list(ours) == list(theirs)
        and all(ours[path].dtype == theirs[path].dtype for path in ours)
        and all(ours[path].tobytes("A") == theirs[path].tobytes("A") for path in ours)
    )


# --- round trips ------------------------------------------------------------------------


@given(net=nets(), data=st.data())
def test_every_net_comes_back_as_it_was(tmp_path_factory, net, data):
    paths = list(net.arrays())
    if paths:
        for path in data.draw(st.sets(st.sampled_from(paths), max_size=2)):
            array = net[path].astype(data.draw(st.sampled_from(["float64", "float16", ">f4"])))
            net = net.with_arrays({path: np.asfortranarray(array)})
    whole = net
    if paths:
        for path in data.draw(st.sets(st.sampled_from(paths), max_size=2)):
            net = net.deinitialize(path)
    folder = tmp_path_factory.mktemp("nets")
    net.save(folder / "net.npz")
    loaded = mn.load(folder / "net.npz")
    assert type(loaded) is type(net)
    assert everything_equal(loaded, net)
    assert not any(array.flags.writeable for array in loaded.arrays().values())
    assert (loaded.input, loaded.output) == (net.input, net.output)
    assert loaded.input_names == net.input_names
    loaded.save(folder / "again.npz")
    assert (folder / "again.npz").read_bytes() == (folder / "net.npz").read_bytes()
    if net is whole:
        x = example_inputs(net)
        np.testing.assert_array_equal(loaded(x, give="array"), net(x, give="array"))


def test_graphs_of_several_ports(tmp_path):
    net = mn.Graph(
        {"z": 3, "m": mn.Embedding(3, 4), "join": mn.Add, "c": mn.Constant([1.0, 2.0, 3.0])},
        {"z": "words", "m": "index", "join": ("m", "c", "z"), "sum": "join", "deep": "z"},
        input={"words": mn.ClassEncoder(["a", "b"], one_hot=True), "index": None},
        name="graph",
        multiplier=0.5,
    ).initialize(input_shape={"words": 2, "index": ()})
    net.save(tmp_path / "graph.npz")
    loaded = mn.load(tmp_path / "graph.npz")
    assert everything_equal(loaded, net)
    assert loaded.input_names == net.input_names == ("words", "index")
    assert loaded.output_names == net.output_names == ("sum", "deep")
    x = {"words": ["a", "b"], "index": [3, 0]}
    np.testing.assert_array_equal(loaded(x)["sum"], net(x)["sum"])


@pytest.mark.parametrize(
    "end",
    [
        mn.ImageEncoder((2, 3), "color", mean=(0.1, 0.2, 0.3), scale=1 / 7),
        mn.ImageEncoder(5),
        mn.ClassEncoder(["a", "Ä", "\n", "", "\ud800"]),
        mn.ClassEncoder([3, -7], one_hot=True),
        (4, 5),
        (),
        None,
    ],
)
def test_encoders(tmp_path, end):
    mn.Chain(mn.Ramp, input=end).save(tmp_path / "net.npz")
    assert mn.load(tmp_path / "net.npz").input == end


@pytest.mark.parametrize(
    "end", [mn.ClassDecoder([2, 0]), mn.ClassDecoder(["a", 1]), mn.ScalarDecoder(), None]
)
def test_decoders(tmp_path, end):
    mn.Chain(mn.Ramp, mn.Linear(), output=end).save(tmp_path / "net.npz")
    loaded = mn.load(tmp_path / "net.npz")
    assert loaded.output == end
    assert loaded[1].size == (end.size if end else None)


def test_numpy_reads_the_arrays_too(tmp_path):
    small().save(tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz") as archive:
        np.testing.assert_array_equal(archive["a.weight"], small()["a.weight"])


def test_a_live_net_is_saved_as_it_is(tmp_path):
    net = small()
    live = net.with_arrays({path: mn.Tensor(array) for path, array in net.arrays().items()})
    live = live.with_layers({"a": live["a"].with_options(multiplier=np.float32(0.5))})
    live.save(tmp_path / "net.npz")
    assert mn.load(tmp_path / "net.npz")["a"].multiplier == 0.5
    live = live.with_layers({"a": live["a"].with_options(multiplier=...)})
    live.save(tmp_path / "net.npz")
    assert everything_equal(mn.load(tmp_path / "net.npz"), net)


def test_equal_nets_give_equal_files(tmp_path):
    for name in ("one", "other"):
        mn.Chain(residual_block(), inception_block(), input=(5, 5, 2)).save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def evenly(spec, random):
    """Make a weight whose numbers are evenly spaced from -1 to 1."""
    return np.linspace(-1, 1, int(np.prod(spec.shape))).reshape(spec.shape)


def test_files_of_version_1_still_load():
    # What minnet 0.1.0 wrote for this net, except the head, which wasn't initialized.
    net = mn.Chain(
        mn.Conv(2, 3, padding="same", bias=False, multiplier=None),
        norm=mn.BatchNorm(momentum=0.2),
        act=mn.LeakyRamp(slope=0.1),
        block=residual_block(),
        inner=[
            mn.Elementwise("tanh"),
            mn.Conv(2, (1, 3), padding=((0, 0), (1, 1)), groups=2),
        ],
        flatten=mn.Flatten(),
        drop=mn.Dropout(0.25, multiplier=0.5),
        head=mn.Linear(),
        softmax=mn.Softmax(),
        input=mn.ImageEncoder(6, mean=0.5),
        output=mn.ClassDecoder(["cat", "dog", 7]),
        name="example",
    ).initialize(method=evenly)
    loaded = mn.load(DATA / "net-v1.npz")
    assert everything_equal(loaded, net.deinitialize("head"))
    image = np.arange(36, dtype="uint8").reshape(6, 6)
    chances = loaded.initialize(method=evenly)(image, give="probabilities")
    assert chances == pytest.approx({"cat": 0.34325, "dog": 0.33324, 7: 0.32351}, abs=1e-4)


# --- a failed save ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (mn.Chain(3, [abs]), r"^1\.0: its option function is a builtin_function_or_method"),
        (mn.Chain(a=mn.Linear(3, multiplier=np.ones(3))), "^a: its option multiplier is a ndarray"),
        (mn.Chain(3, input=mn.FunctionEncoder(len)), "FunctionEncoder can't be saved"),
        (mn.Linear(3), "only nets can be saved, got Linear"),
        (None, "only nets can be saved, got NoneType"),
    ],
    ids=str,
)
def test_what_no_file_can_hold(tmp_path, net, message):
    small().save(tmp_path / "net.npz")
    before = (tmp_path / "net.npz").read_bytes()
    with pytest.raises(mn.FormatError, match=message):
        mn.save(net, tmp_path / "net.npz")
    assert (tmp_path / "net.npz").read_bytes() == before
    assert os.listdir(tmp_path) == ["net.npz"]


def test_layers_decoders_and_nets_of_ones_own(tmp_path):
    @mn.layers.base.layer
    class Linear(mn.Linear):
        pass

    class ScalarDecoder(mn.ScalarDecoder):
        pass

    for net in (
        mn.Chain(x=Linear(3)),
        mn.Chain(mn.Linear(1), output=ScalarDecoder()),
    ):
        with pytest.raises(mn.FormatError, match="can't be saved"):
            net.save(tmp_path / "net.npz")
    assert os.listdir(tmp_path) == []


def test_a_net_that_could_not_be_read_back_is_not_written(tmp_path):
    net = mn.Chain(a=mn.Linear(2), input=3, output=mn.ClassDecoder(["x", "y"]))
    broken = net.with_layers({"a": mn.Linear(5, name="a")})
    with pytest.raises(mn.FormatError, match="don't fit ClassDecoder"):
        broken.save(tmp_path / "net.npz")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path):
    small().save(tmp_path / "net.npz")
    before = (tmp_path / "net.npz").read_bytes()
    large = mn.Chain(mn.Linear(1000), input=1000).initialize()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
        with pytest.raises(OSError, match="too large"):
            large.save(tmp_path / "net.npz")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "net.npz").read_bytes() == before
    assert os.listdir(tmp_path) == ["net.npz"]


def test_places_that_can_not_be_written_to(tmp_path):
    with pytest.raises(FileNotFoundError):
        small().save(tmp_path / "nowhere" / "net.npz")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"):
        small().save(tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]
    assert os.listdir(tmp_path / "folder") == []


def test_names_links_and_permissions(tmp_path):
    before = os.umask(0o027)
    try:
        small().save(str(tmp_path / ("n" * 250)))
    finally:
        os.umask(before)
    (target,) = tmp_path.iterdir()
    assert target.stat().st_mode & 0o777 == 0o640
    (tmp_path / "link").symlink_to(target)
    mn.Chain(4).save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert mn.load(target)[0].size == 4


def test_several_threads_write_one_file(tmp_path):
    nets_ = [mn.Chain(size, input=3).initialize() for size in range(1, 9)]
    path = tmp_path / "net.npz"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda net: net.save(path), nets_ * 3))
    assert os.listdir(tmp_path) == ["net.npz"]
    assert any(everything_equal(mn.load(path), net) for net in nets_)


def test_nothing_in_the_archive_is_compressed_or_pickled(tmp_path):
    small().save(tmp_path / "net.npz")
    with zipfile.ZipFile(tmp_path / "net.npz") as archive:
        assert archive.namelist() == ["minnet.json", "a.weight.npy", "a.bias.npy"]
        assert archive.testzip() is None
        header = json.loads(archive.read("minnet.json"))
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
    assert header["version"] == 1
