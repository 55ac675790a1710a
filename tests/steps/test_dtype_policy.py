"""Computing in half precision, with parameters that keep theirs."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.datasets import load_digits

import treegy as tg
from helpers import numbers

pytestmark = pytest.mark.standard_promotion

WRONG: Any = "int32"


class Seen(eqx.Module):
    """A layer that notes in which dtypes it is called."""

    linear: eqx.nn.Linear
    seen: list[Any] = eqx.field(static=True)

    def __call__(self, x: Any) -> Any:
        y = self.linear(x)
        self.seen.append((x.dtype, self.linear.weight.dtype, y.dtype))
        return y


class Normed(eqx.Module):
    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    last: eqx.nn.Linear

    def __init__(self, key: jax.Array, mode: Any):
        a, b = jax.random.split(key)
        self.first, self.last = eqx.nn.Linear(64, 64, key=a), eqx.nn.Linear(64, 10, key=b)
        self.norm = eqx.nn.BatchNorm(64, axis_name="batch", mode=mode)

    def __call__(self, x: Any, state: eqx.nn.State) -> Any:
        hidden, state = self.norm(self.first(x), state)
        return self.last(jax.nn.relu(hidden)), state


def floats(tree: Any) -> set[str]:
    arrays = jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))
    return {str(a.dtype) for a in arrays}


def digits() -> tuple[np.ndarray, np.ndarray]:
    found: Any = load_digits(return_X_y=True)
    images, labels = found
    return (images / 16).astype("float32"), labels.astype("int32")


def normed(policy: tg.DTypePolicy | None, mode: Any = "ema") -> tg.Model:
    module, state = eqx.nn.make_with_state(Normed)(jax.random.key(0), mode)
    return tg.Model(
        module,
        state=state,
        loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=tg.metrics.SparseCategoricalAccuracy(),
        optimizer=tg.with_ema(optax.adam(1e-2), 0.9),
        dtype_policy=policy,
    )


HALF = tg.DTypePolicy(compute=jnp.bfloat16)
FLOAT16 = tg.DTypePolicy(compute=jnp.float16, loss_scale="dynamic")


@pytest.mark.parametrize("policy", [HALF, FLOAT16], ids=["bfloat16", "float16"])
def test_the_module_computes_in_half_precision_and_nothing_else(policy: tg.DTypePolicy):
    seen: list[Any] = []
    model = tg.Model(
        Seen(eqx.nn.Linear(3, 2, key=jax.random.key(0)), seen),
        loss=tg.losses.MeanSquaredError(),
        metrics=tg.metrics.R2Score(),
        optimizer=optax.adam(1e-2),
        dtype_policy=policy,
    )
    x, y = numbers(20, 3), numbers(20, 2)
    model, history = model.fit(x, y, batch_size=8, validation_data=(x, y), verbose=0)
    assert set(seen) == {(policy.compute, policy.compute, policy.compute)}
    assert floats(model.states) == {"float32"}
    assert model.predict(x).dtype == model.predict_on_batch(x).dtype == jnp.float32
    assert all(np.isfinite(values).all() for values in history.history.values())


@pytest.mark.once
@pytest.mark.parametrize("mode", ["ema", pytest.param("batch", marks=pytest.mark.slow)])
@pytest.mark.parametrize("policy", [HALF, FLOAT16], ids=["bfloat16", "float16"])
def test_digits_are_learned_as_well(policy: tg.DTypePolicy, mode: str):
    x, y = digits()
    whole, half = (normed(p, mode).fit(x[:1500], y[:1500], epochs=6, verbose=0).model for p in (None, policy))
    assert floats(half.states) == {"float32"}
    found, expected = (m.evaluate(x[1500:], y[1500:], verbose=0) for m in (half, whole))
    assert abs(found["sparse_categorical_accuracy"] - expected["sparse_categorical_accuracy"]) < 0.02
    assert abs(found["loss"] - expected["loss"]) < 0.05


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("mode", ["ema", "batch"])
def test_batch_norm_keeps_its_averages(mode: Any, affine: bool):
    module, state = eqx.nn.make_with_state(eqx.nn.BatchNorm)(3, "batch", channelwise_affine=affine, mode=mode)
    net = eqx.nn.Sequential([eqx.nn.Linear(3, 3, key=jax.random.key(0)), module])
    loss, x = tg.losses.MeanSquaredError(), 5 + numbers(64, 3)
    policies = (HALF, None)
    half, whole = (
        tg.Model(net, state=state, loss=loss, optimizer=optax.sgd(0.0), dtype_policy=policy).fit(x, x, verbose=0).model
        for policy in policies
    )
    assert floats(half.state) == {"float32"}
    for a, b in zip(jax.tree.leaves(half.state), jax.tree.leaves(whole.state), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-2, atol=2e-2)


@pytest.mark.once
def test_the_loss_is_not_computed_in_half_precision():
    x, y = digits()
    model = normed(HALF)
    logits = np.asarray(model.predict(x), np.float64)
    top = logits.max(axis=1, keepdims=True)
    picked = (logits - top)[np.arange(len(y)), y] - np.log(np.exp(logits - top).sum(axis=1))
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0)["loss"], -picked.mean(), rtol=1e-6)


@pytest.mark.once
def test_small_updates_are_not_lost():
    model = tg.Model(
        eqx.nn.Linear(1, 1, use_bias=False, key=jax.random.key(0)),
        loss=lambda y_pred: y_pred[:, 0],
        optimizer=optax.sgd(1e-4),
        dtype_policy=HALF,
    )
    before = model.module.weight
    model, _ = model.fit(np.ones((1, 1), "float32"), batch_size=1, epochs=10, verbose=0)
    np.testing.assert_allclose(model.module.weight, before - 1e-3, rtol=1e-6)


@pytest.mark.once
def test_gradients_in_float16_are_those_in_float32():
    x, y = map(jnp.asarray, digits())

    def gradients(policy: Any) -> Any:
        model = normed(policy).init(x[:32], y[:32])
        states = model.states
        loss, _, _, grads = model.grad_step(
            x=x[:32],
            y_true=y[:32],
            sample_weight=None,
            class_weight=None,
            states=states,
            initializing=False,
            training=True,
        )
        return loss, grads

    (loss, found), (expected_loss, expected) = gradients(FLOAT16), gradients(None)
    assert floats(found) == {"float32"}
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-2)
    largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(expected))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-2 * largest)


def overflowing() -> tg.Model:
    return tg.Model(
        eqx.nn.Linear(1, 1, use_bias=False, key=jax.random.key(0)),
        loss=lambda y_pred: y_pred[:, 0] * 4,
        optimizer=optax.adam(1e-2),
        dtype_policy=FLOAT16,
    )


@pytest.mark.once
def test_a_step_that_overflows_changes_nothing_and_is_counted():
    model = overflowing().init(np.ones((1, 1), "float32"))
    before = model.states
    # 2**15 * 4 is more than float16 has.
    after, logs = model.train_on_batch(np.ones((1, 1), "float32"))
    assert np.isfinite(logs["loss"])
    for name in ("net_params", "optimizer_states"):
        for a, b in zip(jax.tree.leaves(after.states[name]), jax.tree.leaves(before[name]), strict=True):
            np.testing.assert_array_equal(a, b)
    scale = after.states.loss_scale
    assert (float(scale.value), int(scale.good), int(scale.skipped)) == (2.0**14, 0, 1)
    assert int(after.states.step) == 1
    fitted = overflowing().fit(np.ones((8, 1), "float32"), batch_size=1, verbose=0).model
    assert int(fitted.states.loss_scale.skipped) == 2 and int(fitted.states.loss_scale.good) == 6
    assert float(fitted.module.weight[0, 0]) < float(before.net_params.weight[0, 0])


@pytest.mark.once
def test_the_scale_grows_after_many_good_steps():
    fitted = overflowing().fit(np.ones((2100, 1), "float32"), batch_size=1, verbose=0).model
    # Two steps overflow, 2,000 go well, then it is too large once more.
    assert int(fitted.states.loss_scale.skipped) == 3


@pytest.mark.once
def test_a_scale_that_stays():
    policy = tg.DTypePolicy(compute=jnp.float16, loss_scale=128.0)
    model = normed(policy)
    assert "loss_scale" not in model.states
    x, y = digits()
    assert model.fit(x, y, epochs=2, verbose=0).history.history["loss"][-1] < 1


@pytest.mark.once
def test_another_policy_later():
    x, y = numbers(8, 1), numbers(8, 1)
    model = tg.Model(
        eqx.nn.Linear(1, 1, key=jax.random.key(0)), loss=tg.losses.MeanSquaredError(), optimizer=optax.adam(1e-2)
    )
    model = model.fit(x, y, verbose=0).model
    half = model.replace(dtype_policy=FLOAT16).fit(x, y, verbose=0).model
    assert int(half.states.loss_scale.good) + int(half.states.loss_scale.skipped) == 1
    assert half.replace(dtype_policy=None).fit(x, y, verbose=0).model.states.loss_scale is None


@pytest.mark.once
def test_the_policy_of_single_precision_changes_nothing():
    x, y = digits()
    found, expected = (normed(p).fit(x, y, verbose=0).model.parameters for p in (tg.DTypePolicy(), None))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)


def test_mistakes():
    with pytest.raises(ValueError, match='float16, in which small gradients vanish.*pass `loss_scale="dynamic"`'):
        tg.DTypePolicy(compute=jnp.float16)
    with pytest.raises(TypeError, match="`compute` is 'int32'; a dtype of floats is expected"):
        tg.DTypePolicy(compute=WRONG)
    with pytest.raises(ValueError, match="`loss_scale` is -1"):
        tg.DTypePolicy(loss_scale=-1)
    with pytest.raises(ValueError, match=r"`module.weight` is bf16\[1,1\], and the `dtype_policy` keeps .* in f32"):
        tg.Model(eqx.nn.Linear(1, 1, dtype=jnp.bfloat16, key=jax.random.key(0)), dtype_policy=HALF)
    with pytest.raises(TypeError, match="`dtype_policy` is 'bfloat16'"):
        bf16: Any = "bfloat16"
        tg.Model(eqx.nn.Linear(1, 1, key=jax.random.key(0)), dtype_policy=bf16)
