"""How much neighbouring pixels of an image differ."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from .._terms._elementwise import absolute
from .._terms._loss import Loss
from ._images import as_channels, image, space


def total_variation(y_pred: Num[Array, "..."], *, axis: int | None = -1) -> Float[Array, "batch"]:
    r"""How much neighbouring pixels differ, the sum over the image of $\lvert p_{i+1,j} - p_{ij} \rvert +
    \lvert p_{i,j+1} - p_{ij} \rvert$, along each axis of space and in each channel.

    **Arguments:**

    - `y_pred`: images `(batch, height, width, channels)`, or with a depth before the channels.
    - `axis`: that of the channels, 1 if they come first; `None` where there are none.

    **Returns:**

    One value per example, `(batch,)`: a sum that grows with the image, as in TensorFlow and torchmetrics. In the dtype
    of the argument, at least float32. Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shape isn't that of images.

    ??? cite

        Rudin, Osher and Fatemi, *Nonlinear Total Variation Based Noise Removal Algorithms*, Physica D 1992.
    """
    p = image(y_pred, axis)
    inner = tuple(range(1, p.ndim))
    steps = [jnp.sum(absolute(jnp.diff(p, axis=a)), axis=inner) for a in space(p)]
    return jnp.sum(jnp.stack(steps), axis=0)


class TotalVariation(Loss):
    """How much neighbouring pixels of what is predicted differ: [`treegy.losses.total_variation`][]. No labels.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.TotalVariation(axis=None, weight=0.5)
        assert loss(y_pred=jnp.array([[[0.0, 1.0], [0.0, 3.0]]])) == 3
        ```
    """

    axis: int | None = eqx.field(default=-1, kw_only=True, static=True, converter=as_channels)
    """That of the channels, 1 if they come first; `None` where there are none."""

    def call(self, y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch"]:
        return total_variation(y_pred, axis=self.axis)
