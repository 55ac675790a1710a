"""Schedules of optimizers: their counts, their epochs, and a second optimizer."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax
import pytest

import treegy as tg
from helpers.optimizing import MSE, X, Y, fit, linear, same

# Optax's own promotions of dtypes and ranks.
pytestmark = pytest.mark.standard_promotion


# Schedules and their counts


@pytest.mark.parametrize(
    "make",
    {
        "adam": lambda rate: optax.adam(rate),
        "a chain": lambda rate: optax.chain(optax.clip(1.0), optax.adamw(rate)),
        "multi_transform": lambda rate: optax.multi_transform(
            {"w": optax.adam(rate), "b": optax.sgd(rate)},
            lambda params: eqx.tree_at(lambda n: n.bias, jax.tree.map(lambda _: "w", params), "b"),
        ),
        "inject_hyperparams": lambda rate: optax.inject_hyperparams(optax.adam)(learning_rate=rate),
        "tg.Optimizer": lambda rate: tg.Optimizer(optax.adam, rate),
        "by epoch": lambda rate: tg.Optimizer(optax.adam, lambda step, epoch: rate(step), steps_per_epoch=3),
    }.values(),
    ids=["adam", "a chain", "multi_transform", "inject_hyperparams", "tg.Optimizer", "by epoch"],
)
def test_another_optimizer_begins_its_schedule_and_keeps_its_moments(make):
    schedule = optax.cosine_decay_schedule(1e-2, 9)
    model, _ = fit(tg.Model(linear(), loss=MSE, optimizer=make(schedule)), batch_size=4)
    other = model.replace(optimizer=make(schedule))

    def counts(model: Any) -> dict[str, list[int]]:
        states = jax.tree_util.tree_leaves_with_path(model.states.optimizer_states)
        found: dict[str, list[int]] = {"moments": [], "schedule": []}

        def owners(node: Any) -> None:
            for below in jax.tree.leaves(node, is_leaf=lambda n: n is not node and hasattr(n, "_fields")):
                if hasattr(below, "_fields"):
                    if type(below).__name__ == "ScaleByAdamState":
                        found["moments"].append(int(below.count))
                    elif type(below).__name__ in ("ScaleByScheduleState", "WrappedScheduleState"):
                        found["schedule"].append(int(below.count))
                    elif type(below).__name__ == "EpochState":
                        found["schedule"].append(int(below.step))
                    owners(below)

        del states
        owners([model.states.optimizer_states])
        return found

    before, after = counts(model), counts(other)
    assert set(before["moments"]) == {9} and set(before["schedule"]) == {9}
    assert set(after["moments"]) == {9} and set(after["schedule"]) == {0}
    moments = [leaf for leaf in jax.tree.leaves(model.states.optimizer_states) if leaf.ndim > 0]
    same([leaf for leaf in jax.tree.leaves(other.states.optimizer_states) if leaf.ndim > 0], moments, rtol=0)


def test_counts_of_other_kinds_at_the_same_place_are_not_taken_for_each_other():
    """`scale_by_schedule` and `scale_by_adam` both have a `count` at the first place of a chain."""
    first = optax.chain(optax.scale_by_schedule(lambda count: 1.0), optax.sgd(0.1))
    model, _ = fit(tg.Model(linear(), loss=MSE, optimizer=first))
    other = model.replace(optimizer=optax.chain(optax.scale_by_adam(), optax.sgd(0.1)))
    assert int(other.states.optimizer_states[0].count) == 0


@pytest.mark.parametrize("wrapped", [False, True], ids=["alone", "in a chain"])
def test_epochs_of_an_optimizer_are_those_of_fit(wrapped):
    def optimizer() -> Any:
        made: Any = tg.Optimizer(optax.sgd, lambda step, epoch: 0.1 * 0.5**epoch, steps_per_epoch=3)
        return optax.chain(optax.clip(10.0), made) if wrapped else made

    model = tg.Model(linear(), loss=MSE, optimizer=optimizer())
    arguments = {"batch_size": 4, "epochs": 6, "initial_epoch": 3}
    rate = tg.callbacks.LearningRateScheduler(lambda epoch: 0.1 * 0.5**epoch)
    by_callback = tg.Model(linear(), loss=MSE, optimizer=tg.Optimizer(optax.sgd, 0.1))
    expected = fit(by_callback, callbacks=[rate], **arguments)[1]["lr"]
    assert fit(model, **arguments)[1]["lr"] == pytest.approx(expected)
    halfway, _ = fit(model, batch_size=4, epochs=3)
    assert fit(halfway, **arguments)[1]["lr"] == pytest.approx(expected), "as after three epochs of training"
    with pytest.raises(ValueError, match="made with `steps_per_epoch=3`, and an epoch of this run has 2 steps"):
        fit(model, batch_size=6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_rates_of_models_in_half_precision_stay_what_they_are(dtype):
    net = jax.tree.map(lambda a: a.astype(dtype) if eqx.is_inexact_array(a) else a, linear())
    model = tg.Model(net, loss=MSE, optimizer=tg.Optimizer(optax.sgd, 0.0123))
    model, history = fit(model, X.astype(dtype), Y.astype(dtype))
    assert history["lr"] == [float(np.float32(0.0123))] * 3
    assert model.module.weight.dtype == dtype
    assert model.states.optimizer_states.hyperparams["lr"].dtype == "float32"


# Other counts


def late(step: Any, **_: Any) -> Any:
    return step > 2


@pytest.mark.parametrize(
    ("make", "owner", "field", "begins"),
    [
        (lambda: optax.contrib.schedule_free(optax.sgd(0.1), 0.1), "ScheduleFreeState", "step_count", 1),
        (
            lambda: optax.conditionally_transform(optax.clip(1.0), late),
            "ConditionallyTransformState",
            "step",
            0,
        ),
        (
            lambda: optax.conditionally_mask(optax.sgd(0.1), late),
            "ConditionallyMaskState",
            "step",
            0,
        ),
        (lambda: optax.add_noise(0.1, 0.5, key=jax.random.key(0)), "AddNoiseState", "count", 0),
        (lambda: optax.MultiSteps(optax.sgd(0.1), lambda step: step + 1), "MultiStepsState", "gradient_step", 0),
    ],
)
def test_other_counts_by_which_something_changes_with_time_begin_again(make, owner, field, begins):
    model, _ = fit(tg.Model(linear(), loss=MSE, optimizer=make()), batch_size=4)
    other = model.replace(optimizer=make())
    states = [model.states.optimizer_states, other.states.optimizer_states]
    assert all(type(state).__name__ == owner for state in states)
    before, after = (int(getattr(state, field)) for state in states)
    assert before > begins and after == begins
