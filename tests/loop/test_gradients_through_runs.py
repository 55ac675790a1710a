"""Gradients through training: those of finite differences, and meta-learning on them."""

import functools
from collections.abc import Callable, Generator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg

pytestmark = [pytest.mark.standard_promotion, pytest.mark.once]

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(24, 3)), RNG.normal(size=(24, 1))
SGD = optax.sgd(0.1)


@pytest.fixture(autouse=True)
def _double() -> Generator[None]:
    with jax.enable_x64(True):
        yield


class Stretched(eqx.Module):
    """A network whose inputs are augmented with noise of some strength while it trains."""

    network: eqx.nn.MLP
    strength: Any

    def __call__(self, x: Any, key: Any, inference: bool) -> Any:
        noise = 0 if inference else self.strength * jax.random.normal(key, x.shape)
        return self.network(x + noise)


class Weighed(tg.Loss):
    """The squares of all parameters, of which the strength may be traced."""

    strength: Any

    def call(self, parameters: Any) -> Any:
        return self.strength * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(parameters))


def mlp() -> eqx.nn.MLP:
    return eqx.nn.MLP(3, 1, 4, 1, activation=jnp.tanh, key=jax.random.key(0))


def after_augmentation(strength: Any) -> Any:
    """The loss on other data, of a network trained on augmented inputs."""
    model = tg.Model(
        Stretched(mlp(), strength),
        loss=tg.losses.MeanSquaredError(),
        optimizer=SGD,
        trainable=Stretched(True, False),  # pyright: ignore[reportArgumentType]
    )
    model, _ = model.scan_fit(X[:16], Y[:16], epochs=3, batch_size=5)
    return model.test_on_batch(X[16:], Y[16:])[1]["loss"]


def after_regularization(strength: Any) -> Any:
    losses = [tg.losses.MeanSquaredError(), Weighed(strength=strength)]
    model = tg.Model(mlp(), loss=losses, optimizer=optax.adam(1e-2))
    model, _ = model.scan_fit(X[:16], Y[:16], epochs=3, batch_size=5)
    return jnp.mean((jax.vmap(model.module)(jnp.asarray(X[16:])) - Y[16:]) ** 2)


def after_parts(rate: Any) -> Any:
    """With batches in parts."""
    loss, optimizer = tg.losses.MeanSquaredError(), tg.Optimizer(optax.sgd, rate)
    model = tg.Model(mlp(), loss=loss, optimizer=optimizer, microbatches=3)
    return model.scan_fit(X, Y, epochs=2, batch_size=7)[1]["loss"][-1]


@pytest.mark.parametrize(
    ("loss_after", "at"),
    [
        (after_augmentation, 0.3),
        pytest.param(after_regularization, 0.05, marks=pytest.mark.slow),
        pytest.param(after_parts, 0.1, marks=pytest.mark.slow),
    ],
)
def test_strengths(loss_after: Callable[[Any], Any], at: float):
    found = jax.grad(loss_after)(jnp.asarray(at))
    step = 1e-5
    compiled: Any = jax.jit(loss_after)
    expected = (compiled(jnp.asarray(at + step)) - compiled(jnp.asarray(at - step))) / (2 * step)
    # A learning rate in a `tg.Optimizer` is in single precision.
    np.testing.assert_allclose(found, expected, rtol=1e-2 if loss_after is after_parts else 1e-5)


# Meta-learning: parameters from which one step on a task is enough (Finn et al., 2017)


def tasks(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Lines through the origin, of other slopes: `(tasks, examples, 1)`."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, size=(n, 10, 1))
    return x, x * rng.uniform(1, 3, size=(n, 1, 1))


def learner(network: Any) -> tg.Model:
    return tg.Model(network, loss=tg.losses.MeanSquaredError(), optimizer=SGD)


def by_steps(network: Any, x: Any, y: Any) -> Any:
    model, _ = learner(network).train_on_batch(x[:5], y[:5])
    return model.test_on_batch(x[5:], y[5:])[1]["loss"]


def by_run(network: Any, x: Any, y: Any) -> Any:
    model, _ = learner(network).scan_fit(x[:5], y[:5], epochs=1, batch_size=5)
    return model.test_on_batch(x[5:], y[5:])[1]["loss"]


def by_hand(network: Any, x: Any, y: Any) -> Any:
    def loss(network: Any, x: Any, y: Any) -> Any:
        return jnp.mean((jax.vmap(network)(x) - y) ** 2)

    grads = eqx.filter_grad(loss)(network, x[:5], y[:5])
    return loss(eqx.apply_updates(network, jax.tree.map(lambda g: -0.1 * g, grads)), x[5:], y[5:])


def meta_loss(adapt: Callable[..., Any], network: Any, x: Any, y: Any) -> Any:
    return jnp.mean(jax.vmap(functools.partial(adapt, network))(x, y))


@pytest.mark.parametrize("adapt", [pytest.param(by_steps, marks=pytest.mark.slow), by_run])
def test_meta_learning(adapt: Callable[..., Any]):
    network = eqx.nn.Linear(1, 1, key=jax.random.key(0))
    x, y = tasks(8, 0)
    found = eqx.filter_grad(functools.partial(meta_loss, adapt))(network, x, y)
    expected = eqx.filter_grad(functools.partial(meta_loss, by_hand))(network, x, y)
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=1e-10)

    @eqx.filter_jit
    def outer(network: Any, x: Any, y: Any) -> Any:
        loss, grads = eqx.filter_value_and_grad(functools.partial(meta_loss, adapt))(network, x, y)
        return loss, eqx.apply_updates(network, jax.tree.map(lambda g: -0.2 * g, grads))

    losses: list[float] = []
    for i in range(30):
        loss, network = outer(network, *tasks(8, i))
        losses.append(float(loss))
    # The slopes are 2 on average: from there, a step leaves the least.
    assert np.mean(losses[-5:]) < 0.5 * losses[0]
    assert abs(float(network.weight[0, 0]) - 2) < 0.3
