"""Summaries, which say what a net is and what of it is frozen, and learning curves."""

import numpy as np
import pytest
from hypothesis import given
from net_samples import nets, residual_block

import minnet as mn
from minnet import draw


def lines(net, *args, **options) -> list[list[str]]:
    """Return a summary's rows below the head as lists of words."""
    return [line.split() for line in net.summary(*args, **options).splitlines()[2:]]


# --- summaries --------------------------------------------------------------------------


def test_a_summary():
    net = mn.Chain(
        conv=mn.Conv(4, 3),
        norm=mn.BatchNorm(),
        inner=[mn.Flatten(), mn.Linear(multiplier=0.5)],
        soft=mn.Softmax(),
        input=(6, 6, 2),
        output=mn.ClassDecoder(["a", "b"]),
    )
    expected = """\
layer  type       output     parameters  multiplier
-----  ---------  ---------  ----------  -------------------------------
conv   Conv       4 x 4 x 4          76  weight frozen, bias 2
norm   BatchNorm  4 x 4 x 4           8  scale -0.25, shift 2
inner  Chain      2
  0    Flatten    64                  0
  1    Linear     2                 130  weight 0.5, bias 2
soft   Softmax    2                   0
total                               214  142 trained, 72 frozen, 8 state"""
    rules = {"*.bias": 2, "*.shift": 2, "conv": None, mn.BatchNorm: -0.25}
    assert net.summary(rules) == expected
    assert net.initialize().summary(rules) == expected
    assert mn.summary(net, mn.multipliers(net, rules)) == expected


def test_kinds_of_multipliers():
    net = mn.Chain(a=2, b=2, c=mn.Linear(2, bias=False), d=mn.Ramp, input=2)
    rules = {"a": np.array([0.0, 1.0]), "b": lambda progress: 0.0, "c": 1e-3}
    shown = [row[4:] for row in lines(net, rules)]
    assert shown == [["elementwise"], ["schedule"], ["0.001"], [], ["3", "frozen"]]
    assert lines(net, rules)[-1] == ["total", "16", "13", "trained,", "3", "frozen"]
    assert lines(net, 0)[-1] == ["total", "16", "0", "trained,", "16", "frozen"]
    with pytest.raises(mn.SpecError, match="names nothing in this net"):
        net.summary({"x": 1})


def test_what_is_not_known_yet():
    net = mn.Chain(mn.Flatten(), mn.Linear(3), mn.Ramp(), mn.Linear(), mn.Softmax())
    assert [row[2:4] for row in lines(net)] == [
        ["?", "0"], ["?", "?", ], ["?", "0"], ["?", "?"], ["?", "0"], ["?", "trained,"],
    ]  # fmt: skip
    known = [row[2:4] for row in lines(net, input_shape=(2, 2))]
    assert known[:4] == [["4", "0"], ["3", "15"], ["3", "0"], ["?", "?"]]
    half = mn.Chain(mn.Linear(3).with_arrays_here({"weight": np.ones((4, 3)), "bias": np.ones(3)}))
    assert lines(half)[0][2:4] == ["?", "15"]
    empty = mn.Graph({"c": mn.Constant(), "add": mn.Add}, {"add": ("c", "x")}, input=3)
    assert [row[2:4] for row in lines(empty)][:2] == [["?", "0"], ["?", "0"]]
    assert "0 trained, 0 frozen, ? state" in empty.summary()


def test_graphs_of_several_ports():
    inner = mn.Graph({"a": 2, "b": 3}, {"a": "x", "b": "x", "p": "a", "q": "b"})
    net = mn.Graph({"in": inner, "add": mn.Ramp}, {"in": "x", "add": "in.q"}, input=4)
    assert lines(net)[0] == ["in", "Graph", "p:", "2,", "q:", "3"]
    assert mn.Chain(mn.Embedding(2, 5), input=()).summary().splitlines()[2].split()[2] == "2"
    assert "number" in mn.Chain(mn.Ramp, input=()).summary()
    two = mn.Graph({"a": mn.Add}, {"a": ("x", "y")})
    assert lines(two)[0] == ["a", "Add", "?", "0"]
    assert lines(two, input_shape={"x": 2, "y": 2})[0] == ["a", "Add", "2", "0"]


def test_summaries_that_can_not_be():
    with pytest.raises(mn.ShapeError, match=r"^conv1: "):
        residual_block().summary(input_shape=4)
    with pytest.raises(mn.SpecError, match="expected a Chain or Graph, got Linear"):
        mn.summary(mn.Linear(3))
    with pytest.raises(mn.SpecError, match="shape of one example"):
        residual_block().summary(input_shape="4")


@given(nets())
def test_totals_are_what_there_is(net):
    state = {path for path, entry in mn.multipliers(net).items() if entry.is_state}
    sizes = {path: array.size for path, array in net.arrays().items()}
    expected = sum(size for path, size in sizes.items() if path not in state)
    total = lines(net)[-1]
    assert total[:2] == ["total", f"{expected:,}"]
    everything = int(total[2].replace(",", "")) + int(total[4].replace(",", ""))
    assert everything == expected
    bare = net.deinitialize()
    assert bare.summary() == net.summary()


def test_tables():
    text = draw.table([("a", "number"), ("long name", "1"), ("x", "23")], right=[1])
    assert text.splitlines() == [
        "a          number",
        "---------  ------",
        "long name       1",
        "x              23",
    ]


# --- learning curves --------------------------------------------------------------------


def result(**options) -> mn.TrainResult:
    """Train something for a moment."""
    x = np.random.default_rng(0).normal(size=(60, 2)).astype("float32")
    y = np.where(x[:, 0] > 0, "right", "left")
    net = mn.Chain(mn.Linear(), mn.Softmax(), output=mn.ClassDecoder.of(y))
    return mn.train(net, (x, y), rounds=3, progress=False, **options)


def test_learning_curves(tmp_path):
    pytest.importorskip("matplotlib")
    trained = result(validation=0.2)
    figure = trained.plot(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    shown = {axes.get_ylabel(): axes for axes in figure.axes}
    assert set(shown) == {"loss", "accuracy"}
    for name, axes in shown.items():
        training, validation = axes.get_lines()
        np.testing.assert_array_equal(training.get_ydata(), trained.curve(name))
        np.testing.assert_array_equal(validation.get_ydata(), trained.curve(f"validation_{name}"))
        assert training.get_xdata().tolist() == [1, 2, 3]
        assert [text.get_text() for text in axes.get_legend().get_texts()] == [
            "training", "validation",
        ]  # fmt: skip


def test_learning_curves_without_validation():
    pytest.importorskip("matplotlib")
    figure = draw.learning_curves(result())
    assert [len(axes.get_lines()) for axes in figure.axes] == [1, 1]


def test_nothing_to_draw():
    pytest.importorskip("matplotlib")
    net = mn.Chain(1, input=2).initialize()
    with pytest.warns(mn.MinnetWarning):
        empty = mn.train(net, (np.ones((3, 2)), np.ones(3)), multipliers=0, progress=False)
    with pytest.raises(mn.SpecError, match="no round was recorded"):
        empty.plot()
