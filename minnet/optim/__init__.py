"""Optimizers, their schedules, and the Updater that applies them."""

from .optimizers import SGD, Adam, AdamW, Optimizer, RMSProp, SignSGD
from .schedules import (
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    Polynomial,
    Progress,
    Rate,
    Schedule,
    StepDecay,
    WarmUp,
)
from .updater import Updater

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Constant",
    "Cosine",
    "Exponential",
    "OneCycle",
    "Optimizer",
    "Polynomial",
    "Progress",
    "RMSProp",
    "Rate",
    "Schedule",
    "SignSGD",
    "StepDecay",
    "Updater",
    "WarmUp",
]
