"""Features: inner outputs of nets, pooled as asked, whatever the batches."""

import numpy as np
import pytest

import minnet as mn
from minnet.measure import features


@pytest.fixture(scope="module")
def net():
    body = mn.Chain(conv=mn.Conv(4, 3), ramp=mn.Ramp())
    parts = [mn.Flatten(), mn.Dropout(0.5), mn.Linear(3), mn.Softmax()]
    return mn.Chain(*parts, input=(6, 5, 2)).insert(0, body=body).initialize(seed=1)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(11, 6, 5, 2)).astype(np.float32)


def close(found, expected):
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


POOLED = {
    "mean": lambda maps: maps.reshape(11, 12, 4).mean(1),
    "max": lambda maps: maps.reshape(11, 12, 4).max(1),
    "flatten": lambda maps: maps.reshape(11, 48),
}


@pytest.mark.parametrize("pool", POOLED)
@pytest.mark.parametrize("at", ["body", "body.ramp", ("body", "ramp"), ("body", 1), 0])
def test_maps_are_pooled_or_flattened(net, images, pool, at):
    maps = net["body"].apply(images)
    assert maps.shape == (11, 4, 3, 4)
    close(features(net, images, at, pool), POOLED[pool](maps))


@pytest.mark.parametrize("pool", [*POOLED, None])
def test_vectors_stay_as_they_are_and_dropout_is_off(net, images, pool):
    maps = net["body"].apply(images)
    close(features(net, images, 2, pool), maps.reshape(11, 48))
    close(features(net, images, -1, pool), net(images, give="array"))


@pytest.mark.parametrize("batch_size", [1, 4, 11, 500])
def test_several_layers_come_by_name_whatever_the_batches(net, images, batch_size):
    found = features(net, images, ["body", 3, -1], batch_size=batch_size)
    assert list(found) == ["body", 3, -1]
    close(found["body"], POOLED["mean"](net["body"].apply(images)))
    close(found[-1], net(images, give="array"))


def test_sequences_are_pooled_over_their_places():
    net = mn.Chain(mn.Embedding(3, 10), input=(7,)).initialize()
    words = np.arange(14).reshape(2, 7) % 10
    np.testing.assert_allclose(
        features(net, words, 0), net["0.weight"][words].mean(1), rtol=1e-6, atol=1e-7
    )


def test_single_numbers_become_one_feature():
    net = mn.Chain(mn.Linear(1), mn.Reshape(()), input=(2,)).initialize()
    assert features(net, np.ones((5, 2)), -1).shape == (5, 1)


def test_several_inputs_go_by_port():
    net = mn.Graph(
        {"a": mn.Linear(2), "b": mn.Linear(2), "sum": mn.Add()},
        {"a": "left", "b": "right", "sum": ("a", "b")},
        input={"left": 3, "right": 4},
    ).initialize()
    data = {"left": np.ones((9, 3)), "right": np.ones((9, 4))}
    found = features(net, data, ["a", "sum"], batch_size=4)
    close(found["sum"], net(data))
    with pytest.raises(mn.DataError, match="takes a dict with the inputs left, right"):
        features(net, data["left"], "a")
    with pytest.raises(mn.DataError, match="equally many examples"):
        features(net, {**data, "left": np.ones((8, 3))}, "a")


def test_the_encoder_takes_a_list():
    encoder = mn.FunctionEncoder(lambda word: [len(word), word.count("b")], (2,))
    net = mn.Chain(mn.Linear(2), input=encoder).initialize()
    found = features(net, ["a", "bb", "ccc"], 0, batch_size=2)
    close(found, net(["a", "bb", "ccc"]))


def test_what_cannot_be_is_refused(net, images):
    with pytest.raises(mn.SpecError, match="expected a Chain or Graph, got Linear"):
        features(mn.Linear(2), images, 0)
    with pytest.raises(mn.SpecError, match=r"pool must be .* got 'median'"):
        features(net, images, 0, pool="median")
    with pytest.raises(mn.PathError, match="got an empty list"):
        features(net, images, [])
    with pytest.raises(mn.PathError, match=r"nothing|no layer"):
        features(net, images, "bodi")
    with pytest.raises(
        mn.ShapeError, match=r"body: expected outputs that are vectors.*\(4, 3, 4\)"
    ):
        features(net, images, "body", pool=None)
    with pytest.raises(mn.ShapeError, match=r"expected a batch .* \(6, 5, 2\), got one"):
        features(net, images[0], 0)
    with pytest.raises(mn.ShapeError):
        features(net, images[..., :1], 0)
    with pytest.raises(mn.DataError, match="there are no input"):
        features(net, images[:0], 0)
    with pytest.raises(mn.SpecError, match="batch_size"):
        features(net, images, 0, batch_size=0)


def test_outputs_that_are_no_numbers_are_refused_with_their_place(net, images):
    broken = net.with_arrays({"body.conv.bias": np.full(4, np.nan, np.float32)})
    with pytest.raises(mn.DataError, match=r"body\.conv: some outputs are infinite or not a"):
        features(broken, images, "body.conv")


def test_of_several_outputs_one_has_to_be_named(images):
    two = mn.Graph(
        {"a": mn.Linear(2), "b": mn.Linear(3)}, {"a": "input", "b": "input", "x": "a", "y": "b"}
    )
    net = mn.Graph(
        {"two": two, "end": mn.Ramp()}, {"two": "input", "end": "two.x"}, input=4
    ).initialize()
    with pytest.raises(mn.SpecError, match=r"two: there are several outputs \(x, y\)"):
        features(net, np.ones((5, 4)), "two")
    assert features(net, np.ones((5, 4)), "two.b").shape == (5, 3)
