"""The well-known nets: as many parameters as published, the right shapes, and they run."""

import math

import numpy as np
import pytest

import minnet as mn
from minnet import models
from minnet.layers.base import walk
from minnet.net import Net


def parameters(net: Net) -> int:
    """Count the numbers that training can change, without making any."""

    def count(part, shape) -> int:
        if isinstance(part, Net):
            return sum(count(step.layer, step.input_shape) for step in part.trace(shape)[0])
        specs = part.array_specs(shape)
        return sum(math.prod(s.shape) for name, s in specs.items() if name not in part.state_names)

    return count(net, net.input_shape)


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        (models.lenet(10), 431_080),
        (models.caffenet(1000), 60_965_224),
        (models.resnet18(1000), 11_689_512),
        (models.small_vgg(10), 1_116_970),
    ],
    ids=["lenet", "caffenet", "resnet18", "small_vgg"],
)
def test_parameters(net, expected):
    assert parameters(net) == expected
    assert f"{expected:,} trained, 0 frozen" in net.summary()
    assert net.arrays() == {}


@pytest.mark.parametrize(
    "model", [models.lenet, models.caffenet, models.resnet18, models.small_vgg]
)
def test_classes_and_labels(model):
    net = model(["cat", "dog", "hen"])
    assert net.output == mn.ClassDecoder(["cat", "dog", "hen"])
    assert net.output_shape(net.input_shape) == (3,)
    assert model(np.int64(7)).output.labels == tuple(range(7))
    assert model(range(1, 4)).output.labels == (1, 2, 3)
    for bad in (0, -1, 2.5, None, "cat", True, ["a", "a"]):
        with pytest.raises(mn.SpecError):
            model(bad)


def shapes(net: Net) -> dict:
    """Return what comes out of each layer."""
    return {step.key: step.output_shape for step in net.trace(net.input_shape)[0]}


def test_shapes_of_lenet_and_caffenet():
    assert shapes(models.lenet())["pool2"] == (4, 4, 50)
    after = shapes(models.caffenet())
    assert after["conv1"] == (55, 55, 96)
    assert after["norm1"] == (27, 27, 96)
    assert after["conv2"] == (27, 27, 256)
    assert after["conv4"] == (13, 13, 384)
    assert (after["pool5"], after["flatten"]) == ((6, 6, 256), (9216,))


def test_shapes_of_resnet():
    after = shapes(models.resnet18())
    blocks = [after[f"block{i}"] for i in range(1, 9)]
    assert after["pool"] == (56, 56, 64)
    assert blocks == [
        *[(56, 56, 64)] * 2, *[(28, 28, 128)] * 2, *[(14, 14, 256)] * 2, *[(7, 7, 512)] * 2,
    ]  # fmt: skip


def test_caffenet_is_the_net_of_the_paper():
    net = models.caffenet()
    convolutions = [part for part in net if isinstance(part, mn.Conv)]
    assert [part.groups for part in convolutions] == [1, 2, 1, 2, 2]
    assert [part.rate for part in net if isinstance(part, mn.Dropout)] == [0.5, 0.5]
    assert net["norm1"] is not net["norm2"]
    sizes = {name: math.prod(s.shape) for name, s in net["conv2"].array_specs((27, 27, 96)).items()}
    assert sizes == {"weight": 5 * 5 * 48 * 256, "bias": 256}


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (models.lenet(5), (28, 28, 1)),
        (models.small_vgg(5, input=(16, 16, 3)), (16, 16, 3)),
        (models.resnet18(5, input=(32, 32, 3)), (32, 32, 3)),
    ],
    ids=["lenet", "small_vgg", "resnet18"],
)
def test_they_run(net, shape):
    net = net.initialize()
    x = np.random.default_rng(0).random((2, *shape), dtype="float32")
    chances = net(x, give="array")
    assert chances.shape == (2, 5)
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-5)
    assert net(x[0]) in range(5)


def test_a_resnet_is_differentiated_down_to_its_first_layer():
    net = models.resnet18(2, input=(32, 32, 3)).initialize()
    live = net.with_arrays({"conv.weight": mn.Tensor(net["conv.weight"])})
    x = np.random.default_rng(0).random((2, 32, 32, 3), dtype="float32")
    (gradient,) = mn.gradients(live.apply(x)[0, 0], [live["conv.weight"]])
    assert gradient.shape == (7, 7, 3, 64)
    assert np.abs(gradient).max() > 0


def test_encoders_and_cuts():
    net = models.lenet(10, input=mn.ImageEncoder(28))
    image = np.zeros((28, 28), "uint8")
    assert net.initialize()(image) in range(10)
    features = net.take("linear1")
    assert features.output_shape((28, 28, 1)) == (500,)
    block = models.resnet18().take("block1")
    assert [len(path) for path, _ in walk(block)].count(2) == 7
