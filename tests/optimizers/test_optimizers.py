"""What steps offer: `module` and `step` to losses and metrics, and to optimizers what their `update` takes."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 4)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
MSE = tg.losses.MeanSquaredError()

# Optax's own promotions of dtypes and ranks.
pytestmark = pytest.mark.standard_promotion


def linear() -> eqx.nn.Linear:
    return eqx.nn.Linear(4, 1, key=jax.random.key(0))


def mlp(size_in: int = 4) -> eqx.nn.MLP:
    return eqx.nn.MLP(size_in, "scalar", 16, 2, jnp.tanh, key=jax.random.key(0))


def fit(model: Any, *data: Any, **arguments: Any) -> Any:
    return model.fit(*(data or (X, Y)), **{"batch_size": 12, "epochs": 3, "verbose": 0, **arguments})


def same(a: Any, b: Any, rtol: float = 1e-4) -> None:
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-6)


# `module`: residuals of differential equations, penalties of gradients


def residual(x, module):
    """Of u'' + u = 0: with u(0) = 0 and u'(0) = 1, the sine."""

    def u(t):
        return module(t[None])

    second = jax.vmap(jax.grad(jax.grad(u)))(x[:, 0])
    return (second + jax.vmap(u)(x[:, 0])) ** 2


def borders(module):
    def u(t):
        return module(t[None])

    return u(jnp.zeros(())) ** 2 + (jax.grad(u)(jnp.zeros(())) - 1) ** 2


def test_a_differential_equation_is_learned():
    t = np.linspace(0, 2, 64, dtype="float32")[:, None]
    model = tg.Model(mlp(1), loss=[residual, borders], optimizer=optax.adam(1e-2))
    model, history = fit(model, t, batch_size=64, epochs=600)
    assert history["loss"][-1] < 1e-3
    np.testing.assert_allclose(model.predict(t), np.sin(t[:, 0]), atol=0.05)


def gradient_penalty(x, module):
    norms = jnp.linalg.norm(jax.vmap(jax.grad(module))(x), axis=-1)
    return (norms - 1) ** 2


def test_a_penalty_of_gradients_trains_as_by_hand():
    def by_hand(net):
        norms = jnp.linalg.norm(jax.vmap(jax.grad(net))(X), axis=-1)
        return jnp.mean((norms - 1) ** 2)

    net, optimizer = mlp(), optax.sgd(0.1)
    state = optimizer.init(eqx.filter(net, eqx.is_inexact_array))
    for _ in range(3):
        updates, state = optimizer.update(eqx.filter_grad(by_hand)(net), state)
        net = eqx.apply_updates(net, updates)
    model, _ = fit(tg.Model(mlp(), loss=gradient_penalty, optimizer=optimizer), X)
    same(eqx.filter(model.module, eqx.is_array), eqx.filter(net, eqx.is_array))


def test_the_module_is_that_of_the_step_and_in_inference_mode_outside_training():
    seen = []

    def looking(x, module, training):
        seen.append((training, module.layers[1].inference))
        return jnp.zeros(len(x)) + 0 * module.layers[0].weight.sum()

    net = eqx.nn.Sequential([eqx.nn.Linear(4, 1, key=jax.random.key(0)), eqx.nn.Dropout(0.5)])
    model = tg.Model(net, loss=looking, optimizer=optax.sgd(0.1))
    model, _ = fit(model, X, Y)
    model.evaluate(X, Y, verbose=0)
    assert set(seen) == {(True, False), (False, True)}


def test_a_model_without_a_module_has_none_to_give():
    class Own(tg.Model):
        def pred_step(self, x, states):
            return x, states

    with pytest.raises(tg.InjectionError, match="asks for `module`, which is not available(.|\n)*the model has none"):
        Own(loss=lambda x, module: x.sum(axis=-1)).evaluate(X, verbose=0)


# `step`


def test_metrics_see_the_step_of_the_model():
    steps = tg.metrics.Max(of=lambda x, step: jnp.full(len(x), step), name="steps")
    model = tg.Model(linear(), loss=MSE, metrics=steps, optimizer=optax.sgd(0.1))
    model, history = fit(model, batch_size=4)
    assert history["steps"] == [2, 5, 8]
    assert model.evaluate(X, Y, verbose=0)["steps"] == 9


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "weighted_mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_weight_that_is_a_schedule_multiplies_each_batch(reduction, weighted):
    """The epoch shows Σ weight · w · l / N, or / Σ w: against NumPy, with batches of 5, 5 and 2 and a weight of 0."""
    schedule = optax.piecewise_constant_schedule(3.0, {1: 0.0})
    factors = [3.0, 0.0, 0.0] if schedule(1) == 0 else [3.0, 3.0, 0.0]
    loss = tg.losses.MeanSquaredError(weight=schedule, reduction=reduction)
    model = tg.Model(linear(), loss=loss, optimizer=optax.sgd(0.0))
    w = RNG.uniform(0.5, 2, 12).astype("float32") if weighted else np.ones(12, "float32")
    given = {"sample_weight": w} if weighted else {}
    _, history = fit(model, batch_size=5, epochs=1, shuffle=False, **given)
    each = w * np.mean((np.asarray(model.predict(X), np.float64) - Y) ** 2, axis=-1)
    total = sum(f * each[i : i + 5].sum() for f, i in zip(factors, (0, 5, 10), strict=True))
    expected = {"sum_over_batch_size": total / 12, "weighted_mean": total / w.sum(), "sum": total}[reduction]
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)


def test_its_gradients_are_those_of_the_weighted_loss():
    rates = optax.linear_schedule(1.0, 0.0, 4)
    model = tg.Model(linear(), loss=tg.losses.MeanSquaredError(weight=rates), optimizer=optax.sgd(0.1))
    by_rate = tg.Model(linear(), loss=MSE, optimizer=optax.sgd(lambda step: 0.1 * rates(step)))
    same(fit(model)[0].parameters, fit(by_rate)[0].parameters)


def test_alone_it_needs_the_step():
    loss = tg.losses.MeanSquaredError(weight=lambda step: 2.0 * step)
    assert loss(Y, Y + 1, step=3) == 6
    with pytest.raises(tg.InjectionError, match="has a `weight` that is a schedule.*: pass `step=`"):
        loss(Y, Y + 1)


def test_an_accumulator_cannot_be_weighted_so():
    class Own(tg.Loss):
        def call(self, y_true, y_pred, sample_weight=None):
            return tg.metrics.RootMeanSquaredError().call(y_true, y_pred, sample_weight)

    model = tg.Model(linear(), loss=Own(weight=lambda step: 1.0 * step))
    with pytest.raises(tg.ContractError, match="its `weight` is a schedule.* Return values per example"):
        model.evaluate(X, Y, verbose=0)


# What optimizers ask for


def transformation(update: Any) -> Any:
    return optax.GradientTransformationExtraArgs(optax.identity().init, update)


def by_hand(optimizer: Any, extras: Any, steps: int = 3) -> Any:
    """Training with optax alone, which is given what `extras` makes of the loss."""
    params, static = eqx.partition(linear(), eqx.is_inexact_array)

    def loss(params):
        return jnp.mean((jax.vmap(eqx.combine(params, static))(X) - Y) ** 2)

    state = optimizer.init(params)
    for _ in range(steps):
        value, grad = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(grad, state, params, **extras(loss, value, grad))
        params = optax.apply_updates(params, updates)
    return params


OPTIMIZERS: dict[str, tuple[Any, Any]] = {
    "lbfgs": (optax.lbfgs(), lambda loss, value, grad: {"value": value, "grad": grad, "value_fn": loss}),
    "backtracking": (
        optax.chain(optax.sgd(1.0), optax.scale_by_backtracking_linesearch(15)),
        lambda loss, value, grad: {"value": value, "grad": grad, "value_fn": loss},
    ),
    "sam": (
        optax.contrib.sam(optax.sgd(0.1), optax.contrib.normalize(), sync_period=2),
        lambda loss, value, grad: {},
    ),
    "opaque sam": (
        optax.contrib.sam(optax.sgd(0.1), optax.chain(optax.contrib.normalize(), optax.sgd(0.05)), opaque_mode=True),
        lambda loss, value, grad: {"grad_fn": lambda params, i: jax.grad(loss)(params)},
    ),
    "plateau": (
        optax.chain(optax.sgd(0.3), optax.contrib.reduce_on_plateau(patience=1, cooldown=0)),
        lambda loss, value, grad: {"value": value},
    ),
    "polyak": (optax.polyak_sgd(), lambda loss, value, grad: {"value": value}),
    "several steps": (optax.MultiSteps(optax.adam(0.1), 2), lambda loss, value, grad: {}),
    "if finite": (optax.apply_if_finite(optax.adam(0.1), 3), lambda loss, value, grad: {}),
    "plain": (optax.GradientTransformation(*optax.sgd(0.1)), lambda loss, value, grad: {}),
    "tg.Optimizer": (
        tg.Optimizer(lambda learning_rate: optax.polyak_sgd(scaling=learning_rate), 1.0),
        lambda loss, value, grad: {"value": value},
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_gets_what_it_takes(name):
    optimizer, extras = OPTIMIZERS[name]
    model, _ = fit(tg.Model(linear(), loss=MSE, optimizer=optimizer))
    same(jax.tree.leaves(model.parameters), jax.tree.leaves(by_hand(optimizer, extras)))


def test_an_optimizer_of_ones_own_gets_what_it_names():
    asked = []

    def update(updates, state, params=None, *, value):
        asked.append(value)
        return jax.tree.map(lambda g: -0.1 * g, updates), state

    fit(tg.Model(linear(), loss=MSE, optimizer=transformation(update)))
    assert len(asked) == 1


def test_what_a_part_of_a_chain_refuses_is_named():
    def update(updates, state, params=None, *, value):
        return updates, state

    strict = transformation(update)
    model = tg.Model(linear(), loss=MSE, optimizer=optax.chain(optax.sgd(0.1), strict))
    with pytest.raises(TypeError) as error:
        fit(model)
    assert any("passes `grad` to the optimizer" in note and "`**extra`" in note for note in error.value.__notes__)


def test_keys_of_the_steps_within_a_step_differ():
    """Sharpness-aware steps see other dropout than the step that they are a part of, and the same ones again."""
    net = eqx.nn.Sequential([eqx.nn.Linear(4, 8, key=jax.random.key(0)), eqx.nn.Dropout(0.5)])
    grads = []

    def update(updates, state, params=None, *, grad_fn):
        grads.extend([updates, *(grad_fn(params, i) for i in (0, 1, 0))])
        return jax.tree.map(jnp.zeros_like, updates), state

    optimizer = transformation(update)
    model = tg.Model(net, loss=lambda y_pred: (y_pred**2).sum(-1), optimizer=optimizer, run_eagerly=True)
    fit(model, X, epochs=1)
    weights = [np.asarray(g.layers[0].weight) for g in grads]
    assert np.array_equal(weights[1], weights[3])
    assert not np.allclose(weights[0], weights[1]) and not np.allclose(weights[1], weights[2])


# Parameters that an optimizer is evaluated at


def schedule_free() -> Any:
    return optax.contrib.schedule_free_adamw(0.1, warmup_steps=2)


@pytest.mark.parametrize("wrapped", ["alone", "in a chain", "with an average"])
def test_schedule_free_optimizers_are_evaluated_where_they_say(wrapped):
    optimizer = {
        "alone": schedule_free,
        "in a chain": lambda: optax.chain(optax.clip(10.0), schedule_free()),
        "with an average": lambda: tg.with_ema(schedule_free()),
    }[wrapped]()
    model, history = fit(
        tg.Model(linear(), loss=MSE, optimizer=optimizer), validation_data=(X, Y), epochs=6, batch_size=4
    )
    states = model.states.optimizer_states
    (state,) = [
        node
        for node in jax.tree.leaves(states, is_leaf=lambda n: isinstance(n, optax.contrib.ScheduleFreeState))
        if isinstance(node, optax.contrib.ScheduleFreeState)
    ]
    params = optax.contrib.schedule_free_eval_params(state, model.parameters)
    net = eqx.combine(params, model.module)
    y_pred = jax.vmap(net)(X)
    assert not np.allclose(y_pred, jax.vmap(model.module)(X), rtol=1e-3), "the parameters to evaluate at are others"
    np.testing.assert_allclose(model.predict(X), y_pred, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict_on_batch(X), y_pred, rtol=1e-5, atol=1e-6)
    right = np.mean((np.asarray(y_pred) - Y) ** 2)
    assert model.evaluate(X, Y, verbose=0)["loss"] == pytest.approx(right, rel=1e-4)
    assert history["val_loss"][-1] == pytest.approx(right, rel=1e-4)
    tested, logs = model.test_on_batch(X, Y)
    assert logs["loss"] == pytest.approx(right, rel=1e-4)
    same(tested.parameters, model.parameters, rtol=0)


def test_what_reads_the_states_finds_those_of_the_optimizer():
    rate = tg.metrics.Mean(of=lambda x, states: jnp.full(len(x), states.optimizer_states.hyperparams["lr"]), name="it")
    model, _ = fit(tg.Model(linear(), loss=MSE, metrics=rate, optimizer=tg.Optimizer(optax.sgd, 0.25)))
    assert model.evaluate(X, Y, verbose=0)["it"] == 0.25


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


# Complex parameters


@pytest.mark.parametrize("optimizer", [optax.sgd(0.1), optax.adam(0.1), tg.Optimizer(optax.sgd, 0.1)])
def test_complex_parameters_go_down(optimizer):
    class Scale(eqx.Module):
        w: jax.Array

        def __call__(self, x):
            return self.w * x

    def distance(y_true, y_pred):
        return jnp.abs(y_true - y_pred) ** 2

    x, y = np.ones(32, "complex64"), np.full(32, 1 + 2j, "complex64")
    model = tg.Model(Scale(jnp.zeros((), jnp.complex64)), loss=distance, optimizer=optimizer)
    model, history = fit(model, x, y, batch_size=32, epochs=150)
    assert history["loss"] == sorted(history["loss"], reverse=True) or history["loss"][-1] < 1e-3
    assert abs(complex(model.module.w) - (1 + 2j)) < 1e-2


def test_checkpoints_of_schedule_free_optimizers_hold_what_was_measured(tmp_path):
    best = tg.callbacks.ModelCheckpoint(tmp_path / "best", monitor="val_loss", save_best_only=True)
    made = tg.Model(linear(), loss=MSE, optimizer=schedule_free())
    model, history = fit(made, validation_data=(X, Y), epochs=6, batch_size=4, callbacks=[best])
    lowest = pytest.approx(min(history["val_loss"]), rel=1e-4)
    assert made.load(tmp_path / "best").evaluate(X, Y, verbose=0)["loss"] == lowest
    to_predict = tg.Model(linear(), loss=MSE).load(tmp_path / "best", only="module")
    assert to_predict.evaluate(X, Y, verbose=0)["loss"] == lowest
    averaged = model.averaged()
    np.testing.assert_allclose(jax.vmap(averaged.module)(X), model.predict(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(averaged.predict(X), model.predict(X), rtol=1e-5, atol=1e-6)


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


@pytest.mark.parametrize("wrapped", ["alone", "in a chain", "with an average"])
def test_the_averaged_model_is_evaluated_where_it_is(wrapped):
    optimizer = {
        "alone": schedule_free,
        "in a chain": lambda: optax.chain(optax.clip(10.0), schedule_free()),
        "with an average": lambda: tg.with_ema(schedule_free(), 0.5),
    }[wrapped]()
    model, _ = fit(tg.Model(linear(), loss=MSE, optimizer=optimizer), epochs=6, batch_size=4)
    averaged = model.averaged()
    y_pred = jax.vmap(averaged.module)(X)
    np.testing.assert_allclose(averaged.predict(X), y_pred, rtol=1e-4)
    if wrapped != "with an average":
        np.testing.assert_allclose(model.predict(X), y_pred, rtol=1e-4)
        np.testing.assert_allclose(averaged.averaged().predict(X), y_pred, rtol=1e-4)
    assert fit(averaged, epochs=2)[1]["loss"][-1] < fit(model, epochs=1)[1]["loss"][0] * 1.5
