"""SigLIP: whether two embeddings belong together, pair by pair."""

from collections.abc import Mapping
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._terms._elementwise import units
from .._terms._loss import Loss
from .._types import PyTree
from ._of_module import OfModule, check_of_module, number_of
from ._pairs import OF_PAIRS
from ._views import two_views


def sig_lip(
    y_pred: PyTree,
    *,
    temperature: ArrayLike = 0.1,
    bias: ArrayLike = -10.0,
    sample_weight: ArrayLike | None = None,
) -> Float[Array, "batch"]:
    r"""The binary crossentropy of whether $a_i$ and $b_j$ belong together, which they do for $i = j$. With their cosine
    similarities $s_{ij}$, the temperature $\tau$ and the bias $\beta$,

    $$
    \sum_j \log\left(1 + e^{-l_{ij} (s_{ij} / \tau + \beta)}\right), \quad l_{ij} = \begin{cases} 1 & i = j \\
    -1 & i \ne j \end{cases}
    $$

    **Arguments:**

    - `y_pred`: embeddings `(one, other)`, each `(batch, d)`; divided by their length, or by $10^{-7}$ where that is
        less.
    - `temperature`: $\tau > 0$.
    - `bias`: $\beta$: negative, since most pairs don't belong together.
    - `sample_weight`: `(batch,)`; an example of weight 0 is in no pair. The values aren't multiplied with it.

    **Returns:**

    One value per example `(batch,)`, the sum over the $b_j$. They depend on the other examples of the batch, and so
    does their mean on how examples are cut into batches.

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't two arrays of the same shape `(batch, d)`.

    ??? cite

        Zhai et al., *Sigmoid Loss for Language Image Pre-Training*, ICCV 2023.
    """
    one, other, there = two_views(y_pred, sample_weight)
    temperature, bias = jnp.asarray(temperature, one.dtype), jnp.asarray(bias, one.dtype)
    logits = units(one, 1) @ units(other, 1).T / temperature + bias
    values = jax.nn.softplus(jnp.where(jnp.eye(len(one), dtype=bool), -logits, logits))
    return jnp.sum(jnp.where(there[None, :], values, jnp.zeros_like(values)), axis=1)


class SigLIP(Loss):
    r"""Whether two embeddings belong together: [`treegy.losses.sig_lip`][].

    **Raises:** `ValueError` where `temperature` is a number that isn't positive.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.SigLIP(temperature=1.0, bias=0.0)
        views = jnp.eye(2), jnp.eye(2)
        assert abs(loss(views) - jnp.log(1 + 1 / jnp.e) - jnp.log(2)) < 1e-6
        # Both of them learned:
        loss = tg.losses.SigLIP(temperature=lambda m: jnp.exp(-m["log_scale"]), bias=lambda m: m["bias"])
        learned = {"log_scale": jnp.zeros(()), "bias": jnp.zeros(())}
        assert abs(loss(views, module=learned) - jnp.log(1 + 1 / jnp.e) - jnp.log(2)) < 1e-6
        ```
    """

    temperature: OfModule = eqx.field(default=0.1, kw_only=True)
    """What similarities are divided by: a number, or a function of the module that returns it, where it is learned."""
    bias: OfModule = eqx.field(default=-10.0, kw_only=True)
    """What is added to them then: a number, or such a function."""

    exempt_from: ClassVar[Mapping[str, str]] = OF_PAIRS

    def __check_init__(self) -> None:
        check_of_module("temperature", self.temperature, lambda t: t > 0, "a positive number")
        check_of_module("bias", self.bias, lambda b: b == b, "a number")

    def call(self, y_pred: PyTree, sample_weight: PyTree = None, module: PyTree = None) -> Float[Array, "batch"]:
        temperature = number_of("temperature", self.temperature, module)
        bias = number_of("bias", self.bias, module)
        return sig_lip(y_pred, temperature=temperature, bias=bias, sample_weight=sample_weight)
