"""InfoNCE: which of the others belongs to it, of two views or of two kinds of data; CLIP's loss."""

from collections.abc import Mapping
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._converters import flag
from .._terms._elementwise import units
from .._terms._loss import Loss
from .._types import PyTree
from ._of_module import OfModule, check_of_module, number_of
from ._pairs import OF_PAIRS, log_sum_exp, others
from ._views import two_views


def info_nce(
    y_pred: PyTree,
    *,
    temperature: ArrayLike = 0.07,
    symmetric: bool = True,
    sample_weight: ArrayLike | None = None,
) -> Float[Array, "batch"]:
    r"""The crossentropy of finding, among the embeddings $b_j$ of the batch, the one that belongs to $a_i$. With the
    cosine similarities $s_{ij}$ of $a_i$ and $b_j$ and the temperature $\tau$,

    $$
    -\log \frac{e^{s_{ii} / \tau}}{\sum_j e^{s_{ij} / \tau}}
    $$

    and, if `symmetric`, the mean of this and of finding $a_i$ for $b_i$, which is the loss of CLIP.

    **Arguments:**

    - `y_pred`: embeddings `(one, other)`, each `(batch, d)`; divided by their length, or by $10^{-7}$ where that is
        less.
    - `temperature`: $\tau > 0$.
    - `symmetric`: whether both directions count.
    - `sample_weight`: `(batch,)`; an example of weight 0 is no other. The values aren't multiplied with it.

    **Returns:**

    One value per example `(batch,)`, 0 where there is no other. They depend on the other examples of the batch, and so
    does their mean on how examples are cut into batches.

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't two arrays of the same shape `(batch, d)`.

    ??? cite

        van den Oord et al., *Representation Learning with Contrastive Predictive Coding*, 2018; Radford et al.,
        *Learning Transferable Visual Models from Natural Language Supervision*, ICML 2021.
    """
    one, other, there = two_views(y_pred, sample_weight)
    similar = units(one, 1) @ units(other, 1).T / jnp.asarray(temperature, one.dtype)
    values = _of_rows(similar, there)
    return (values + _of_rows(similar.T, there)) / 2 if symmetric else values


def _of_rows(similar: Array, there: Array) -> Array:
    rest, some = log_sum_exp(similar, others(jnp.broadcast_to(there, similar.shape)))
    # Of the others alone, so that a small value isn't the difference of rounded numbers.
    return jax.nn.softplus(jnp.where(some, rest, -jnp.inf) - jnp.diagonal(similar))


class InfoNCE(Loss):
    r"""Finding what belongs together: [`treegy.losses.info_nce`][], the loss of CLIP.

    **Raises:** `ValueError` where `temperature` is a number that isn't positive.

    !!! example

        ```python
        import equinox as eqx
        import jax
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.InfoNCE(temperature=1.0)
        views = jnp.eye(2), jnp.eye(2)
        assert abs(loss(views) - jnp.log(1 + 1 / jnp.e)) < 1e-6


        class CLIP(eqx.Module):
            image: eqx.nn.Linear
            text: eqx.nn.Linear
            log_scale: jax.Array

            def __call__(self, image, text):
                return self.image(image), self.text(text)

        k1, k2 = jax.random.split(jax.random.key(0))
        network = CLIP(eqx.nn.Linear(5, 4, key=k1), eqx.nn.Linear(3, 4, key=k2), jnp.log(1 / 0.07))
        loss = tg.losses.InfoNCE(temperature=lambda module: jnp.exp(-module.log_scale))
        model = tg.Model(network, loss=loss)
        model.check({"image": jnp.ones((8, 5)), "text": jnp.ones((8, 3))})
        ```
    """

    temperature: OfModule = eqx.field(default=0.07, kw_only=True)
    """What similarities are divided by: a number, or a function of the module that returns it, where it is learned."""
    symmetric: bool = eqx.field(default=True, kw_only=True, static=True, converter=flag("symmetric"))
    """Whether both directions count."""

    exempt_from: ClassVar[Mapping[str, str]] = OF_PAIRS

    def __check_init__(self) -> None:
        check_of_module("temperature", self.temperature, lambda t: t > 0, "a positive number")

    def call(self, y_pred: PyTree, sample_weight: PyTree = None, module: PyTree = None) -> Float[Array, "batch"]:
        temperature = number_of("temperature", self.temperature, module)
        return info_nce(y_pred, temperature=temperature, symmetric=self.symmetric, sample_weight=sample_weight)
