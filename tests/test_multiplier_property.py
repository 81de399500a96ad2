"""Multipliers: first match wins, as a property over random nets and rules."""

import fnmatch
import itertools
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minnet.errors import MinnetWarning, SpecError
from minnet.layers import BatchNorm, Layer, Linear, Ramp
from minnet.multipliers import (
    multipliers,
)
from minnet.net import Chain, Graph

# --- a property: first match wins, over random nets and rules ---------------------------------

NAMES = ["a", "b", "conv1", "conv2", "out"]


@st.composite
def described_nets(draw, depth=2):
    """A net, and for each leaf layer: [(key, position, siblings, layer), ...] and array names."""
    count = draw(st.integers(1, 3))
    as_graph = draw(st.booleans())
    keys = draw(
        st.lists(
            st.sampled_from(NAMES) if as_graph else st.sampled_from(NAMES) | st.none(),
            min_size=count,
            max_size=count,
            unique_by=lambda key: key or object(),
        )
    )
    parts, inside = [], []
    for key in keys:
        kind = draw(st.sampled_from(["linear", "nobias", "norm", "ramp"] + ["net"] * (depth > 0)))
        if kind == "net":
            part, leaves = draw(described_nets(depth - 1))
        else:
            part = {
                "linear": Linear(2),
                "nobias": Linear(2, bias=False),
                "norm": BatchNorm(),
                "ramp": Ramp(),
            }[kind]
            arrays = {
                "linear": ["weight", "bias"],
                "nobias": ["weight"],
                "ramp": [],
                "norm": ["scale", "shift"],
            }[kind]
            leaves = [([], arrays)]
        parts.append(part.renamed(key))
        inside.append(leaves)
    if as_graph:
        sources = ["input", *keys[:-1]]
        net = Graph(dict(zip(keys, parts, strict=True)), dict(zip(keys, sources, strict=True)))
    else:
        net = Chain(*parts)
    layers = [part for _, part in net.children()]
    leaves = [
        ([(i if key is None else key, i, count, layer), *trail], arrays)
        for i, (key, layer, found) in enumerate(zip(keys, layers, inside, strict=True))
        for trail, arrays in found
    ]
    return net, leaves


def oracle(pattern, trail, name):
    """Say whether a pattern names an array (or, without a name, a layer), case by case."""
    if pattern is ...:
        return True
    _, position, siblings, layer = trail[0]
    if isinstance(pattern, int):
        return position == (pattern if pattern >= 0 else siblings + pattern)
    if isinstance(pattern, slice):
        return layer in list_of(siblings, trail)[pattern]
    if isinstance(pattern, range):
        return any(position == (i if i >= 0 else siblings + i) for i in pattern)
    if isinstance(pattern, type):
        return any(isinstance(part[3], pattern) for part in trail)
    if isinstance(pattern, Layer):
        return any(part[3] is pattern for part in trail)
    if isinstance(pattern, str):
        words = [[str(part[0]), str(part[1])] for part in trail] + ([[name]] if name else [])
        return any(
            fnmatch.fnmatchcase(".".join(spelled), pattern)
            for n in range(1, len(words) + 1)
            for spelled in itertools.product(*words[:n])
        )
    if isinstance(pattern, tuple):
        path = [*trail, *([name] if name else [])]
        return len(pattern) <= len(path) and all(
            (isinstance(want, str) and fnmatch.fnmatchcase(have, want))
            if isinstance(have, str)
            else fnmatch.fnmatchcase(str(have[0]), want) or fnmatch.fnmatchcase(str(have[1]), want)
            if isinstance(want, str)
            else want in (have[1], have[1] - have[2])
            for want, have in zip(pattern, path, strict=False)
        )
    return name is not None and pattern((*(part[0] for part in trail), name), trail[-1][3], None)


def list_of(siblings, trail):
    layers = [None] * siblings
    layers[trail[0][1]] = trail[0][3]
    return layers


def ends_in_bias(path, layer, array):
    return path[-1] == "bias"


def in_a_norm(path, layer, array):
    return isinstance(layer, BatchNorm)


WORDS = st.sampled_from(
    [*NAMES, "*", "conv*", "?", "0", "1", "weight", "*.bias", "*.weight", "scale", "*.*", "[ab]"]
)
POSITIONS = st.integers(-3, 3)
PATTERNS = st.one_of(
    st.just(...),
    POSITIONS,
    WORDS,
    st.lists(WORDS, min_size=2, max_size=3).map(".".join),
    st.lists(WORDS | POSITIONS, min_size=1, max_size=4).map(tuple),
    st.builds(slice, POSITIONS | st.none(), POSITIONS | st.none()),
    st.builds(range, POSITIONS, POSITIONS),
    st.sampled_from([Linear, BatchNorm, Chain, Graph, Ramp, Layer]),
    st.sampled_from([ends_in_bias, in_a_norm]),
)


@settings(max_examples=150)
@given(st.data())
def test_resolution_is_first_match_wins(data):
    net, leaves = data.draw(described_nets())
    objects = [part[3] for trail, _ in leaves for part in trail]
    patterns = data.draw(st.lists(PATTERNS | st.sampled_from(objects), max_size=5))
    arrays = [(trail, name) for trail, names in leaves for name in names]
    layers = [(trail, None) for trail, _ in leaves]
    rules, dead, expected = [], 0, {}
    for pattern in patterns:
        hits = [
            (*(part[0] for part in trail), name)
            for trail, name in arrays
            if oracle(pattern, trail, name)
        ]
        state = any(
            oracle(pattern, trail, f"running_{what}")
            for trail, names in leaves
            if "scale" in names
            for what in ("mean", "variance")
        )
        whole_layer = any(oracle(pattern, *where) for where in layers)
        if not hits and not state and not whole_layer and pattern is not ...:
            with pytest.raises(SpecError, match="names nothing"):
                multipliers(net, [(pattern, 1)])
            continue
        rules.append((pattern, len(rules) + 2))
        new = [path for path in hits if path not in expected]
        no_array = not hits and not state and pattern is not ...
        dead += (bool(hits) and not new) or no_array
        expected.update(dict.fromkeys(new, rules[-1][1]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        at = multipliers(net, rules).at()
    assert at == {
        (path := (*(part[0] for part in trail), name)): expected.get(path, 1)
        for trail, name in arrays
    }
    assert [warning.category for warning in caught] == [MinnetWarning] * dead
