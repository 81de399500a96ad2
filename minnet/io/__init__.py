"""Files: saving and loading nets."""

from .npz import load, save

__all__ = ["load", "save"]
