"""Optimizers: the direction of a step, given the gradient and what was seen before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields

from ..backend import Array, array_module, is_array
from ..checks import number
from ..errors import SpecError
from ..multipliers import Rules
from .fading import without_traces
from .schedules import Rate

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSProp", "SignSGD"]


_RULES = (Mapping, Sequence)


@dataclass(frozen=True, repr=False)
class Optimizer:
    """The base of all optimizers: a description; an `Updater` does the work.

    A new optimizer is a subclass with a `direction`, and a `state` if it has any.

    Parameters
    ----------
    learning_rate
        How far to go in the direction: a positive number, or a schedule (any
        function of `Progress`).
    weight_decay
        By how much, times the learning rate, to shrink the weights at each step,
        beside the gradient ("decoupled": Loshchilov & Hutter 2019). A number for
        all trained arrays, or rules as for `multipliers=`, with 0 for what no rule
        names.
    l2
        The factor of the weights in the gradient, which is that of a loss with
        `l2 / 2` times their sum of squares added. A number or rules, likewise.
    clip_value
        The largest size of an element of the gradient; larger ones are cut.
    clip_norm
        The largest length of the gradient of all trained arrays together; a
        longer one is shortened. Both clip before `l2` is added.
    """

    learning_rate: Rate = 0.01
    weight_decay: Rules = field(default=0.0, kw_only=True)
    l2: Rules = field(default=0.0, kw_only=True)
    clip_value: float | None = field(default=None, kw_only=True)
    clip_norm: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not callable(self.learning_rate) or isinstance(self.learning_rate, type):
            self._number("learning_rate", above=0.0)
        for name in ("clip_value", "clip_norm"):
            if getattr(self, name) is not None:
                self._number(name, above=0.0)
        for name in ("weight_decay", "l2"):  # rules are checked when there is a net for them
            rules = getattr(self, name)
            if rules is not None and not callable(rules) and not isinstance(rules, _RULES):
                self._number(name, least=0.0)

    def _number(self, name: str, **bounds: float) -> None:
        """Check an option that is a number, and make it a Python float."""
        what = f"the {name} of {type(self).__name__}"
        object.__setattr__(self, name, number(getattr(self, name), what, **bounds))

    def state(self, array: Array) -> dict[str, Array]:
        """Return what to remember about an array from step to step, as before the first.

        Arrays of its shape, like `zeros_like(array)`.
        """
        return {}

    def direction(self, gradient: Array, state: dict[str, Array], count: int) -> Array:
        """Return the direction of a step downhill, before learning rate and multiplier.

        Large arrays come in flat pieces, each with its piece of the state, and small
        ones that stand one after another in memory come as one. So the direction of
        an element may depend on that element alone.

        Parameters
        ----------
        gradient
            The gradient of the loss, clipped and with `l2` added; not to be written to.
        state
            What `state` returned, updated in place.
        count
            Which step of these elements it is, from 1.
        """
        raise NotImplementedError

    def change(
        self,
        gradient: Array,
        state: dict[str, Array],
        count: int,
        factor: float | Array,
        out: Array | None = None,
    ) -> Array:
        """Return the direction times a factor, which is what a step takes off the array.

        Parameters
        ----------
        gradient, state, count
            As in `direction`.
        factor
            Learning rate times multiplier.
        out
            Where to write it, if given.
        """
        direction = self.direction(gradient, state, count)
        change: Array = array_module(direction).multiply(direction, factor, out=out)
        return change

    def __repr__(self) -> str:
        shown = []
        for option in fields(self):
            chosen = getattr(self, option.name)
            default = MISSING if option.name == "learning_rate" else option.default
            if chosen is not default and not (isinstance(chosen, float) and chosen == default):
                shown.append(f"{option.name}={chosen!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, repr=False)
class SGD(Optimizer):
    """Gradient descent, with momentum if you like.

    With the gradient g, the velocity v becomes `momentum * v + g`, and the
    direction is v. Nesterov's is `g + momentum * v`: Sutskever et al. 2013, "On
    the importance of initialization and momentum in deep learning".

    Parameters
    ----------
    learning_rate
        As in `Optimizer`.
    momentum
        How much of the velocity stays at each step, at least 0 and below 1.
    nesterov
        Whether to look ahead; needs momentum.

    Examples
    --------
    >>> from minnet.optim import SGD
    >>> SGD(0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9)
    """

    learning_rate: Rate = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._number("momentum", least=0.0, below=1.0)
        if not isinstance(self.nesterov, bool):
            raise SpecError(f"nesterov is True or False, got {self.nesterov!r}")
        if self.nesterov and not self.momentum:
            raise SpecError("nesterov=True needs a momentum, for example 0.9")

    def state(self, array: Array) -> dict[str, Array]:
        return {"velocity": array_module(array).zeros_like(array)} if self.momentum else {}

    def direction(self, gradient: Array, state: dict[str, Array], count: int) -> Array:
        if not self.momentum:
            return gradient
        velocity = state["velocity"]
        velocity *= self.momentum
        velocity += gradient
        without_traces(velocity, self.momentum, count)
        if not self.nesterov:
            return velocity
        ahead = self.momentum * velocity
        ahead += gradient
        return ahead


@dataclass(frozen=True, repr=False)
class Adam(Optimizer):
    """Divide a running mean of the gradient by the root of a running mean of its square.

    Kingma & Ba 2015, "Adam: A Method for Stochastic Optimization", algorithm 1.

    Parameters
    ----------
    learning_rate
        As in `Optimizer`; every element moves by about this much a step.
    beta1, beta2
        How much of the running means of the gradient and of its square stays at
        each step, at least 0 and below 1.
    epsilon
        Added to the root, against division by 0.

    Examples
    --------
    >>> from minnet.optim import Adam
    >>> Adam(1e-3, clip_norm=1.0)
    Adam(learning_rate=0.001, clip_norm=1.0)
    """

    learning_rate: Rate = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        self._number("beta1", least=0.0, below=1.0)
        self._number("beta2", least=0.0, below=1.0)
        self._number("epsilon", above=0.0)

    def state(self, array: Array) -> dict[str, Array]:
        xp = array_module(array)
        return {"sum": xp.zeros_like(array), "squares": xp.zeros_like(array)}

    def direction(self, gradient: Array, state: dict[str, Array], count: int) -> Array:
        return self._divided(gradient, state, count, 1.0, None)

    def change(
        self,
        gradient: Array,
        state: dict[str, Array],
        count: int,
        factor: float | Array,
        out: Array | None = None,
    ) -> Array:
        if type(self).direction is not Adam.direction:  # a subclass has one of its own
            return super().change(gradient, state, count, factor, out)
        return self._divided(gradient, state, count, factor, out)

    def corrections(self, count: int) -> tuple[float, float]:
        """Return what turns the sums of a step of this number into the paper's mean and root.

        Examples
        --------
        >>> import minnet as mn
        >>> mn.Adam().corrections(1)
        (1.0, 1.0)
        """
        mean = (1 - self.beta1) / (1 - self.beta1**count)
        return mean, math.sqrt((1 - self.beta2) / (1 - self.beta2**count))

    def _divided(
        self,
        gradient: Array,
        state: dict[str, Array],
        count: int,
        factor: float | Array,
        out: Array | None,
    ) -> Array:
        # The paper's means are these sums, which fade, times 1 - beta, and both are divided by
        # 1 - beta ** count, since they began at 0. With such factors taken out of the fraction,
        # few calls go over the arrays. (Python's numbers would take NumPy as long as small arrays.)
        xp, exact = array_module(gradient), gradient.dtype.type
        total, squares = state["sum"], state["squares"]
        total *= exact(self.beta1)
        total += gradient
        work: Array = xp.multiply(gradient, gradient, out=out)
        squares *= exact(self.beta2)
        squares += work
        without_traces(total, self.beta1, count)
        without_traces(squares, self.beta2, count)
        mean, root = self.corrections(count)
        xp.sqrt(squares, out=work)
        work += exact(self.epsilon / root)
        xp.divide(total, work, out=work)
        scale = mean / root * factor
        work *= scale if is_array(scale) else exact(scale)
        return work


@dataclass(frozen=True, repr=False)
class AdamW(Adam):
    """Adam with decoupled weight decay, 0.01 when left out.

    Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2,
    with the decay times the learning rate as in PyTorch.

    Examples
    --------
    >>> from minnet.optim import AdamW
    >>> AdamW(weight_decay={"*.weight": 0.1})
    AdamW(learning_rate=0.001, weight_decay={'*.weight': 0.1})
    """

    weight_decay: Rules = field(default=0.01, kw_only=True)


@dataclass(frozen=True, repr=False)
class RMSProp(Optimizer):
    """Divide the gradient by the root of a running mean of its square.

    Tieleman & Hinton 2012, "Lecture 6.5: RMSProp", Coursera: Neural Networks for
    Machine Learning.

    Parameters
    ----------
    learning_rate
        As in `Optimizer`.
    beta
        How much of the running mean stays at each step, at least 0 and below 1.
    epsilon
        Added to the root, against division by 0.

    Examples
    --------
    >>> from minnet.optim import RMSProp
    >>> RMSProp(1e-3, beta=0.99)
    RMSProp(learning_rate=0.001, beta=0.99)
    """

    learning_rate: Rate = 1e-3
    beta: float = 0.9
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        self._number("beta", least=0.0, below=1.0)
        self._number("epsilon", above=0.0)

    def state(self, array: Array) -> dict[str, Array]:
        return {"square": array_module(array).zeros_like(array)}

    def direction(self, gradient: Array, state: dict[str, Array], count: int) -> Array:
        square = state["square"]
        square *= self.beta
        square += (1 - self.beta) * gradient * gradient
        without_traces(square, self.beta, count)
        root = array_module(square).sqrt(square)
        root += self.epsilon
        return gradient / root  # type: ignore[no-any-return]


@dataclass(frozen=True, repr=False)
class SignSGD(Optimizer):
    """Move every element by the same amount, by the sign of its gradient.

    Bernstein et al. 2018, "signSGD: Compressed Optimisation for Non-Convex
    Problems", algorithms 1 and, with momentum, 2 ("Signum").

    Parameters
    ----------
    learning_rate
        As in `Optimizer`; every element moves by this much a step.
    momentum
        How much of the running mean of the gradient, whose sign is taken, stays
        at each step; at least 0 and below 1.

    Examples
    --------
    >>> from minnet.optim import SignSGD
    >>> SignSGD(1e-4, momentum=0.9)
    SignSGD(learning_rate=0.0001, momentum=0.9)
    """

    learning_rate: Rate = 1e-3
    momentum: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._number("momentum", least=0.0, below=1.0)

    def state(self, array: Array) -> dict[str, Array]:
        return {"mean": array_module(array).zeros_like(array)} if self.momentum else {}

    def direction(self, gradient: Array, state: dict[str, Array], count: int) -> Array:
        xp = array_module(gradient)
        if not self.momentum:
            return xp.sign(gradient)  # type: ignore[no-any-return]
        mean = state["mean"]
        mean *= self.momentum
        mean += (1 - self.momentum) * gradient
        without_traces(mean, self.momentum, count)
        return xp.sign(mean)  # type: ignore[no-any-return]
