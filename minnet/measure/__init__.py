"""What features say without retraining: linear probes, CKA, and transferability scores."""

from .cka import CKA, cka
from .features import features
from .logme import logme
from .probe import Probe, linear_probe
from .scores import h_score, leep, nce

__all__ = [
    "CKA",
    "Probe",
    "cka",
    "features",
    "h_score",
    "leep",
    "linear_probe",
    "logme",
    "nce",
]
