"""Net: what Chain and Graph share, and how nets are used — calling, inner outputs, files."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any, Self

from ..layers.base import Context
from .arrays import Arrays
from .call import Entrance, call, inner_outputs
from .place import moved, place_of
from .segments import Segments, Step
from .structure import alone

__all__ = ["Net"]


class Net(Arrays):
    """A layer made of layers. Use `Chain` or `Graph`; this is what they have in common.

    A net is a value: it is never changed, and whatever looks like a change returns
    a new net that shares every layer and array that stayed. Several threads can
    call one net at the same time.

    Attributes
    ----------
    layers
        The layers inside: of a Chain a tuple, of a Graph a dict by name.
    input
        The encoder, the shape of one example, or None; for several inputs, by port.
    output
        The decoder or None.
    input_names, output_names
        The names of the ports.

    Examples
    --------
    >>> import minnet as mn
    >>> isinstance(mn.Chain(3, mn.Ramp), mn.layers.Layer)
    True
    """

    @cached_property
    def _entrances(self) -> dict[str, Entrance]:
        """What comes in at each port, which is asked for with every batch."""
        dtype, whole = self.dtype, self._integer_ports()
        return {port: Entrance.of(end, dtype, port in whole) for port, end in self._ends().items()}

    @cached_property
    def _place(self) -> str | None:
        """The device that the net's arrays are on, None without arrays."""
        return place_of(self)

    @property
    def device(self) -> str:
        """The device that the net's arrays are on, and so where it runs: `"cpu"` or `"gpu:0"`.

        Raises
        ------
        DeviceError
            If they are on several.
        """
        return self._place or "cpu"

    def to(self, device: str) -> Self:
        """Return the net on another device, or the same object if it is there already.

        Parameters
        ----------
        device
            `"cpu"`, `"gpu"` or, of several, `"gpu:1"`.

        Raises
        ------
        DeviceError
            If there is no such device.
        DeviceMemoryError
            If it has no room for the net.

        Examples
        --------
        >>> import minnet as mn
        >>> net = mn.Chain(2, input=3).initialize()
        >>> net.to("cpu") is net, net.device
        (True, 'cpu')
        """
        return moved(self, device)

    def _steps(self) -> tuple[Iterable[Step], Iterable[Any]]:
        """Return the layers in the order of use with their sources, and those of what comes out."""
        raise NotImplementedError

    def apply(self, x: Any, context: Context | None = None) -> Any:
        """Compute the outputs for an encoded batch, as a layer of another net does.

        Parameters
        ----------
        x
            An array or a Tensor, first axis the examples; a dict by port (or a tuple
            in the order of `input_names`) for several inputs.
        context
            Given in training only.
        """
        run = alone if context is None else context.run
        return self._flow(x, self._segments.running(run, context))

    @cached_property
    def _segments(self) -> Segments:
        """The layers that are computed as one."""
        return Segments(*self._steps())

    def __call__(self, x: Any, give: Any = None) -> Any:
        """Run the net as in use, not in training.

        Parameters
        ----------
        x
            One example, a batch (an array with one more axis in front), a list of
            examples, or whatever the net's encoder takes. Nets of several inputs
            take a dict by port. A Tensor goes through as a batch, with neither
            encoder nor decoder, and can be differentiated by.
        give
            What to return: by default what the decoder gives, else an array.
            `"array"` is the plain output; what else there is depends on the
            decoder (`ClassDecoder`: `"probabilities"`, `("top", k)`).

        Returns
        -------
        Any
            Of one example its output, else those of all, in their order. By port if
            the net has several outputs.

        Raises
        ------
        ShapeError
            If the input doesn't fit; the message says where.
        DataError
            If there is no example in the batch, or it holds something else than
            finite numbers, or can't be encoded.
        SpecError
            If arrays are missing, or `give` is something that can't be given.

        Examples
        --------
        >>> import numpy as np, minnet as mn
        >>> net = mn.Chain(mn.Linear(), input=2, output=mn.ClassDecoder(["no", "yes"]))
        >>> net = net.initialize(method="identity")
        >>> net([0.0, 1.0]), net([[0.0, 1.0], [1.0, 0.0]])
        ('yes', ['yes', 'no'])
        >>> net(np.array([0.0, 1.0]), give="array")
        array([0., 1.], dtype=float32)
        """
        return call(self, x, give)

    def outputs(self, x: Any, at: Any) -> Any:
        """Return the outputs of inner layers.

        Parameters
        ----------
        x
            A batch or one example, as for calling the net.
        at
            A name, position or path of a layer, or a list of them.

        Returns
        -------
        array or dict of array
            For a list, by what stood in it.

        Raises
        ------
        PathError
            If there is no such layer.

        Examples
        --------
        >>> import numpy as np, minnet as mn
        >>> net = mn.Chain(mn.Linear(2), mn.Ramp(), mn.Linear(4), input=(3,)).initialize()
        >>> net.outputs(np.ones((5, 3)), at=[0, -1])[-1].shape
        (5, 4)
        """
        return inner_outputs(self, x, at)

    # --- each hands over to the file that does it ---------------------------------------

    def summary(self, multipliers: Any = None, input_shape: Any = None) -> str:
        """Return a table of the layers: shapes, parameters, multipliers, what is frozen.

        See `minnet.summary`.

        Examples
        --------
        >>> import minnet as mn
        >>> print(mn.Chain(mn.Linear(2), input=3).summary())
        layer  type    output  parameters  multiplier
        -----  ------  ------  ----------  -------------------
        0      Linear  2                8  1
        total                           8  8 trained, 0 frozen
        """
        from ..draw import summary  # at call time: it is built on nets

        return summary(self, multipliers, input_shape)

    def save(self, path: Any) -> None:
        """Write the net to one file, which `minnet.load` reads; see `minnet.save`.

        Examples
        --------
        >>> import os, tempfile, minnet as mn
        >>> path = os.path.join(tempfile.mkdtemp(), "net.npz")
        >>> mn.Chain(mn.Linear(2), input=3).initialize().save(path)
        >>> mn.load(path)
        Chain(Linear(2), input=(3,))
        """
        from ..io import save  # at call time: it is built on nets

        save(self, path)
