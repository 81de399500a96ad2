"""Nets on a GPU: moved there and back, called, looked into, saved; never half here, half there."""

import copy
import pickle

import numpy as np
import pytest
from standin import counting

import minnet as mn
from minnet.backend import device_of, move

X = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")


def net(**ends):
    return mn.Chain(
        mn.Linear(4), mn.Ramp(), mn.Linear(2), mn.Softmax(), input=3, **ends
    ).initialize()


def places(net):
    return {device_of(array) for array in net.arrays().values()}


def test_to_and_back(standin_cupy) -> None:
    here = net()
    there = here.to("gpu")
    assert (here.device, there.device, places(there)) == ("cpu", "gpu:0", {"gpu:0"})
    assert there.to("gpu") is there and here.to("cpu") is here
    back = there.to("cpu")
    assert back.device == "cpu"
    for path, array in here.arrays().items():
        assert back[path].tobytes() == array.tobytes()
        assert not back[path].flags.writeable


def test_a_net_of_no_arrays_is_everywhere(standin_cupy) -> None:
    bare = mn.Chain(mn.Ramp())
    assert bare.to("gpu") is bare
    assert device_of(bare(move(X, "gpu"))) == "gpu:0"


def test_only_arrays_that_are_elsewhere_are_moved(standin_cupy) -> None:
    there = net().to("gpu")
    mixed = there.with_arrays({"0.bias": np.zeros(4, "float32")})
    with pytest.raises(mn.DeviceError, match=r"0\.weight is on the gpu:0 and 0\.bias on the cpu"):
        _ = mixed.device
    with pytest.raises(mn.DeviceError, match=r"0\.weight is on the gpu:0"):
        mixed(move(X, "gpu"))
    whole = mixed.to("gpu")
    assert whole["0.weight"] is there["0.weight"] and whole.device == "gpu:0"


def test_calling_gives_what_it_gives_on_the_cpu(standin_cupy) -> None:
    here = net()
    there = here.to("gpu:1")
    found = there(move(X, "gpu:1"))
    assert device_of(found) == "gpu:1"
    np.testing.assert_allclose(move(found, "cpu"), here(X), rtol=1e-6)
    one = there(move(X[0], "gpu:1"))
    np.testing.assert_allclose(move(one, "cpu"), here(X[0]), rtol=1e-6)


def test_what_is_no_array_is_made_where_the_net_is(standin_cupy) -> None:
    assert device_of(net().to("gpu")(X.tolist())) == "gpu:0"


def test_an_input_elsewhere_is_refused_by_name(standin_cupy) -> None:
    here = net()
    there = here.to("gpu")
    with pytest.raises(mn.DeviceError, match="arrays are on the gpu:0, the input is on the cpu"):
        there(X)
    with pytest.raises(mn.DeviceError, match="arrays are on the cpu, the input is on the gpu:0"):
        here(move(X, "gpu"))
    with pytest.raises(mn.DeviceError, match="gpu:1"):
        there(mn.Tensor(move(X, "gpu:1")))


def test_apply_refuses_it_with_the_layers_path(standin_cupy) -> None:
    inside = mn.Chain(mn.Chain(mn.Linear(2), name="block"), input=3).initialize()
    with pytest.raises(mn.DeviceError, match="its arrays are on the gpu:0") as caught:
        inside.to("gpu").apply(X)
    assert caught.value.path == ("block", 0)
    graph = mn.Graph({"one": mn.Linear(2)}, {"one": "input"}, input=3).initialize()
    with pytest.raises(mn.DeviceError) as caught:
        graph.to("gpu").apply(X)
    assert caught.value.path == ("one",)


def test_encoder_and_decoder(standin_cupy) -> None:
    here = mn.Chain(
        mn.Linear(2),
        mn.Softmax(),
        input=mn.FunctionEncoder(lambda word: [len(word), 1.0], (2,)),
        output=mn.ClassDecoder(["short", "long"]),
    ).initialize(seed=3)
    there = here.to("gpu")
    assert there(["a", "banana"]) == here(["a", "banana"])
    assert there("banana") == here("banana")
    assert device_of(there("a", give="array")) == "gpu:0"
    (told,) = there(["a"], give="probabilities")
    assert all(type(number) is float for number in told.values())


def test_inner_outputs_and_gradients(standin_cupy) -> None:
    here = net()
    there = here.to("gpu")
    found = there.outputs(move(X, "gpu"), [0, 2])
    for at, array in here.outputs(X, [0, 2]).items():
        np.testing.assert_allclose(move(found[at], "cpu"), array, rtol=1e-6, atol=1e-7)

    def slope(net, x):
        return mn.grad(lambda x: mn.ops.sum(net(x)[:, 0]))(x)

    np.testing.assert_allclose(
        move(slope(there, move(X, "gpu")), "cpu"), slope(here, X), rtol=1e-5, atol=1e-7
    )


def test_surgery_keeps_the_very_arrays(standin_cupy) -> None:
    there = net().to("gpu")
    new = mn.Chain(*there[:2], mn.Linear(7))
    assert new["0.weight"] is there["0.weight"]
    assert copy.copy(there)["0.weight"] is there["0.weight"]
    assert there[0].renamed("first").arrays_here["weight"] is there["0.weight"]


def test_saving_writes_the_same_bytes_and_loading_gives_the_cpu(standin_cupy, tmp_path) -> None:
    here = net().with_arrays({"0.weight": np.asfortranarray(net()["0.weight"])})
    here.save(tmp_path / "here.npz")
    here.to("gpu").save(tmp_path / "there.npz")
    assert (tmp_path / "here.npz").read_bytes() == (tmp_path / "there.npz").read_bytes()
    assert mn.load(tmp_path / "there.npz").device == "cpu"


def test_pickling_gives_the_cpu_and_copying_stays(standin_cupy) -> None:
    here = net()
    there = here.to("gpu")
    with counting() as counted:
        twin = copy.deepcopy(there)
    assert (twin.device, counted.waits) == ("gpu:0", 0)
    assert twin["0.weight"] is not there["0.weight"]
    back = pickle.loads(pickle.dumps(there))
    assert back.device == "cpu"
    assert back["0.weight"].tobytes() == here["0.weight"].tobytes()


def test_summary_reads_nothing(standin_cupy) -> None:
    here = net()
    there = here.to("gpu")
    with counting() as counted:
        assert there.summary() == here.summary()
    assert counted.waits == 0


def test_initializing_goes_on_where_the_net_is(standin_cupy) -> None:
    there = net().to("gpu")
    more = mn.Chain(*there[:2], mn.Linear(3), input=3).initialize(seed=1)
    assert more.device == "gpu:0"
    assert more["0.weight"] is there["0.weight"]
    same = mn.Chain(*net()[:2], mn.Linear(3), input=3).initialize(seed=1)
    assert move(more["2.weight"], "cpu").tobytes() == same["2.weight"].tobytes()
