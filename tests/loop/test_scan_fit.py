"""`scan_fit`: what it gives is what `fit` gives, and it can be traced, mapped and differentiated."""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import numbers, run_script

pytestmark = pytest.mark.standard_promotion

X, Y = numbers(70, 6), np.arange(70) % 3
WEIGHT = np.random.default_rng(1).uniform(0, 2, 70).astype("float32")
VALIDATION = numbers(21, 6, seed=2), np.arange(21) % 3


class Noisy(eqx.Module):
    layers: list[eqx.nn.Linear]
    dropout: eqx.nn.Dropout

    def __init__(self, key: jax.Array):
        a, b = jax.random.split(key)
        self.layers = [eqx.nn.Linear(6, 8, key=a), eqx.nn.Linear(8, 3, key=b)]
        self.dropout = eqx.nn.Dropout(0.3)

    def __call__(self, x: Any, *, key: Any = None, inference: bool = False) -> Any:
        hidden = jnp.tanh(self.layers[0](x))
        return self.layers[1](self.dropout(hidden, key=key, inference=inference))


class Normed(eqx.Module):
    linear: eqx.nn.Linear
    norm: eqx.nn.BatchNorm

    def __init__(self, key: jax.Array):
        self.linear = eqx.nn.Linear(6, 3, key=key)
        self.norm = eqx.nn.BatchNorm(3, axis_name="batch", mode="ema")

    def __call__(self, x: Any, state: eqx.nn.State) -> Any:
        return self.norm(self.linear(x), state)


def make(module: Any = None, optimizer: Any = None, **fields: Any) -> tg.Model:
    return tg.Model(
        Noisy(jax.random.key(0)) if module is None else module,
        loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[tg.metrics.SparseCategoricalAccuracy(), tg.metrics.ConfusionMatrix(num_classes=3)],
        optimizer=optax.adam(1e-2) if optimizer is None else optimizer,
        **fields,
    )


def with_norm() -> tg.Model:
    module, state = eqx.nn.make_with_state(Normed)(jax.random.key(1))
    return make(module, state=state)


def by_epoch(step: Any, epoch: Any) -> Any:
    return 1e-2 * 0.5 ** epoch.astype("float32")


MODELS = {
    "dropout": make,
    "norm": with_norm,
    "average": lambda: make(optimizer=tg.with_ema(optax.sgd(0.1, momentum=0.9), 0.9)),
    "a rate by epoch": lambda: make(optimizer=tg.Optimizer(optax.adam, by_epoch, steps_per_epoch=5)),
    "accumulation": lambda: make(optimizer=optax.MultiSteps(optax.adam(1e-2), 2)),
    "half frozen": lambda: make(trainable=lambda leaf: leaf.ndim > 1),
}
DATA: dict[str, dict[str, Any]] = {
    "plain": {},
    "in order": {"shuffle": False},
    "weights": {"sample_weight": WEIGHT, "validation_data": (*VALIDATION, WEIGHT[:21])},
    "class weights": {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}, "validation_data": VALIDATION},
}


def assert_equal(found: Any, expected: Any) -> None:
    here, there = (jax.tree_util.tree_leaves_with_path(tree) for tree in (found, expected))
    assert [path for path, _ in here] == [path for path, _ in there]
    for (path, a), (_, b) in zip(here, there, strict=True):
        if isinstance(a, jax.Array) and not jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7, err_msg=jax.tree_util.keystr(path))


def assert_same_run(found: tuple[Any, Any], fitted: Any, epochs: int) -> None:
    model, logs = found
    assert list(logs) == list(fitted.history.history)
    for name, values in fitted.history.history.items():
        assert logs[name].shape[0] == epochs
        np.testing.assert_allclose(logs[name][: len(values)], values, rtol=1e-6, atol=1e-7, err_msg=name)
    assert_equal(model.states, fitted.model.states)


def _is_fit(model: str, data: str) -> None:
    kwargs: dict[str, Any] = {"epochs": 3, "batch_size": 16, **DATA[data]}
    assert_same_run(MODELS[model]().scan_fit(X, Y, **kwargs), MODELS[model]().fit(X, Y, verbose=0, **kwargs), 3)


# Each model and each data once: the others are exhaustive.
_FEW = list(zip(MODELS, itertools.cycle(DATA), strict=False))


@pytest.mark.parametrize(
    ("model", "data"), [pytest.param(*pair, marks=pytest.mark.once if i > 1 else ()) for i, pair in enumerate(_FEW)]
)
def test_it_is_fit(model: str, data: str):
    _is_fit(model, data)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "data"), [pair for pair in itertools.product(MODELS, DATA) if pair not in _FEW])
def test_it_is_fit_for_all(model: str, data: str):
    _is_fit(model, data)


@pytest.mark.once
@pytest.mark.parametrize("size", [7, 70, 200])
def test_whatever_the_batches_are(size: int):
    kwargs: dict[str, Any] = {"epochs": 2, "batch_size": size}
    assert_same_run(make().scan_fit(X, Y, **kwargs), make().fit(X, Y, verbose=0, **kwargs), 2)


@pytest.mark.once
def test_a_second_run_goes_on():
    fitted = make().fit(X, Y, verbose=0).model.fit(X, Y, verbose=0)
    assert_same_run(make().scan_fit(X, Y, epochs=1)[0].scan_fit(X, Y, epochs=1), fitted, 1)


@pytest.mark.once
def test_no_epochs():
    model, logs = make().scan_fit(X, Y, epochs=0)
    assert logs["loss"].shape == (0,) and int(model.states.step) == 0


@pytest.mark.once
@pytest.mark.parametrize(
    ("monitor", "patience"), [("val_loss", 0), ("val_loss", 2), ("sparse_categorical_accuracy", 1)]
)
def test_patience(monitor: str, patience: int):
    kwargs: dict[str, Any] = {"epochs": 12, "batch_size": 16, "validation_data": VALIDATION}
    stopping = tg.callbacks.EarlyStopping(monitor, patience=patience)
    fitted = make().fit(X, Y, verbose=0, callbacks=stopping, **kwargs)
    model, logs = make().scan_fit(X, Y, patience=patience, monitor=monitor, **kwargs)
    assert_same_run((model, logs), fitted, 12)
    ran = len(fitted.history.history["loss"])
    assert ran < 12 and np.isnan(logs["loss"][ran:]).all()
    assert np.isnan(logs["confusion_matrix"][ran:]).all()


@pytest.mark.once
def test_under_jit():
    model, logs = make().scan_fit(X, Y, epochs=2)
    traced, again = eqx.filter_jit(lambda m, x, y: m.scan_fit(x, y, epochs=2))(make(), jnp.asarray(X), jnp.asarray(Y))
    assert_equal((traced.states, again), (model.states, logs))


@pytest.mark.once
def test_mapped_over_rates_and_seeds():
    rates, seeds = jnp.array([1e-3, 1e-2, 1e-1]), jnp.arange(3)

    def run(rate: Any, seed: Any) -> Any:
        model = make(Noisy(jax.random.key(seed)), optimizer=tg.Optimizer(optax.adam, rate))
        model, logs = model.scan_fit(X, Y, epochs=2)
        return logs, model.parameters

    mapped = jax.vmap(run)(rates, seeds)
    for i in range(3):
        one = run(rates[i], int(seeds[i]))
        assert_equal(jax.tree.map(lambda a, i=i: a[i], mapped), one)


GRADIENT = """
import equinox as eqx, jax, jax.numpy as jnp, numpy as np, optax, treegy as tg

rng = np.random.default_rng(0)
x, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
weight = jnp.asarray(rng.uniform(0.5, 1.5, 40))

def loss_after(rate, weight, scale, remat=None):
    net = eqx.nn.MLP(3, 2, 5, 1, activation=jnp.tanh, key=jax.random.key(0))
    net = jax.tree.map(lambda leaf: leaf * scale if eqx.is_array(leaf) else leaf, net)
    model = tg.Model(net, loss=tg.losses.MeanSquaredError(), optimizer=tg.Optimizer(optax.adam, rate))
    _, logs = model.scan_fit(
        x, y, epochs=3, batch_size=7, sample_weight=weight, validation_data=(x[:9], y[:9]), remat_every=remat
    )
    return logs["val_loss"][-1]

at = (0.01, weight, 1.0)
found = jax.grad(loss_after, argnums=(0, 1, 2))(*at)
for remat in (1, 2, 3, 100):
    again = jax.grad(lambda *a: loss_after(*a, remat=remat), argnums=(0, 1, 2))(*at)
    assert jax.tree.all(jax.tree.map(lambda a, b: np.allclose(a, b, rtol=1e-6), found, again)), remat
e = 1e-5
for i, part in ((0, found[0]), (2, found[2])):
    up, down = ([v + s * e if j == i else v for j, v in enumerate(at)] for s in (1, -1))
    slope = (loss_after(*up) - loss_after(*down)) / (2 * e)
    assert np.isclose(part, slope, rtol=1e-5), (i, part, slope)
one = jnp.zeros(40).at[5].set(e)
slope = (loss_after(0.01, weight + one, 1.0) - loss_after(0.01, weight - one, 1.0)) / (2 * e)
assert np.isclose(found[1][5], slope, rtol=1e-5), (found[1][5], slope)
"""


@pytest.mark.slow
@pytest.mark.once
def test_gradients_are_those_of_finite_differences():
    done = run_script("import jax; jax.config.update('jax_enable_x64', True)\n" + GRADIENT)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.once
def test_remat_takes_less_memory():
    x, y = numbers(64 * 32, 128), numbers(64 * 32, 128, seed=1)

    def run(rate: Any, every: int | None) -> Any:
        net = eqx.nn.MLP(128, 128, 128, 1, key=jax.random.key(0))
        model = tg.Model(net, loss=tg.losses.MeanSquaredError(), optimizer=tg.Optimizer(optax.sgd, rate))
        return model.scan_fit(x, y, epochs=1, batch_size=32, remat_every=every)[1]["loss"][-1]

    def temporaries(every: int | None) -> int:
        compiled = jax.jit(jax.grad(lambda rate: run(rate, every))).lower(1e-2).compile()
        analysis: Any = compiled.memory_analysis()
        return analysis.temp_size_in_bytes

    assert temporaries(8) < 0.5 * temporaries(None)


def test_mistakes():
    with pytest.raises(KeyError, match="`monitor='val_loss'`: there is no metric value of that name among loss"):
        make().scan_fit(X, Y, epochs=2, patience=1)
    with pytest.raises(TypeError, match="`scan_fit` is one traced program"):
        make(run_eagerly=True).scan_fit(X, Y, epochs=2)
    with pytest.raises(tg.DataError, match="70"):
        make().scan_fit(X, Y[:-1], epochs=2)
    with pytest.raises(ValueError, match="`epochs` is -1"):
        make().scan_fit(X, Y, epochs=-1)
    with pytest.raises(TypeError, match="`validation_data`"):
        make().scan_fit(X, Y, epochs=1, validation_data=X)
    with pytest.raises(tg.MissingOptimizer):
        tg.Model(Noisy(jax.random.key(0)), loss=tg.losses.MeanSquaredError()).scan_fit(X, Y, epochs=1)
    with pytest.raises(tg.DataError, match="class_weight"):
        make().scan_fit(X, Y, epochs=1, class_weight={0: 1.0, 1: 1.0})
