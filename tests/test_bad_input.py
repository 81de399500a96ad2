"""Bad input to training: each has an error of minnet's that says what is wrong."""

import contextlib

import numpy as np
import pytest
from train_samples import classifier, points, quiet

import minnet as mn
from minnet.errors import DataError, MinnetError, MinnetWarning, ShapeError, SpecError

X, Y = points(20)


def nan_at(row, value=np.nan, dtype=np.float32):
    x = X.astype(dtype)
    x[row, 1] = value
    return x


# --- shapes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "net, x, message",
    [
        (mn.Chain(mn.Linear(3), input=5), X, r"inputs of shape \(5,\), got \(2,\)"),
        (mn.Chain(mn.Conv(2, 3)), X, r"^0: .*got"),
        (mn.Chain(a=mn.Linear(4), b=mn.Chain(mn.Conv(2, 3))), X, r"^b.0: .*got"),
        (mn.models.lenet(3), np.ones((20, 28, 28)), r"\(28, 28, 1\), got \(28, 28\)"),
        (
            mn.Chain(mn.Linear(4), mn.Linear(3)).initialize(input_shape=(5,))[1:],
            X,
            r"\(4,\), got \(2,\)",
        ),
        (
            mn.Chain(first=mn.Chain(mn.Linear(3, bias=False)).initialize(input_shape=(5,))[0]),
            X,
            r"^first: .*\(5, 3\).*\(2, 3\)",
        ),
        (
            mn.Graph(
                {"a": mn.Linear(3), "b": mn.Linear(4), "sum": mn.Add()},
                {"a": "input", "b": "input", "sum": ("a", "b")},
            ),
            X,
            r"^sum: .*\(3,\), \(4,\)",
        ),
    ],
)
def test_inputs_that_do_not_fit_say_where_what_was_expected_and_what_came(net, x, message):
    with pytest.raises(ShapeError, match=message):
        quiet(net, (x, Y))


def test_a_taken_part_whose_output_no_longer_fits_what_follows():
    net = mn.Chain(mn.Linear(8), mn.Tanh(), mn.Linear(3), mn.Softmax()).initialize(input_shape=(2,))
    with pytest.raises(ShapeError, match=r"^1: its weight has shape \(8, 3\)"):
        quiet(mn.Chain(mn.Tanh(), *net[2:]), (X, Y))


@pytest.mark.parametrize(
    "y", [np.ones((20, 3)), np.ones((20, 2, 2)), np.ones((20, 1, 2)), np.ones((20, 1, 1))]
)
@pytest.mark.parametrize("loss", [None, "mean_absolute_error"])
def test_targets_that_do_not_fit_the_outputs(y, loss):
    with pytest.raises(ShapeError, match="same shape"):
        quiet(mn.Chain(mn.Linear(2)), (X, y), loss=loss)


def test_targets_that_do_not_fit_a_softmax():
    with pytest.raises(ShapeError, match="class indices"):
        quiet(classifier(), (X, np.full((20, 4), 0.25)))


# --- examples -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data, message",
    [
        ((X[:0], Y[:0]), "no inputs"),
        (([], []), "no inputs"),
        ([], "empty"),
        (lambda: [], "no batches"),
        (iter([]), "no batches"),
        (lambda: [(X[:0], Y[:0])], "no inputs"),
        ((X, Y[:19]), "20 inputs and 19 labels"),
        (lambda: [(X, Y[:19])], "20 inputs and 19 labels"),
        ({"input": X, "output": Y[:3]}, "20 inputs and 3 labels"),
        (X, "without labels"),
        ([[1, 2, 3]] * 4, "pairs"),
        ((X, None), "labels"),
        ((X,), "of 1"),
        ({"input": X}, "no data for port 'output'"),
        ({"input": X, "output": Y, "more": Y}, "unknown port 'more'"),
        (None, "NoneType"),
        (3, "int"),
        ("data.csv", "str"),
        (lambda: 3, "must return an iterable"),
        (lambda: [3], r"expected \(x, y\)"),
        ((X.astype(object), Y), "dtype object"),
        ((X.astype(str), Y), "encoder"),
        ((X.astype(complex), Y), "real numbers"),
        ((X, Y.astype(object)), "labels.*dtype object"),
        (([[1, 2], [3]], [0, 1]), "same shape"),
        ((nan_at(7), Y), "the inputs: example 7 has NaN"),
        ((nan_at(7, np.inf), Y), "the inputs: example 7 has infinity"),
        ((nan_at(7, 1e300, float), Y), "the inputs: example 7 has infinity"),
        (lambda: [(nan_at(7), Y)], "the inputs: example 7 has NaN"),
    ],
)
def test_examples_that_cannot_be_used(data, message):
    with pytest.raises(DataError, match=message):
        quiet(classifier(), data)


@pytest.mark.parametrize("validation", [None, 0.5])
def test_nan_is_found_before_the_first_step_and_named_as_in_the_data_given(validation):
    made = []

    def loss(outputs, targets):
        made.append(len(targets))
        return mn.ops.cross_entropy(outputs, targets)

    for data in ((nan_at(13), Y), mn.Dataset(nan_at(15), Y)[2:]):
        with pytest.raises(DataError, match="example 13 has NaN"):
            quiet(mn.Chain(3), data, loss=loss, validation=validation, batch_size=2)
    with pytest.raises(DataError, match="the targets: example 4 has NaN"):
        quiet(mn.Chain(1), (X, nan_at(4)[:, 1]), validation=validation)
    assert made == []


@pytest.mark.parametrize("validation", [None, 0.5])
def test_nan_in_what_is_read_later_names_the_example_too(tmp_path, validation):
    np.save(tmp_path / "x.npy", nan_at(13))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    with pytest.raises(DataError, match="example 13 has NaN"):
        quiet(classifier(), (mapped, Y), validation=validation)
    with pytest.raises(DataError, match="the targets: example 13 has NaN"):
        quiet(mn.Chain(2), (X, nan_at(13)), validation=validation)
    encoder = mn.FunctionEncoder(lambda x: x)
    with pytest.raises(DataError, match="example 13 has NaN"):
        quiet(classifier(input=encoder), (nan_at(13), Y), validation=validation)


# --- labels -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "net, y, message",
    [
        (
            classifier(output=mn.ClassDecoder([0, 1, 7])),
            Y,
            "unknown labels: 2; the known ones: 0, 1",
        ),
        (classifier(output=mn.ClassDecoder(list("abc"))), Y, "unknown labels"),
        (classifier(output=mn.ClassDecoder([0, 1, 2])), [[1]] * 20, r"shape \(N,\), got \(20, 1\)"),
        (mn.Chain(mn.Linear(), mn.Softmax()), Y[:, None], r"shape \(N,\), got \(20, 1\)"),
        (classifier(classes=2), Y, "2 outputs, but there are 3 different labels"),
        (classifier(), list("abcde" * 4), "3 outputs, but there are 5 different labels"),
        (classifier(), list("ab" * 10), "3 outputs, but there are 2 different labels"),
        (classifier(), Y - 1, None),
        (classifier(), Y + 0.5, "ScalarDecoder"),
        (classifier(), np.full((20, 3), 0.5), "with the sum 1; those of example 0"),
        (classifier(), np.eye(3)[Y] * [1, 1, -1] + [0, 0, 1], "with the sum 1"),
        (mn.Chain(mn.Linear(1)), list("ab" * 10), "targets are numbers"),
        (mn.Chain(mn.Linear(1), mn.Sigmoid()), list("ab" * 10), "targets are numbers"),
        (mn.Chain(mn.Linear(1), mn.Sigmoid()), Y, "between 0 and 1"),
        (
            mn.Chain(mn.Linear(1), output=mn.ScalarDecoder()),
            np.ones((20, 2)),
            "one number an example",
        ),
    ],
)
def test_labels_that_do_not_go_with_the_net(net, y, message):
    if message is None:  # -1, 0 and 1 are three labels like any other
        assert quiet(net, (X, y)).net.output == mn.ClassDecoder([-1, 0, 1])
        return
    with pytest.raises(DataError, match=message):
        quiet(net, (X, y))


def test_labels_of_the_validation_data_that_the_decoder_has_not():
    with pytest.raises(DataError, match="unknown labels: 5"):
        quiet(mn.Chain(mn.Linear(), mn.Softmax()), (X, Y), validation=(X[:1], [5]))


def test_labels_of_a_net_of_several_outputs_must_be_numbers():
    net = mn.Graph(
        {"a": mn.Linear(3), "s": mn.Softmax()}, {"a": "input", "s": "a", "x": "s", "y": "a"}
    )
    with pytest.raises(DataError, match="encode them first"):
        quiet(net, (X, {"x": list("ab" * 10), "y": np.ones((20, 3))}), loss="cross_entropy")


# --- rules --------------------------------------------------------------------------------------


def test_a_rule_that_names_nothing_lists_what_there_is():
    with pytest.raises(SpecError, match=r'"conv9": None` names nothing .*(\n.*)*0: Linear'):
        quiet(classifier(), (X, Y), multipliers={"conv9": None, ...: 1})


def test_a_rule_that_can_never_act_is_a_warning_that_names_both():
    net = classifier(4)
    with pytest.warns(MinnetWarning) as caught:
        result = quiet(net, (X, Y), multipliers={...: None, -2: 1})
    texts = [str(warning.message) for warning in caught]
    assert any("-2: 1" in text and "...: None" in text and "never act" in text for text in texts)
    assert any("nothing to train" in text for text in texts)
    assert result.net is net


@pytest.mark.parametrize(
    "rules", ["0", {0: "fast"}, {0: np.ones(7)}, {0: np.nan}, [1, 2], {0: True}]
)
def test_rules_that_are_none(rules):
    with pytest.raises(MinnetError):
        quiet(classifier(), (X, Y), multipliers=rules)


# --- options ------------------------------------------------------------------------------------


WRONG = {
    "batch_size": [0, -1, 2.5, "8", None, True],
    "rounds": [0, -1, 2.5, "8", True],
    "steps": [0, -1, 2.5, "8", True],
    "max_seconds": [0, -1, "8", np.nan, np.inf, True],
    "validation": [0, 1, -0.1, 1.5, np.nan, True, "0.1", 5],
    "seed": [-1, 0.5, None, "0"],
    "stop": [0, -1, "validation_accuracy", "hinge", 1.5, mn.Stop, object()],
    "best": ["validation_loss", "hinge", "seconds", 3],
    "measure": ["acuracy", 3, [3], ["accuracy", "accuracy"]],
    "loss": ["hinge", 3, {"other": "cross_entropy"}, {}],
    "optimizer": ["adam", mn.Adam, 0.1],
    "callbacks": ["print", [3], 3, None],
    "progress": ["none", 2, "tqdm"],
    "frozen_dropout": [1, "no", None],
    "reuse_frozen": [-1, "no", np.nan, None],
}


@pytest.mark.parametrize(
    "option, value", [(key, v) for key, values in WRONG.items() for v in values]
)
def test_wrong_options_are_refused_before_the_first_step(option, value, capsys):
    made = []

    def loss(outputs, targets):
        made.append(len(targets))
        return mn.ops.cross_entropy(outputs, targets)

    options = {"loss": loss, "rounds": 1, "progress": "lines", option: value}
    with pytest.raises(MinnetError):
        mn.train(mn.Chain(3), (X, Y), **options)
    assert made == [] and capsys.readouterr().err == ""


@pytest.mark.parametrize("net", [None, mn.Linear(3), mn.Chain, [3, mn.Softmax], "lenet"])
def test_what_is_no_net(net):
    with pytest.raises(SpecError, match="expected a Chain or Graph"):
        quiet(net, (X, Y))


def test_the_size_of_an_inner_linear_must_be_given():
    with pytest.raises(SpecError, match=r"^0: the size of this Linear"):
        quiet(mn.Chain(mn.Linear(), mn.Tanh(), mn.Linear(), mn.Softmax()), (X, Y))


def test_a_share_needs_data_of_a_known_length_and_two_examples():
    with pytest.raises(SpecError, match="known length"):
        quiet(classifier(), lambda: [(X, Y)], validation=0.1)
    with pytest.raises(DataError, match="at least two examples"):
        quiet(classifier(), (X[:1], Y[:1]), validation=0.1)


def test_validation_data_that_comes_only_once_is_refused():
    with pytest.raises(DataError, match="again after every round"):
        quiet(classifier(), (X, Y), validation=iter([(X, Y)]))


def test_what_stops_or_chooses_must_be_one_number():
    for option in ({"stop": "confusion"}, {"best": "confusion"}):
        with pytest.raises(SpecError, match="no single number"):
            quiet(classifier(), (X, Y), measure="confusion", **option)


@pytest.mark.parametrize(
    "loss, message",
    [
        (lambda outputs, targets: outputs, r"single number .* of shape \(16, 3\)"),
        (lambda outputs, targets: 0.0, "doesn't depend on what is trained"),
    ],
)
def test_losses_that_are_none(loss, message):
    with pytest.raises(SpecError, match=message):
        quiet(mn.Chain(3), (X, Y), loss=loss)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"metric": 3}, "is a name"),
        ({"patience": 0}, "patience"),
        ({"patience": 1.5}, "patience"),
        ({"change": -1}, "change"),
        ({"change": "much"}, "change"),
        ({"change": np.nan}, "change"),
    ],
)
def test_stop_refuses_what_it_cannot_use(options, message):
    with pytest.raises(SpecError, match=message):
        mn.Stop(**options)


# --- anything at all ----------------------------------------------------------------------------

# Functions are left out: what they raise when called is theirs.
ODD = [
    None, True, 0, -3, 2.5, "word", b"bytes", (), [], {}, {"input": 1}, object(),
    np.nan, np.ones(()), np.ones(3), np.ones((3, 0)), np.zeros((2, 2), object), np.array(["a"]),
    (X, Y), (X, X), X, [1, 2, 3], [(1, 2), (3,)], ..., slice(2), 1j, 10**400,
]  # fmt: skip


@pytest.mark.parametrize("option", ["data", "inputs", "labels", "multipliers", *WRONG])
@pytest.mark.parametrize("odd", ODD, ids=lambda odd: f"{type(odd).__name__} {odd!r:.20}")
def test_nothing_odd_gives_an_error_from_the_depths(option, odd):
    net = mn.Chain(4, mn.Linear(3), mn.Softmax()).initialize(input_shape=(2,))
    before = net.arrays()
    data = (odd, Y) if option == "inputs" else (X, odd) if option == "labels" else (X, Y)
    arguments = {"data": data, "rounds": 2, "steps": 3, "progress": False}
    if option not in ("inputs", "labels"):
        arguments[option] = odd
    with contextlib.suppress(MinnetError, MinnetWarning):
        mn.train(net, arguments.pop("data"), **arguments)
    assert all(array is before[path] for path, array in net.arrays().items())
