"""Dividing batches among threads changes results by rounding only, and memory is never shared."""

import gc
import threading
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import minnet as mn
from minnet import threads as minnet_threads
from minnet.buffers import PATIENCE, SMALL, Buffers, new_array
from minnet.net import threaded
from minnet.net.threaded import Hands, Work
from minnet.ops import channels, norm
from minnet.threads import available_threads, divided, in_parts, shares, sharing, together

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(64, 8, 8, 2))
LABELS = RANDOM.integers(0, 3, 64)


@pytest.fixture(autouse=True, scope="module")
def _few_examples_are_divided() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threaded, "LEAST", 0.7)  # microseconds: eight examples of the net below
        patch.setattr(minnet_threads, "LEAST", 0.01)
        yield


def convolutional(*extra: Any) -> mn.Chain:
    layers = [mn.Conv(4, 3), *extra, mn.Ramp, mn.MaxPool(2), mn.Flatten, 3, mn.Softmax]
    return mn.Chain(*layers, input=(8, 8, 2)).initialize(dtype="float64")


def trained(net: Any, threads: int | None, steps: int = 3, **options: Any) -> dict[Any, Any]:
    trainer = mn.Trainer(net, mn.SGD(0.1), threads=threads, **options)
    losses = [trainer.step(IMAGES, LABELS) for _ in range(steps)]
    return {**trainer.net.arrays(), ("losses",): np.array(losses)}


def same(one: dict[Any, Any], two: dict[Any, Any]) -> bool:
    return all(np.array_equal(one[path], two[path]) for path in one)


# --- work in parts ----------------------------------------------------------------------------


@given(st.lists(st.integers(), max_size=6))
def test_parts_come_back_in_order(parts: list[int]) -> None:
    assert in_parts(lambda part: part + 1, parts) == [part + 1 for part in parts]


def test_parts_are_done_at_the_same_time() -> None:
    meeting = threading.Barrier(3, timeout=30)
    assert sorted(in_parts(lambda part: meeting.wait(), [0, 1, 2])) == [0, 1, 2]


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_an_error_in_a_part_is_raised_when_all_are_over(bad: int) -> None:
    done = []

    def work(part: int) -> None:
        if part == bad:
            raise mn.DataError(f"part {part}")
        done.append(part)

    with pytest.raises(mn.DataError, match=f"part {bad}"):
        in_parts(work, [0, 1, 2])
    assert sorted(done) == sorted({0, 1, 2} - {bad})


def test_a_part_does_its_own_parts_by_itself() -> None:
    def names(part: int) -> set[str]:
        return set(in_parts(lambda _: threading.current_thread().name, [0, 1, 2]))

    assert all(len(found) == 1 for found in in_parts(names, [0, 1]))


def test_parts_are_done_with_the_error_state_of_the_caller() -> None:
    with np.errstate(all="raise"):
        states = in_parts(lambda part: np.geterr(), [0, 1, 2])
    assert all(set(state.values()) == {"raise"} for state in states)


def test_blas_uses_as_many_threads_afterwards_as_before() -> None:
    before = available_threads()
    inside = in_parts(lambda part: available_threads(), [0, 1])
    assert (available_threads(), inside) == (before, [before, before])


# --- nets -------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(st.integers(1, 4), st.sampled_from([(), (mn.LayerNorm,), (mn.Conv(3, 2, groups=1),)]))
def test_training_by_several_threads_differs_by_rounding(threads: int, extra: Any) -> None:
    net = convolutional(*extra)
    one, several = trained(net, 1), trained(net, threads)
    for path, array in one.items():
        np.testing.assert_allclose(several[path], array, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("threads", [1, 2, 3, None])
def test_the_same_number_of_threads_gives_the_same_bits(threads: int | None) -> None:
    net = convolutional(mn.Dropout(0.5))
    assert same(trained(net, threads, seed=5), trained(net, threads, seed=5))


def test_threads_draw_different_numbers() -> None:
    seen = []

    def note(x: Any) -> Any:
        seen.append(mn.autodiff.value(x))
        return x

    half = np.concatenate([IMAGES[:32]] * 2)
    net = mn.Chain(mn.Conv(4, 3), mn.Dropout(0.5), mn.Elementwise(note), mn.Flatten, 3, mn.Softmax)
    net = net.initialize(input_shape=(8, 8, 2), dtype="float64")
    mn.Trainer(net, threads=2).step(half, LABELS)
    one, two = seen[-2:]
    assert one.shape == two.shape == (32, 6, 6, 4)
    assert not np.array_equal(one == 0, two == 0)


def noted(seen: list[int]) -> mn.Elementwise:
    """Return a layer that does nothing but note how many examples it is given."""

    def note(x: Any) -> Any:
        seen.append(len(x))
        return x

    return mn.Elementwise(note)


@pytest.mark.parametrize("is_plain", [False, True])
@pytest.mark.parametrize("threads", [2, 3, 5])
def test_batchnorm_is_over_all_parts_of_a_batch(
    threads: int, is_plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_plain:
        monkeypatch.setattr(norm, "_are_alike", lambda *arrays: False)
    seen: list[int] = []
    net = convolutional(mn.BatchNorm, mn.Ramp, mn.Conv(5, 3, padding=1), mn.BatchNorm, noted(seen))
    one = trained(net, 1)
    seen.clear()
    several = trained(net, threads)
    assert sorted(seen[-threads:]) == sorted(len(range(64)[part]) for part in divided(64, threads))
    assert any("running_variance" in path for path in one)
    for path, array in one.items():
        np.testing.assert_allclose(several[path], array, rtol=1e-7, atol=1e-10)
    assert same(several, trained(net, threads))


def test_batchnorm_of_parts_is_as_exact_as_of_the_whole_where_means_are_large() -> None:
    # So far from 0 that float32 holds three digits of what sets the examples apart.
    x = (1000 + RANDOM.normal(size=(50, 3))).astype(np.float32)
    x[30:] += 5  # the parts' means differ as well
    g = RANDOM.normal(size=x.shape).astype(np.float32)
    scale, shift = np.array([2.0, 1.0, 0.5], np.float32), np.zeros(3, np.float32)

    def work(part: slice) -> tuple[Any, ...]:
        found = channels.Normalized(x[part], scale, shift, 1e-5)
        return found.y, found.by_x(g[part]), found.variance

    parts = in_parts(work, [slice(0, 30), slice(30, 50)])
    mean, variance = (f(x.astype(np.float64), axis=0) for f in (np.mean, np.var))
    normal = (x - mean) / np.sqrt(variance + 1e-5)
    along = g - g.mean(0) - normal * (g * normal).mean(0)
    y, by_x = (np.concatenate(found) for found in list(zip(*parts, strict=True))[:2])
    np.testing.assert_allclose(y, normal * scale, atol=2e-4)
    np.testing.assert_allclose(by_x, along * scale / np.sqrt(variance + 1e-5), atol=2e-4)
    for *_, found in parts:
        np.testing.assert_allclose(found, variance, rtol=1e-4)


def own_loss(outputs: Any, targets: Any) -> Any:
    return (mn.ops.max(outputs, axis=0) ** 2).sum()


def test_a_loss_of_the_user_s_sees_the_whole_batch() -> None:
    seen: list[int] = []
    trained(convolutional(noted(seen)), 3, loss=own_loss)
    assert set(seen[1:]) == {64}  # the first is of the net's check


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_threads_share_the_work_inside_of_ops_on_what_is_not_divided(threads: int) -> None:
    net = convolutional(mn.BatchNorm, mn.Ramp, mn.Conv(5, 3, padding=1))
    one, several = (trained(net, number, loss=own_loss) for number in (1, threads))
    for path, array in one.items():
        np.testing.assert_allclose(several[path], array, rtol=1e-7, atol=1e-10)
    assert same(several, trained(net, threads, loss=own_loss))


def test_parts_add_up_what_they_bring() -> None:
    def work(part: int) -> list[Any]:
        first = together(np.array([part, 1.0]), part)
        return [*first, *together(float(part))]

    for total, count, again in in_parts(work, [1, 2, 3]):
        np.testing.assert_array_equal(total, [6, 3])
        assert (count, again) == (6, 6.0)
    assert together(5, 7) == [5, 7]


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_nobody_waits_for_a_part_that_came_to_an_error(bad: int) -> None:
    def work(part: int) -> None:
        together(1)
        if part == bad:
            raise mn.DataError(f"part {part}")
        together(1)

    with pytest.raises(mn.DataError, match=f"part {bad}"):
        in_parts(work, [0, 1, 2])


def test_several_callers_at_once_meet_each_their_own() -> None:
    def call(number: int) -> None:
        for _ in range(20):
            found.append(
                in_parts(lambda part: together(part * number), [1, 2, 3]) == [[6 * number]] * 3
            )

    found: list[bool] = []
    callers = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert found == [True] * 80


def test_an_op_shares_its_work_only_where_it_may_and_there_is_enough() -> None:
    def count(things: int, microseconds: float) -> int:
        return len(shares(things, microseconds))

    assert count(100, 1e6) == 1
    with sharing(4):
        assert count(100, 1e6) == 4
        assert count(3, 1e6) == 3
        assert count(100, 0.025) == 2
        assert count(0, 1e6) == 1
        assert in_parts(lambda _: count(100, 1e6), [0, 1]) == [1, 1]
        with sharing(2):
            assert count(100, 1e6) == 2
        assert count(100, 1e6) == 4
    assert count(100, 1e6) == 1


def test_frozen_arrays_stay_the_same_objects() -> None:
    net = convolutional()
    after = trained(net, 3, multipliers={0: None})
    assert after[0, "weight"] is net[0, "weight"]
    assert not np.array_equal(after[4, "weight"], net[4, "weight"])


@pytest.mark.parametrize("extra", [(), (mn.BatchNorm,)])
def test_a_loss_that_is_not_finite_in_one_part_is_an_error(extra: Any) -> None:
    images = IMAGES.copy()
    images[60] = 1e308  # in the last thread's part only
    trainer = mn.Trainer(convolutional(*extra), mn.SGD(0.1), threads=4)
    with pytest.raises(mn.NonFiniteError):
        trainer.step(images, LABELS)


@pytest.mark.parametrize("count", [1, 8, 16, 100])
def test_a_net_gives_every_example_its_output_however_divided(count: int) -> None:
    net, images = convolutional(), RANDOM.normal(size=(count, 8, 8, 2))
    divided = Hands(3).map(net.apply, images, Work([net]))
    np.testing.assert_allclose(divided, net.apply(images), rtol=1e-12)
    np.testing.assert_allclose(net(images), net.apply(images), rtol=1e-12)


def test_threads_that_have_shared_work_share_what_lies_between() -> None:
    net, hands = convolutional(), Hands(3)
    work = Work([net])
    one, many = IMAGES[:1], IMAGES
    assert hands.divide(one, work) == ([slice(0, 1)], 1)
    assert len(hands.divide(many, work).parts) == 3
    assert hands.divide(one, work) == ([slice(0, 1)], 3)
    with hands.between():
        assert len(shares(100, 1e6)) == 3
    with Hands(3).between():
        assert len(shares(100, 1e6)) == 1


def test_several_ports_are_divided_alike() -> None:
    net = mn.Graph(
        {"a": mn.Conv(2, 3), "b": mn.Conv(2, 3), "sum": mn.Add},
        {"a": ["left"], "b": ["right"], "sum": ["a", "b"]},
        input={"left": (8, 8, 2), "right": (8, 8, 2)},
    ).initialize(dtype="float64")
    batch = {"left": IMAGES, "right": IMAGES[::-1]}
    divided = Hands(3).map(net.apply, batch, Work([net]))
    np.testing.assert_allclose(divided, net.apply(batch), rtol=1e-12)


def test_threads_must_be_a_whole_number() -> None:
    for bad in (0, -1, 1.5, "two"):
        with pytest.raises(mn.SpecError, match="threads"):
            mn.Trainer(convolutional(), threads=bad)  # type: ignore[arg-type]


# --- memory -----------------------------------------------------------------------------------


def test_an_array_somebody_holds_is_never_used_again() -> None:
    buffers, held = Buffers(), []
    for number in range(20):
        with buffers.used():
            array = new_array((SMALL,), np.float32)
            array.fill(number)
            held.append(array[5:].reshape(-1, 1) if number % 2 else array)
            del array
    assert [float(array.flat[0]) for array in held] == list(range(20))
    assert len({array.ctypes.data for array in held}) == 20


def test_memory_is_used_again_by_the_same_thread_only() -> None:
    buffers = Buffers()

    def address() -> int:
        return new_array((SMALL,), np.float32).ctypes.data

    with buffers.used():
        first = address()
        assert address() == first
        apart: list[bool] = []
        one = new_array((SMALL,), np.float32)  # so that `first` is taken
        thread = threading.Thread(target=lambda: apart.append(address() != one.ctypes.data))
        thread.start()
        thread.join()
    assert apart == [True]


def test_sizes_that_are_not_asked_for_any_more_are_given_back() -> None:
    buffers = Buffers()
    with buffers.used():
        new_array((SMALL * 10,), np.float32)
    for _ in range(2 * PATIENCE):
        with buffers.used():
            new_array((SMALL,), np.float32)
    gc.collect()
    assert sum(len(kept) for kept in buffers._kept.values()) == 1


def test_outputs_of_earlier_steps_stay_what_they_were() -> None:
    trainer = mn.Trainer(convolutional(), mn.SGD(0.1), threads=2)
    large = np.concatenate([IMAGES] * 20)
    targets = np.concatenate([LABELS] * 20)
    outputs = [trainer.step_above(large, targets, lambda: large)[1] for _ in range(3)]
    copies = [np.array(mn.autodiff.value(one)) for one in outputs]
    trainer.step(large, targets)
    for one, copy in zip(outputs, copies, strict=True):
        np.testing.assert_array_equal(mn.autodiff.value(one), copy)
