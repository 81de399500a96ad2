"""Optimizers, arrays and gradients that the tests of optimizers share."""

import numpy as np

from minnet.layers import Linear, Ramp
from minnet.net import Chain
from minnet.optim import (
    SGD,
    Adam,
    AdamW,
    Progress,
    RMSProp,
    SignSGD,
    Updater,
)

NET = Chain(Linear(4), Ramp(), last=Linear(2), input=(3,)).initialize()
WEIGHT, BIAS, LAST = (0, "weight"), (0, "bias"), ("last", "weight")
START = Progress()

EVERY = [
    SGD(0.1),
    SGD(0.1, momentum=0.9),
    SGD(0.1, momentum=0.9, nesterov=True),
    Adam(0.01),
    AdamW(0.01),
    RMSProp(0.01),
    SignSGD(0.01),
    SignSGD(0.01, momentum=0.9),
]


def run(optimizer, arrays, gradients, multipliers=1.0, net=NET):
    """Return copies of `arrays` after a step for each of `gradients`, all by path."""
    arrays = {path: np.array(array) for path, array in arrays.items()}
    if not isinstance(multipliers, dict):
        multipliers = dict.fromkeys(arrays, multipliers)
    work = Updater(optimizer, net)
    work.use(arrays, multipliers)
    for step, found in enumerate(gradients):
        work.step(found, Progress(step=step, steps=len(gradients)))
    return arrays


def one(optimizer, weight, gradients, multiplier=1.0):
    found = [{WEIGHT: gradient} for gradient in gradients]
    return run(optimizer, {WEIGHT: weight}, found, multiplier)[WEIGHT]


def draws(random, steps=6, shape=(3, 4), dtype=np.float64):
    weight, *gradients = random.normal(size=(steps + 1, *shape)).astype(dtype)
    return weight, gradients
