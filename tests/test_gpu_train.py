"""Training on a GPU (the stand-in): the CPU's results, no waiting, nothing for what is frozen."""

import sys

import numpy as np
import pytest
import standin
from standin import counting
from train_samples import points, quiet, same_nets

import minnet as mn
from minnet.backend import device_of, move

X, Y = points(100)
IMAGES = np.random.default_rng(1).normal(size=(40, 6, 6, 2)).astype("float32")
LABELS = (IMAGES.mean((1, 2, 3)) > 0).astype(int)


def dense():
    return mn.Chain(mn.Linear(8), mn.Ramp(), mn.Linear(3), mn.Softmax())


def normed():
    return mn.Chain(mn.Linear(8), mn.BatchNorm(), mn.Tanh(), mn.Linear(3), mn.Softmax())


def images():
    return mn.Chain(
        mn.Conv(4, 3), mn.Ramp(), mn.MaxPool(2), mn.Flatten(), mn.Linear(2), mn.Softmax()
    )


def dropping():
    return mn.Chain(mn.Linear(8), mn.Dropout(0.5), mn.Linear(3), mn.Softmax())


CASES = [
    (dense, (X, Y), {}),
    (normed, (X, Y), {"optimizer": mn.SGD(0.1, momentum=0.9)}),
    (images, (IMAGES, LABELS), {"optimizer": mn.SGD(0.1, clip_norm=0.5)}),
    (lambda: mn.Chain(mn.Linear(4), mn.Tanh(), mn.Linear(1)), (X, X[:, :1] * 2), {}),
    (lambda: mn.Chain(mn.Linear(1), mn.Sigmoid()), (X, (X[:, :1] > 0) * 1.0), {}),
]


def assert_near(found, expected, within=1e-5):
    for path, array in expected.arrays().items():
        np.testing.assert_allclose(found[path], array, rtol=within, atol=within, err_msg=str(path))


# --- the same results -----------------------------------------------------------------------


@pytest.mark.parametrize(("build", "data", "options"), CASES)
def test_training_agrees_with_the_cpu(standin_cupy, build, data, options):
    here = quiet(build(), data, validation=0.2, **options)
    there = quiet(build(), data, validation=0.2, device="gpu", **options)
    assert there.net.device == there.final.device == "cpu"
    assert_near(there.net, here.net)
    for mine, theirs in zip(there.history, here.history, strict=True):
        assert list(mine) == list(theirs)
        for name in set(mine) - {"seconds"}:
            assert mine[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-6), name
            assert type(mine[name]) is type(theirs[name])


@pytest.mark.parametrize("build", [dense, normed, dropping])
def test_the_same_seed_gives_the_same_bits(standin_cupy, build):
    one, two = (quiet(build(), (X, Y), device="gpu", seed=3) for _ in range(2))
    other = quiet(build(), (X, Y), device="gpu", seed=4)
    assert same_nets(one.net, two.net)
    assert not same_nets(one.net, other.net)


def test_augmenting_is_random_there_and_seeded(standin_cupy):
    def build():
        return mn.Chain(
            mn.Augment(shift=1, flip=True, crop=5), mn.Flatten(), mn.Linear(2), mn.Softmax()
        )

    one, two = (quiet(build(), (IMAGES, LABELS), device="gpu", seed=3) for _ in range(2))
    assert same_nets(one.net, two.net)


def test_graphs_of_several_inputs_and_outputs(standin_cupy):
    def build():
        return mn.Graph(
            {
                "a": mn.Linear(4),
                "b": mn.Linear(4),
                "sum": mn.Add(),
                "p": mn.Linear(1),
                "q": mn.Linear(2),
            },
            {
                "a": "left",
                "b": "right",
                "sum": ("a", "b"),
                "p": "sum",
                "q": "sum",
                "one": "p",
                "two": "q",
            },
            input={"left": 2, "right": 2},
        )

    data = {"left": X, "right": X[::-1].copy(), "one": X[:, :1], "two": X}
    here, there = (quiet(build(), data, device=device) for device in ("cpu", "gpu"))
    assert_near(there.net, here.net)


def test_a_net_on_the_gpu_trains_there_and_stays(standin_cupy):
    net = dense().initialize(input_shape=2).to("gpu")
    result = quiet(net, (X, Y))
    assert (result.net.device, net.device) == ("gpu:0", "gpu:0")
    assert_near(result.net.to("cpu"), quiet(net.to("cpu"), (X, Y)).net)


def test_another_gpu_leaves_the_first_alone(standin_cupy):
    before = mn.memory("gpu:0")
    here = quiet(normed(), (X, Y), validation=0.2)
    there = quiet(normed(), (X, Y), validation=0.2, device="gpu:1")
    assert_near(there.net, here.net)
    assert mn.memory("gpu:0") == before
    assert mn.memory("gpu:1").peak > 0
    assert standin_cupy.cuda.Device().id == 0


def test_the_trainer_in_the_users_hands(standin_cupy):
    net = dense().initialize(input_shape=2)
    here, there = mn.Trainer(net, seed=1), mn.Trainer(net, seed=1, device="gpu")
    for _ in range(3):
        losses = [trainer.step(X[:16], Y[:16]) for trainer in (here, there)]
        assert all(type(loss) is float for loss in losses)
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert there.net.device == "cpu"
    assert_near(there.net, here.net)
    later = mn.Trainer(net.to("gpu"))
    later.step(move(X[:16], "gpu"), move(Y[:16], "gpu"))
    assert later.net.device == "gpu:0"


def test_a_net_taken_out_is_a_value(standin_cupy):
    trainer = mn.Trainer(dense().initialize(input_shape=2).to("gpu"))
    trainer.step(X[:16], Y[:16])
    net = trainer.net
    before = move(net["0.weight"], "cpu")
    trainer.step(X[:16], Y[:16])
    trainer.step(X[:16], Y[:16])
    assert (move(net["0.weight"], "cpu") == before).all()


def test_schedules_thaw_there_as_here(standin_cupy):
    here, there = (
        quiet(dense(), (X, Y), multipliers=mn.gradual_unfreeze(), rounds=3, device=device)
        for device in ("cpu", "gpu")
    )
    assert_near(there.net, here.net)


def test_elementwise_multipliers(standin_cupy):
    net = dense().initialize(input_shape=2)
    mask = np.zeros((2, 8), "float32")
    mask[0] = 0.5
    rules = {"0.weight": mask}
    here = quiet(net, (X, Y), multipliers=rules)
    there = quiet(net, (X, Y), multipliers=rules, device="gpu")
    assert_near(there.net, here.net)
    assert there.net["0.weight"][1].tobytes() == net["0.weight"][1].tobytes()


# --- measuring ------------------------------------------------------------------------------


def test_evaluating_and_measures(standin_cupy):
    net = quiet(dense(), (X, Y)).net

    def custom(outputs, targets):
        return (outputs**2).mean()

    measures = ["accuracy", "top_2", "confusion", custom]
    here = mn.evaluate(net, (X, Y), measure=measures, batch_size=30)
    with counting() as counted:
        there = mn.evaluate(net.to("gpu"), (X, Y), measure=measures, batch_size=30)
    assert list(here) == list(there)
    assert (here["confusion"] == there["confusion"]).all()
    assert here["confusion"].dtype == there["confusion"].dtype
    for name in ("loss", "accuracy", "top_2", "custom"):
        assert there[name] == pytest.approx(here[name], rel=1e-6)
    assert counted.waits == 2  # for the numbers and for the matrix, after all batches


def test_features_and_probes(standin_cupy):
    net = quiet(dense(), (X, Y)).net
    here = mn.measure.features(net, X, at=0)
    there = mn.measure.features(net.to("gpu"), X, at=0)
    assert isinstance(there, np.ndarray)
    np.testing.assert_allclose(there, here, rtol=1e-6)
    assert mn.measure.cka(there, here) == pytest.approx(1.0)


# --- no waiting -----------------------------------------------------------------------------


def counted_run(**options):
    with counting() as counted:
        result = quiet(normed(), (X, Y), device="gpu", capture=False, **options)
    return counted, result.steps


@pytest.mark.parametrize("optimizer", [mn.Adam(), mn.SGD(0.1, clip_norm=1.0), mn.RMSProp()])
@pytest.mark.parametrize("validation", [None, 0.2])
def test_a_step_neither_waits_nor_moves_anything(standin_cupy, optimizer, validation):
    (few, little), (many, much) = (
        counted_run(batch_size=size, optimizer=optimizer, validation=validation) for size in (40, 4)
    )
    assert much > 5 * little
    assert many.waits == few.waits
    assert many.to_device == few.to_device
    assert many.to_host_bytes - few.to_host_bytes == 8 * 2 * (much - little)  # loss and accuracy


def test_data_is_moved_once(standin_cupy):
    (two, _), (four, _) = (counted_run(rounds=rounds) for rounds in (2, 4))
    assert four.to_device - two.to_device == 2  # the order of each round
    assert four.to_device_bytes - two.to_device_bytes == 2 * 8 * len(X)


def test_data_that_is_there_is_not_moved(standin_cupy):
    x, y = move(X, "gpu"), move(Y, "gpu")
    here = quiet(dense(), (X, Y), device="gpu")
    there = quiet(dense(), (x, y), device="gpu")
    assert same_nets(here.net, there.net)


def big_rows(monkeypatch):
    """Have no data fit."""
    monkeypatch.setattr(sys.modules["minnet.train.gpu_feed"], "SHARE", 0.0)


def test_data_that_does_not_fit_is_staged(standin_cupy, monkeypatch):
    whole = quiet(normed(), (X, Y), validation=0.2, device="gpu", rounds=3)
    big_rows(monkeypatch)
    (few, little), (many, much) = (counted_run(batch_size=size) for size in (40, 4))
    assert many.waits == few.waits
    assert many.to_device - few.to_device == 2 * (much - little)  # inputs and targets
    staged = quiet(normed(), (X, Y), validation=0.2, device="gpu", rounds=3)
    assert same_nets(whole.net, staged.net)
    assert [row["loss"] for row in whole.history] == [row["loss"] for row in staged.history]


def test_streams_are_staged(standin_cupy):
    def batches():
        for start in range(0, 96, 16):
            yield X[start : start + 16], Y[start : start + 16]

    def build():
        return mn.Chain(*dense().layers, output=mn.ClassDecoder((0, 1, 2)))

    here, there = (quiet(build(), batches, device=device) for device in ("cpu", "gpu"))
    assert_near(there.net, here.net)


def test_an_encoder_works_on_the_host_once(standin_cupy):
    asked = []

    def encode(number):
        asked.append(number)
        return [number, number**2]

    net = mn.Chain(mn.Linear(1), input=mn.FunctionEncoder(encode, (2,)))
    numbers = [i / 10 for i in range(20)]
    data = (numbers, np.array(numbers))
    there = quiet(net, data, device="gpu", rounds=5)
    assert len(asked) <= 20 + 3  # some are looked at first
    assert_near(there.net, quiet(net, data, rounds=5).net)


# --- freezing -------------------------------------------------------------------------------


def wide(classes=3):
    """A net nearly all of whose memory is in its first layer."""
    return mn.Chain(
        mn.Linear(20_000, name="large"), mn.Ramp(), mn.Linear(4, name="top"),
        mn.Linear(classes), mn.Softmax(), input=2,
    ).initialize()  # fmt: skip


def test_frozen_arrays_are_the_very_objects(standin_cupy):
    net = wide()
    result = quiet(net, (X, Y), multipliers={"large": None}, device="gpu", validation=0.2)
    for found in (result.net, result.final):
        assert found["large.weight"] is net["large.weight"]
        assert found["large.bias"] is net["large.bias"]
        assert found["top.weight"] is not net["top.weight"]
    there = net.to("gpu")
    result = quiet(there, (X, Y), multipliers={"large": None})
    assert result.net["large.weight"] is there["large.weight"]


@pytest.mark.parametrize("optimizer", [mn.Adam(), mn.SGD(0.1, momentum=0.9)])
def test_a_frozen_array_has_no_gradient_no_state_and_no_bytes(standin_cupy, optimizer):
    """The large layer is in the middle, so that the backward pass goes through beside it."""

    def run(multipliers):
        net = mn.Chain(
            mn.Linear(4), mn.Linear(4, name="frozen"), mn.Linear(3), mn.Softmax(), input=2
        ).initialize()
        trainer = mn.Trainer(net, optimizer, multipliers=multipliers, device="gpu")
        trainer.step(X[:16], Y[:16])
        with counting() as counted, standin.launched() as names:
            trainer.step(X[:16], Y[:16])
        return counted, names, set(trainer._updater._trained), trainer

    everything, all_names, all_paths, _ = run(None)
    frozen, names, paths, trainer = run({"frozen": None})
    assert all_paths - paths == {("frozen", "weight"), ("frozen", "bias")}
    # One product for the weight, and for the bias one with ones.
    assert all_names.count("dot") - names.count("dot") == 1
    assert frozen.launches < everything.launches
    assert frozen.allocated_bytes < everything.allocated_bytes
    assert trainer.there()["frozen.weight"] is trainer._begun["frozen.weight"]


def test_a_large_frozen_layer_takes_only_its_own_memory(standin_cupy):
    net = wide().to("gpu")
    mn.free("gpu")
    before = mn.memory("gpu")
    large = net["large.weight"].nbytes
    assert large == 160_000
    trainer = mn.Trainer(net, mn.Adam(), multipliers={"large": None})
    assert mn.memory("gpu").used - before.used < 4 * 4 * 20_000 * 4 + 100_000  # the layer above
    trainer.step(X[:2], Y[:2])
    alone = mn.Trainer(net, mn.Adam(), multipliers={"large": None, "top": None})
    used = mn.memory("gpu").used
    alone.step(X[:2], Y[:2])
    assert mn.memory("gpu").used - used < 10_000


def test_the_frozen_bottom_is_computed_once_there(standin_cupy):
    net = dense().initialize(input_shape=2)
    result = quiet(net, (X, Y), multipliers={0: None}, device="gpu", rounds=5, validation=0.2)
    here = quiet(net, (X, Y), multipliers={0: None}, rounds=5, validation=0.2)
    assert (result.kept, result.reused) == ("memory", here.reused)
    assert_near(result.net, here.net)
    for size in (0.0, 1.0):  # no share of the data fits, or no feature does
        again = quiet(
            net, (X, Y), multipliers={0: None}, device="gpu", rounds=5, validation=0.2,
            reuse_frozen=size,
        )  # fmt: skip
        assert_near(again.net, here.net)


def test_features_of_data_that_does_not_fit_are_kept(standin_cupy, monkeypatch):
    big_rows(monkeypatch)
    net = dense().initialize(input_shape=2)
    result = quiet(net, (X, Y), multipliers={0: None}, device="gpu", rounds=5)
    assert (result.kept, result.reused) == ("memory", 0.8)
    assert_near(result.net, quiet(net, (X, Y), multipliers={0: None}, rounds=5).net)


# --- what goes wrong ------------------------------------------------------------------------


def test_data_on_another_device_is_refused(standin_cupy):
    there = dense().initialize(input_shape=2).to("gpu")
    with pytest.raises(mn.DeviceError, match=r"data is on the gpu:1, what is trained .* the gpu:0"):
        quiet(there, (move(X, "gpu:1"), Y))
    with pytest.raises(mn.DeviceError, match=r"data is on the gpu:0, what is trained .* the cpu"):
        quiet(dense(), (move(X, "gpu"), Y))
    with pytest.raises(mn.DeviceError, match="data is on the gpu:0"):
        mn.evaluate(there.to("cpu"), (move(X, "gpu"), Y))
    with pytest.raises(mn.SpecError, match="a device is"):
        quiet(dense(), (X, Y), device="cuda")


def test_half_a_net_elsewhere_is_refused(standin_cupy):
    net = dense().initialize(input_shape=2)
    mixed = net.to("gpu").with_arrays({"2.bias": net["2.bias"]})
    with pytest.raises(mn.DeviceError, match=r"0\.weight is on the gpu:0 and 2\.bias on the cpu"):
        quiet(mixed, (X, Y))


FAILING = [
    (lambda: mn.Chain(mn.Linear(4), mn.Tanh(), mn.Linear(1)), mn.SGD(1e30)),
    (lambda: mn.Chain(mn.Linear(4), mn.Ramp(), mn.Linear(1)), mn.SGD(1e3)),
    (normed, mn.SGD(1e38, momentum=0.9)),
]


def explodes(device, build, optimizer, **options):
    data = (X, Y if build is normed else X[:, :1] * 100)
    with pytest.raises(mn.NonFiniteError) as caught:
        quiet(build(), data, optimizer=optimizer, device=device, rounds=5, **options)
    return caught.value


@pytest.mark.parametrize(("build", "optimizer"), FAILING)
@pytest.mark.parametrize("size", [4, 7, 16])
def test_what_is_not_finite_is_told_as_on_the_cpu(standin_cupy, build, optimizer, size):
    here, there = (explodes(d, build, optimizer, batch_size=size) for d in ("cpu", "gpu"))
    assert str(there) == str(here)
    assert (there.round, there.step, there.path) == (here.round, here.step, here.path)
    assert there.net.device == "cpu"
    with np.errstate(all="ignore"):
        assert_near(there.net, here.net, within=1e-3)
    assert there.result.steps == here.result.steps


def test_a_step_that_is_not_finite_changes_nothing(standin_cupy):
    net = mn.Chain(mn.Linear(1), input=2).initialize()
    trainer = mn.Trainer(net, mn.SGD(0.1, momentum=0.9), device="gpu")
    trainer.step(X[:8], X[:8, :1])
    before = trainer.net
    bad = np.full((8, 1), 1e30, "float32")
    with pytest.raises(mn.NonFiniteError, match="round 1, step 2"):
        trainer.step(X[:8], bad)
    # The last net whose loss was finite is the one before the first step.
    assert same_nets(trainer.net, net) and trainer.steps == 1
    assert not same_nets(before, net)
    assert np.isfinite(trainer.step(X[:8], X[:8, :1]))


def test_no_room_says_for_which_layer_and_what_fits() -> None:
    x = np.ones((512, 50), "float32")
    y = np.zeros(512, int)
    net = mn.Chain(
        mn.Linear(1000, name="broad"), mn.Ramp(), mn.Linear(2), mn.Softmax(), input=50
    ).initialize()
    with standin.installed(memory=4_000_000):
        with pytest.raises(mn.DeviceMemoryError, match="of the 512 examples of a batch") as caught:
            quiet(net, (x, y), device="gpu", batch_size=512)
        assert "Out of memory allocating 2,048,000 bytes" in str(caught.value)
        fits = int(str(caught.value).rpartition("batch_size=")[2])
        assert 64 <= fits <= 256
        del caught
        assert quiet(net, (x, y), device="gpu", batch_size=fits, rounds=1).steps == 512 // fits


def test_memory_stays_level_over_many_runs(standin_cupy):
    levels = set()
    for seed in range(200):
        quiet(normed(), (X[:20], Y[:20]), device="gpu", rounds=1, seed=seed, validation=0.2)
        levels.add((mn.memory("gpu").used, mn.memory("gpu").reserved))
    used = {used for used, _ in levels}
    assert used == {0}
    assert len(levels) == 1


def test_places_of_results(standin_cupy):
    net = dense().initialize(input_shape=2)
    frozen = quiet(net, (X, Y), multipliers={0: None}, device="gpu").net
    assert {device_of(array) for array in frozen.arrays().values()} == {"cpu"}
    with pytest.warns(mn.MinnetWarning, match="nothing to train"):
        assert quiet(net, (X, Y), multipliers={...: None}, device="gpu").net is net
