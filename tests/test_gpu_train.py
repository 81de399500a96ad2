"""Training on a GPU (the stand-in): the CPU's results, and no step that waits."""

import numpy as np
import pytest
from gpu_nets import IMAGES, LABELS, X, Y, assert_near, big_rows, dense, dropping, images, normed
from standin import counting
from train_samples import quiet, same_nets

import minnet as mn
from minnet.backend import move

CASES = [
    (dense, (X, Y), {}),
    (normed, (X, Y), {"optimizer": mn.SGD(0.1, momentum=0.9)}),
    (images, (IMAGES, LABELS), {"optimizer": mn.SGD(0.1, clip_norm=0.5)}),
    (lambda: mn.Chain(mn.Linear(4), mn.Tanh(), mn.Linear(1)), (X, X[:, :1] * 2), {}),
    (lambda: mn.Chain(mn.Linear(1), mn.Sigmoid()), (X, (X[:, :1] > 0) * 1.0), {}),
]


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
