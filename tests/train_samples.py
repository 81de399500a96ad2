"""What the tests of training share: random nets, rules and optimizers, small data, and counting."""

import contextlib
import warnings

import numpy as np
from hypothesis import strategies as st

import minnet as mn
from minnet.autodiff import Tensor
from minnet.errors import MinnetWarning

# --- data ---------------------------------------------------------------------------------


def points(count=60, seed=0):
    """Points of a plane and which of three regions they are in: easy to learn."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 2)).astype(np.float32)
    return x, np.where(x[:, 0] > 0.3, 2, np.where(x[:, 1] > 0, 1, 0))


def quiet(net, data, **options):
    """Train without showing anything, in small batches, for two rounds unless told otherwise."""
    if not {"rounds", "steps", "max_seconds"} & set(options):
        options["rounds"] = 2
    return mn.train(net, data, progress=False, **{"batch_size": 16, **options})


def classifier(*layers, classes=3, **options):
    return mn.Chain(*layers, mn.Linear(classes), mn.Softmax(), **options)


def same_bits(a, b):
    """Whether two arrays are equal bit for bit, NaN and -0.0 included."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def same_nets(a, b):
    first, second = a.arrays(), b.arrays()
    return list(first) == list(second) and all(same_bits(first[p], second[p]) for p in first)


# --- counting -----------------------------------------------------------------------------


class Counts:
    """The arrays that were made Tensors, and how many gradient functions were kept."""

    def __init__(self):
        self.arrays, self.functions = [], 0


@contextlib.contextmanager
def counted():
    """Count what is differentiated, by watching the two ways in which a Tensor comes to be."""
    counts = Counts()
    begin, result = Tensor.__init__, Tensor._result

    def watched_begin(self, data):
        begin(self, data)
        counts.arrays.append(self.data)

    def watched_result(data, parents):
        counts.functions += len(parents)
        return result(data, parents)

    Tensor.__init__, Tensor._result = watched_begin, staticmethod(watched_result)
    try:
        yield counts
    finally:
        Tensor.__init__, Tensor._result = begin, result


@contextlib.contextmanager
def odd_rules_allowed():
    """Let rules be that name nothing with arrays, or can never act."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MinnetWarning)
        yield


# --- random nets, rules and optimizers ------------------------------------------------------

small_layers = st.sampled_from(
    [
        mn.Ramp(),
        mn.Tanh(),
        mn.BatchNorm(),
        mn.LayerNorm(),
        mn.Dropout(0.3),
        mn.Linear(4),
        mn.Linear(3, bias=False),
    ]
)


def residual(size):
    """A graph of a path with weights and one without, for vectors of `size` numbers."""
    return mn.Graph(
        {
            "inner": mn.Linear(size),
            "norm": mn.BatchNorm(),
            "drop": mn.Dropout(0.2),
            "add": mn.Add(),
        },
        {"inner": "input", "norm": "inner", "drop": "norm", "add": ("drop", "input")},
    )


@st.composite
def bodies(draw):
    """Layers for vectors: single ones, nested Chains and residual Graphs."""
    layers = []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["layer", "layer", "chain", "graph"]))
        if kind == "layer":
            layers.append(draw(small_layers))
        elif kind == "chain":
            layers.append(mn.Chain(*draw(st.lists(small_layers, min_size=1, max_size=3))))
        else:
            layers += [mn.Linear(4), residual(4)]
    return layers


@st.composite
def nets_with_data(draw):
    """A net that tells three classes, from vectors, images or words, with its data."""
    random = np.random.default_rng(draw(st.integers(0, 99)))
    count = draw(st.sampled_from([8, 13, 17]))
    kind = draw(st.sampled_from(["vectors", "images", "words"]))
    if kind == "vectors":
        start, x = [], random.normal(size=(count, 5))
    elif kind == "images":
        start = [mn.Conv(3, 3, padding=1), mn.BatchNorm(), mn.Ramp(), mn.MaxPool(2), mn.Flatten()]
        x = random.normal(size=(count, 4, 4, 2))
    else:
        start = [mn.Embedding(3, count=7), mn.LayerNorm(), mn.Flatten()]
        x = random.integers(0, 7, (count, 4))
    layers = [*start, *draw(bodies()), mn.Linear(3), mn.Softmax()]
    if draw(st.booleans()):
        net = mn.Chain(*layers)
    else:
        names = [f"part{i}" for i in range(len(layers))]
        wiring = dict(zip(names, ["input", *names], strict=False))
        net = mn.Graph(dict(zip(names, layers, strict=True)), wiring)
    data = (x, random.integers(0, 3, count))
    return net.initialize(seed=draw(st.integers(0, 9)), input_shape=x.shape[1:]), data


@st.composite
def rules_for(draw, net):
    """Rules of any kind for a net; some freeze, some slow down, some name single elements."""
    arrays = net.arrays()
    patterns = [
        *net.keys(),
        *arrays,
        -1,
        -2,
        0,
        slice(0, len(net) // 2),
        "*.weight",
        "*.bias",
        lambda path, layer, array: len(path) % 2 == 0,
        net[0],
        ...,
    ]
    rules = []
    for _ in range(draw(st.integers(1, 4))):
        pattern = draw(st.sampled_from(patterns))
        if pattern in ("*.weight", "*.bias") and not any(p[-1] == pattern[2:] for p in arrays):
            continue
        value = draw(st.sampled_from([None, None, 0, 1, 0.3, -0.1]))
        if isinstance(pattern, tuple) and draw(st.booleans()):
            size = arrays[pattern].shape[-1]
            value = np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)))
        rules.append((pattern, value))
    return [*rules, (..., draw(st.sampled_from([None, 1])))]


@st.composite
def dense_nets(draw, widest=5):
    """Nets of Linear layers with a Ramp or a Tanh after some, for points of a plane."""
    layers = []
    for _ in range(draw(st.integers(1, 3))):
        layers.append(mn.Linear(draw(st.integers(1, widest)), bias=draw(st.booleans())))
        layers += draw(st.sampled_from([[], [mn.Ramp()], [mn.Tanh()]]))
    if draw(st.booleans()):
        layers = [mn.Chain(*layers, name="body")]
    layers.append(mn.Linear(3, bias=draw(st.booleans())))
    layers += draw(st.sampled_from([[mn.Softmax()], [mn.LogSoftmax()], [mn.Tanh(), mn.Softmax()]]))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    return mn.Chain(*layers, input=2).initialize(seed=draw(st.integers(0, 9)), dtype=dtype)


@st.composite
def dense_rules(draw, net):
    """Multipliers that freeze some arrays and single elements, but not the last weight."""
    *others, last = [path for path in net.arrays() if path[-1] == "weight"]
    others += [path for path in net.arrays() if path[-1] == "bias"]
    column = np.array(draw(st.lists(st.booleans(), min_size=3, max_size=3)), float)
    values = st.sampled_from([None, 1, 0.3, -0.1])
    return [*((path, draw(values)) for path in others), (last, column if column.any() else 1)]


optimizers = st.sampled_from(
    [
        mn.SGD(0.05),
        mn.SGD(0.05, momentum=0.9, weight_decay=0.1),
        mn.SGD(0.05, momentum=0.9, nesterov=True, l2=0.1, clip_value=0.5),
        mn.Adam(0.01, clip_norm=0.5),
        mn.Adam(0.01, l2={"*.bias": 0, ...: 0.1}),
        mn.AdamW(0.01),
        mn.RMSProp(0.01, weight_decay=0.1),
        mn.SignSGD(0.01),
        mn.SignSGD(0.01, momentum=0.9, weight_decay=0.2),
    ]
)
