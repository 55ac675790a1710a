"""Models of many kinds that are exported, each with a batch of seven examples for it."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

import treegy as tg

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(7, 1, 8, 8)).astype("float32")
TOKENS = RNG.integers(0, 11, size=(7, 6)).astype("int32")
ROWS = RNG.normal(size=(7, 8)).astype("float32")
TARGETS = RNG.normal(size=(7, 2)).astype("float32")


def rows() -> tuple[tg.Model[Any], Any]:
    return tg.Model(eqx.nn.MLP(8, 2, 16, 1, key=jax.random.key(0))), ROWS


class Convolutional(eqx.Module):
    """Convolutions, and statistics of batches that are a state."""

    first: eqx.nn.Conv2d
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    last: eqx.nn.Linear

    def __init__(self, key: jax.Array):
        a, b = jax.random.split(key)
        self.first = eqx.nn.Conv2d(1, 4, 3, padding=1, key=a)
        self.norm = eqx.nn.BatchNorm(4, axis_name="batch", mode="ema")
        self.dropout = eqx.nn.Dropout(0.5)
        self.last = eqx.nn.Linear(4 * 64, 2, key=b)

    def __call__(self, x: Any, state: Any, key: Any) -> Any:
        hidden, state = self.norm(self.first(x), state)
        return self.last(self.dropout(jax.nn.relu(hidden).ravel(), key=key)), state


def convolutional() -> tuple[tg.Model[Any], Any]:
    """One that has been trained, so that its state isn't the first one."""
    module, state = eqx.nn.make_with_state(Convolutional)(jax.random.key(0))
    model = tg.Model(module, state=state, loss=tg.losses.MeanSquaredError(), optimizer=optax.sgd(0.1))
    return model.train_on_batch(IMAGES, TARGETS)[0], IMAGES


class Attention(eqx.Module):
    """Integers, attention, and an axis of time that its annotation names."""

    embedding: eqx.nn.Embedding
    attention: eqx.nn.MultiheadAttention

    def __init__(self, key: jax.Array):
        a, b = jax.random.split(key)
        self.embedding = eqx.nn.Embedding(11, 8, key=a)
        self.attention = eqx.nn.MultiheadAttention(2, 8, key=b)

    def __call__(self, x: Int[Array, "time"]) -> Float[Array, "time 8"]:
        hidden = jax.vmap(self.embedding)(x)
        mask = jnp.tril(jnp.ones((x.shape[0], x.shape[0]), bool))
        return self.attention(hidden, hidden, hidden, mask=mask)


def attention() -> tuple[tg.Model[Any], Any]:
    return tg.Model(Attention(jax.random.key(0))), TOKENS


class Recurrent(eqx.Module):
    """A scan over time, and outputs in a dict and a tuple."""

    cell: eqx.nn.GRUCell

    def __call__(self, image: Any, row: Any) -> Any:
        def step(hidden: Any, x: Any) -> tuple[Any, Any]:
            new = self.cell(x, hidden)
            return new, new

        last, hidden = jax.lax.scan(step, jnp.zeros(4), image[0])
        return {"last": last, "all": (hidden, [row])}


def recurrent() -> tuple[tg.Model[Any], Any]:
    return tg.Model(Recurrent(eqx.nn.GRUCell(8, 4, key=jax.random.key(0)))), {"image": IMAGES, "row": ROWS}


def half() -> tuple[tg.Model[Any], Any]:
    """It computes in bfloat16, with parameters in single precision."""
    module = eqx.nn.MLP(8, 2, 16, 1, key=jax.random.key(0))
    return tg.Model(module, dtype_policy=tg.DTypePolicy("bfloat16")), ROWS


def half_parameters() -> tuple[tg.Model[Any], Any]:
    """Its parameters are in bfloat16, and so are its inputs."""
    module = eqx.nn.Linear(8, 2, dtype=jnp.bfloat16, key=jax.random.key(0))
    return tg.Model(module), jnp.asarray(ROWS, jnp.bfloat16)


class Whole(eqx.Module):
    """Takes the whole batch."""

    scale: Float[Array, ""]

    def __call__(self, x: Float[Array, "batch d"]) -> Float[Array, "batch d"]:
        return self.scale * (x - jnp.mean(x, axis=0, keepdims=True))


def whole() -> tuple[tg.Model[Any], Any]:
    return tg.Model(Whole(jnp.asarray(3.0))), ROWS


class Noisy(eqx.Module):
    """It is random in inference, too."""

    linear: eqx.nn.Linear

    def __call__(self, x: Any, key: Any) -> Any:
        return self.linear(x) + jax.random.normal(key, (2,))


def noisy() -> tuple[tg.Model[Any], Any]:
    return tg.Model(Noisy(eqx.nn.Linear(8, 2, key=jax.random.key(0))), seed=3), ROWS


class Own(tg.Model[Any]):
    """Without a module: a step makes the parameters."""

    def pred_step(self, x, states, initializing):
        weight = jnp.full((x.shape[1], 2), 0.5) if initializing else states.net_params
        return {"scores": x @ weight}, states.update(net_params=weight)


def own() -> tuple[tg.Model[Any], Any]:
    return Own(), ROWS


class Odd(eqx.Module):
    """Arrays of kinds that NumPy lacks, without axes, and without elements."""

    small: Array
    one: Array
    none: Array

    def __call__(self, x: Any) -> Any:
        return x * self.small.astype(x.dtype) + self.one + jnp.sum(self.none)


def odd() -> tuple[tg.Model[Any], Any]:
    eight = jnp.asarray(ROWS[0], jnp.float8_e4m3fn)
    return tg.Model(Odd(eight, jnp.asarray(2.0), jnp.zeros((0, 3)))), ROWS


class Scaled(tg.Model[Any]):
    """What the module returns isn't what is predicted."""

    def pred_step(self, **kw):
        y_pred, states = super().pred_step(**kw)
        return jax.nn.softmax(y_pred), states


def scaled() -> tuple[tg.Model[Any], Any]:
    return Scaled(eqx.nn.Linear(8, 2, key=jax.random.key(0))), ROWS


def schedule_free() -> tuple[tg.Model[Any], Any]:
    """It predicts with other parameters than it trains."""
    model = tg.Model(
        eqx.nn.Linear(8, 2, key=jax.random.key(0)),
        loss=tg.losses.MeanSquaredError(),
        optimizer=optax.contrib.schedule_free_sgd(0.5),
    )
    return model.fit(ROWS, TARGETS, batch_size=2, verbose=0)[0], ROWS


class Shared(eqx.Module):
    """Two inputs by position, of which one is complex; and functions and numbers that are no arrays."""

    activation: Callable[..., Any]
    factor: float
    table: np.ndarray

    def __call__(self, a: Any, b: Any) -> Any:
        return self.activation(a) * self.factor + jnp.real(b) + self.table, b


def shared() -> tuple[tg.Model[Any], Any]:
    module = Shared(jax.nn.relu, 0.5, np.arange(8, dtype="float32"))
    return tg.Model(module), (ROWS, (ROWS + 1j).astype("complex64"))


MODELS: dict[str, Callable[[], tuple[tg.Model[Any], Any]]] = {
    made.__name__: made
    for made in (
        rows,
        convolutional,
        attention,
        recurrent,
        half,
        half_parameters,
        whole,
        noisy,
        own,
        odd,
        scaled,
        schedule_free,
        shared,
    )
}
