"""Calling nets: what goes in, what comes out, what is refused, and looking at inner layers."""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from net_samples import example_inputs, inception_block, nets

import minnet as mn

WORDS = mn.ClassEncoder(["red", "green", "blue"])


def classifier(**options) -> mn.Chain:
    """A net that gives back the label of the largest of two numbers."""
    decoder = mn.ClassDecoder(["no", "yes"])
    net = mn.Chain(mn.Linear(), mn.Softmax(), input=2, output=decoder, **options)
    return net.initialize(method="identity")


def double(spec, random):
    """Make a weight that doubles."""
    return 2 * np.eye(*spec.shape)


def scaler(size: int = 3) -> mn.Chain:
    """A net that gives twice what it takes."""
    return mn.Chain(mn.Linear(size), input=size).initialize(method=double)


# --- examples, batches, lists -----------------------------------------------------------


def test_one_example_a_batch_a_list():
    net = scaler()
    x = np.array([[1, 2, 3], [4, 5, 6]], dtype="float32")
    for batch in (x, x.tolist(), list(x), tuple(x), x.astype("int8"), x.astype("float64")):
        np.testing.assert_array_equal(net(batch), 2 * x)
    for one in (x[1], x[1].tolist(), tuple(x[1].tolist())):
        np.testing.assert_array_equal(net(one), 2 * x[1])
    np.testing.assert_array_equal(net({"input": x}), 2 * x)
    np.testing.assert_array_equal(net(np.array([[True, False, True]])), [[2, 0, 2]])


def test_without_a_known_shape_everything_is_a_batch():
    net = mn.Chain(mn.Ramp)
    np.testing.assert_array_equal(net([1, -2]), [1, 0])
    np.testing.assert_array_equal(net([[1, -2]]), [[1, 0]])


def test_single_numbers_as_examples():
    net = mn.Chain(mn.Embedding(2, 5), input=()).initialize()
    np.testing.assert_array_equal(net(3), net["0.weight"][3])
    np.testing.assert_array_equal(net([3, 1]), net["0.weight"][[3, 1]])


def test_what_the_encoder_takes():
    net = mn.Chain(mn.Embedding(2, 3), input=WORDS).initialize()
    table = net["0.weight"]
    np.testing.assert_array_equal(net("green"), table[1])
    np.testing.assert_array_equal(net(["blue", "red"]), table[[2, 0]])
    np.testing.assert_array_equal(net(np.array(["blue", "red"])), table[[2, 0]])
    with pytest.raises(mn.DataError, match="unknown labels: 'pink'"):
        net("pink")
    hot = mn.Chain(mn.Linear(2), input=mn.ClassEncoder(["a", "b"], one_hot=True)).initialize()
    np.testing.assert_array_equal(hot("b"), hot["0.weight"][1])


def test_images():
    net = mn.Chain(mn.Flatten, mn.Linear(), input=mn.ImageEncoder(2), output=mn.ScalarDecoder())
    net = net.initialize(method=1.0)
    image = np.array([[0, 255], [255, 51]], dtype="uint8")
    assert net(image) == pytest.approx(2.2)
    assert net([image, image]) == net(np.stack([image, image])) == pytest.approx([2.2, 2.2])


def test_functions_as_encoders():
    net = mn.Chain(mn.Linear(1), input=mn.FunctionEncoder(lambda word: [len(word)], shape=(1,)))
    net = net.initialize(method="identity")
    np.testing.assert_array_equal(net("three"), [5])
    np.testing.assert_array_equal(net(["a", "three"]), [[1], [5]])
    unknown = mn.Chain(mn.Linear(1), input=mn.FunctionEncoder(lambda word: [len(word)]))
    assert unknown.initialize(input_shape=1)("three").shape == (1,)


@settings(max_examples=15)
@given(nets(), st.integers(1, 4))
def test_examples_and_batches_agree(net, count):
    x = example_inputs(net, count)
    whole = net(x, give="array")
    assert whole.shape == (count, *net.output_shape(net.input_shape))
    if net.input == net.input_shape:  # no encoder
        for i in range(count):
            np.testing.assert_allclose(net(x[i], give="array"), whole[i], rtol=1e-4, atol=1e-6)


def test_more_examples_than_go_through_at_once():
    net = scaler()
    x = np.arange(3 * 700, dtype="float32").reshape(700, 3)
    np.testing.assert_array_equal(net(x), 2 * x)
    assert len(classifier()(x[:, :2])) == 700
    several = mn.Graph({"a": mn.Ramp}, {"a": "x", "y": "a", "same": "x"})
    np.testing.assert_array_equal(several(x)["y"], x)


# --- what comes out ---------------------------------------------------------------------


def test_decoders():
    net = classifier()
    assert net([0.0, 1.0]) == "yes"
    assert net([[0.0, 1.0], [1.0, 0.0]]) == ["yes", "no"]
    assert net([0.0, 1.0], give="probabilities")["yes"] == pytest.approx(0.7310586)
    assert net([[0.0, 1.0]], give=("top", 1))[0][0][0] == "yes"
    assert net([0.0, 1.0], give="array").shape == (2,)
    with pytest.raises(mn.SpecError, match="give is"):
        net([0.0, 1.0], give="chances")
    with pytest.raises(mn.SpecError, match="needs a decoder"):
        scaler()([1, 2, 3], give="probabilities")
    assert scaler()([[1, 2, 3]], give="array").shape == (1, 3)
    scalar = mn.Chain(mn.Linear(), input=1, output=mn.ScalarDecoder()).initialize(method=3.0)
    assert (scalar([2.0]), scalar([[2.0]])) == (6.0, [6.0])


def test_precision():
    net = scaler()
    assert net(np.ones((1, 3), "float64")).dtype == np.float32
    wide = net.astype("float64")
    assert wide(np.ones((1, 3), "float32")).dtype == np.float64
    assert wide(np.full((1, 3), 0.1))[0, 0] == 0.2
    state_first = mn.Graph(
        {"c": mn.Constant(), "a": 3, "add": mn.Add}, {"a": "x", "add": ("a", "c")}, input=3
    )
    state_first = state_first.with_arrays({"c.array": np.array([1, 2, 3])}).initialize()
    assert state_first.dtype == np.float32
    assert state_first(np.full((1, 3), 0.5)).shape == (1, 3)
    image = mn.Chain(mn.Flatten, input=mn.ImageEncoder(1)).append(1).initialize()
    pixel = np.array([[1]], "uint8")
    assert image.astype("float64").with_arrays({"1.weight": np.ones((1, 1))})(pixel)[0] == 1 / 255


def test_what_a_net_takes_follows_its_changes():
    net = mn.Chain(mn.Linear(2), input=3).initialize()
    assert net([1, 2, 3]).dtype == np.float32
    assert net.astype("float64")([1, 2, 3]).dtype == np.float64
    assert net.with_ends(input=None)(np.ones((4, 3))).shape == (4, 2)
    with pytest.raises(mn.ShapeError, match=r"shape \(3,\), got \(4,\)"):
        net([[1, 2, 3, 4]])
    table = mn.Chain(first=mn.Tanh(), last=mn.Linear(2), input=3).initialize()
    assert table([1, 2, 3]).shape == (2,)
    table = table.with_layers({"first": mn.Embedding(3, count=4)}).initialize()
    assert table([1, 2, 3]).shape == (3, 2)  # which takes whole numbers now
    assert pickle.loads(pickle.dumps(net)).astype("float64")([1, 2, 3]).dtype == np.float64


def test_tensors_pass_through():
    net = classifier()
    x = mn.Tensor(np.array([[0.0, 1.0]], "float32"))
    out = net(x)
    assert isinstance(out, mn.Tensor)
    (gradient,) = mn.gradients(out[0, 1], [x])
    assert gradient[0, 1] > 0 > gradient[0, 0]
    inner = net.outputs(x, at=[0, -1])
    assert all(isinstance(part, mn.Tensor) for part in inner.values())
    graph = mn.Graph({"mul": mn.Multiply}, {"mul": ("a", "b")}, input={"a": 2, "b": 2})
    assert isinstance(graph({"a": x, "b": np.ones((1, 2), "float32")}), mn.Tensor)
    with pytest.raises(mn.ShapeError, match=r"takes inputs of shape \(2,\), got \(3,\)"):
        net(mn.Tensor(np.ones((1, 3))))
    with pytest.raises(mn.DataError, match="at least one example"):
        net(mn.Tensor(np.ones((0, 2))))


# --- whole numbers ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "first", [[], [mn.Flatten()], [mn.Transpose((0,)), mn.Reshape((2,))]], ids=str
)
def test_whole_numbers_for_embeddings(first):
    net = mn.Chain(*first, mn.Embedding(2, 5), input=2).initialize()
    for x in ([[1, 4]], [[1.0, 4.0]], np.array([[1, 4]], "uint8")):
        np.testing.assert_array_equal(net(x)[0], net[len(first), "weight"][[1, 4]])
    with pytest.raises(mn.DataError, match="whole numbers"):
        net([[1.5, 2.0]])
    with pytest.raises(mn.DataError, match=r"index 5 is outside"):
        net([[1, 5]])


def test_whole_numbers_for_one_port_and_others_for_another():
    embedded = mn.Graph(
        {"e": [mn.Embedding(3, 5)], "add": mn.Add}, {"e": "word", "add": ("e", "x")}
    )
    net = mn.Graph({"inner": embedded}, {"inner": ("w", "x")}, input={"w": (), "x": 3}).initialize()
    out = net({"w": [1, 2], "x": np.full((2, 3), 0.5)})
    np.testing.assert_array_equal(out, net["inner.e.0.weight"][[1, 2]] + np.float32(0.5))


# --- what is refused --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "kind", "message"),
    [
        ([], mn.DataError, "at least one example"),
        (np.zeros((0, 3)), mn.DataError, "at least one example"),
        ([[1, 2]], mn.ShapeError, r"takes inputs of shape \(3,\), got \(2,\) \(in a batch"),
        (np.zeros((2, 3, 1)), mn.ShapeError, r"takes inputs of shape \(3,\), got \(3, 1\)"),
        (5, mn.ShapeError, "got a single number"),
        ([[1, 2, 3], [1, 2]], mn.DataError, "don't all have the same shape"),
        (["a", "b"], mn.DataError, "the net takes numbers, got an array of <U1"),
        ("a", mn.DataError, "the net takes numbers"),
        (None, mn.DataError, "the net takes numbers, got an array of object"),
        (np.array([[1, 2, "x"]], object), mn.DataError, "got an array of object"),
        (np.ones((1, 3), complex), mn.DataError, "got an array of complex128"),
        (np.zeros((1, 3), "M8[s]"), mn.DataError, "got an array of datetime64"),
        ([[1, np.nan, 2]], mn.DataError, "NaN or infinity in example 0"),
        ([[1, 2, 3], [1, -np.inf, 2]], mn.DataError, "NaN or infinity in example 1"),
        ({"x": [[1, 2, 3]]}, mn.DataError, "the net takes numbers"),
    ],
)
def test_inputs_that_do_not_fit(x, kind, message):
    with pytest.raises(kind, match=message):
        scaler()(x)


def test_errors_inside_say_where():
    net = mn.Chain(conv1=mn.Conv(2, 3)).initialize(input_shape=(5, 5, 1)).with_ends(input=None)
    with pytest.raises(mn.ShapeError, match=r"^conv1: "):
        net(np.zeros((1, 5, 5, 2)))
    with pytest.raises(mn.ShapeError, match=r"^net\.conv1: "):
        mn.Chain(net=net)(np.zeros((1, 5, 5, 2)))
    with pytest.raises(mn.SpecError, match=r"^0: Linear has no weight yet: initialize"):
        mn.Chain(3, input=2)([[1, 2]])


def test_outputs_that_are_not_numbers():
    net = classifier().with_arrays({"0.bias": [np.nan, 0]})
    with pytest.raises(mn.DataError, match="outputs hold NaN"):
        net([0.0, 1.0])
    assert np.isnan(net([0.0, 1.0], give="array")).any()


def test_several_inputs():
    net = mn.Graph({"add": mn.Add}, {"add": ("a", "b")}, input={"a": 2, "b": 2})
    for x, message in [
        ([[1, 2]], "takes a dict with the inputs a, b, got list"),
        ({"a": [[1, 2]]}, "takes a dict with the inputs a, b, got a"),
        ({"a": [[1, 2]], "b": [[1, 2], [3, 4]]}, "as many examples, got"),
        ({"a": [1, 2], "b": [[1, 2]]}, "some inputs are single examples"),
        ({"a": [[1, 2]], "b": []}, "input 'b': expected at least one example"),
    ]:
        with pytest.raises(mn.DataError, match=message):
            net(x)
    with pytest.raises(mn.ShapeError, match=r"input 'b': the net takes inputs of shape \(2,\)"):
        net({"a": [[1, 2]], "b": [[1, 2, 3]]})


# --- threads ----------------------------------------------------------------------------


def test_threads_get_what_serial_calls_get():
    net = mn.Chain(inception_block(), mn.Flatten(), 3, input=(6, 6, 2)).initialize()
    batches = [np.random.default_rng(i).random((5, 6, 6, 2)) for i in range(24)]

    def work(x):
        return net(x), net.outputs(x, at="0.join")

    expected = [work(x) for x in batches]
    with ThreadPoolExecutor(8) as pool:
        for got, wanted in zip(pool.map(work, batches), expected, strict=True):
            np.testing.assert_array_equal(got[0], wanted[0])
            np.testing.assert_array_equal(got[1], wanted[1])


# --- inner outputs ----------------------------------------------------------------------


def test_outputs_of_inner_layers():
    net = mn.Chain(
        mn.Linear(4), inner=[mn.Ramp(), mn.Linear(3)], graph=mn.Graph({"t": mn.Tanh}, {"t": "x"}),
        input=2,
    ).initialize()  # fmt: skip
    x = np.random.default_rng(0).normal(size=(300, 2)).astype("float32")
    places = [0, -3, "inner", ("inner", 0), "inner.1", ("graph", "t"), "graph", -1]
    found = net.outputs(x, at=places)
    assert list(found) == places
    np.testing.assert_array_equal(found[0], found[-3])
    np.testing.assert_array_equal(found["inner", 0], np.maximum(found[0], 0))
    np.testing.assert_array_equal(found["inner"], found["inner.1"])
    np.testing.assert_array_equal(found["graph"], net(x))
    np.testing.assert_array_equal(found["graph", "t"], found[-1])
    np.testing.assert_array_equal(net.outputs(x, at="inner.1"), found["inner"])
    assert net.outputs(x[0], at="inner").shape == (3,)
    assert net.outputs(x, at=[]) == {}


@settings(max_examples=15)
@given(nets())
def test_outputs_are_what_the_parts_give(net):
    x = example_inputs(net)
    found = net.outputs(x, at=list(range(len(net))))
    for i, key in enumerate(net.keys()):
        if isinstance(net[i], mn.Constant):
            continue  # a net that takes no input can't be
        part = net.take(i + 1) if isinstance(net, mn.Chain) else net.take(key)
        np.testing.assert_array_equal(found[i], part(x, give="array"))


@pytest.mark.parametrize(
    "at", ["x", 5, "0.weight", ("inner", "y"), [["inner", 0]], None, [None], 1.5, True]
)
def test_places_without_outputs(at):
    net = mn.Chain(mn.Linear(4), inner=[mn.Ramp()], input=2).initialize()
    with pytest.raises(mn.PathError):
        net.outputs([[1, 2]], at=at)


# --- memory from call to call -----------------------------------------------------------


def test_memory_serves_again_in_the_next_call_of_the_same_thread(monkeypatch):
    from minnet.net import call

    net = mn.Chain(mn.Conv(4, 3), mn.Ramp, input=(20, 20, 3)).initialize()
    first, second = (np.full((40, 20, 20, 3), fill, "float32") for fill in (1, 2))
    one = net(first)
    expected, hands = one.copy(), call._here.hands
    assert hands.memory >= one.nbytes
    net(second)
    np.testing.assert_array_equal(one, expected)  # what somebody holds is not used again
    assert call._here.hands is hands
    elsewhere = []
    thread = threading.Thread(target=lambda: elsewhere.append((net(first), call._here.hands)))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(elsewhere[0][0], expected)
    assert elsewhere[0][1] is not hands
    monkeypatch.setattr(call, "KEPT", 1000)
    net(first)
    assert not hasattr(call._here, "hands")  # too much to keep
    net(second)
