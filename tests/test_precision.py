"""Training in TF32 and float16 on a GPU: what stays float32, the loss scale, steps left out."""

import gpu_samples
import numpy as np
import pytest
import standin

import minnet as mn
from minnet.errors import NonFiniteError, SpecError
from minnet.train.precision import PATIENCE, products

needs_compiler = pytest.mark.skipif(
    gpu_samples.NO_COMPILER is not None, reason=str(gpu_samples.NO_COMPILER)
)


def small():
    """A net with all that goes its own way in float16."""
    return mn.Chain(
        mn.Conv(4, 3, bias=False), mn.BatchNorm(), mn.Ramp(), mn.MaxPool(2), mn.Flatten(),
        mn.Linear(3), mn.Softmax(), input=(6, 6, 1), output=mn.ClassDecoder(list("abc")),
    ).initialize()  # fmt: skip


def data(count=30):
    random = np.random.default_rng(0)
    y = random.integers(0, 3, count)
    x = random.normal(size=(count, 6, 6, 1)) + y[:, None, None, None]
    return x.astype("float32"), np.array(list("abc"))[y]


def steps(trainer, count=10):
    return [trainer.step(*data()) for _ in range(count)]


@needs_compiler
@pytest.mark.parametrize("optimizer", [mn.SGD(0.05, momentum=0.9), mn.Adam(0.01, clip_norm=1.0)])
def test_float16_comes_close_to_float32(optimizer):
    net = small()
    with standin.installed():
        exact = mn.Trainer(net, optimizer, device="gpu")
        half = mn.Trainer(net, optimizer, device="gpu", precision="float16")
        np.testing.assert_allclose(steps(half), steps(exact), rtol=2e-2)
        for path, array in half.net.arrays().items():
            assert array.dtype == np.float32
            np.testing.assert_allclose(array, exact.net.arrays()[path], atol=2e-2)


@needs_compiler
def test_only_what_is_above_the_frozen_bottom_is_computed_in_float16():
    net = small()
    with standin.installed(), standin.launched() as names:
        trainer = mn.Trainer(net, device="gpu", precision="float16", multipliers={-2: 1, ...: None})
        losses = steps(trainer)
        assert losses[-1] < losses[0]
        assert trainer.net[0, "weight"] is net[0, "weight"]
        features = trainer.bottom(mn.backend.move(data()[0], "gpu"))
        assert features.dtype == np.float32
        assert trainer.bottom.above.apply(features).dtype == np.float32
        rounded = trainer._half.apply(features, None)
        difference = abs(rounded.data - trainer.bottom.above.apply(features).data).max()
        assert rounded.dtype == np.float32 and 0 < float(difference) < 0.01
    assert "columns" in names


@needs_compiler
@pytest.mark.parametrize("precision", ["tf32", "float16"])
def test_train_in_another_precision(precision):
    net = small()
    options = dict(optimizer=mn.SGD(0.05), rounds=3, batch_size=10, progress=False)
    with standin.installed() as cupy:
        exact = mn.train(net, data(), device="gpu", **options)
        result = mn.train(net, data(), device="gpu", precision=precision, **options)
        setting = cupy._core._routines_linalg.get_compute_type(np.float32)
    assert setting == standin.core.COMPUTE_TYPE_DEFAULT
    for mine, theirs in zip(result.history, exact.history, strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=2e-2)
    same = [(result.net.arrays()[p] == array).all() for p, array in exact.net.arrays().items()]
    assert all(same) if precision == "tf32" else not all(same)  # the stand-in has no TF32


@needs_compiler
def test_the_bits_are_the_same_twice():
    with standin.installed():
        found = []
        for _ in range(2):
            trainer = mn.Trainer(small(), device="gpu", precision="float16", seed=1)
            losses = steps(trainer)
            found.append((losses, [a.tobytes() for a in trainer.net.arrays().values()]))
    assert found[0] == found[1]


@needs_compiler
def test_a_step_that_overflows_is_left_out_and_the_scale_halved():
    with standin.installed():
        trainer = mn.Trainer(small(), mn.SGD(0.1), device="gpu", precision="float16")
        before = trainer.net.arrays()
        trainer._half.scale[...] = 2.0**24  # gradients of the order of 1 become infinite
        trainer.step(*data())
        assert float(trainer._half.scale) == 2.0**23
        after = trainer.net.arrays()
        for path in trainer.trainable:
            assert after[path].tobytes() == before[path].tobytes()
        steps(trainer, 24)
        assert float(trainer._half.scale) < 2.0**23
        assert any((trainer.net.arrays()[path] != before[path]).any() for path in before)


@needs_compiler
def test_the_scale_grows_again_after_many_good_steps():
    with standin.installed():
        trainer = mn.Trainer(small(), mn.SGD(0.001), device="gpu", precision="float16")
        trainer._half.scale[...] = 8
        trainer._half._good[...] = PATIENCE - 2
        steps(trainer, 1)
        assert float(trainer._half.scale) == 8
        steps(trainer, 1)
        assert float(trainer._half.scale) == 16


@needs_compiler
def test_gradients_that_are_too_large_without_a_scale_are_an_error():
    net = mn.Chain(mn.Linear(1), mn.Linear(1), input=1).initialize()
    net = net.with_arrays({"0.weight": [[1.0]], "1.weight": [[1e4]]})
    with standin.installed():
        trainer = mn.Trainer(net, mn.SGD(1e-9), device="gpu", precision="float16")
        x, y = np.ones((2, 1), "float32"), np.full((2, 1), -6e4, "float32")
        with pytest.raises(NonFiniteError):
            for _ in range(40):
                trainer.step(x, y)
        assert float(trainer._half.scale) == 1


def test_products_are_set_to_tf32_and_back():
    with standin.installed() as cupy:
        linalg = cupy._core._routines_linalg
        with products("tf32"):
            assert linalg.get_compute_type(np.float32) == linalg.COMPUTE_TYPE_TF32
        assert linalg.get_compute_type(np.float32) == linalg.COMPUTE_TYPE_DEFAULT
        with pytest.raises(KeyError), products("tf32"):
            raise KeyError
        assert linalg.get_compute_type(np.float32) == linalg.COMPUTE_TYPE_DEFAULT
        with products("float32"):
            assert linalg.get_compute_type(np.float32) == linalg.COMPUTE_TYPE_DEFAULT


def test_a_precision_that_makes_no_sense_is_refused():
    net = small()
    with pytest.raises(SpecError, match="precision is one of float32, tf32, float16, got 'half'"):
        mn.Trainer(net, precision="half")
    with pytest.raises(SpecError, match='say device="gpu" as well'):
        mn.Trainer(net, precision="float16")
    double = mn.Chain(mn.Linear(1), input=1).initialize(dtype="float64")
    with (
        standin.installed(),
        pytest.raises(SpecError, match="nets of float32, this one has float64"),
    ):
        mn.Trainer(double, device="gpu", precision="float16")
