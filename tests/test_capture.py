"""Steps recorded as CUDA graphs: replayed with the plain steps' bits, or not recorded at all."""

import gpu_samples
import numpy as np
import pytest
import standin

import minnet as mn
from minnet.backend.pool import OwnPool
from minnet.train import capture

pytestmark = pytest.mark.skipif(
    gpu_samples.NO_COMPILER is not None, reason=str(gpu_samples.NO_COMPILER)
)
WARM = 1
# Two recordings, for the two places that the weights are in, each made and checked twice; and
# the first step, which has no statistics yet.
BEFORE = 2 * (WARM + capture.CHECKS) + 1


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Record passes earlier than is worth it."""
    monkeypatch.setattr(capture, "WARM", WARM)


def net(*above):
    return mn.Chain(
        mn.Conv(3, 3, padding=1, bias=False), mn.BatchNorm(), mn.Ramp(), mn.MaxPool(2), *above,
        mn.Flatten(), mn.Linear(3), mn.Softmax(), input=(6, 6, 1),
        output=mn.ClassDecoder(list("abc")),
    ).initialize()  # fmt: skip


def batches(count, size=8):
    random = np.random.default_rng(0)
    for _ in range(count):
        y = random.integers(0, 3, size)
        x = random.normal(size=(size, 6, 6, 1)) + y[:, None, None, None]
        yield x.astype("float32"), np.array(list("abc"))[y]


def trained(trainer, given):
    losses = [trainer.step(*batch) for batch in given]
    return losses, {path: array.tobytes() for path, array in trainer.net.arrays().items()}


def launched(trainer, batch):
    """Return the names of what a step launches."""
    with standin.launched() as names:
        trainer.step(*batch)
    return names


@pytest.mark.parametrize("optimizer", [mn.SGD(0.05, momentum=0.9), mn.Adam(0.01, clip_norm=1.0)])
@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("multipliers", [None, {0: None}])
def test_replayed_steps_are_the_plain_ones(optimizer, precision, multipliers):
    options = {"device": "gpu", "precision": precision, "multipliers": multipliers}
    with standin.installed():
        found = []
        for captures in (False, True):
            trainer = mn.Trainer(net(), optimizer, capture=captures, **options)
            found.append(trained(trainer, batches(BEFORE + 5)))
        names = launched(trainer, next(batches(1)))
    assert found[0] == found[1]
    assert names.count("graph") == 1
    assert not {"by_class", "moments", "fold"} & set(names)


def test_a_replayed_step_waits_no_more_than_a_plain_one():
    with standin.installed():
        counted = []
        for captures in (False, True):
            trainer = mn.Trainer(net(), mn.SGD(0.1), device="gpu", capture=captures)
            trained(trainer, batches(BEFORE))
            with standin.counting() as counts:
                trainer.step(*next(batches(1)))
            counted.append(counts)
        plain, replayed = counted
        assert (replayed.waits, replayed.to_host) == (plain.waits, plain.to_host)
        assert replayed.launches < plain.launches


def test_batches_of_other_sizes_are_recorded_by_themselves():
    sizes = [8, 8, 5] * (BEFORE + 1)
    given = [next(batches(1, size)) for size in sizes]
    with standin.installed():
        plain = trained(mn.Trainer(net(), mn.SGD(0.1), device="gpu", capture=False), given)
        trainer = mn.Trainer(net(), mn.SGD(0.1), device="gpu")
        assert trained(trainer, given) == plain
        assert all("graph" in launched(trainer, batch) for batch in given[:3])


def test_a_thawed_weight_is_trained():
    """What is trained changes: the recordings of before are of no use."""
    with standin.installed():
        found = []
        for captures in (False, True):
            options = {"device": "gpu", "multipliers": mn.gradual_unfreeze()}
            trainer = mn.Trainer(net(), mn.SGD(0.1), capture=captures, **options)
            trained(trainer, batches(BEFORE + 3))
            trainer.set_progress(mn.Progress(round=1))
            found.append(trained(trainer, batches(BEFORE + 3)))
    assert found[0] == found[1]


def test_what_is_random_or_of_the_users_own_is_never_recorded():
    class Own(mn.Ramp):
        pass

    def own(outputs, targets):
        return mn.ops.cross_entropy(outputs, targets)

    with standin.installed():
        for above, loss in (([mn.Dropout(0.5)], None), ([Own()], None), ([], own)):
            trainer = mn.Trainer(net(*above), mn.SGD(0.1), loss, device="gpu")
            trained(trainer, batches(BEFORE))
            assert trainer._capture is None
            assert "graph" not in launched(trainer, next(batches(1)))


def test_groups_of_a_convolution_are_recorded():
    grouped = mn.Chain(
        mn.Conv(4, 3, padding=1), mn.Ramp(), mn.Conv(6, 3, groups=2, padding=1), mn.Tanh(),
        mn.Conv(4, 1, stride=2, groups=2), mn.Flatten(), mn.Linear(3), mn.Softmax(),
        input=(6, 6, 1), output=mn.ClassDecoder(list("abc")),
    ).initialize()  # fmt: skip
    with standin.installed():
        found = []
        for captures in (False, True):
            trainer = mn.Trainer(grouped, mn.SGD(0.05), device="gpu", capture=captures)
            found.append(trained(trainer, batches(BEFORE + 3))[0])
        assert trainer._capture.problem == ""
        assert "graph" in launched(trainer, next(batches(1)))
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_a_failed_recording_leaves_no_memory_behind():
    def fails(self, mode=None):
        raise RuntimeError("cudaErrorStreamCaptureUnsupported")

    with standin.installed() as cupy, pytest.MonkeyPatch.context() as patch:
        patch.setattr(cupy.cuda.Stream, "begin_capture", fails)
        trainer = mn.Trainer(net(), device="gpu")
        levels = []
        for batch in batches(BEFORE):
            trainer.step(*batch)
            levels.append(mn.memory("gpu").used)
        assert trainer._capture.problem == "RuntimeError: cudaErrorStreamCaptureUnsupported"
        assert levels[-1] == levels[1]


def test_recordings_go_with_their_trainer():
    with standin.installed():
        built = net()
        trainer = mn.Trainer(built, device="gpu")
        trained(trainer, batches(BEFORE))
        assert len(trainer._capture._recordings) == 3
        del trainer
        assert mn.memory("gpu").used == 0


def test_a_pool_for_recordings_gives_nothing_back():
    with standin.installed(memory=100_000) as cupy:
        own = OwnPool(cupy)
        pool = own._pool
        kept = [pool.malloc(40_000)]
        other = cupy.empty(50_000, "uint8")
        del other
        assert cupy.get_default_memory_pool().total_bytes() == 40_448 + 50_176
        kept.append(pool.malloc(50_000))
        with pytest.raises(MemoryError, match="no 40,000 bytes for recording a step"):
            pool.malloc(40_000)
        assert len(own.bytes()) == 2
        assert mn.memory("gpu").used >= 90_000


def test_where_capturing_fails_steps_stay_plain(monkeypatch):
    def fails(self, mode=None):
        raise RuntimeError("cudaErrorStreamCaptureUnsupported")

    with standin.installed() as cupy:
        monkeypatch.setattr(cupy.cuda.Stream, "begin_capture", fails)
        plain = trained(mn.Trainer(net(), device="gpu", capture=False), batches(BEFORE))
        trainer = mn.Trainer(net(), device="gpu")
        assert trained(trainer, batches(BEFORE)) == plain
        assert "graph" not in launched(trainer, next(batches(1)))


def test_a_recording_that_gives_something_else_is_not_used(monkeypatch):
    with standin.installed() as cupy:
        monkeypatch.setattr(cupy.cuda.Graph, "launch", lambda self, stream=None: None)
        plain = trained(mn.Trainer(net(), device="gpu", capture=False), batches(BEFORE))
        trainer = mn.Trainer(net(), device="gpu")
        assert trained(trainer, batches(BEFORE)) == plain
        assert not trainer._capture._is_possible
        assert "graph" not in launched(trainer, next(batches(1)))


def test_a_whole_training():
    x, y = next(batches(1, 32))
    options = {"optimizer": mn.SGD(0.05), "rounds": 4, "batch_size": 8, "progress": False}
    with standin.installed():
        result = mn.train(net(), (x, y), device="gpu", **options)
    host = mn.train(net(), (x, y), **options)
    for mine, theirs in zip(result.history, host.history, strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-3)
