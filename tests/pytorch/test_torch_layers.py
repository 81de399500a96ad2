"""Layers against PyTorch's: values, running statistics and the gradients of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minnet as mn
from minnet import layers
from minnet.layers import Context

torch = pytest.importorskip("torch")

FEW = settings(max_examples=15)
seeds = st.integers(0, 999)
small = st.integers(1, 3)


def first(array: Any) -> Any:
    """Return a torch tensor with the channels, last in minnet, right after the batch."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 1)))


def last(tensor: Any) -> Any:
    return np.moveaxis(tensor.detach().numpy(), 1, -1)


def same(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(mn.autodiff.value(ours), theirs, rtol=1e-9, atol=1e-9)


@FEW
@given(seed=seeds, shape=st.lists(small, max_size=2), momentum=st.sampled_from([0.1, 0.5, 1.0]))
def test_batch_norm_over_several_steps(seed: int, shape: list[int], momentum: float) -> None:
    random = np.random.default_rng(seed)
    kind = (torch.nn.BatchNorm1d, torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)[len(shape)]
    theirs = kind(3, momentum=momentum).double()
    specs = layers.BatchNorm().array_specs((3,))
    arrays = {name: random.normal(size=3) for name in specs}
    arrays |= {"running_mean": np.zeros(3), "running_variance": np.ones(3)}
    theirs.load_state_dict(
        {
            "weight": torch.from_numpy(arrays["scale"]),
            "bias": torch.from_numpy(arrays["shift"]),
            "running_mean": torch.zeros(3),
            "running_var": torch.ones(3),
            "num_batches_tracked": torch.tensor(0),
        }
    )
    bare = layers.BatchNorm(momentum=momentum)
    for _ in range(4):
        x = random.normal(2, 3, size=(5, *shape, 3))
        context = Context(random)
        scale, shift = mn.Tensor(arrays["scale"]), mn.Tensor(arrays["shift"])
        layer = bare.with_arrays_here({**arrays, "scale": scale, "shift": shift})
        y, expected = layer.apply(x, context), theirs(first(x))
        same(y, last(expected))
        gradient = random.normal(size=y.shape)
        theirs.zero_grad()
        expected.backward(first(gradient))
        ours = mn.autodiff.gradients(y, [scale, shift], gradient)
        same(ours[0], theirs.weight.grad)
        same(ours[1], theirs.bias.grad)
        arrays |= {name: new for (name,), new in context.updates.items()}
        same(arrays["running_mean"], theirs.running_mean)
        same(arrays["running_variance"], theirs.running_var)
    x = random.normal(size=(2, *shape, 3))
    same(bare.with_arrays_here(arrays)(x), last(theirs.eval()(first(x))))


@FEW
@given(seed=seeds, shape=st.lists(small, max_size=2), channels=st.integers(1, 6))
def test_layer_norm_and_local_response_norm(seed: int, shape: list[int], channels: int) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(size=(2, *shape, channels))
    scale, shift = random.normal(size=(2, channels))
    layer = layers.LayerNorm().with_arrays_here({"scale": scale, "shift": shift})
    arrays = (torch.from_numpy(scale), torch.from_numpy(shift))
    normed = torch.nn.functional.layer_norm(torch.from_numpy(x), (channels,), *arrays)
    same(layer(x), normed.numpy())
    image = random.normal(size=(2, 3, 3, channels))
    for size, alpha, beta, k in ((5, 0.1, 0.75, 1.0), (3, 0.5, 0.5, 2.0)):
        # PyTorch, like Caffe, divides alpha by the size.
        response = layers.LocalResponseNorm(size, alpha=alpha / size, beta=beta, k=k)
        theirs = torch.nn.LocalResponseNorm(size, alpha, beta, k)
        same(response(image), last(theirs(first(image))))


@FEW
@given(seed=seeds, shape=st.lists(small, max_size=2))
def test_embedding_and_its_gradient(seed: int, shape: list[int]) -> None:
    random = np.random.default_rng(seed)
    table, indices = random.normal(size=(4, 3)), random.integers(4, size=(5, *shape))
    weight = mn.Tensor(table)
    y = layers.Embedding(3, count=4).with_arrays_here({"weight": weight}).apply(indices)
    theirs = torch.from_numpy(table).requires_grad_()
    expected = torch.nn.functional.embedding(torch.from_numpy(indices), theirs)
    same(y, expected.detach().numpy())
    gradient = random.normal(size=y.shape)
    expected.backward(torch.from_numpy(gradient))
    (ours,) = mn.autodiff.gradients(y, [weight], gradient)
    same(ours, theirs.grad.numpy())


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (layers.Ramp(), torch.nn.ReLU()),
        (layers.LeakyRamp(0.2), torch.nn.LeakyReLU(0.2)),
        (layers.Tanh(), torch.nn.Tanh()),
        (layers.Sigmoid(), torch.nn.Sigmoid()),
        (layers.GELU(), torch.nn.GELU()),
        (layers.GELU(approximate=True), torch.nn.GELU(approximate="tanh")),
        (layers.Softplus(), torch.nn.Softplus(threshold=1000)),
        (layers.Softmax(), torch.nn.Softmax(-1)),
        (layers.LogSoftmax(), torch.nn.LogSoftmax(-1)),
        (layers.Flatten(), torch.nn.Flatten()),
    ],
    ids=repr,
)
def test_layers_without_arrays(ours: Any, theirs: Any) -> None:
    random = np.random.default_rng(0)
    x = random.normal(0, 4, size=(3, 4, 5))
    leaf = mn.Tensor(x)
    tensor = torch.from_numpy(x).requires_grad_()
    y, expected = ours.apply(leaf), theirs(tensor)
    same(y, expected.detach().numpy())
    gradient = random.normal(size=y.shape)
    expected.backward(torch.from_numpy(gradient))
    (found,) = mn.autodiff.gradients(y, [leaf], gradient)
    same(found, tensor.grad.numpy())


@FEW
@given(data=st.data(), seed=seeds, axes=st.sampled_from([1, 2]), groups=st.integers(1, 2))
def test_windows(data: st.DataObject, seed: int, axes: int, groups: int) -> None:
    random = np.random.default_rng(seed)
    window, stride = data.draw(st.integers(2, 3)), data.draw(small)
    padding = data.draw(st.integers(0, 1))
    functional = torch.nn.functional
    x = random.normal(size=(2, *random.integers(5, 9, size=axes), 2 * groups))
    options: dict[str, Any] = {"stride": stride, "padding": padding}

    conv = layers.Conv(3 * groups, window, groups=groups, dimensions=axes, **options)
    weight = random.normal(size=(*[window] * axes, 2, 3 * groups))
    bias = random.normal(size=3 * groups)
    theirs = getattr(functional, f"conv{axes}d")
    moved = torch.from_numpy(np.moveaxis(weight, (-1, -2), (0, 1)).copy())
    expected = theirs(first(x), moved, torch.from_numpy(bias), groups=groups, **options)
    same(conv.with_arrays_here({"weight": weight, "bias": bias})(x), last(expected))

    deconv = layers.Deconv(3, window, dimensions=axes, **options)
    weight, bias = random.normal(size=(*[window] * axes, x.shape[-1], 3)), random.normal(size=3)
    theirs = getattr(functional, f"conv_transpose{axes}d")
    moved = torch.from_numpy(np.moveaxis(weight, (-2, -1), (0, 1)).copy())
    expected = theirs(first(x), moved, torch.from_numpy(bias), **options)
    same(deconv.with_arrays_here({"weight": weight, "bias": bias})(x), last(expected))

    most = layers.MaxPool(window, dimensions=axes, **options)
    same(most(x), last(getattr(functional, f"max_pool{axes}d")(first(x), window, **options)))
    mean = layers.MeanPool(window, dimensions=axes, **options)
    theirs = getattr(functional, f"avg_pool{axes}d")
    same(mean(x), last(theirs(first(x), window, count_include_pad=False, **options)))
