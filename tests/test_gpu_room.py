"""What a DeviceMemoryError says: for which layer on the way forward and back, or of the update."""

import math
import sys

import numpy as np
import pytest
import standin
from train_samples import quiet, same_nets

import minnet as mn
from minnet.autodiff import core, record, value
from minnet.layers.base import walk
from minnet.optim import Updater

SIZE = 1 << 20


@mn.layers.layer
class Hungry(mn.layers.Layer):
    """Changes nothing, and takes a lot of memory for each example, there or on the way back."""

    goes_back: bool = True

    def apply(self, x, context=None):
        def back(g):
            _eat(len(g) if self.goes_back else 0)
            return g

        _eat(0 if self.goes_back else len(value(x)))
        return record(value(x) * 1, (x, back))


def _eat(count):
    standin.cupy.empty(count * SIZE, "uint8")


X = np.random.default_rng(0).normal(size=(32, 6, 6, 2)).astype("float32")
Y = np.arange(32) % 3


def chain():
    return mn.Chain(
        mn.Conv(12, 3, name="conv"), mn.Ramp(), mn.MaxPool(2, name="pool"), mn.Flatten(),
        mn.Linear(70), mn.BatchNorm(), mn.Tanh(), mn.Linear(3), mn.Softmax(),
    )  # fmt: skip


def nested():
    deep = mn.Chain(mn.Linear(50), mn.Ramp(), name="deep")
    inner = mn.Chain(mn.Linear(60), deep, name="inner")
    return mn.Chain(mn.Flatten(), mn.Linear(80), inner, mn.Tanh(), mn.Linear(3), mn.Softmax())


def graph():
    block = mn.Graph(
        {"one": mn.Linear(90), "ramp": mn.Ramp(), "two": mn.Linear(80), "add": mn.Add()},
        {"one": "input", "ramp": "one", "two": "ramp", "add": ("two", "input")},
    )
    layers = {
        "flatten": mn.Flatten(), "first": mn.Linear(80), "block": block,
        "left": mn.Linear(40), "right": mn.Chain(mn.Linear(50), mn.Tanh()),
        "both": mn.Catenate(), "top": mn.Linear(3), "end": mn.Softmax(),
    }  # fmt: skip
    wiring = {
        "flatten": "input", "first": "flatten", "block": "first", "left": "block",
        "right": "block", "both": ("left", "right"), "top": "both", "end": "top",
    }  # fmt: skip
    return mn.Graph(layers, wiring)


NETS = [chain, nested, graph]


def failed(net, when=lambda size: False, **options):
    """Return the error of a step in which there is no room, or is none where `when` says so."""
    net = net.initialize(input_shape=X.shape[1:])
    trainer = mn.Trainer(net, device="gpu", **options)
    before = trainer.net
    with standin.refusing(when), pytest.raises(mn.DeviceMemoryError) as caught:
        trainer.step(X, Y)
    assert same_nets(trainer.net, before) and trainer.steps == 0
    error = caught.value
    del caught
    assert np.isfinite(trainer.step(X[:2], Y[:2]))  # nothing is kept of what failed
    return error


def during(function):
    """Tell whether a function is being called."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code is not function.__code__:
        frame = frame.f_back
    return frame is not None


def nth(number, wanted):
    """Return what refuses memory from the time on that `wanted` has said so often."""
    count = 0

    def when(size):
        nonlocal count
        count += wanted(size)
        return count >= number and wanted(size)

    return when


def going_back(shape):
    """Return what tells an array of float32 of this shape on the way back."""
    taken = rounded(shape)
    return lambda size: size == taken and during(core.backward)


def rounded(shape):
    return -(-4 * math.prod(shape) // 512) * 512


# --- on the way there and back ------------------------------------------------------------------

PLACES = [
    (build, path)
    for build in NETS
    for path, part in list(walk(build()))[:-1]
    if part.input_count == 1 and path not in ((0,), ("flatten",))
]


@pytest.fixture
def small_gpu(monkeypatch):
    """The stand-in with room for ten bites, on which no kernels are compiled."""
    monkeypatch.setattr("minnet.ops.gpu.takes", lambda *arrays: False)
    with standin.installed(memory=10 * SIZE):
        yield


@pytest.mark.parametrize("goes_back", [True, False])
@pytest.mark.parametrize(("build", "path"), PLACES)
def test_it_is_told_which_layer_had_no_room(small_gpu, build, path, goes_back):
    net = build()
    part = net[path]
    two = mn.Chain(part.renamed(None), Hungry(goes_back), name=part.name)
    error = failed(net.with_layers({path: two}))
    assert error.path == (*path, 1)
    assert error.message.startswith("on the way back, the GPU is full") == goes_back
    assert error.message.endswith("of the 32 examples of a batch 8 fit: batch_size=8")


WEIGHTS = [
    (build, path)
    for build in NETS
    for path in build().initialize(input_shape=X.shape[1:]).arrays()
    if path[-1] == "weight"
]


@pytest.mark.parametrize(("build", "path"), WEIGHTS)
def test_it_is_told_which_weight_has_no_room_for_its_gradient(small_gpu, build, path):
    arrays = build().initialize(input_shape=X.shape[1:]).arrays()
    shape, later = arrays[path].shape, list(arrays)[list(arrays).index(path) + 1 :]
    before = [one for one in later if rounded(arrays[one].shape) == rounded(shape)]
    error = failed(build(), nth(1 + len(before), going_back(shape)))
    assert error.path == path[:-1]
    assert "on the way back" in error.message


@pytest.mark.parametrize(
    ("shape", "number", "expected"),
    [
        ((32, 4, 4, 12), 1, ("pool",)),
        ((32, 2, 2, 12), 1, (4,)),  # by what goes into the Linear layer
        ((32, 2, 2, 12), 2, (1,)),  # the Ramp, which is computed after the pooling
    ],
)
def test_layers_are_told_in_the_order_they_are_computed_in(small_gpu, shape, number, expected):
    assert failed(chain(), nth(number, going_back(shape))).path == expected


def test_what_is_above_the_net_is_told_as_no_layer_of_it(small_gpu):
    error = failed(chain(), lambda size: during(core.backward))
    assert error.path == ()
    assert str(error).startswith("on the way back, the GPU is full")
    assert "not even a single example fits" in error.message


def test_it_is_told_in_float16_too(small_gpu):
    net = chain()
    net = net.with_layers({6: mn.Chain(mn.Tanh(), Hungry())})
    assert failed(net, precision="float16").path == (6, 1)


def test_a_tensor_of_ones_own_tells_in_words(standin_cupy):
    x = mn.Tensor(standin_cupy.ones((4, 3), "float32"))
    refused = standin.refusing(lambda size: during(core.backward))
    with refused, pytest.raises(mn.DeviceMemoryError, match=r"the GPU is full: .* 512 bytes"):
        (x * x).sum().backward()


def test_a_frozen_layer_is_told(small_gpu):
    net = mn.Chain(mn.Flatten(), mn.Chain(mn.Linear(8), Hungry(False), name="low"), mn.Linear(3))
    net = net.initialize(input_shape=X.shape[1:])
    with pytest.raises(mn.DeviceMemoryError, match=r"^low\.1: the GPU is full"):
        quiet(net, (X, Y[:, None] * [1.0, 1, 1]), multipliers={"low": None}, device="gpu")


# --- updating -----------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [mn.Adam(clip_norm=1.0), mn.SGD(0.1, momentum=0.9)])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_it_is_told_that_there_is_no_room_to_update(standin_cupy, optimizer, number):
    when = nth(number, lambda size: during(mn.Trainer._descend))
    error = failed(chain(), when, optimizer=optimizer)
    assert error.path == ()
    assert error.message.startswith("updating the weights, the GPU is full")
    assert "batch_size helps little" in error.message


@pytest.mark.parametrize("function", [Updater.use, mn.Trainer._make_live])
def test_it_is_told_that_there_is_no_room_for_the_optimizer(standin_cupy, function):
    net = chain().initialize(input_shape=X.shape[1:])
    refused = standin.refusing(lambda size: during(function))
    with refused, pytest.raises(mn.DeviceMemoryError, match=r"^updating the weights, the GPU"):
        mn.Trainer(net, device="gpu")


# --- a batch that fits --------------------------------------------------------------------------


def test_no_room_says_for_which_layer_and_what_fits() -> None:
    x = np.ones((512, 50), "float32")
    y = np.zeros(512, int)
    net = mn.Chain(
        mn.Linear(1000, name="broad"), mn.Ramp(), mn.Linear(2), mn.Softmax(), input=50
    ).initialize()
    with standin.installed(memory=4_000_000):
        with pytest.raises(mn.DeviceMemoryError, match="of the 512 examples of a batch") as caught:
            quiet(net, (x, y), device="gpu", batch_size=512)
        assert "Out of memory allocating 2,048,000 bytes" in str(caught.value)
        fits = int(str(caught.value).rpartition("batch_size=")[2])
        assert 64 <= fits <= 256
        del caught
        assert quiet(net, (x, y), device="gpu", batch_size=fits, rounds=1).steps == 512 // fits
