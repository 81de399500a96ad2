"""Training: train, the Trainer it is built on, what it measures and gives back."""

from .evaluate import evaluate
from .measures import Measure, accuracy, confusion, top
from .result import TrainResult
from .stop import Stop
from .train import train
from .trainer import Trainer

__all__ = [
    "Measure",
    "Stop",
    "TrainResult",
    "Trainer",
    "accuracy",
    "confusion",
    "evaluate",
    "top",
    "train",
]
