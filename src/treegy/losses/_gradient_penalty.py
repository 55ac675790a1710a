"""The gradient penalty of a critic: how far its slope is from what it should be."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._checks import check_number
from .._converters import function
from .._terms._elementwise import all_in_floats
from .._terms._loss import Loss
from .._types import PyTree


def gradient_penalty(
    y_pred: Float[Array, "..."], critic: Callable[[Array], Array], *, target: ArrayLike = 1.0
) -> Float[Array, "batch"]:
    r"""How far the slope of a critic $D$ is from a target $g$ at some points,
    $\left(\lVert \nabla D(x) \rVert - g\right)^2$.

    With $g = 1$, at points between real and generated ones, it is that of WGAN-GP; with $g = 0$, at real ones, twice
    $R_1$.

    **Arguments:**

    - `y_pred`: the points $x$, `(batch, ...)`.
    - `critic`: $D$, a function of one point, without the batch, that returns a scalar.
    - `target`: $g$, not negative.

    **Returns:**

    One value per point `(batch,)`, at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    ??? cite

        Gulrajani et al., *Improved Training of Wasserstein GANs*, NeurIPS 2017; Mescheder et al., *Which Training
        Methods for GANs Do Actually Converge?*, ICML 2018.
    """
    slopes = jax.vmap(jax.grad(critic))(y_pred)
    (slopes,) = all_in_floats({"the gradient of `critic`": slopes.reshape(len(slopes), -1)})
    squares = jnp.sum(slopes**2, axis=1)
    # The slope of a root is infinite at 0.
    some = squares > 0
    lengths = jnp.where(some, jnp.sqrt(jnp.where(some, squares, jnp.ones_like(squares))), jnp.zeros_like(squares))
    return (lengths - jnp.asarray(target, lengths.dtype)) ** 2


class GradientPenalty(Loss):
    r"""The gradient penalty of a critic that is part of the module: [`treegy.losses.gradient_penalty`][].

    The points are a part of what the module returns, or of several outputs the one that `on=` selects: for WGAN-GP the
    module draws them between real and generated ones by its `key`.

    **Raises:** `TypeError` where `critic` isn't a function. `ValueError` where `target` is negative.

    !!! example

        ```python
        import equinox as eqx
        import jax
        import jax.numpy as jnp
        import treegy as tg

        class Critic(eqx.Module):
            score: eqx.nn.Linear

            def __call__(self, real, fake, key):
                share = jax.random.uniform(key)
                between = share * real + (1 - share) * fake
                return {"scores": (self.score(real), self.score(fake)), "between": jax.lax.stop_gradient(between)}

        penalty = tg.losses.GradientPenalty(lambda module, x: module.score(x), on="between", weight=10.0)
        loss = [tg.losses.GANDiscriminator(kind="wasserstein", on="scores"), penalty]
        model = tg.Model(Critic(eqx.nn.Linear(3, "scalar", key=jax.random.key(0))), loss=loss)
        logs = model.evaluate({"real": jnp.ones((8, 3)), "fake": jnp.zeros((8, 3))}, verbose=0)
        assert logs["gradient_penalty_loss"] >= 0
        ```
    """

    critic: Callable[[Any, Any], Any] = eqx.field(converter=function("critic", "a function of the module and a point"))
    """A function of the module and of one point, which returns the score of the point, a scalar."""
    target: ArrayLike = eqx.field(default=1.0, kw_only=True)
    """How long the gradient should be."""

    def __check_init__(self) -> None:
        check_number("target", self.target, lambda t: t >= 0, "a number that isn't negative")

    def call(self, y_pred: Float[Array, "batch ..."], module: PyTree) -> Float[Array, "batch"]:
        return gradient_penalty(y_pred, lambda point: self.critic(module, point), target=self.target)
