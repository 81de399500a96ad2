"""Nets that the tests of multipliers share, and their paths."""

from minnet.layers import BatchNorm, Linear, Ramp
from minnet.multipliers import (
    multipliers,
)
from minnet.net import Chain, Graph


def small(**options):
    """A chain with a nested chain, names and positions, sizes known."""
    return Chain(
        Linear(4),
        Ramp(),
        encoder=Chain(Linear(3), BatchNorm(), last=Linear(5, bias=False)),
        head=Linear(2),
        input=(6,),
        **options,
    ).initialize()


def forked():
    return Graph(
        {
            "left": Linear(3),
            "right": Linear(3),
            "block": Chain(Linear(3), Ramp(), name="block"),
            "head": Linear(2),
        },
        {"left": "input", "right": "left", "block": "right", "head": "block"},
        input=3,
    ).initialize()


def named(net, pattern):
    """The dotted paths of the arrays that a lone rule decides."""
    table = multipliers(net, [(pattern, 7)])
    return [
        ".".join(map(str, path)) for path, entry in table.items() if entry.value == 7 != entry.rule
    ]


ALL = [
    "0.weight",
    "0.bias",
    "encoder.0.weight",
    "encoder.0.bias",
    "encoder.1.scale",
    "encoder.1.shift",
    "encoder.last.weight",
    "head.weight",
    "head.bias",
]
ENCODER = [path for path in ALL if path.startswith("encoder")]
HEAD = ["head.weight", "head.bias"]
