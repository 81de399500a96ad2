"""What the tests of training on a GPU share: nets, data, and what counts as the same."""

import sys

import numpy as np
from train_samples import points

import minnet as mn

X, Y = points(100)
IMAGES = np.random.default_rng(1).normal(size=(40, 6, 6, 2)).astype("float32")
LABELS = (IMAGES.mean((1, 2, 3)) > 0).astype(int)


def dense():
    return mn.Chain(mn.Linear(8), mn.Ramp(), mn.Linear(3), mn.Softmax())


def normed():
    # A bias before BatchNorm has a gradient of nothing but rounding, which Adam makes steps of.
    return mn.Chain(mn.Linear(8, bias=False), mn.BatchNorm(), mn.Tanh(), mn.Linear(3), mn.Softmax())


def images():
    return mn.Chain(
        mn.Conv(4, 3), mn.Ramp(), mn.MaxPool(2), mn.Flatten(), mn.Linear(2), mn.Softmax()
    )


def dropping():
    return mn.Chain(mn.Linear(8), mn.Dropout(0.5), mn.Linear(3), mn.Softmax())


def assert_near(found, expected, within=1e-5):
    for path, array in expected.arrays().items():
        np.testing.assert_allclose(found[path], array, rtol=within, atol=within, err_msg=str(path))


def big_rows(monkeypatch):
    """Have no data fit."""
    monkeypatch.setattr(sys.modules["minnet.train.gpu_feed"], "SHARE", 0.0)
