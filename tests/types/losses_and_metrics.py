"""Losses and metrics as users write them: `call` names only what it wants."""

from collections.abc import Callable
from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

import treegy as tg


class MSE(tg.Loss):
    def call(self, y_true: Float[Array, "batch d"], y_pred: Float[Array, "batch d"]) -> Float[Array, "batch"]:
        return jnp.mean((y_true - y_pred) ** 2, axis=-1)


class Reconstruction(tg.Loss):
    def call(self, x: Float[Array, "batch d"], y_pred: Float[Array, "batch d"]) -> dict[str, Float[Array, "batch"]]:
        return {"l1": jnp.mean(jnp.abs(x - y_pred), axis=-1), "l2": jnp.mean((x - y_pred) ** 2, axis=-1)}


class Penalty(tg.Loss):
    """With fields of its own, and no `y_true` and no `y_pred`."""

    strength: float = eqx.field(kw_only=True)
    norm: Callable[[Array], Array] = eqx.field(default=jnp.abs, kw_only=True, static=True)

    def call(self, parameters: Any) -> Float[Array, ""]:
        leaves: list[Array] = jax.tree.leaves(parameters)
        return self.strength * sum((jnp.sum(self.norm(leaf)) for leaf in leaves), start=jnp.float32(0))


class Accuracy(tg.Metric):
    def call(self, y_true: Int[Array, "batch"], y_pred: Float[Array, "batch classes"]) -> Bool[Array, "batch"]:
        return y_true == jnp.argmax(y_pred, axis=-1)


class Confidence(tg.Metric):
    """Reads one output of several."""

    def call(self, y_pred: Annotated[Float[Array, "batch classes"], tg.At("logits")]) -> Float[Array, "batch"]:
        return jnp.max(jax.nn.softmax(y_pred), axis=-1)


class Largest(tg.Accumulator):
    value: Float[Array, ""]

    def empty(self) -> "Largest":
        return Largest(jnp.minimum(self.value, -jnp.inf))

    def merge(self, other: "Largest") -> "Largest":
        return Largest(jnp.maximum(self.value, other.value))

    def compute(self) -> Float[Array, ""]:
        return self.value


class LargestError(tg.Metric):
    """Not a mean, and so an accumulator of its own."""

    def call(
        self,
        y_true: Float[Array, "batch d"],
        y_pred: Float[Array, "batch d"],
        sample_weight: Float[Array, "batch"] | None = None,
    ) -> Largest:
        error = jnp.max(jnp.abs(y_true - y_pred), axis=-1)
        if sample_weight is not None:
            error = jnp.where(sample_weight > 0, error, -jnp.inf)
        return Largest(jnp.max(error))


def main() -> None:
    y_true, y_pred = np.zeros((4, 2), np.float32), np.ones((4, 2), np.float32)
    assert MSE(weight=2.0, reduction="sum", on=None, name="squared")(y_true, y_pred) == 8
    assert MSE()(y_true=y_true, y_pred=y_pred, sample_weight=np.zeros(4)) == 0
    tg.testing.check_loss(MSE(), y_true=y_true, y_pred=y_pred)
    assert set(Reconstruction()(y_true, y_pred)) == {"l1", "l2"}
    assert Penalty(strength=0.5, norm=jnp.square)(parameters={"w": y_pred}) == 4
    assert float(Accuracy()(np.array([0, 1]), np.eye(2))) == 1
    assert float(Confidence()(y_pred={"logits": np.zeros((3, 2))})) == 0.5
    assert float(LargestError()(y_true, y_pred).merge(LargestError()(y_true, 3 * y_pred))) == 3


if __name__ == "__main__":
    main()
