"""Ops against PyTorch's: values and gradients, over configurations drawn from seeds."""

import numpy as np
import pytest

import minnet as mn

# Not "torch" alone: where PyTorch is missing, this very folder answers to that name.
functional = pytest.importorskip("torch.nn.functional")
import torch  # noqa: E402


def channels_first(array):
    """Return (N, ..., C) as a torch tensor of shape (N, C, ...) to differentiate by."""
    moved = np.moveaxis(array, -1, 1)
    return torch.tensor(np.ascontiguousarray(moved), requires_grad=True)


def channels_last(array):
    """Return (N, C, ...) as a NumPy array of shape (N, ..., C)."""
    return np.moveaxis(array.detach().numpy(), 1, -1)


def out_in_first(weight):
    """Return (KH, KW, in, out) as a torch tensor of shape (out, in, KH, KW)."""
    axes = (weight.ndim - 1, weight.ndim - 2, *range(weight.ndim - 2))
    return torch.tensor(np.ascontiguousarray(weight.transpose(axes)), requires_grad=True)


def window_last(weight):
    """Return (out, in, KH, KW) as a NumPy array of shape (KH, KW, in, out)."""
    weight = weight.detach().numpy()
    return weight.transpose(*range(2, weight.ndim), 1, 0)


def plain(tensor):
    return tensor.detach().numpy()


def leaf(array):
    return torch.tensor(array, requires_grad=True)


def agree(ours, leaves, theirs, their_leaves, back, random):
    """Check values, and gradients from the same start; `back` are the layouts of torch's."""
    value, *layouts = back
    expected = value(theirs)
    np.testing.assert_allclose(ours.data, expected, rtol=1e-9, atol=1e-9)
    start = random.normal(size=expected.shape)
    inverse = torch.tensor(np.moveaxis(start, -1, 1) if value is channels_last else start)
    theirs.backward(inverse)
    for gradient, tensor, layout in zip(
        mn.gradients(ours, leaves, start), their_leaves, layouts, strict=True
    ):
        np.testing.assert_allclose(gradient, layout(tensor.grad), rtol=1e-9, atol=1e-9)


def drawn_window(random, axes):
    """Return sizes, window, stride, padding and dilation; the padding at most half the window."""
    window = random.integers(1, 5, axes)
    dilation = random.integers(1, 3, axes)
    padding = [int(random.integers(0, k // 2 + 1)) for k in window]
    sizes = [
        int((k - 1) * d + 1 + random.integers(0, 6)) for k, d in zip(window, dilation, strict=True)
    ]
    stride = random.integers(1, 4, axes)
    return sizes, *(tuple(map(int, each)) for each in (window, stride, padding, dilation))


@pytest.mark.parametrize("seed", range(20))
def test_conv(seed):
    random = np.random.default_rng(seed)
    axes = int(random.integers(1, 3))
    sizes, window, stride, padding, dilation = drawn_window(random, axes)
    groups, inside, outside = (int(n) for n in random.integers(1, 4, 3))
    x = random.normal(size=(2, *sizes, groups * inside))
    weight = random.normal(size=(*window, inside, groups * outside))
    bias = random.normal(size=groups * outside)
    leaves = [mn.Tensor(each) for each in (x, weight, bias)]
    ours = mn.ops.conv(*leaves, stride, padding, dilation, groups)
    them = [channels_first(x), out_in_first(weight), leaf(bias)]
    conv = (functional.conv1d, functional.conv2d)[axes - 1]
    theirs = conv(*them, stride, padding, dilation, groups)
    agree(ours, leaves, theirs, them, [channels_last, channels_last, window_last, plain], random)


@pytest.mark.parametrize("seed", range(6))
def test_same_conv(seed):
    random = np.random.default_rng(seed)
    sizes, window, _, _, dilation = drawn_window(random, 2)
    window = tuple(k + 1 - k % 2 for k in window)  # of even ones PyTorch pads the other side
    x, weight = random.normal(size=(2, *sizes, 3)), random.normal(size=(*window, 3, 4))
    leaves = [mn.Tensor(x), mn.Tensor(weight)]
    ours = mn.ops.conv(*leaves, padding="same", dilation=dilation)
    them = [channels_first(x), out_in_first(weight)]
    theirs = functional.conv2d(*them, padding="same", dilation=dilation)
    agree(ours, leaves, theirs, them, [channels_last, channels_last, window_last], random)


@pytest.mark.parametrize("seed", range(12))
def test_deconv(seed):
    random = np.random.default_rng(seed)
    axes = int(random.integers(1, 3))
    sizes, window, stride, padding, _ = drawn_window(random, axes)
    inside, outside = (int(n) for n in random.integers(1, 5, 2))
    sizes = [n + 1 for n in sizes]  # leaves something where a window of 2 is padded by 1
    x = random.normal(size=(2, *sizes, inside))
    weight, bias = random.normal(size=(*window, inside, outside)), random.normal(size=outside)
    leaves = [mn.Tensor(each) for each in (x, weight, bias)]
    ours = mn.ops.deconv(*leaves, stride, padding)
    # PyTorch's weight is (in, out, KH, KW) here.
    them = [channels_first(x), out_in_first(weight.swapaxes(-1, -2)), leaf(bias)]
    deconv = (functional.conv_transpose1d, functional.conv_transpose2d)[axes - 1]
    theirs = deconv(*them, stride, padding)
    weight_back = lambda grad: window_last(grad).swapaxes(-1, -2)  # noqa: E731
    agree(ours, leaves, theirs, them, [channels_last, channels_last, weight_back, plain], random)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_max_pool(seed, ties):
    random = np.random.default_rng(seed)
    axes = int(random.integers(1, 3))
    sizes, window, stride, padding, _ = drawn_window(random, axes)
    x = random.normal(size=(2, *sizes, 3))
    if ties:
        x = np.round(x)  # few different numbers: PyTorch too lets the first of equal ones win
    ours = mn.Tensor(x)
    pool = (functional.max_pool1d, functional.max_pool2d)[axes - 1]
    theirs = channels_first(x)
    agree(
        mn.ops.max_pool(ours, window, stride, padding),
        [ours],
        pool(theirs, window, stride, padding),
        [theirs],
        [channels_last] * 2,
        random,
    )


@pytest.mark.parametrize("seed", range(8))
def test_mean_pool(seed):
    random = np.random.default_rng(seed)
    axes = int(random.integers(1, 3))
    sizes, window, stride, padding, _ = drawn_window(random, axes)
    x = random.normal(size=(2, *sizes, 3))
    ours, theirs = mn.Tensor(x), channels_first(x)
    pool = (functional.avg_pool1d, functional.avg_pool2d)[axes - 1]
    agree(
        mn.ops.mean_pool(ours, window, stride, padding),
        [ours],
        pool(theirs, window, stride, padding, count_include_pad=False),
        [theirs],
        [channels_last] * 2,
        random,
    )


# --- normalization ------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_batch_norm(seed):
    random = np.random.default_rng(seed)
    channels = int(random.integers(1, 6))
    x = random.normal(2, 3, (4, *random.integers(1, 5, int(random.integers(0, 3))), channels))
    scale, shift, mean, variance = random.uniform(0.5, 2, (4, channels))
    leaves = [mn.Tensor(each) for each in (x, scale, shift)]
    running = torch.zeros(channels, dtype=torch.float64), torch.ones(channels, dtype=torch.float64)
    them = [channels_first(x), leaf(scale), leaf(shift)]
    ours, our_mean, our_variance = mn.ops.batch_norm(*leaves, epsilon=1e-3)
    theirs = functional.batch_norm(
        them[0], *running, *them[1:], training=True, momentum=1.0, eps=1e-3
    )
    layouts = [channels_last, channels_last, plain, plain]
    agree(ours, leaves, theirs, them, layouts, random)
    count = x.size // channels  # PyTorch remembers the unbiased variance
    np.testing.assert_allclose(our_mean, running[0])
    np.testing.assert_allclose(our_variance * count / (count - 1), running[1])

    known = torch.tensor(mean), torch.tensor(variance)
    them = [channels_first(x), leaf(scale), leaf(shift)]
    ours = mn.ops.normalize(leaves[0], mean, variance, *leaves[1:], epsilon=1e-3)
    theirs = functional.batch_norm(them[0], *known, *them[1:], eps=1e-3)
    agree(ours, leaves, theirs, them, layouts, random)


@pytest.mark.parametrize("seed", range(5))
def test_layer_norm(seed):
    random = np.random.default_rng(seed)
    shape = random.integers(1, 6, int(random.integers(1, 5)))
    x, (scale, shift) = random.normal(2, 3, shape), random.normal(size=(2, shape[-1]))
    leaves = [mn.Tensor(each) for each in (x, scale, shift)]
    them = [leaf(each) for each in (x, scale, shift)]
    theirs = functional.layer_norm(them[0], (int(shape[-1]),), *them[1:])
    agree(mn.ops.layer_norm(*leaves), leaves, theirs, them, [plain] * 4, random)


@pytest.mark.parametrize("seed", range(8))
def test_local_response_norm(seed):
    random = np.random.default_rng(seed)
    size, channels = (int(n) for n in random.integers(1, 8, 2))
    alpha, beta, k = (float(n) for n in random.uniform(0.1, 2, 3))
    x = random.normal(size=(2, 3, 4, channels))
    ours, theirs = mn.Tensor(x), channels_first(x)
    agree(
        mn.ops.local_response_norm(ours, size, alpha, beta, k),
        [ours],
        # PyTorch divides alpha by the size, the paper does not.
        functional.local_response_norm(theirs, size, alpha * size, beta, k),
        [theirs],
        [channels_last] * 2,
        random,
    )


# --- losses and activations ---------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_losses_over_classes(seed):
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(1, 6, int(random.integers(2, 4))))
    logits = random.normal(0, 10, shape)
    for targets in (
        random.integers(shape[-1], size=shape[:-1]),
        random.dirichlet(np.ones(shape[-1]), shape[:-1]),
    ):
        first = targets if targets.ndim < len(shape) else np.moveaxis(targets, -1, 1)
        ours, theirs = mn.Tensor(logits), channels_first(logits)
        loss = functional.cross_entropy(theirs, torch.tensor(first))
        agree(
            mn.ops.cross_entropy(ours, targets),
            [ours],
            loss,
            [theirs],
            [plain, channels_last],
            random,
        )
    ours, theirs = mn.Tensor(logits), channels_first(logits)
    indices = random.integers(shape[-1], size=shape[:-1])
    likelihood = functional.nll_loss(theirs.softmax(1).log(), torch.tensor(indices))
    agree(
        mn.ops.negative_log_likelihood(mn.ops.softmax(ours), indices),
        [ours],
        likelihood,
        [theirs],
        [plain, channels_last],
        random,
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("op", "name"),
    [
        (mn.ops.binary_cross_entropy, "binary_cross_entropy_with_logits"),
        (mn.ops.mean_squared_error, "mse_loss"),
        (mn.ops.mean_absolute_error, "l1_loss"),
    ],
)
def test_losses_over_numbers(op, name, seed):
    random = np.random.default_rng(seed)
    shape = random.integers(1, 6, int(random.integers(1, 4)))
    leaves = [mn.Tensor(random.normal(0, 10, shape)), mn.Tensor(random.uniform(0, 1, shape))]
    them = [leaf(each.data) for each in leaves]
    theirs = getattr(functional, name)(*them)
    agree(op(*leaves), leaves, theirs, them, [plain] * 3, random)


@pytest.mark.parametrize(
    ("op", "theirs"),
    [
        (mn.ops.softmax, lambda x: functional.softmax(x, -1)),
        (mn.ops.log_softmax, lambda x: functional.log_softmax(x, -1)),
        (mn.ops.gelu, functional.gelu),
        (
            lambda x: mn.ops.gelu(x, approximate=True),
            lambda x: functional.gelu(x, approximate="tanh"),
        ),
        (mn.ops.softplus, functional.softplus),
        (mn.ops.sigmoid, torch.sigmoid),
    ],
    ids=["softmax", "log_softmax", "gelu", "gelu by tanh", "softplus", "sigmoid"],
)
def test_activations(op, theirs):
    random = np.random.default_rng(0)
    x = np.concatenate([random.normal(0, 3, (5, 40)), np.linspace(-10, 10, 200).reshape(5, 40)])
    ours, their = mn.Tensor(x), leaf(x)
    agree(op(ours), [ours], theirs(their), [their], [plain] * 2, random)
