"""The steps inside JAX's transformations, and how often anything is traced."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import numbers

N = 10
X, Y = jnp.asarray(numbers(N, 3)), jnp.asarray(numbers(N, 2, seed=1))
TRACES: list[Any] = []


class Counting(eqx.Module):
    """Counts how often it is traced, and wants keys."""

    linear: eqx.nn.Linear

    def __call__(self, x, key):
        TRACES.append(x.shape)
        return self.linear(x) + 0.1 * jax.random.normal(key, (2,))


def traces() -> int:
    """How often a module was traced since the last call."""
    n = len(TRACES)
    TRACES.clear()
    return n


def counting(seed: int = 0) -> Counting:
    return Counting(eqx.nn.Linear(3, 2, key=jax.random.key(seed)))


LOSS, METRIC = tg.losses.MeanSquaredError(), tg.metrics.MeanAbsoluteError()


def regression(seed: Any = 0, optimizer: Any = None, **fields: Any) -> tg.Model[Any]:
    optimizer = optax.sgd(0.1, momentum=0.9) if optimizer is None else optimizer
    module = counting(seed if isinstance(seed, int) else 0)
    given: dict[str, Any] = {"loss": LOSS, "metrics": METRIC, "optimizer": optimizer, "seed": seed, **fields}
    return tg.Model(module, **given)


def close(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-6) -> bool:
    a, b = jax.tree.leaves(eqx.filter(a, eqx.is_inexact_array)), jax.tree.leaves(eqx.filter(b, eqx.is_inexact_array))
    return len(a) == len(b) > 0 and all(np.allclose(x, y, rtol=rtol, atol=atol) for x, y in zip(a, b, strict=True))


def train(model: tg.Model[Any], x: Any = X, y: Any = Y) -> Any:
    return model.train_on_batch(x, y)


def test(model: tg.Model[Any], x: Any = X, y: Any = Y) -> Any:
    return model.test_on_batch(x, y)


test.__test__ = False  # pyright: ignore[reportFunctionMemberAccess]


def predict(model: tg.Model[Any], x: Any = X, y: Any = Y) -> Any:
    return model.predict_on_batch(x)


STEPS = pytest.mark.parametrize("step", [train, test, predict])


# jit


@STEPS
@pytest.mark.parametrize("initialized", [True, False])
def test_jit(step, initialized):
    model = regression()
    model = model.init(X, Y) if initialized else model
    assert close(eqx.filter_jit(step)(model), step(model))


def test_two_steps_in_one_program():
    @eqx.filter_jit
    def two_steps(model, x, y):
        model, _ = model.train_on_batch(x[:5], y[:5])
        return model.train_on_batch(x[5:], y[5:])

    model = regression()
    once, _ = model.train_on_batch(X[:5], Y[:5])
    assert close(two_steps(model, X, Y), once.train_on_batch(X[5:], Y[5:]))


def test_jit_of_jax_over_the_arrays():
    arrays, static = eqx.partition(regression().init(X, Y), eqx.is_array)

    @jax.jit
    def step(arrays, x, y):
        model, logs = eqx.combine(arrays, static).train_on_batch(x, y)
        return eqx.filter(model, eqx.is_array), logs

    after, logs = step(arrays, X, Y)
    expected, expected_logs = train(regression())
    assert close(after.module, expected.module) and close(logs, expected_logs)
    again, _ = step(after, X, Y)
    assert close(again.module, train(expected)[0].module)


def test_the_whole_program_of_a_pipeline():
    """Steps, `reset_metrics`, `replace` and reading metric values, all in one."""

    @eqx.filter_jit
    def pipeline(model, x, y):
        model, _ = model.train_on_batch(x, y)
        model = model.replace(module=jax.tree.map(lambda p: p * 0.5, model.module))
        model, _ = model.test_on_batch(x[:5], y[:5])
        model, logs = model.reset_metrics().test_on_batch(x, y)
        return model, logs, model.predict_on_batch(x)

    model, logs, y_pred = pipeline(regression().init(X, Y), X, Y)
    trained, _ = train(regression())
    halved = trained.replace(module=jax.tree.map(lambda p: p * 0.5, trained.module))
    assert close(model.module, halved.module)
    assert close(logs, test(halved)[1])
    assert close(y_pred, predict(halved))


# vmap


@STEPS
def test_several_models(step):
    models = [regression(seed) for seed in range(3)]
    stacked = eqx.filter_vmap(lambda seed: regression(seed).replace(module=counting()))(jnp.arange(3))
    stacked = stacked.replace(module=jax.tree.map(lambda *leaves: jnp.stack(leaves), *(m.module for m in models)))
    found = eqx.filter_vmap(step)(stacked)
    expected = [eqx.filter(step(model), eqx.is_inexact_array) for model in models]
    assert close(found, jax.tree.map(lambda *leaves: jnp.stack(leaves), *expected))


@STEPS
def test_several_batches(step):
    x, y = jnp.stack([X, 2 * X]), jnp.stack([Y, Y + 1])
    found = eqx.filter_vmap(step, in_axes=(None, 0, 0))(regression(), x, y)
    expected = [eqx.filter(step(regression(), *pair), eqx.is_inexact_array) for pair in zip(x, y, strict=True)]
    assert close(found, jax.tree.map(lambda *leaves: jnp.stack(leaves), *expected))


def test_vmap_of_jax_over_seeds():
    def last_loss(seed):
        model, logs = train(regression(seed))
        for _ in range(2):
            model, logs = train(model)
        return logs["loss"]

    losses = jax.vmap(last_loss)(jnp.arange(4))
    assert len(set(losses.tolist())) == 4
    assert np.allclose(losses[2], last_loss(jnp.int32(2)), rtol=1e-5)
    keys = jax.vmap(lambda key: train(regression(key))[1]["loss"])(jax.random.split(jax.random.key(0), 4))
    assert len(set(keys.tolist())) == 4


def test_an_ensemble_trains_and_predicts_as_its_members():
    optimizer = optax.sgd(0.1)

    def make(key):
        module = Counting(eqx.nn.Linear(3, 2, key=key))
        return tg.Model(module, loss=LOSS, optimizer=optimizer, seed=key).init(X, Y)

    keys = jax.random.split(jax.random.key(1), 3)
    ensemble = eqx.filter_vmap(make)(keys)
    ensemble, _ = eqx.filter_vmap(train)(ensemble)
    ensemble, logs = eqx.filter_vmap(train)(ensemble)
    assert logs["loss"].shape == (3,)
    member, own = train(train(make(keys[1]))[0])
    assert np.allclose(logs["loss"][1], own["loss"], rtol=1e-5)
    assert np.allclose(ensemble.module.linear.weight[1], member.module.linear.weight, rtol=1e-5)


# grad


class Plain(eqx.Module):
    weight: jax.Array

    def __call__(self, x):
        return self.weight @ x


def test_grad_through_test_on_batch():
    def loss(module, model):
        return model.replace(module=module).test_on_batch(X, Y)[1]["loss"]

    model = tg.Model(Plain(jnp.ones((2, 3))), loss=LOSS).init(X, Y)
    found = eqx.filter_grad(loss)(model.module, model).weight
    expected = 2 * (X @ model.module.weight.T - Y).T @ X / Y.size
    assert np.allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("step", [train, test])
def test_data_of_numpy_beside_a_model_that_is_traced(step: Any):
    def loss(model: tg.Model[Any], x: Any, y: Any) -> Any:
        return step(model, x, y)[1]["loss"]

    model, x, y = regression().init(X, Y), np.asarray(X), np.asarray(Y)
    found, expected = (eqx.filter_grad(loss)(model, *data) for data in ((x, y), (jnp.asarray(x), jnp.asarray(y))))
    assert close(found, expected)
    assert np.isclose(eqx.filter_jit(lambda model: loss(model, x, y))(model), loss(model, x, y))


def test_grad_of_a_whole_model():
    model = tg.Model(Plain(jnp.ones((2, 3))), loss=LOSS).init(X, Y)
    found = eqx.filter_grad(lambda model: jnp.sum(model.predict_on_batch(X)))(model)
    assert isinstance(found, tg.Model)
    assert np.allclose(found.module.weight, jnp.broadcast_to(X.sum(0), (2, 3)), rtol=1e-5)


def test_grad_through_predict_on_batch():
    model = tg.Model(Plain(jnp.ones((2, 3))))
    assert np.allclose(jax.grad(lambda x: jnp.sum(model(x) ** 2))(X), 2 * model(X) @ model.module.weight, rtol=1e-5)


def test_grad_through_training():
    """Of the loss after a step, by the data and by what the learning rate was."""

    def after(rate, y):
        model = tg.Model(Plain(jnp.ones((2, 3))), loss=LOSS, optimizer=optax.sgd(rate))
        model, _ = model.train_on_batch(X, y)
        return model.test_on_batch(X, Y)[1]["loss"]

    found = jax.grad(after, argnums=(0, 1))(0.1, Y)
    w = jnp.ones((2, 3))

    def by_hand(rate, y):
        new = w - rate * 2 * (X @ w.T - y).T @ X / Y.size
        return jnp.mean((X @ new.T - Y) ** 2)

    expected = jax.grad(by_hand, argnums=(0, 1))(0.1, Y)
    assert np.allclose(found[0], expected[0], rtol=1e-4) and np.allclose(found[1], expected[1], rtol=1e-4, atol=1e-6)


def test_jit_of_grad_of_vmap():
    def total(scale):
        models = eqx.filter_vmap(lambda seed: regression(seed, optax.sgd(0.1)))(jnp.arange(2))
        _, logs = eqx.filter_vmap(train, in_axes=(eqx.if_array(0), None, None))(models, X * scale, Y)
        return jnp.sum(logs["loss"])

    step = 1e-2
    found = jax.jit(jax.grad(total))(1.0)
    assert np.allclose(found, (total(1 + step) - total(1 - step)) / (2 * step), rtol=1e-2)


# Loops


@pytest.mark.parametrize("make", [lambda m: m, lambda m: m.replace(seed=0), lambda m: m.test_on_batch(X, Y)[0]])
def test_scan_over_training(make):
    arrays, static = eqx.partition(make(regression().init(X, Y)), eqx.is_array)

    def body(arrays, batch):
        model, logs = eqx.combine(arrays, static).train_on_batch(*batch)
        return eqx.filter(model, eqx.is_array), logs["loss"]

    batches = X.reshape(5, 2, 3), Y.reshape(5, 2, 2)
    after, losses = jax.lax.scan(body, arrays, batches)
    model, expected = regression(), []
    for batch in zip(*batches, strict=True):
        model, logs = model.train_on_batch(*batch)
        expected.append(logs["loss"])
    assert np.allclose(losses, jnp.stack(expected), rtol=1e-5)
    assert close(after.module, model.module)


def test_scan_over_evaluating():
    arrays, static = eqx.partition(regression().init(X, Y), eqx.is_array)

    def body(arrays, batch):
        model, logs = eqx.combine(arrays, static).test_on_batch(*batch)
        return eqx.filter(model, eqx.is_array), logs

    _, logs = jax.lax.scan(body, arrays, (X.reshape(5, 2, 3), Y.reshape(5, 2, 2)))
    last = {name: float(values[-1]) for name, values in logs.items()}
    assert last == pytest.approx(regression().evaluate(X, Y, batch_size=2, verbose=0), rel=1e-5)


def test_scan_equals_fit():
    """The same batches in the same order give the same model, whoever calls the step."""
    fitted, history = regression().fit(X, Y, batch_size=5, epochs=1, shuffle=False, verbose=0)
    arrays, static = eqx.partition(regression().init(X, Y), eqx.is_array)

    def body(arrays, batch):
        model, logs = eqx.combine(arrays, static).train_on_batch(*batch)
        return eqx.filter(model, eqx.is_array), logs["loss"]

    after, losses = jax.lax.scan(body, arrays, (X.reshape(2, 5, 3), Y.reshape(2, 5, 2)))
    assert close(after.module, fitted.module)
    assert float(jnp.mean(losses)) == pytest.approx(history["loss"][0], rel=1e-5)


def test_while_and_cond():
    arrays, static = eqx.partition(regression().init(X, Y), eqx.is_array)

    def step(arrays):
        return eqx.filter(eqx.combine(arrays, static).train_on_batch(X, Y)[0], eqx.is_array)

    after = jax.lax.while_loop(lambda arrays: eqx.combine(arrays, static).states.step < 3, step, arrays)
    assert int(eqx.combine(after, static).states.step) == 3
    same = jax.lax.cond(False, step, lambda arrays: arrays, arrays)
    assert close(same, arrays)


def test_remat():
    model = tg.Model(Plain(jnp.ones((2, 3))), loss=LOSS)
    loss = lambda x: model.test_on_batch(x, Y)[1]["loss"]  # noqa: E731
    assert np.allclose(jax.grad(jax.checkpoint(loss))(X), jax.grad(loss)(X), rtol=1e-6)


# How often anything is traced

DATA = np.asarray(X), np.asarray(Y)
OPTIMIZER = optax.sgd(0.1, momentum=0.9)


def test_fit_traces_once():
    traces()
    trained, _ = regression(0, OPTIMIZER).fit(*DATA, batch_size=5, epochs=3, verbose=0)
    assert traces() == 1
    trained.fit(*DATA, batch_size=5, epochs=2, verbose=0)
    assert traces() == 0, "a second fit"
    regression(1, OPTIMIZER).fit(*DATA, batch_size=5, verbose=0)
    assert traces() == 0, "another model of the same structure with the same optimizer"
    regression(2, OPTIMIZER, metrics=tg.metrics.MeanAbsoluteError()).fit(X, Y, batch_size=5, verbose=0)
    assert traces() == 0, "jax arrays; another metric object that is equal"
    regression(0, OPTIMIZER).fit(*DATA, batch_size=5, epochs=5, initial_epoch=3, shuffle=False, verbose=0)
    assert traces() == 0, "other epochs, another order"
    more = np.concatenate([DATA[0]] * 3), np.concatenate([DATA[1]] * 3)
    regression(0, OPTIMIZER).fit(*more, batch_size=5, verbose=0)
    assert traces() == 0, "more data"
    trained.replace(seed=7).fit(*DATA, batch_size=5, verbose=0)
    assert traces() == 0, "another seed"
    trained.init(*DATA)
    traces()
    trained.init(*DATA).fit(*DATA, batch_size=5, verbose=0)
    trained, _ = trained.train_on_batch(*DATA)
    traces()
    trained.fit(*DATA, batch_size=5, verbose=0)
    assert traces() == 0, "after steps by hand"


def test_another_optimizer_object_or_loss_is_another_program():
    regression(0, OPTIMIZER).fit(*DATA, batch_size=5, verbose=0)
    traces()
    regression(0, optax.sgd(0.2)).fit(*DATA, batch_size=5, verbose=0)
    assert traces() == 1
    regression(0, OPTIMIZER, loss=tg.losses.Huber()).fit(*DATA, batch_size=5, verbose=0)
    assert traces() == 1


def test_the_last_smaller_batch_is_one_more():
    x, y = DATA[0][:9], DATA[1][:9]
    traces()
    trained, _ = regression(0, OPTIMIZER, metrics=[METRIC, METRIC]).fit(x, y, batch_size=4, epochs=3, verbose=0)
    assert traces() == 2
    trained.fit(x, y, batch_size=4, verbose=0)
    assert traces() == 0


@pytest.mark.parametrize("steps", [1, 2, "auto"])
def test_chunks_of_any_length_share_one_trace(steps):
    traces()
    model = regression(0, OPTIMIZER, metrics=[METRIC] * 3)
    trained, _ = model.fit(*DATA, batch_size=2, epochs=2, steps_per_execution=steps, verbose=0)
    n = traces()
    assert n <= 1
    trained.fit(*DATA, batch_size=2, epochs=2, steps_per_execution=steps, verbose=0)
    assert traces() == 0


def test_validating_traces_once_more():
    model = regression(0, OPTIMIZER, metrics=[METRIC] * 4)
    traces()
    trained, _ = model.fit(*DATA, batch_size=5, epochs=3, validation_data=DATA, verbose=0)
    assert traces() == 2
    trained.fit(*DATA, batch_size=5, validation_data=DATA, verbose=0)
    assert traces() == 0


def test_callbacks_trace_nothing():
    class Looking(tg.callbacks.Callback):
        def on_train_batch_end(self, batch, logs):
            _ = self.model

    regression(0, OPTIMIZER).fit(*DATA, batch_size=5, verbose=0)
    traces()
    regression(0, OPTIMIZER).fit(*DATA, batch_size=5, epochs=2, callbacks=[Looking()], verbose=0)
    assert traces() <= 1  # chunks of one step are another program
    regression(0, OPTIMIZER).fit(*DATA, batch_size=5, epochs=2, callbacks=[Looking()], verbose=0)
    assert traces() == 0


def test_evaluate_and_predict_trace_once():
    model = regression(0, OPTIMIZER, metrics=[METRIC] * 5)
    traces()
    for _ in range(2):
        model.evaluate(*DATA, batch_size=5, verbose=0)
    assert traces() == 1
    for _ in range(2):
        model.predict(DATA[0], batch_size=5)
    assert traces() == 1
    other = regression(1, OPTIMIZER, metrics=[METRIC] * 5)
    other.evaluate(*DATA, batch_size=5, verbose=0)
    other.predict(DATA[0], batch_size=5)
    assert traces() == 0
    model.evaluate(*DATA, batch_size=4, verbose=0)
    model.predict(DATA[0], batch_size=4)
    assert traces() == 4, "batches of 4, and the last one of 2"


def test_steps_on_batches_trace_once():
    model = regression(0, OPTIMIZER, metrics=[METRIC] * 6)
    traces()
    for _ in range(3):
        model, _ = model.train_on_batch(*DATA)
    assert traces() == 1
    for _ in range(3):
        model, _ = model.test_on_batch(*DATA)
    assert traces() <= 2, "one for the program, one for the structure of what it logs"
    for _ in range(3):
        model.predict_on_batch(DATA[0])
    assert traces() == 1
    other = regression(3, OPTIMIZER, metrics=[METRIC] * 6)
    other, _ = other.train_on_batch(*DATA)
    other.predict_on_batch(X)
    assert traces() == 0, "another model of the same structure; jax arrays"
    model, _ = model.train_on_batch(*DATA)
    model, _ = model.reset_metrics().test_on_batch(*DATA)
    assert traces() <= 1, "trained while there are metrics"
    model, _ = model.train_on_batch(*DATA)
    model, _ = model.reset_metrics().test_on_batch(*DATA)
    assert traces() == 0


def test_eagerly_nothing_is_compiled_but_steps():
    model = regression(0, OPTIMIZER, run_eagerly=True)
    traces()
    model.fit(*DATA, batch_size=5, epochs=2, verbose=0)
    assert traces() == 4


# `jit_step`


def test_jit_step_of_ones_own():
    programs: list[Any] = []

    class Mine(tg.Model):
        def jit_step(self, step):
            programs.append(step.__name__)
            return eqx.filter_jit(step)

    def make(cls: type[tg.Model[Any]]) -> tg.Model[Any]:
        return cls(counting(), loss=LOSS, metrics=METRIC, optimizer=OPTIMIZER)

    mine, history = make(Mine).fit(*DATA, batch_size=4, epochs=2, validation_data=DATA, verbose=0)
    plain, others = make(tg.Model).fit(*DATA, batch_size=4, epochs=2, validation_data=DATA, verbose=0)
    assert programs and close(mine.module, plain.module)
    assert {k: pytest.approx(v, rel=1e-5) for k, v in history.history.items()} == others.history
    programs.clear()
    assert close(train(mine), train(plain)) and close(predict(mine), predict(plain))
    assert len(programs) == 2
