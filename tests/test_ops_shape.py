"""Ops that move elements: shapes, joins and borders."""

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from op_checks import Case, Refused, anything, op_tests, same, seeds, shapes

import minnet as mn
from minnet import ShapeError, SpecError, Tensor, ops

a23 = np.arange(6.0).reshape(2, 3)


# --- the same elements in another shape ---------------------------------------------------


@st.composite
def reshapes(draw):
    shape = draw(shapes(min_side=1))
    to = [*draw(st.permutations([*shape, 1])), 1]
    if draw(st.booleans()):
        to[draw(st.integers(0, len(to) - 1))] = -1
    return Case((shape,), {"shape": tuple(to)})


TestReshape = op_tests(
    ops.reshape,
    lambda x, shape: np.reshape(x, shape),  # NumPy 2.0 calls it newshape
    cases=reshapes(),
    examples=[Case(((0, 3),), {"shape": (3, 0)}), Case(((2, 3),), {"shape": 6})],
    refused=[
        Refused((a23,), ShapeError, r"reshape to \(4, 2\) .* shape \(2, 3\)", {"shape": (4, 2)}),
        Refused((a23,), ShapeError, r"reshape to \(-1, -1\)", {"shape": (-1, -1)}),
        Refused((a23,), ShapeError, r"reshape to 2.5", {"shape": 2.5}),
    ],
)


@st.composite
def transposes(draw):
    shape = draw(shapes())
    axes = draw(st.permutations(range(len(shape))))
    signed = tuple(axis - len(shape) * draw(st.booleans()) for axis in axes)
    return Case((shape,), {"axes": draw(st.none() | st.just(signed))})


TestTranspose = op_tests(
    ops.transpose,
    np.transpose,
    cases=transposes(),
    refused=[
        Refused((a23,), ShapeError, r"axes \(0, 2\) doesn't fit shape \(2, 3\)", {"axes": (0, 2)}),
        Refused((a23,), ShapeError, r"axes \(1, 1\)", {"axes": (1, 1)}),
        Refused((a23,), ShapeError, r"axes \(0,\)", {"axes": (0,)}),
        Refused((a23,), ShapeError, r"axes 1 ", {"axes": 1}),
    ],
)

TestSqueeze = op_tests(
    ops.squeeze,
    np.squeeze,
    cases=st.sampled_from(
        [
            Case(((1, 2, 1),)),
            Case(((1, 2, 1),), {"axis": 0}),
            Case(((2, 1),), {"axis": -1}),
            Case(((1, 0, 1),), {"axis": (0, 2)}),
            Case(((),)),
            Case(((1, 1),)),
        ]
    ),
    refused=[
        Refused((a23,), ShapeError, r"squeeze of axis 1 doesn't fit shape \(2, 3\)", {"axis": 1}),
        Refused((a23,), ShapeError, r"squeeze of axis 5", {"axis": 5}),
        Refused((a23,), ShapeError, r"squeeze of axis a", {"axis": "a"}),
    ],
)

TestExpandDims = op_tests(
    ops.expand_dims,
    np.expand_dims,
    cases=st.builds(
        lambda shape, axis: Case((shape,), {"axis": axis}),
        shapes(),
        st.sampled_from([0, -1, (0, 1), (0, -1), ()]),
    ),
    refused=[
        Refused((a23,), ShapeError, r"axis 4 doesn't fit shape \(2, 3\)", {"axis": 4}),
        Refused((a23,), ShapeError, r"axis \(0, 0\)", {"axis": (0, 0)}),
    ],
)

TestFlip = op_tests(
    ops.flip,
    np.flip,
    cases=st.builds(
        lambda shape, axis: Case((shape,), {"axis": axis}),
        shapes(min_dims=2),
        st.sampled_from([None, 0, -1, (0, 1), ()]),
    ),
    refused=[Refused((a23,), ShapeError, r"flip along axis 2 .* shape \(2, 3\)", {"axis": 2})],
)

TestBroadcastTo = op_tests(
    ops.broadcast_to,
    np.broadcast_to,
    cases=st.sampled_from(
        [
            Case(((),), {"shape": (2, 3)}),
            Case(((3,),), {"shape": (2, 3)}),
            Case(((2, 1),), {"shape": [4, 2, 3]}),
            Case(((1,),), {"shape": 0}),
            Case(((2, 0),), {"shape": (3, 2, 0)}),
            Case(((2,),), {"shape": 2}),
        ]
    ),
    refused=[
        Refused((a23,), ShapeError, r"\(3, 3\) doesn't fit shape \(2, 3\)", {"shape": (3, 3)}),
        Refused((a23,), ShapeError, r"broadcast_to x", {"shape": "x"}),
    ],
)


# --- joins --------------------------------------------------------------------------------


@st.composite
def joins(draw):
    """Arrays that agree in all sizes but that of the axis along which they are joined."""
    shape = draw(shapes(min_dims=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    lengths = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    parts = []
    for length in lengths:
        part = list(shape)
        part[axis] = length
        parts.append(tuple(part))
    return Case(tuple(parts), {"axis": axis})


TestConcatenate = op_tests(
    lambda *arrays, axis=0: ops.concatenate(arrays, axis),
    lambda *arrays, axis=0: np.concatenate(arrays, axis),
    cases=joins(),
    refused=[
        Refused((a23, np.ones((2, 2))), ShapeError, r"\(2, 3\) and \(2, 2\)", {"axis": 0}),
        Refused((a23, np.ones(3)), ShapeError, r"\(2, 3\) and \(3,\)"),
        Refused((a23, a23), ShapeError, "axis 2", {"axis": 2}),
        Refused((a23, a23), ShapeError, "axis None", {"axis": None}),
        Refused((np.array(1.0),), ShapeError, "axis 0", {"axis": 0}),
        Refused((), ShapeError, "need at least one array"),
    ],
)


@st.composite
def stacks(draw):
    shape = draw(shapes())
    count = draw(st.integers(1, 3))
    return Case((shape,) * count, {"axis": draw(st.integers(-len(shape) - 1, len(shape)))})


TestStack = op_tests(
    lambda *arrays, axis=0: ops.stack(arrays, axis),
    lambda *arrays, axis=0: np.stack(arrays, axis),
    cases=stacks(),
    refused=[
        Refused((a23, np.ones((2, 2))), ShapeError, r"\(2, 3\) and \(2, 2\)"),
        Refused((a23, a23), ShapeError, "axis 3", {"axis": 3}),
        Refused((), ShapeError, "need at least one array"),
    ],
)


def test_joins_take_any_iterable_and_a_tensor_as_its_rows():
    same(ops.concatenate(row for row in a23), a23.ravel())
    same(ops.stack(iter(a23)), a23)
    same(mn.grad(lambda x: (ops.concatenate(x) * np.arange(6.0)).sum())(a23), a23)


def test_the_same_tensor_joined_twice_gets_both_gradients():
    x = Tensor(np.ones(2))
    (gradient,) = mn.gradients(ops.concatenate([x, x]), [x], [1.0, 2.0, 10.0, 20.0])
    assert gradient.tolist() == [11.0, 22.0]


# --- borders ------------------------------------------------------------------------------


@st.composite
def pads(draw):
    shape = draw(shapes())
    width = st.integers(0, 2)
    each = st.tuples(*[st.tuples(width, width)] * len(shape))
    return Case(
        (shape,), {"widths": draw(width | each), "constant": draw(st.sampled_from([0, 1.5]))}
    )


def plain_pad(x, widths, constant=0.0):
    return np.pad(x, widths if isinstance(widths, int) or x.ndim else 0, constant_values=constant)


TestPad = op_tests(
    ops.pad,
    plain_pad,
    cases=pads(),
    refused=[
        Refused((a23,), SpecError, "at least 0.* got -1", {"widths": -1}),
        Refused((a23,), SpecError, r"got \[\(0, 0\), \(0, -2\)\]", {"widths": [(0, 0), (0, -2)]}),
        Refused((a23,), SpecError, r"got 0\.5", {"widths": 0.5}),
        Refused((a23,), SpecError, r"got \(1, 2\)", {"widths": (1, 2)}),
        Refused((a23,), SpecError, r"got \[\(1, 2, 3\)", {"widths": [(1, 2, 3), (1, 2, 3)]}),
        Refused((a23,), ShapeError, r"1 pair.* \(2, 3\)", {"widths": [(1, 2)]}),
    ],
)


def test_a_border_may_hold_minus_infinity():
    assert ops.pad(np.ones(1, np.float32), 1, -np.inf).tolist() == [-np.inf, 1.0, -np.inf]


# --- views --------------------------------------------------------------------------------


@pytest.mark.host
@hypothesis.settings(max_examples=5)
@given(seed=seeds)
def test_views_share_memory_with_their_input(seed):
    x = anything(np.random.default_rng(seed), (2, 1, 3), 0)
    for view in (ops.reshape(x, 6), ops.transpose(x), ops.squeeze(x), ops.expand_dims(x, 0),
                 ops.flip(x), ops.broadcast_to(x, (2, 4, 3)), ops.getitem(x, 0)):  # fmt: skip
        assert np.shares_memory(view, x)
