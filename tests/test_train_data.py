"""The forms that data may come in, and the labels, targets, encoders and decoders they go with."""

import numpy as np
import pytest
from data_samples import Counted
from train_samples import classifier, points, quiet, same_nets

import minnet as mn
from minnet.errors import DataError

X, Y = points(48)
NAMES = np.array(["low", "high", "right"])


# --- forms of the same data ---------------------------------------------------------------------


def the_forms(tmp_path):
    np.save(tmp_path / "x.npy", X)
    return {
        "lists": (X.tolist(), Y.tolist()),
        "pairs": [(x, int(y)) for x, y in zip(X, Y, strict=True)],
        "dict": {"input": X, "output": Y},
        "dataset": mn.Dataset(X, Y),
        "memmap": (np.load(tmp_path / "x.npy", mmap_mode="r"), Y),
        "array-like": (Counted(X), Y),
        "float64": (X.astype(float), Y),
        "part of a dataset": mn.Dataset(np.r_[X, X], np.r_[Y, Y])[:48],
        "fortran order": (np.asfortranarray(X), Y.astype(np.uint8)),
    }


@pytest.mark.parametrize("reuse", [True, False])
def test_the_same_data_in_any_form_gives_the_same_net(tmp_path, reuse):
    options = {"multipliers": {0: None}, "reuse_frozen": reuse, "validation": 0.25}
    expected = quiet(classifier(4, mn.Tanh), (X, Y), **options)
    for form, data in the_forms(tmp_path).items():
        result = quiet(classifier(4, mn.Tanh), data, **options)
        assert same_nets(result.net, expected.net), form


def test_streams_of_batches_give_the_net_that_their_batches_make():
    net = classifier(4, mn.Tanh, output=mn.ClassDecoder([0, 1, 2]))
    batches = [(X[i : i + 16], Y[i : i + 16]) for i in range(0, 48, 16)]
    by_function = quiet(net, lambda: iter(batches), rounds=2)
    by_iterator = quiet(net, iter(batches * 2), rounds=1)
    trainer = mn.Trainer(net.initialize(input_shape=(2,)))
    for x, y in batches * 2:
        trainer.step(x, y)
    assert (by_function.rounds, by_function.steps) == (2, 6)
    assert same_nets(by_function.net, trainer.net) and same_nets(by_iterator.net, trainer.net)


def test_an_iterator_ends_the_training_where_it_ends(capsys):
    net = classifier(output=mn.ClassDecoder([0, 1, 2]))
    result = quiet(net, iter([(X, Y), (X, Y)]), rounds=5)
    assert (result.rounds, result.steps, result.stopped) == (1, 2, "the data ran out")
    result = mn.train(net, iter([(X, Y)]), progress="lines")  # and needs no limit
    assert result.stopped == "the data ran out"
    assert "training until the data ends" in capsys.readouterr().err


def test_an_endless_stream_ends_at_a_limit():
    def endless():
        while True:
            yield X[:8], Y[:8]

    net = classifier(output=mn.ClassDecoder([0, 1, 2]))
    result = quiet(net, endless(), steps=7)
    assert (result.rounds, result.steps) == (0, 7)
    assert quiet(net, endless, steps=7, validation=(X, Y)).history[0]["validation_loss"] > 0


def test_a_stream_takes_labels_that_stand_for_outputs_without_a_decoder():
    result = quiet(classifier(), lambda: [(X, Y)])
    assert result.net.output == mn.ClassDecoder([0, 1, 2])


@pytest.mark.parametrize("net", [classifier(), mn.Chain(mn.Linear(), mn.Softmax())])
def test_a_stream_of_other_labels_needs_a_decoder(net):
    with pytest.raises(DataError, match=r"output=ClassDecoder"):
        quiet(net, lambda: [(X, NAMES[Y])])


# --- data that is not in memory -----------------------------------------------------------------


@pytest.mark.host
def test_an_array_like_is_read_batch_by_batch_and_never_whole():
    x = Counted(X)
    quiet(classifier(4), (x, Y), batch_size=8, rounds=3)
    assert max(x.reads) <= 8 and sum(x.reads) == 3 * 48 + 1  # and one, to see its shape


@pytest.mark.host
def test_it_is_read_once_where_the_features_are_kept():
    x, held = Counted(X), Counted(X)
    net = classifier(4).initialize(input_shape=(2,))
    quiet(net, (x, Y), validation=(held, Y), batch_size=8, rounds=3, multipliers={0: None})
    assert sum(x.reads) == 48 + 1 and sum(held.reads) == 48


@pytest.mark.host
def test_targets_that_are_arrays_are_read_batch_by_batch_too():
    y = Counted(np.c_[X, X])
    quiet(mn.Chain(mn.Linear()), (X, y), batch_size=8, rounds=2)
    assert max(y.reads) <= 8 and sum(y.reads) == 2 * 48 + 1


# --- labels and targets -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels, classes",
    [
        (Y, (0, 1, 2)),
        (NAMES[Y], ("high", "low", "right")),
        (10 * Y + 7, (7, 17, 27)),
        ((Y == 0).tolist(), (False, True)),
    ],
)
def test_without_a_decoder_one_is_made_from_the_labels(labels, classes):
    net = mn.Chain(mn.Linear(), mn.Softmax())
    result = quiet(net, (X, labels), optimizer=mn.Adam(0.1), rounds=30)
    assert result.net.output == mn.ClassDecoder(classes)
    said = result.net(X)
    assert np.mean([a == b for a, b in zip(said, np.asarray(labels).tolist(), strict=True)]) > 0.7


def test_whole_numbers_below_the_number_of_outputs_are_the_outputs():
    result = quiet(classifier(classes=10), (X, 3 * Y))
    assert result.net.output == mn.ClassDecoder(range(10))


def test_a_class_that_only_the_validation_share_has_is_known_all_the_same():
    y = [*["common"] * 47, "rare"]
    result = quiet(mn.Chain(mn.Linear(), mn.Softmax()), (X, y), validation=0.9)
    assert result.net.output == mn.ClassDecoder(["common", "rare"])


@pytest.mark.parametrize("dtype", [float, np.float32, np.uint8, bool])
@pytest.mark.parametrize("decoder", [None, mn.ClassDecoder(["a", "b", "c"])])
def test_targets_may_be_one_number_for_each_class(dtype, decoder):
    by_label = quiet(classifier(output=mn.ClassDecoder([0, 1, 2])), (X, Y))
    by_share = quiet(classifier(output=decoder), (X, np.eye(3)[Y].astype(dtype)))
    for path, array in by_label.net.arrays().items():
        np.testing.assert_allclose(by_share.net.arrays()[path], array, rtol=1e-4, atol=1e-6)
    assert by_share.history[-1]["accuracy"] == by_label.history[-1]["accuracy"]


def test_probabilities_size_the_last_linear():
    shares = np.full((48, 4), 0.25)
    result = quiet(mn.Chain(mn.Linear(), mn.Softmax()), (X, shares), optimizer=mn.Adam(0.1))
    assert result.net.output_shape((2,)) == (4,)


def test_a_sigmoid_at_the_end_answers_yes_or_no():
    for y in ((Y == 0).astype(int), Y == 0, (Y == 0)[:, None].astype(float)):
        result = quiet(
            mn.Chain(mn.Linear(), mn.Sigmoid()), (X, y), optimizer=mn.Adam(0.1), rounds=20
        )
        assert result.net.output_shape((2,)) == (1,)
        assert result.history[-1]["accuracy"] > 0.7
    several = np.c_[X[:, 0] > 0, X[:, 1] > 0, X[:, 0] < 1]
    result = quiet(
        mn.Chain(mn.Linear(), mn.Sigmoid()), (X, several), optimizer=mn.Adam(0.3), rounds=30
    )
    assert result.history[-1]["accuracy"] > 0.9  # of all answers, not of whole rows
    assert result.net.output_shape((2,)) == (3,)


def test_a_sigmoid_with_a_class_decoder_takes_labels():
    net = mn.Chain(mn.Linear(), mn.Sigmoid(), output=mn.ClassDecoder(NAMES.tolist()))
    result = quiet(net, (X, NAMES[Y]), optimizer=mn.Adam(0.2), rounds=40)
    assert result.history[-1]["accuracy"] > 0.8
    assert result.history[0]["loss"] == pytest.approx(np.log(2), abs=0.4)


# --- numbers ------------------------------------------------------------------------------------


def own_squares(outputs, targets):
    difference = outputs - targets
    return (difference * difference).mean()


@pytest.mark.parametrize("loss", [None, "mean_absolute_error", own_squares])
@pytest.mark.parametrize("decoder", [None, mn.ScalarDecoder()])
def test_one_number_an_example_is_never_broadcast(loss, decoder):
    """Outputs (N, 1) minus targets (N,) is (N, N): training on that gives the mean for all."""
    y = 3 * X[:, 0] - X[:, 1] + 1
    net = mn.Chain(mn.Linear(), output=decoder)
    options = {"loss": loss, "optimizer": mn.Adam(0.1), "rounds": 60}
    nets = [quiet(net, (X, targets), **options).net for targets in (y, y[:, None], y.tolist())]
    assert same_nets(nets[0], nets[1])
    np.testing.assert_allclose(nets[0][0, "weight"], [[3], [-1]], atol=0.1)
    assert np.shape(nets[0](X[0])) == (() if decoder else (1,))


def test_whole_numbers_are_numbers_for_a_net_of_numbers():
    net = mn.Chain(mn.Linear(1))
    for loss in ("mean_squared_error", own_squares):
        result = quiet(net, (X, Y), loss=loss, optimizer=mn.Adam(0.05), rounds=40)
        assert result.history[-1]["loss"] < np.var(Y)


def test_outputs_without_an_axis_fit_targets_with_one():
    net = mn.Chain(mn.Linear(1), mn.Reshape(()))
    y = X @ [2.0, 1.0]
    for targets in (y, y[:, None]):
        result = quiet(net, (X, targets), loss=own_squares, optimizer=mn.Adam(0.1), rounds=60)
        assert result.history[-1]["loss"] < 0.01


def test_targets_may_be_arrays():
    y = np.stack([X, 2 * X], axis=1)
    net = mn.Chain(mn.Linear(4), mn.Reshape((2, 2)))
    result = quiet(net, (X, y), optimizer=mn.Adam(0.1), rounds=60)
    assert result.history[-1]["loss"] < 0.01


# --- encoders -----------------------------------------------------------------------------------


def test_images_of_bytes_go_through_the_encoder():
    images = np.zeros((30, 8, 8), np.uint8)
    images[::2, :, :4] = 200
    images[1::2, :, 4:] = 200
    encoder = mn.ImageEncoder((4, 4), color="gray")
    net = mn.Chain(mn.Flatten(), mn.Linear(), mn.Softmax(), input=encoder)
    result = quiet(net, (images, ["left", "right"] * 15), optimizer=mn.Adam(0.05), rounds=20)
    assert result.history[-1]["accuracy"] == 1.0
    assert result.net(images[0]) == "left"


def test_things_that_are_no_arrays_go_through_a_function():
    words = ["a", "to", "the", "seven", "eleven", "i", "of", "and", "horse", "monkey"] * 3
    encoder = mn.FunctionEncoder(lambda word: [len(word)])
    net = mn.Chain(mn.Linear(1), input=encoder, output=mn.ScalarDecoder())
    data = [(word, 2.0 * len(word)) for word in words]
    result = quiet(net, data, optimizer=mn.Adam(0.2), rounds=100)
    assert result.net("four") == pytest.approx(8, abs=0.5)


def test_an_embedding_takes_whole_numbers_of_any_kind():
    x = np.random.default_rng(0).integers(0, 5, (40, 3))
    net = mn.Chain(mn.Embedding(2, count=5), mn.Flatten(), mn.Linear(), mn.Softmax())
    y = np.where(x[:, 0] > 2, "big", "small")
    results = [quiet(net, (x.astype(kind), y)) for kind in (np.int64, np.uint8, np.float32)]
    assert all(same_nets(result.net, results[0].net) for result in results)
    with pytest.raises(DataError, match="whole numbers"):
        quiet(net, (x + 0.5, y))


# --- several inputs and outputs -----------------------------------------------------------------


def two_ends():
    return mn.Graph(
        {
            "word": mn.Embedding(4, count=3),
            "both": mn.Catenate(),
            "kind": mn.Linear(3),
            "kind_end": mn.Softmax(),
            "size": mn.Linear(1),
        },
        {
            "both": ("word", "numbers"),
            "word": "words",
            "kind": "both",
            "kind_end": "kind",
            "size": "both",
            "class": "kind_end",
            "number": "size",
        },
    )


def two_ends_data():
    words = np.arange(48) % 3
    return {"words": words, "numbers": X}, {"class": words, "number": X[:, 0]}


def test_a_graph_of_several_inputs_and_outputs_takes_dicts_by_port():
    x, y = two_ends_data()
    options = {"optimizer": mn.Adam(0.05), "rounds": 30, "validation": 0.25}
    forms = [(x, y), {**x, **y}]
    forms.append(
        [
            ({"words": w, "numbers": n}, {"class": c, "number": z})
            for w, n, c, z in zip(x["words"], X, y["class"], y["number"], strict=True)
        ]
    )
    results = [quiet(two_ends(), data, **options) for data in forms]
    assert all(same_nets(result.net, results[0].net) for result in results)
    assert results[0].history[-1]["loss"] < 0.2 * results[0].history[0]["loss"]
    said = results[0].net(x)
    assert (said["class"].argmax(1) == y["class"]).mean() > 0.9
    stream = quiet(two_ends(), lambda: [(x, y)], rounds=2)
    assert stream.steps == 2


def test_the_loss_of_several_outputs_is_a_sum_and_may_differ_by_port():
    x, y = two_ends_data()
    net = two_ends().initialize(input_shape={"words": (), "numbers": (2,)})
    both = mn.evaluate(net, (x, y))["loss"]
    by_port = {"class": "cross_entropy", "number": own_squares}
    assert mn.evaluate(net, (x, y), loss=by_port)["loss"] == pytest.approx(both, rel=1e-5)
    said = net(x)
    squares = ((said["number"][:, 0] - y["number"]) ** 2).mean()
    logs = -np.log(said["class"][np.arange(48), y["class"]]).mean()
    assert both == pytest.approx(squares + logs, rel=1e-5)
