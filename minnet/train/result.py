"""TrainResult: what training gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import SpecError
from ..multipliers import MultiplierTable
from ..net import Net

__all__ = ["TrainResult", "counted", "shown_numbers"]


@dataclass(frozen=True, eq=False, repr=False)
class TrainResult:
    """What `train` gives back.

    Parameters
    ----------
    net
        The best net by validation (or by what `best=` said); without it the final one.
    final
        The net as it was at the end.
    history
        A dict for each round: `round`, `loss`, the measures, the same of the
        validation data with `validation_` before their names, `seconds` since
        the start.
    table
        The multipliers used, as decided before the first step.
    seconds
        How long it took, validation included.
    examples_per_second
        Training examples, by all of that time.
    rounds, steps
        How many were made; a part of a round counts as none.
    best_round
        The round of `net`, counted from 1; 0 if no round was complete.
    stopped
        Why it stopped, in words.
    reused
        Which share of the examples' passes through the frozen bottom (validation
        included) was saved by keeping what had come out of it.
    kept
        Where that was kept: `"memory"`, `"file"`, `"file and memory"` (one of them for
        the validation data), or nothing if it wasn't.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> data = np.eye(4), ["a", "b", "a", "b"]
    >>> result = mn.train(mn.Chain(mn.Linear(), mn.Softmax()), data, rounds=3, progress=False)
    >>> result.rounds, result.steps, result.stopped
    (3, 3, '3 rounds')
    >>> list(result.history[-1])
    ['round', 'loss', 'accuracy', 'seconds']
    """

    net: Net
    final: Net
    history: tuple[dict[str, Any], ...]
    table: MultiplierTable
    seconds: float
    examples_per_second: float
    rounds: int
    steps: int
    best_round: int
    stopped: str
    reused: float = 0.0
    kept: str = ""

    def curve(self, name: str) -> list[float]:
        """Return one column of the history, such as `"validation_accuracy"`.

        Raises
        ------
        SpecError
            If there is no such column.

        Examples
        --------
        >>> import numpy as np, minnet as mn
        >>> data = np.eye(4), ["a", "b", "a", "b"]
        >>> result = mn.train(mn.Chain(mn.Linear(), mn.Softmax()), data, rounds=3, progress=False)
        >>> result.curve("round")
        [1, 2, 3]
        """
        if self.history and name not in self.history[0]:
            raise SpecError(f"no {name!r} was recorded: there are {', '.join(self.history[0])}")
        return [row[name] for row in self.history]

    def plot(self, path: Any = None) -> Any:
        """Draw the learning curves with matplotlib; write them to `path` if given.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        SpecError
            If no round was recorded, or matplotlib is missing.

        Examples
        --------
        >>> import numpy as np, minnet as mn
        >>> data = np.eye(4), ["a", "b", "a", "b"]
        >>> result = mn.train(mn.Chain(mn.Linear(), mn.Softmax()), data, rounds=3, progress=False)
        >>> result.plot().axes[0].get_ylabel()  # doctest: +SKIP
        'loss'
        """
        from ..draw import learning_curves  # at call time: drawing is built on this

        return learning_curves(self, path)

    def __repr__(self) -> str:
        last = self.history[-1] if self.history else {}
        parts = [
            f"{counted(self.rounds, 'round')}, {counted(self.steps, 'step')}, {self.seconds:.1f} s",
            f"stopped: {self.stopped}",
        ]
        if numbers := shown_numbers(last, "="):
            parts.append(numbers)
        if self.kept:
            parts.append(f"{100 * self.reused:.0f}% of the frozen layers' work saved")
        return f"TrainResult({'; '.join(parts)})"


def shown_numbers(row: Mapping[str, Any], between: str) -> str:
    """Return the loss and the measures in a row of the history for people to read."""
    return ", ".join(
        f"{name}{between}{number:.4g}"
        for name, number in row.items()
        if isinstance(number, float) and name != "seconds"
    )


def counted(count: float, what: str) -> str:
    """Return a number of things in words: "1 round", "2 rounds"."""
    shown = f"{count:g}" if isinstance(count, float) else str(count)
    return f"{shown} {what}{'' if count == 1 else 's'}"
