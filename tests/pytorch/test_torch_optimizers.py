"""Optimizers beside PyTorch's: the same trajectories over 20 steps."""

import numpy as np
import pytest

from minnet.layers import Linear
from minnet.net import Chain
from minnet.optim import SGD, Adam, AdamW, Progress, RMSProp, Updater

torch = pytest.importorskip("torch")

STEPS = 20
PATHS = [(0, "weight"), (0, "bias")]

CASES = [
    (SGD(0.05), lambda p: torch.optim.SGD(p, lr=0.05)),
    (SGD(0.05, l2=0.1), lambda p: torch.optim.SGD(p, lr=0.05, weight_decay=0.1)),
    (SGD(0.05, momentum=0.8), lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.8)),
    (
        SGD(0.05, momentum=0.8, nesterov=True),
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.8, nesterov=True),
    ),
    (Adam(0.05), lambda p: torch.optim.Adam(p, lr=0.05)),
    (
        Adam(0.05, 0.5, 0.9, 1e-3, l2=0.1),
        lambda p: torch.optim.Adam(p, lr=0.05, betas=(0.5, 0.9), eps=1e-3, weight_decay=0.1),
    ),
    (AdamW(0.05), lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.01)),
    (AdamW(0.05, weight_decay=0.3), lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.3)),
    (RMSProp(0.05), lambda p: torch.optim.RMSprop(p, lr=0.05, alpha=0.9)),
    (
        RMSProp(0.05, beta=0.99, epsilon=1e-3, l2=0.1),
        lambda p: torch.optim.RMSprop(p, lr=0.05, alpha=0.99, eps=1e-3, weight_decay=0.1),
    ),
]


def slope(values, targets, scales):
    """The gradient of a bowl with a different curvature along each axis."""
    return [
        scale * (value - target)
        for value, target, scale in zip(values, targets, scales, strict=True)
    ]


@pytest.mark.parametrize(("optimizer", "theirs"), CASES, ids=[str(case[0]) for case in CASES])
@pytest.mark.parametrize("clip_norm", [None, 0.5])
def test_trajectory(optimizer, theirs, clip_norm, random):
    optimizer = type(optimizer)(**{**vars(optimizer), "clip_norm": clip_norm})
    shapes = [(5, 3), (3,)]
    starts, targets = ([random.normal(size=shape) for shape in shapes] for _ in range(2))
    scales = [random.uniform(0.1, 5, size=shape) for shape in shapes]

    arrays = dict(zip(PATHS, [start.copy() for start in starts], strict=True))
    updater = Updater(optimizer, Chain(Linear(3), input=(5,)).initialize())
    updater.use(arrays, dict.fromkeys(PATHS, 1.0))

    parameters = [torch.nn.Parameter(torch.tensor(start)) for start in starts]
    reference = theirs(parameters)
    for step in range(STEPS):
        found = slope(arrays.values(), targets, scales)
        updater.step(dict(zip(PATHS, found, strict=True)), Progress(step=step))
        theirs_now = [parameter.detach().numpy() for parameter in parameters]
        for parameter, gradient in zip(parameters, slope(theirs_now, targets, scales), strict=True):
            parameter.grad = torch.tensor(gradient)
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
        reference.step()
        for array, parameter, start in zip(arrays.values(), parameters, starts, strict=True):
            # PyTorch adds 1e-6 to the length it divides by in clipping.
            tolerance = 1e-10 if clip_norm is None else 1e-5
            np.testing.assert_allclose(
                array, parameter.detach().numpy(), rtol=tolerance, atol=tolerance
            )
            assert (array != start).all()
