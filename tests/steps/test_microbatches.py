"""Gradients of a batch, part by part: those of the whole."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array, Float

import treegy as tg
from helpers.every_loss_and_metric import N, data_for, kind_of, make, variants

pytestmark = [pytest.mark.standard_promotion, pytest.mark.once]

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(50, 8)), RNG.integers(0, 3, 50)
WEIGHT = RNG.uniform(size=50)
LOSSES = [(cls, options) for cls, options in variants() if issubclass(cls, tg.Loss)]


class Shifted(eqx.Module):
    """Makes predictions of the data, in the same range, that depend on parameters."""

    factor: jax.Array
    shift: jax.Array

    def __init__(self):
        self.factor, self.shift = jnp.asarray(0.9), jnp.asarray(0.05)

    def __call__(self, *x: Any) -> Any:
        found: Any = tuple(leaf * self.factor + self.shift for leaf in x)
        return found if len(found) > 1 else found[0]


class Dropped(eqx.Module):
    first: eqx.nn.Linear
    dropout: eqx.nn.Dropout
    last: eqx.nn.Linear

    def __init__(self, key: jax.Array):
        a, b = jax.random.split(key)
        self.first, self.last = eqx.nn.Linear(8, 16, key=a), eqx.nn.Linear(16, 3, key=b)
        self.dropout = eqx.nn.Dropout(0.3)

    def __call__(self, x: Any, key: Any) -> Any:
        return self.last(self.dropout(jax.nn.relu(self.first(x)), key=key))


OPTIMIZER = optax.adam(1e-2)


def dropped(k: int, **fields: Any) -> tg.Model:
    loss = tg.losses.SparseCategoricalCrossentropy(from_logits=True)
    given: dict[str, Any] = {"loss": loss, "metrics": tg.metrics.SparseCategoricalAccuracy(), "optimizer": OPTIMIZER}
    return tg.Model(Dropped(jax.random.key(0)), microbatches=k, **{**given, **fields})


def _is_quick(cls: Any, options: dict[str, Any]) -> bool:
    quick = ("MeanSquaredError", "SparseCategoricalCrossentropy", "Dice", "NTXent", "GlobalL2")
    return not options and cls.__name__ in quick


@eqx.filter_jit
def grads_of(models: list[tg.Model], data: dict[str, Any], weight: Any) -> Any:
    found: list[Any] = []
    for model in models:
        given = data.get("y_pred"), data.get("y_true"), weight
        loss, _, _, grads = model.grad_step(*given, states=model.states, training=True)
        found.append((loss, grads))
    return found


@pytest.mark.once
@pytest.mark.parametrize(
    ("cls", "options"),
    [
        pytest.param(*each, id=str(each[0].__name__), marks=[] if _is_quick(*each) else [pytest.mark.slow])
        for each in LOSSES
    ],
)
def test_every_loss(cls: Any, options: dict[str, Any], tree_allclose: Any):
    weight = jnp.asarray([1.0, 0.0, 2.0, 0.5, 3.0, 0.0, 1.0])
    if kind_of(cls) == "parameters":
        data, terms = make_numbers(), [tg.losses.MeanSquaredError(), make(cls, options)]
    else:
        data, terms = data_for(cls), [make(cls, options)]
    models = [tg.Model(Shifted(), loss=terms, optimizer=OPTIMIZER, microbatches=k) for k in (1, 3)]
    if "batching" in cls.exempt_from:
        with pytest.raises(tg.ContractError, match=r"can't be computed of parts of a batch \(`microbatches`\): "):
            grads_of(models, data, weight)
    else:
        whole, parts = grads_of(models, data, weight)
        assert tree_allclose(parts, whole, rtol=1e-4, atol=1e-5)


def make_numbers() -> dict[str, Any]:
    values = jnp.asarray(RNG.normal(size=(2, N, 3)), jnp.float32)
    return {"y_true": values[0], "y_pred": values[1]}


def test_all_losses_are_looked_at():
    assert {cls.__name__ for cls, _ in LOSSES} >= {"MeanSquaredError", "CTC", "Dice", "NTXent", "GlobalL2"}


@pytest.mark.parametrize(
    ("reduction", "several"),
    [
        ("weighted_mean", (3,)),
        pytest.param("sum_over_batch_size", (3, 5, 100), marks=pytest.mark.slow),
        pytest.param("sum", (4, 16), marks=pytest.mark.slow),
    ],
)
def test_the_same_run(reduction: str, several: tuple[int, ...], tree_allclose: Any):
    """With Dropout, a regularizer, weights, class weights, and a last batch that is smaller."""
    with jax.enable_x64(True):
        loss = tg.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)
        terms = [loss, tg.regularizers.GlobalL2(1e-2)]
        given: dict[str, Any] = {"sample_weight": WEIGHT, "class_weight": {0: 1.0, 1: 2.0, 2: 0.5}, "epochs": 3}
        runs = [dropped(k, loss=terms).fit(X, Y, batch_size=16, verbose=0, **given) for k in (1, *several)]
        for model, history in runs[1:]:
            assert tree_allclose(model.parameters, runs[0].model.parameters, rtol=1e-12, atol=1e-14)
            assert tree_allclose(history.history, runs[0].history.history, rtol=1e-6)


def test_against_a_gradient_by_hand(tree_allclose: Any):
    """Of a mean whose denominator differs from part to part."""
    network = eqx.nn.MLP(8, 3, 16, 1, key=jax.random.key(0))
    loss = tg.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="weighted_mean")

    def by_hand(network: Any) -> Any:
        values = optax.losses.softmax_cross_entropy_with_integer_labels(jax.vmap(network)(X), Y)
        return jnp.sum(values * WEIGHT) / jnp.sum(WEIGHT)

    with jax.enable_x64(True):
        network = jax.tree.map(lambda a: a.astype(float) if eqx.is_array(a) else a, network)
        model = tg.Model(network, loss=loss, optimizer=OPTIMIZER, microbatches=7)
        found = model.grad_step(jnp.asarray(X), jnp.asarray(Y), jnp.asarray(WEIGHT), states=model.states)[3]
        expected = eqx.filter_grad(by_hand)(network)
        assert tree_allclose(jax.tree.leaves(found), jax.tree.leaves(expected), rtol=1e-12, atol=1e-14)


def step_of(k: int, n: int = 512) -> Any:
    loss = tg.losses.SparseCategoricalCrossentropy(from_logits=True)
    network = eqx.nn.MLP(64, 4, 256, 3, key=jax.random.key(0))
    model = tg.Model(network, loss=loss, optimizer=optax.sgd(0.1), microbatches=k).init()
    arrays, rest = eqx.partition(model, eqx.is_array)

    def step(arrays: Any, x: Any, y: Any) -> Any:
        return eqx.filter(eqx.combine(arrays, rest).train_on_batch(x, y)[0], eqx.is_array)

    return jax.jit(step).lower(arrays, jnp.zeros((n, 64)), jnp.zeros(n, jnp.int32))


def test_memory_falls_and_the_program_does_not_grow():
    lowered = {k: step_of(k) for k in (1, 4, 16)}
    memory = {k: found.compile().memory_analysis().temp_size_in_bytes for k, found in lowered.items()}
    assert memory[4] < 0.5 * memory[1] and memory[16] < 0.6 * memory[4]
    assert len(lowered[16].as_text().splitlines()) == len(lowered[4].as_text().splitlines())


def test_the_first_pass_is_left_out_where_denominators_are_known():
    products = [step_of(k).compile().as_text().count(" dot(") for k in (1, 4)]
    assert products[0] == products[1] > 8


class Normed(eqx.Module):
    norm: eqx.nn.BatchNorm
    last: eqx.nn.Linear

    def __init__(self, key: jax.Array):
        self.norm = eqx.nn.BatchNorm(8, axis_name="batch", mode="ema", momentum=0.5)
        self.last = eqx.nn.Linear(8, 3, key=key)

    def __call__(self, x: Any, state: eqx.nn.State) -> Any:
        hidden, state = self.norm(x, state)
        return self.last(hidden), state


def test_batch_norm_sees_one_part_after_the_other():
    module, state = eqx.nn.make_with_state(Normed)(jax.random.key(0))
    loss = tg.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = tg.Model(module, state=state, loss=loss, optimizer=OPTIMIZER, microbatches=4)
    x = X[:8].astype("float32")
    model, _ = model.train_on_batch(x, Y[:8])
    # Neighbours are in different parts.
    mean = np.zeros(8)
    for i, part in enumerate(x.reshape(2, 4, 8).swapaxes(0, 1)):
        mean = part.mean(axis=0) if i == 0 else 0.5 * mean + 0.5 * part.mean(axis=0)
    found = [leaf for leaf in jax.tree.leaves(model.state) if leaf.shape == (8,)]
    assert any(np.allclose(leaf, mean, atol=1e-5) for leaf in found)


class OfBatch(eqx.Module):
    """Takes the whole batch, and draws numbers for it."""

    linear: eqx.nn.Linear
    draw: Any = eqx.field(static=True)

    def __call__(self, x: Float[Array, "batch d"], key: Any) -> Any:
        self.draw(key)
        return jax.vmap(self.linear)(x)


class OfStep(tg.Model):
    """Draws numbers for the batch in a step of its own."""

    draw: Any = eqx.field(static=True, kw_only=True)

    def pred_step(self, x: Any, states: Any) -> Any:
        self.draw(states.rng)
        return super().pred_step(x=x, states=states, training=True)


@pytest.mark.parametrize("who", ["module", "step", "loss"])
def test_parts_draw_other_numbers(who: str):
    drawn: set[int] = set()

    def draw(key: Any) -> None:
        jax.debug.callback(lambda n: drawn.add(int(n)), jax.random.bits(key))

    def noisy(y_true: Any, y_pred: Any, key: Any) -> Any:
        draw(key)
        return jnp.mean((y_true - y_pred) ** 2, axis=-1)

    linear: Any = eqx.nn.Linear(8, 1, key=jax.random.key(0))
    given: dict[str, Any] = {"loss": tg.losses.MeanSquaredError(), "optimizer": OPTIMIZER, "microbatches": 4}
    if who == "module":
        model = tg.Model(OfBatch(linear, draw), **given)
    elif who == "step":
        model = OfStep(linear, draw=draw, **given)
    else:
        given["loss"] = noisy
        model = tg.Model(linear, **given)
    model = model.init(X[:8], X[:8, :1])
    jax.effects_barrier()
    drawn.clear()
    model.train_on_batch(X[:8], X[:8, :1])
    jax.effects_barrier()
    assert len(drawn) == 4


def test_line_searches_look_at_parts(tree_allclose: Any):
    searching = optax.lbfgs()
    models = [dropped(k, optimizer=searching, metrics=None) for k in (1, 4)]
    found = [model.fit(X, Y, batch_size=25, verbose=0, epochs=2) for model in models]
    assert tree_allclose(found[0].model.parameters, found[1].model.parameters, rtol=1e-2, atol=1e-3)


@pytest.mark.slow
def test_half_precision_and_a_run_as_a_function(tree_allclose: Any):
    policy = tg.DTypePolicy(compute=jnp.float16, loss_scale="dynamic")
    whole, parts = (dropped(k, dtype_policy=policy).fit(X, Y, verbose=0).model for k in (1, 4))
    assert tree_allclose(parts.parameters, whole.parameters, rtol=2e-2, atol=2e-3)
    assert parts.states.loss_scale.good == 2
    x, y = X.astype("float32"), Y.astype("int32")

    def loss_after(x: Any, k: int) -> Any:
        _, logs = dropped(k).scan_fit(x, y, epochs=2, batch_size=25)
        return logs["loss"][-1]

    found = [jax.grad(loss_after)(jnp.asarray(x), k) for k in (1, 4)]
    assert tree_allclose(found[0], found[1], rtol=1e-3, atol=1e-6)


# Mistakes


class OwnLoss(tg.Model):
    def test_step(self, **given: Any) -> Any:
        loss, logs, states = super().test_step(**given)
        return 2 * loss, logs, states


class OwnGradients(tg.Model):
    def grad_step(self, x: Any, y_true: Any, states: Any) -> Any:
        def loss_of(params: Any) -> Any:
            return jnp.mean(jax.vmap(eqx.combine(params, states.net_states))(x) ** 2)

        loss, grads = jax.value_and_grad(loss_of)(states.net_params)
        return loss, {"loss": loss}, states, grads


class Watching(tg.Model):
    def test_step(self, **given: Any) -> Any:
        loss, logs, states = super().test_step(**given)
        return loss, {**logs, "twice": 2 * loss}, states


def mean_of_batch(y_true: Any, y_pred: Any) -> Any:
    return jnp.mean((y_true - y_pred) ** 2)


@pytest.mark.parametrize(
    ("cls", "loss", "kind", "message"),
    [
        (tg.Model, mean_of_batch, tg.ContractError, "`mean_of_batch_loss` .*returned a scalar, and that of a batch"),
        (OwnLoss, tg.losses.MeanSquaredError(), ValueError, "its `test_step` returns a loss of its own"),
        (OwnGradients, tg.losses.MeanSquaredError(), ValueError, "which have no effect: its steps don't call"),
        (tg.Model, None, ValueError, "has no loss to train on"),
    ],
)
def test_mistakes(cls: Any, loss: Any, kind: type[Exception], message: str):
    model = cls(eqx.nn.Linear(8, 1, key=jax.random.key(0)), loss=loss, optimizer=OPTIMIZER, microbatches=2)
    with pytest.raises(kind, match=message):
        model.fit(X, X[:, :1], verbose=0)


def test_steps_that_watch_are_no_mistake():
    linear = eqx.nn.Linear(8, 1, key=jax.random.key(0))
    model = Watching(linear, loss=tg.losses.MeanSquaredError(), optimizer=OPTIMIZER, microbatches=2)
    _, history = model.fit(X, X[:, :1], verbose=0)
    assert np.isclose(history["twice"][0], 2 * history["loss"][0])


def test_a_number_of_parts():
    with pytest.raises(ValueError, match="`microbatches` is 0; at least 1"):
        dropped(0)
