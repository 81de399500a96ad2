"""Products: linear, matmul and einsum."""

import gc
import re
import weakref

import numpy as np
import pytest
from hypothesis import strategies as st
from op_checks import Case, Refused, op_tests, same

import minnet as mn
from minnet import ShapeError, SpecError, Tensor, ops

side = st.integers(0, 3)
sides = st.lists(side, max_size=2).map(tuple)
a23, a4 = np.ones((2, 3)), np.ones(4)


# --- linear -------------------------------------------------------------------------------


@st.composite
def linears(draw):
    inputs, outputs = draw(side), draw(side)
    shapes = [(*draw(sides), inputs), (inputs, outputs), (outputs,)]
    return Case(tuple(shapes[: draw(st.sampled_from([2, 3]))]))


def linear_refused():
    for x, weight in [(a23, np.ones((2, 3))), (a23, np.ones(3)), (a23, np.ones((3, 2, 2))),
                      (np.array(1.0), np.ones((1, 2)))]:  # fmt: skip
        yield Refused((x, weight), ShapeError, re.escape(f"got {x.shape} and {weight.shape}"))
    for bias in (np.ones(3), np.array(1.0), np.ones((2, 4)), np.ones(1)):
        message = re.escape(f"bias for 4 outputs has shape {bias.shape}")
        yield Refused((a23, np.ones((3, 4)), bias), ShapeError, message)


TestLinear = op_tests(
    ops.linear,
    lambda x, weight, bias=0.0: x @ weight + bias,
    cases=linears(),
    examples=[Case(((3,), (3, 2), (2,))), Case(((0, 3), (3, 2), (2,))), Case(((2, 0), (0, 1)))],
    refused=[wrong for wrong in linear_refused()],
)


def test_linear_does_not_change_what_it_is_given():
    x, weight, bias = np.eye(2), np.eye(2), np.ones(2)
    ops.linear(x, weight, bias)
    same(x, np.eye(2))
    same(weight, np.eye(2))
    same(bias, np.ones(2))


def test_linear_of_mixed_dtypes_promotes_as_numpy_does():
    x, weight = np.ones((2, 3), np.float32), np.ones((3, 2), np.float32)
    bias = Tensor(np.ones(2))
    result = ops.linear(Tensor(x), weight, bias)
    assert result.dtype == np.float64
    assert mn.gradients(result, [bias], np.ones((2, 2)))[0].dtype == np.float64
    assert (
        ops.linear(np.ones((2, 3), int), np.ones((3, 2), int), np.ones(2)).tolist()
        == [[4.0, 4.0]] * 2
    )


@pytest.mark.host
def test_linear_keeps_its_input_only_for_the_gradient_of_its_weight():
    def is_kept(weight, bias):
        array = np.ones((4, 3))
        watch = weakref.ref(array)
        result = ops.linear(array, weight, bias)
        del array
        gc.collect()
        assert result.shape == (4, 2)
        return watch() is not None

    weight, bias = np.ones((3, 2)), np.ones(2)
    assert is_kept(Tensor(weight), Tensor(bias))
    assert not is_kept(weight, Tensor(bias))
    assert not is_kept(weight, bias)


# --- matmul -------------------------------------------------------------------------------


@st.composite
def matmuls(draw):
    """Matrices, stacks of them that broadcast, and vectors."""
    n, k, m = draw(side), draw(side), draw(side)
    left, right = draw(
        st.sampled_from([((), ()), ((2,), ()), ((), (2,)), ((2,), (2,)), ((1,), (2,)),
                         ((3, 1), (2,)), ((2, 2), (1, 2)), ((0,), (1,))])
    )  # fmt: skip
    x = draw(st.sampled_from([(*left, n, k), (k,)]))
    y = draw(st.sampled_from([(*right, k, m), (k,)]))
    return Case((x, y))


TestMatmul = op_tests(
    ops.matmul,
    np.matmul,
    cases=matmuls(),
    examples=[Case(((2, 3, 4), (4,))), Case(((4,), (2, 4, 3))), Case(((3,), (3,))),
              Case(((2, 2, 3), (3, 2))), Case(((2, 3), (2, 3, 2)))],
    refused=[
        Refused((a23, a23), ShapeError, r"shapes \(2, 3\) and \(2, 3\)"),
        Refused((a23, a4), ShapeError, r"shapes \(2, 3\) and \(4,\)"),
        Refused((np.ones((2, 2, 3)), np.ones((3, 3, 2))), ShapeError, r"and \(3, 3, 2\)"),
        Refused((a23, 2.0), ShapeError, r"shapes \(2, 3\) and \(\)"),
    ],
)  # fmt: skip


# --- einsum -------------------------------------------------------------------------------


def product(subscripts, *shapes):
    return Case(shapes, {"subscripts": subscripts})


products = [
    product("ij,jk->ik", (2, 3), (3, 2)),
    product("ij,jk", (2, 3), (3, 2)),
    product("ij,kj->ki", (2, 3), (4, 3)),
    product("i,j->ij", (2,), (3,)),
    product("i,i", (3,), (3,)),
    product("ij->", (2, 3)),
    product("ij->j", (2, 3)),
    product("ba", (2, 3)),
    product("ii->i", (3, 3)),
    product("ii", (3, 3)),
    product("iji->j", (2, 3, 2)),
    product("ii,ij->j", (2, 2), (2, 3)),
    product("ij,kl->il", (2, 3), (2, 2)),
    product("i,ij,j->", (2,), (2, 3), (3,)),
    product("bhqd,bhkd->bhqk", (2, 2, 3, 2), (2, 2, 4, 2)),
    product("...ij,...jk->...ik", (2, 1, 2, 3), (4, 3, 2)),
    product("...ij,jk", (2, 2, 3), (3, 2)),
    product("i...,i...", (2, 3), (2, 1)),
    product("...,...", (2, 3), (3,)),
    product("i...->...", (2, 3)),
    product("ij,ij->ij", (2, 3), (2, 1)),
    product("ij,ij->i", (2, 3), (1, 1)),
    product(" i j , j k -> k i ", (2, 3), (3, 2)),
    product("Ij,jA->IA", (2, 3), (3, 2)),
    product("ij,jk->ik", (0, 3), (3, 2)),
    product("ij,jk->ik", (2, 0), (0, 2)),
    product("ij,jk->ik", (1, 1), (1, 1)),
    product(",ij->ij", (), (2, 3)),
    product("->", ()),
]

TestEinsum = op_tests(
    lambda *arrays, subscripts: ops.einsum(subscripts, *arrays),
    lambda *arrays, subscripts: np.einsum(subscripts, *arrays),
    cases=st.sampled_from(products),
    examples=products,
)


class TestEinsumRefuses:
    @pytest.mark.parametrize(
        ("subscripts", "message"),
        [
            ("ij", "names 1 operands, 2 were given"),
            ("ij,jk,k->i", "names 3 operands, 2 were given"),
            ("ij,j1->i", r"got \['1'\]"),
            ("ij,jk->il", "each letter after '->' must occur before it"),
            ("ij,jk->ii", "only once after it"),
            ("i.j,jk", r"got \['\.'\]"),
            ("ij,jk->i>", r"got \['>'\]"),
        ],
    )
    def test_subscripts_that_make_no_sense(self, subscripts, message):
        with pytest.raises(SpecError, match=message):
            ops.einsum(subscripts, a23, Tensor(np.ones((3, 2))))

    @pytest.mark.parametrize(
        "subscripts", ["ij,jk->ik", "ijk,jk->i", "i,jk->i", "ii,jk->i", "...ijk,ij", "...i,ij->j"]
    )
    def test_shapes_that_do_not_fit(self, subscripts):
        with pytest.raises(ShapeError, match=r"shapes \(2, 3\) and \(4, 5\)"):
            ops.einsum(subscripts, a23, np.ones((4, 5)))

    def test_the_subscripts_come_first(self):
        with pytest.raises(SpecError, match="takes its subscripts as one string first"):
            ops.einsum(Tensor(a23), "ij->i")


def test_einsum_keeps_only_the_other_operands():
    array = np.ones((2, 3))
    watch = weakref.ref(array)
    result = ops.einsum("ij,jk->ik", Tensor(array), np.ones((3, 2)))
    del array
    gc.collect()
    assert watch() is None
    assert result.shape == (2, 2)
