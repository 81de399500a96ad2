"""Rules made from the net they are for: layer-wise learning rates and gradual unfreezing."""

from __future__ import annotations

from dataclasses import dataclass

from ..checks import number, positive
from ..layers.base import Layer, Path, walk
from ..progress import Progress, Schedule

__all__ = ["Thaw", "gradual_unfreeze", "layerwise"]


@dataclass(frozen=True)
class layerwise:  # noqa: N801 (used like a function; a class so that it prints and pickles)
    """Let each layer down the net learn so many times slower than the one above it.

    Rules for `multipliers=`: the top layer with arrays has the multiplier 1, the
    next one below it `decay`, the next `decay ** 2`, and so on. "Discriminative
    fine-tuning" in Howard & Ruder 2018, "Universal Language Model Fine-tuning for
    Text Classification" (ULMFiT), where each layer is 2.6 times slower.

    Parameters
    ----------
    decay
        The factor from one layer to the one below. As it always slows down, 2.6
        and 1 / 2.6 mean the same.

    Examples
    --------
    >>> import minnet as mn
    >>> net = mn.Chain(mn.Linear(8), mn.Ramp(), mn.Linear(3)).initialize(input_shape=(4,))
    >>> print(mn.multipliers(net, mn.layerwise(0.5)))
    array     shape   parameters  multiplier  decided by
    0.weight  (4, 8)          32  0.5         "0": 0.5
    0.bias    (8,)             8  0.5         "0": 0.5
    2.weight  (8, 3)          24  1           "2": 1.0
    2.bias    (3,)             3  1           "2": 1.0
    67 parameters: 67 trained, 0 frozen
    """

    decay: float

    def __post_init__(self) -> None:
        decay = number(self.decay, "the decay of layerwise", above=0)
        object.__setattr__(self, "decay", decay)

    def __call__(self, net: Layer) -> list[tuple[Path, float]]:
        factor = min(self.decay, 1 / self.decay)
        return [(path, factor**depth) for depth, path in enumerate(_from_the_top(net))]


@dataclass(frozen=True)
class Thaw(Schedule):
    """A multiplier that is 0 for the first `round` rounds, and 1 from then on."""

    round: int

    def __call__(self, progress: Progress) -> float:
        return 1.0 if progress.round >= self.round else 0.0


@dataclass(frozen=True)
class gradual_unfreeze:  # noqa: N801 (as above)
    """Train the top layer first, and let one more thaw each so many rounds.

    Rules for `multipliers=`, from Howard & Ruder 2018, "Universal Language Model
    Fine-tuning for Text Classification" (ULMFiT), section 3.3. Layers without
    arrays are passed over.

    Parameters
    ----------
    every
        How many rounds to train before the next layer thaws.

    Examples
    --------
    >>> import minnet as mn
    >>> net = mn.Chain(mn.Linear(8), mn.Ramp(), mn.Linear(3)).initialize(input_shape=(4,))
    >>> table = mn.multipliers(net, mn.gradual_unfreeze(every=2))
    >>> table.trainable()
    [(2, 'weight'), (2, 'bias')]
    >>> len(table.trainable(mn.optim.Progress(round=2)))
    4
    """

    every: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "every", positive(self.every, "the rounds of gradual_unfreeze"))

    def __call__(self, net: Layer) -> list[tuple[Path, float | Thaw]]:
        paths = enumerate(_from_the_top(net))
        return [(path, Thaw(depth * self.every) if depth else 1.0) for depth, path in paths]


def _from_the_top(net: Layer) -> list[Path]:
    """Return the paths of the layers that have something to train, the last one first."""
    trained = [path for path, layer in walk(net) if set(layer.own_names()) - set(layer.state_names)]
    return trained[::-1]
