"""Models as users write them: steps name only what they want, fields are declared with `kw_only=True`."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, assert_type

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

import treegy as tg


class LinearClassifier(tg.Model):
    """One step, no module, a field of its own."""

    classes: int = eqx.field(default=10, kw_only=True, static=True)

    def test_step(
        self,
        x: Float[Array, "batch features"],
        y_true: Int[Array, "batch"],
        states: tg.States,
        initializing: bool,
    ) -> tuple[Array, dict[str, Array], tg.States]:
        if initializing:
            w = jax.random.uniform(jax.random.key(42), (x.shape[1], self.classes))
            b = jax.random.uniform(jax.random.key(69), (1,))
        else:
            w, b = states.net_params
        logits = jnp.dot(x, w) + b
        labels = jax.nn.one_hot(y_true, self.classes)
        loss = jnp.mean(-jnp.sum(labels * jax.nn.log_softmax(logits), axis=-1))
        logs = {"accuracy": jnp.mean(jnp.argmax(logits, axis=-1) == y_true), "loss": loss}
        return loss, logs, states.update(net_params=(w, b))


class Split(tg.Model):
    """The forward pass on its own, called from another step by position."""

    width: int = eqx.field(kw_only=True, static=True)

    def pred_step(self, x: Float[Array, "batch d"], states: tg.States, initializing: bool) -> tuple[Array, tg.States]:
        if initializing:
            states = states.update(net_params=jax.random.normal(jax.random.key(0), (x.shape[-1], self.width)))
        return x @ states.net_params, states

    def test_step(
        self, x: Any, y_true: Any, states: tg.States, initializing: bool
    ) -> tuple[Array, dict[str, Array], tg.States]:
        y_pred, states = self.pred_step(x, states, initializing)
        loss = jnp.mean((y_true - y_pred) ** 2)
        return loss, {"loss": loss}, states


class Clipped(tg.Model[eqx.nn.MLP]):
    """Adds to what the defaults do, and knows the type of its module."""

    limit: float = eqx.field(default=1.0, kw_only=True)

    def grad_step(self, **kwargs: Any) -> tuple[Any, dict[str, Any], tg.States, Any]:
        loss, logs, states, grads = super().grad_step(**kwargs)
        norm = optax.tree.norm(grads)
        scale = jnp.minimum(1.0, self.limit / norm)
        scaled = jax.tree.map(partial(jnp.multiply, scale), grads)
        return loss, {**logs, "grad_norm": norm}, states, scaled

    def train_step(self, **kwargs: Any) -> tuple[dict[str, Any], tg.States]:
        logs, states = super().train_step(**kwargs)
        return {**logs, "depth": jnp.float32(self.module.depth)}, states


def main() -> None:
    x = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
    labels = np.arange(32) % 3

    classifier = LinearClassifier(optimizer=optax.adam(1e-2), classes=3, seed=1)
    classifier, history = classifier.fit(x=x, y=labels, epochs=2, batch_size=16, verbose=0)
    assert_type(classifier, LinearClassifier)
    assert list(history.history) == ["accuracy", "loss"]

    split, _ = Split(optimizer=optax.sgd(1e-2), width=2).fit(x, x[:, :2], verbose=0)
    assert_type(split, Split)
    assert split.predict(x).shape == (32, 2)

    mlp = eqx.nn.MLP(4, 2, 8, 1, key=jax.random.key(0))
    clipped = Clipped(mlp, loss=tg.losses.MeanSquaredError(), optimizer=optax.adam(1e-2), limit=0.5)
    clipped, history = clipped.fit(x, x[:, :2], epochs=2, verbose=0)
    assert_type(clipped.module, eqx.nn.MLP)
    assert history.history["depth"] == [1.0, 1.0]

    with TemporaryDirectory() as directory:
        clipped.export(Path(directory), x, platforms=["cpu"])
        exported = tg.load_exported(directory)
        assert_type(exported, tg.ExportedModel)
        assert exported(x[:3]).shape == (3, 2) and exported.platforms == ("cpu",)


if __name__ == "__main__":
    main()
