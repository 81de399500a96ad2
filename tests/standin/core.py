"""The stand-in's `cupy._core`: the precision of matrix products, which is only remembered here."""

from __future__ import annotations

from typing import Any

import numpy as np

COMPUTE_TYPE_TBD, COMPUTE_TYPE_DEFAULT, COMPUTE_TYPE_TF32 = 0, 1, 7

_chosen: dict[Any, int] = {}


def get_compute_type(dtype: Any) -> int:
    return _chosen.get(np.dtype(dtype), COMPUTE_TYPE_DEFAULT)


def set_compute_type(dtype: Any, compute_type: int) -> None:
    _chosen[np.dtype(dtype)] = compute_type


NAMES = "COMPUTE_TYPE_DEFAULT COMPUTE_TYPE_TF32 get_compute_type set_compute_type"
