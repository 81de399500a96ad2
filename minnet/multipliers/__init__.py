"""Multipliers: the user's rules made into one table of how fast each array learns."""

from .helpers import gradual_unfreeze, layerwise
from .rules import Rules, matching, resolve
from .table import Entry, MultiplierTable, multipliers

__all__ = [
    "Entry",
    "MultiplierTable",
    "Rules",
    "gradual_unfreeze",
    "layerwise",
    "matching",
    "multipliers",
    "resolve",
]
