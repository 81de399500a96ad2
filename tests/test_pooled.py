"""A Conv and the MaxPool after it done as one give what they give one after another."""

from typing import Any

import numpy as np
import pytest
from compiled_samples import differentiated, off, on, same
from hypothesis import given
from hypothesis import strategies as st
from op_checks import awkward, seeds
from window_references import windows

import minnet as mn
from minnet.errors import MinnetError
from minnet.net.pooled import _ConvAndMore
from minnet.ops.conv import conv_and_pool

pytest.importorskip("numba", reason="the kernels are compiled by Numba")

DTYPES = st.sampled_from(["float32", "float64"])


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """Draw arrays of a convolution, how its window moves, and a pool that fits what it gives."""
    sizes, window, moves = draw(windows(dilated=False).filter(lambda case: len(case[0]) == 2))
    count, channels, outputs = (draw(st.integers(1, 3)) for _ in range(3))
    random, dtype = np.random.default_rng(draw(seeds)), draw(DTYPES)
    shapes = (count, *sizes, channels), (*window, channels, outputs), (outputs,)
    arrays = [random.normal(size=shape).astype(dtype) for shape in shapes]
    if draw(st.booleans()):
        arrays[0] = awkward(arrays[0])
    made = mn.ops.output_sizes(sizes, window, moves["stride"], moves["padding"])
    over = tuple(draw(st.integers(1, min(3, size))) for size in made)
    step = tuple(draw(st.integers(1, 3)) for _ in over)
    edges = tuple((draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))) for k in over)
    return arrays, moves, {"window": over, "stride": step, "padding": edges}


@given(cases(), st.booleans(), st.booleans())
def test_one_op_gives_what_several_give(case: Any, has_bias: bool, is_ramp: bool) -> None:
    arrays, moves, pool = case
    arrays = arrays if has_bias else arrays[:2]

    def at_once(x: Any, weight: Any, bias: Any = None) -> Any:
        how = (moves["stride"], moves["padding"], 1, 1), tuple(pool.values())
        return conv_and_pool(x, weight, bias, *how, is_ramp)

    def one_by_one(x: Any, weight: Any, bias: Any = None) -> Any:
        y = mn.ops.max_pool(mn.ops.conv(x, weight, bias, **moves), **pool)
        return mn.ops.ramp(y) if is_ramp else y

    with on():
        found = differentiated(at_once, *arrays)
    with off():
        assert at_once(*arrays) is None
        same(found, differentiated(one_by_one, *arrays))


def test_it_is_done_in_a_chain_in_training_and_in_use(random: np.random.Generator) -> None:
    x, y = random.normal(size=(8, 28, 28, 1)).astype("float32"), np.arange(8) % 3
    # What begins with blocks is planned as a whole instead.
    net = mn.Chain(mn.Ramp(), *mn.models.lenet(3).layers, input=(28, 28, 1)).initialize()
    done = []
    with on(), pytest.MonkeyPatch.context() as patch:
        apply = _ConvAndMore.apply

        def watched(self: Any, *given: Any) -> Any:
            done.append(type(apply(self, *given)).__name__)
            return apply(self, *given)

        patch.setattr(_ConvAndMore, "apply", watched)
        outputs, trainer = net.apply(x), mn.Trainer(net, mn.SGD(0.1))
        losses = [trainer.step(x, y) for _ in range(3)]
    assert set(done) == {"_Done"}
    with off():
        same(outputs, net.apply(x))
        plain = mn.Trainer(net, mn.SGD(0.1))
        np.testing.assert_allclose(losses, [plain.step(x, y) for _ in range(3)], rtol=1e-5)


@pytest.mark.parametrize(
    ("layers", "path"),
    [
        ({"conv": mn.Conv(2, 9), "pool": mn.MaxPool(2)}, ("conv",)),
        ({"conv": mn.Conv(2, 3), "pool": mn.MaxPool(9)}, ("pool",)),
    ],
)
def test_what_does_not_fit_is_said_by_the_layer_it_does_not_fit(layers: Any, path: Any) -> None:
    net = mn.Chain(**layers).initialize(input_shape=(20, 20, 1))
    with on(), pytest.raises(MinnetError) as caught:
        net.apply(np.zeros((3, 8, 8, 1), np.float32))
    assert caught.value.path == path


def test_other_layers_and_inner_outputs_are_done_one_by_one(random: np.random.Generator) -> None:
    net = mn.models.lenet(3).initialize()
    x = random.normal(size=(2, 28, 28, 1)).astype("float32")
    with on():
        inner = net.outputs(x, at=["conv1", "pool1"])
    assert [part.shape for part in inner.values()] == [(2, 24, 24, 20), (2, 12, 12, 20)]
    with off():
        same(list(inner.values()), list(net.outputs(x, at=["conv1", "pool1"]).values()))
