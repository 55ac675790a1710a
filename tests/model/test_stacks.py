"""Stacks of models: what each of them would be alone."""

import logging
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array, Float

import treegy as tg

pytestmark = pytest.mark.standard_promotion

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 8)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")
WEIGHT = RNG.uniform(size=50).astype("float32")
ADAM = optax.adam(1e-2)


class Network(eqx.Module):
    """With what networks have: Dropout, BatchNorm, numbers that are no arrays."""

    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    last: eqx.nn.Linear

    def __init__(self, width: int, key: jax.Array):
        a, b = jax.random.split(key)
        self.first, self.last = eqx.nn.Linear(8, width, key=a), eqx.nn.Linear(width, 2, key=b)
        self.norm = eqx.nn.BatchNorm(width, axis_name="batch", mode="ema")
        self.dropout = eqx.nn.Dropout(0.2)

    def __call__(self, x: Any, state: eqx.nn.State, key: Any) -> Any:
        hidden, state = self.norm(self.first(x), state)
        return self.last(self.dropout(jax.nn.relu(hidden), key=key)), state


def network(seed: int, width: int = 4, optimizer: Any = ADAM, **fields: Any) -> tg.Model:
    module, state = eqx.nn.make_with_state(Network)(width, jax.random.key(seed))
    return tg.Model(
        module,
        state=state,
        loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[tg.metrics.SparseCategoricalAccuracy(), tg.metrics.ConfusionMatrix(num_classes=2)],
        optimizer=optimizer,
        seed=seed,
        **fields,
    )


def linear(seed: int, optimizer: Any = ADAM) -> tg.Model:
    return tg.Model(
        eqx.nn.Linear(8, 2, key=jax.random.key(seed)),
        loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=optimizer,
        seed=seed,
    )


GIVEN: dict[str, Any] = {"class_weight": {0: 1.0, 1: 2.0}, "batch_size": 16, "shuffle": False, "verbose": 0}


@pytest.fixture
def double() -> Any:
    """In single precision, Adam makes much of how gradients near 0 are rounded."""
    with jax.enable_x64(True):
        yield


def assert_alike(stacked: Any, singles: list[Any], rtol: float = 1e-5) -> None:
    expected = jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *singles)
    pairs = zip(jax.tree.leaves(stacked), jax.tree.leaves(expected), strict=True)
    for found, wanted in pairs:
        np.testing.assert_allclose(np.asarray(found), wanted, rtol=rtol, atol=1e-6)


def arrays(model: tg.Model) -> Any:
    states = model.states.update(rng=jax.random.key_data(model.states.rng))
    return eqx.filter(states, eqx.is_array)


@pytest.mark.parametrize(
    "width",
    [pytest.param(4, marks=pytest.mark.slow), pytest.param(64, marks=pytest.mark.once)],
    ids=["at once", "in turn"],
)
def test_a_stack_is_what_its_models_are(width: int, double: Any):
    """With class weights, sample weights, a smaller last batch and validation: after `fit`, steps and evaluation."""
    models = [network(seed, width) for seed in range(2)]
    validation = (X[:20], Y[:20], WEIGHT[:20])
    given: dict[str, Any] = {**GIVEN, "sample_weight": WEIGHT, "validation_data": validation, "epochs": 2}
    stacked, history = tg.stack(models).fit(X, Y, **given)
    singles = [model.fit(X, Y, **given) for model in models]
    assert_alike(arrays(stacked), [arrays(single.model) for single in singles])
    for name, values in history.items():
        for epoch, value in enumerate(values):
            assert_alike(value, [single.history[name][epoch] for single in singles])
    evaluated = stacked.evaluate(X, Y, batch_size=16, verbose=0)
    assert_alike(evaluated, [single.model.evaluate(X, Y, batch_size=16, verbose=0) for single in singles])
    assert_alike(stacked.predict(X, batch_size=16), [s.model.predict(X, batch_size=16) for s in singles])
    assert stacked.states.step.shape == (2,)


@pytest.mark.once
def test_single_steps(double: Any):
    models = [network(seed) for seed in range(2)]
    stacked, singles = tg.stack(models).init(X, Y), [model.init(X, Y) for model in models]
    for call in ("train_on_batch", "test_on_batch", "test_on_batch"):
        stacked, logs = getattr(stacked, call)(X[:16], Y[:16], WEIGHT[:16])
        each = [getattr(single, call)(X[:16], Y[:16], WEIGHT[:16]) for single in singles]
        singles = [single for single, _ in each]
        assert_alike(dict(logs), [dict(found) for _, found in each])
    assert_alike(stacked.predict_on_batch(X), [single.predict_on_batch(X) for single in singles])
    found, expected = (m.reset_metrics() for m in (stacked, singles[0]))
    assert_alike(arrays(found), [arrays(expected), arrays(singles[1].reset_metrics())])


@pytest.mark.slow
def test_a_run_as_a_function_and_jit_of_ones_own():
    models = [linear(seed) for seed in range(2)]
    stacked, logs = tg.stack(models).scan_fit(X, Y, epochs=2, batch_size=16, shuffle=False)
    singles = [model.scan_fit(X, Y, epochs=2, batch_size=16, shuffle=False) for model in models]
    assert_alike(arrays(stacked), [arrays(model) for model, _ in singles])
    assert_alike(logs, [found for _, found in singles])
    step: Any = eqx.filter_jit(lambda model: model.train_on_batch(X, Y))
    assert_alike(step(tg.stack(models))[1], [step(model)[1] for model in models])


@pytest.mark.parametrize(
    "optimizer", [*(pytest.param(name, marks=pytest.mark.slow) for name in ("with_ema", "schedule_free")), "rates"]
)
@pytest.mark.once
def test_optimizers(optimizer: str):
    """Those that are evaluated at averages, and rates that differ."""
    made = {
        "with_ema": [tg.with_ema(ADAM, 0.9)] * 2,
        "schedule_free": [optax.contrib.schedule_free_sgd(0.1)] * 2,
        "rates": [tg.Optimizer(optax.adam, rate) for rate in (1e-3, 1e-1)],
    }[optimizer]
    models = [linear(seed, made[seed]) for seed in range(2)]
    stacked, history = tg.stack(models).fit(X, Y, **GIVEN)
    singles = [model.fit(X, Y, **GIVEN) for model in models]
    assert_alike(arrays(stacked), [arrays(single.model) for single in singles])
    evaluated = stacked.evaluate(X, Y, verbose=0)
    assert_alike(evaluated, [single.model.evaluate(X, Y, verbose=0) for single in singles])
    if optimizer == "rates":
        np.testing.assert_allclose(history["lr"][-1], [1e-3, 1e-1])
        stack = tg.stack(models)
        assert stack.replace(optimizer=stack.optimizer).optimizer is stack.optimizer


def test_a_constructor_that_is_mapped():
    def make(key: jax.Array) -> tg.Model:
        network = eqx.nn.Linear(8, 2, key=key)
        loss = tg.losses.SparseCategoricalCrossentropy(from_logits=True)
        return tg.Model(network, loss=loss, optimizer=ADAM, seed=key)

    stacked: Any = eqx.filter_vmap(make)(jax.random.split(jax.random.key(0), 3))
    assert stacked.states.step.shape == (3,)
    trained, history = stacked.fit(X, Y, verbose=0, epochs=2)
    assert history["loss"][-1].shape == (3,) and np.all(history["loss"][-1] < history["loss"][0])
    first, *_ = tg.unstack(trained)
    np.testing.assert_allclose(first.predict(X), trained.predict(X)[0], rtol=1e-5)


def test_a_summary_is_that_of_one():
    found = str(tg.stack([linear(seed) for seed in range(3)]).summary(X, Y))
    assert "this is one of the 3 models of a stack" in found
    assert str(linear(0).summary(X, Y)).splitlines()[:4] == found.splitlines()[:4]


def test_an_ensemble():
    models = tg.stack([linear(seed) for seed in range(3)])
    every = np.asarray(models.predict(X, batch_size=16))
    mean, std = models.predict(X, batch_size=16, ensemble="mean_and_std")
    np.testing.assert_allclose(mean, every.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(std, every.std(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(models.predict(X, batch_size=16, ensemble="mean"), mean)


@pytest.mark.parametrize("restores", [pytest.param(False, marks=pytest.mark.slow), True])
def test_each_stops_for_itself(restores: bool):
    rates = (3e-1, 1e-3, 1e-1)
    models = [linear(seed, tg.Optimizer(optax.adam, rate)) for seed, rate in enumerate(rates)]
    given: dict[str, Any] = {**GIVEN, "epochs": 12, "validation_data": (X[:20], 1 - Y[:20])}

    def stopping() -> Any:
        return tg.callbacks.EarlyStopping(
            "val_loss", min_delta=1e-2, patience=1, mode="max", restore_best_weights=restores
        )

    callbacks = [stopping() for _ in range(4)]
    stacked, history = tg.stack(models).fit(X, Y, **given, callbacks=callbacks[0])
    singles = [m.fit(X, Y, **given, callbacks=callback) for m, callback in zip(models, callbacks[1:], strict=True)]
    epochs = [len(single.history.epoch) for single in singles]
    assert len(set(epochs)) > 1 and len(history.epoch) == max(epochs)
    for i, single in enumerate(singles):
        found = np.array([values[i] for values in history["val_loss"]])
        np.testing.assert_allclose(found[: epochs[i]], single.history["val_loss"], rtol=1e-5)
        assert np.all(np.isnan(found[epochs[i] :]))
        assert callbacks[0].best_epoch[i] == callbacks[i + 1].best_epoch
    assert_alike(arrays(stacked), [arrays(single.model) for single in singles])


@pytest.mark.once
def test_a_model_that_diverges_stops_alone():
    models = [linear(seed, tg.Optimizer(optax.sgd, rate)) for seed, rate in enumerate((1e30, 1e-2))]
    given: dict[str, Any] = {**GIVEN, "epochs": 4}
    ending = tg.callbacks.TerminateOnNaN(every=1)
    stacked, history = tg.stack(models).fit(X * 1e6, Y, **given, callbacks=ending)
    alone = models[1].fit(X * 1e6, Y, **given)
    assert len(history.epoch) == 4 and np.isnan([values[0] for values in history["loss"]]).all()
    np.testing.assert_allclose([values[1] for values in history["loss"]], alone.history["loss"], rtol=1e-5)
    np.testing.assert_allclose(tg.unstack(stacked)[1].module.weight, alone.model.module.weight, rtol=1e-5)
    _, history = tg.stack(models[:1] * 2).fit(X * 1e6, Y, **given, callbacks=ending)
    assert history.stopped is not None


@pytest.mark.once
def test_a_backup_of_a_stack(tmp_path: Any):
    """One of whose models has stopped."""
    rates = (3e-1, 1e-3)

    def run(epochs: int, *callbacks: Any) -> Any:
        models = [linear(seed, tg.Optimizer(optax.adam, rate)) for seed, rate in enumerate(rates)]
        stopping = tg.callbacks.EarlyStopping("val_loss", min_delta=1e-2, patience=1, mode="max")
        given: dict[str, Any] = {**GIVEN, "validation_data": (X[:20], 1 - Y[:20])}
        return tg.stack(models).fit(X, Y, **given, epochs=epochs, callbacks=[stopping, *callbacks])

    class Interrupts(tg.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            if epoch == 4:
                self.stop("for now", interrupt=True)

    whole = run(9)
    backup = tg.callbacks.BackupAndRestore(tmp_path)
    assert len(run(9, backup, Interrupts()).history.epoch) == 5
    resumed = run(9, tg.callbacks.BackupAndRestore(tmp_path))
    assert np.isnan(whole.history["val_loss"][-1]).any()
    assert_alike(arrays(resumed.model), [arrays(model) for model in tg.unstack(whole.model)])
    np.testing.assert_allclose(resumed.history["val_loss"], whole.history["val_loss"], rtol=1e-6)


def test_saved_and_loaded(tmp_path: Any):
    rates = (1e-3, 1e-1)
    made = tg.stack([linear(i, tg.Optimizer(optax.adam, rate)) for i, rate in enumerate(rates)])
    trained, _ = made.fit(X, Y, verbose=0)
    trained.save(tmp_path / "stack")
    assert jax.tree.all(
        jax.tree.map(lambda a, b: bool(np.all(a == b)), arrays(made.load(tmp_path / "stack")), arrays(trained))
    )
    with pytest.raises(tg.CheckpointError, match="belongs to another architecture"):
        linear(0, tg.Optimizer(optax.adam, 1e-3)).load(tmp_path / "stack")


def test_hooks_of_batches_see_each_model():
    seen: list[Any] = []

    class Looks(tg.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any) -> None:
            seen.append((np.asarray(logs["loss"]), np.asarray(self.model.states.step)))

    models = tg.stack([linear(seed) for seed in range(2)])
    _, history = models.fit(X, Y, **GIVEN, callbacks=Looks())
    assert [loss.shape for loss, _ in seen] == [(2,)] * 4
    assert [step.tolist() for _, step in seen] == [[i, i] for i in range(1, 5)]
    np.testing.assert_allclose(seen[-1][0], history["loss"][0], rtol=1e-6)


def test_data_of_each_models_own():
    which = np.stack([np.arange(50) < 30, np.arange(50) >= 30], axis=1).astype("float32")
    models = [linear(seed) for seed in range(2)]
    given: dict[str, Any] = {"batch_size": 16, "shuffle": False, "verbose": 0}
    stacked, history = tg.stack(models).fit(X, Y, sample_weight=tg.PerModel(which), **given)
    singles = [model.fit(X, Y, sample_weight=which[:, i], **given) for i, model in enumerate(models)]
    assert_alike(arrays(stacked), [arrays(single.model) for single in singles])
    np.testing.assert_allclose(history["loss"][0], [single.history["loss"][0] for single in singles], rtol=1e-5)


@pytest.mark.once
def test_cross_validation():
    """Each fold's model is the one that is trained on the others, and evaluated on that one."""
    model = linear(0)
    models, logs, folds = tg.cross_validate(model, X, Y, folds=5, epochs=3, batch_size=16, shuffle=False, verbose=0)
    assert np.bincount(folds).tolist() == [10] * 5
    for i in range(2):
        weight = (folds != i).astype("float32") * 50 / 40
        one, _ = model.fit(X, Y, sample_weight=weight, epochs=3, batch_size=16, shuffle=False, verbose=0)
        np.testing.assert_allclose(tg.unstack(models)[i].predict(X), one.predict(X), rtol=1e-4, atol=1e-6)
        alone = one.evaluate(X[folds == i], Y[folds == i], verbose=0)
        np.testing.assert_allclose(logs["loss"][i], alone["loss"], rtol=1e-5)
    with pytest.raises(ValueError, match="`folds` is 1 for 50 examples"):
        tg.cross_validate(model, X, Y, folds=1)


def test_a_second_stack_compiles_nothing(caplog: pytest.LogCaptureFixture):
    def run(seed: int) -> None:
        tg.stack([linear(seed), linear(seed + 1)]).fit(X, Y, **GIVEN)

    run(0)
    with jax.log_compiles(True), caplog.at_level(logging.WARNING):
        run(2)
    assert not [r for r in caplog.records if "Compiling" in r.getMessage() and "_flat" in r.getMessage()]


@pytest.mark.slow
def test_eagerly():
    models = [linear(seed) for seed in range(2)]
    eager = tg.stack([model.replace(run_eagerly=True) for model in models])
    found, expected = (stack.fit(X, Y, **GIVEN).model for stack in (eager, tg.stack(models)))
    assert_alike(arrays(found), [arrays(model) for model in tg.unstack(expected)])


class OwnStep(tg.Model):
    """Parameters that steps create."""

    def test_step(self, x: Float[Array, "batch d"], y_true: Any, states: Any, initializing: bool) -> Any:
        if initializing:
            w = jax.random.normal(states.rng, (x.shape[1],))
        else:
            w = states.net_params
        loss = jnp.mean((x @ w - y_true) ** 2)
        return loss, {"loss": loss}, states.update(net_params=w)


def test_steps_of_ones_own():
    models = [OwnStep(optimizer=ADAM, seed=seed) for seed in range(2)]
    given: dict[str, Any] = {**GIVEN, "class_weight": None}
    stacked, _ = tg.stack(models).fit(X, X[:, 0], **given)
    singles = [model.fit(X, X[:, 0], **given) for model in models]
    assert_alike(stacked.parameters, [single.model.parameters for single in singles])


# Mistakes


def test_what_is_no_stack():
    model = linear(0)
    wrong: Any = [model, 3]
    rated = linear(0, tg.Optimizer(optax.adam, 1e-3))
    for make, kind, message in [
        (lambda: tg.stack([]), ValueError, "there are no models"),
        (lambda: tg.stack(wrong), TypeError, "model 1 is 3; a `tg.Model` is expected"),
        (lambda: tg.stack([model, network(0)]), ValueError, "models 0 and 1 differ in more than the values"),
        (
            lambda: tg.stack([linear(0, optax.adam(1e-3)), model]),
            ValueError,
            "arrays: `optimizer` in what.*once for all",
        ),
        (lambda: tg.stack([model, model.replace(run_eagerly=True)]), ValueError, "`run_eagerly` in what is no array"),
        (lambda: tg.stack([model, model.init(X, Y)]), ValueError, "model 1 is initialized, and model 0 is not"),
        (lambda: tg.stack([tg.stack([model]), model]), ValueError, "model 0 is a stack already"),
        (lambda: tg.unstack(model), ValueError, "this is one model, and no stack"),
        (lambda: model.predict(X, ensemble="mean"), ValueError, "this is one model: `tg.stack` makes"),
        (lambda: tg.stack([model]).replace(seed=3), ValueError, "`seed` holds key.*tg.unstack"),
        (
            lambda: tg.stack([model]).export("nowhere", X),
            ValueError,
            "`export` looks at one model, and this is a stack",
        ),
        (lambda: tg.debug.explain_nan(tg.stack([model]), X, Y), ValueError, "`explain_nan` looks at one model"),
        (
            lambda: model.fit(X, Y, sample_weight=tg.PerModel(np.ones((50, 2))), verbose=0),
            tg.DataError,
            "`sample_weight` is a `PerModel`.*, with models along its last axis, and this is one model",
        ),
        (
            lambda: tg.stack([model]).fit(X, Y, sample_weight=tg.PerModel(np.ones((50, 2))), verbose=0),
            tg.DataError,
            "`sample_weight` is a `PerModel`.*there are 1 models",
        ),
        (lambda: tg.stack([model]).distributed(tg.parallel.DataParallel()), ValueError, "can't be distributed"),
        (
            lambda: tg.stack([rated]).fit(X, Y, verbose=0, callbacks=tg.callbacks.ReduceLROnPlateau("loss")),
            ValueError,
            "the metric value is no scalar.*`EarlyStopping` alone",
        ),
    ]:
        with pytest.raises(kind, match=message):
            make()


def test_learning_rates_are_set():
    models = tg.stack([linear(i, tg.Optimizer(optax.adam, rate)) for i, rate in enumerate((1e-3, 1e-2))])
    halved = tg.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    _, history = models.fit(X, Y, **GIVEN, epochs=2, callbacks=halved)
    np.testing.assert_allclose(history["lr"], [[5e-4, 5e-3], [2.5e-4, 2.5e-3]], rtol=1e-6)
    one = tg.callbacks.LearningRateScheduler(lambda epoch: 0.1)
    np.testing.assert_allclose(models.fit(X, Y, **GIVEN, callbacks=one).history["lr"], [[0.1, 0.1]])
