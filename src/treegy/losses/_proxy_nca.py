"""Proxy-NCA: an embedding is near the proxy of its class and far from those of others."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from .._checks import check_number
from .._terms._classes import class_labels, within
from .._terms._elementwise import in_floats
from .._terms._loss import Loss


def proxy_nca(
    y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], *, temperature: ArrayLike = 1.0
) -> Float[Array, "..."]:
    r"""How much nearer an embedding is to the proxies of other classes than to that of its own,

    $$
    -\log \frac{e^{-d_y / \tau}}{\sum_{c \ne y} e^{-d_c / \tau}}, \qquad d_c = 2 - 2 \cos \theta_c
    $$

    where $d_c$ is the squared distance of embedding and proxy if both are of length 1. It may be negative.

    **Arguments:**

    - `y_true`: class indices $y$, integers `(batch, ...)`.
    - `y_pred`: $\cos \theta_c$ `(batch, ..., classes)`, from -1 to 1: the cosines of an embedding and the proxy of each
        class, which are parameters of the module. What is outside counts as the end.
    - `temperature`: $\tau > 0$.

    **Returns:**

    One value per label, `(batch, ...)`, NaN for a label that isn't a class. In the dtype of `y_pred`, at least float32.
    Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_true` isn't of an integer dtype or doesn't fit `y_pred`.

    ??? cite

        Movshovitz-Attias et al., *No Fuss Distance Metric Learning Using Proxies*, ICCV 2017.
    """
    labels = class_labels(y_true, y_pred)
    _, cosines = in_floats(y_true, y_pred)
    inside, at = within(labels, cosines.shape[-1])
    near = 2 * jnp.clip(cosines, -1, 1) / jnp.asarray(temperature, cosines.dtype)
    own = jax.lax.broadcasted_iota(at.dtype, near.shape, near.ndim - 1) == at[..., None]
    rest = jax.nn.logsumexp(jnp.where(own, -jnp.inf, near), axis=-1)
    values = rest - jnp.sum(jnp.where(own, near, jnp.zeros_like(near)), axis=-1)
    return jnp.where(inside, values, jnp.full_like(values, jnp.nan))


class ProxyNCA(Loss):
    r"""Near the proxy of the own class: [`treegy.losses.proxy_nca`][].

    **Raises:** `ValueError` where `temperature` isn't positive.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.ProxyNCA()
        assert abs(loss(jnp.array([0]), jnp.array([[1.0, 0.0, 0.0]])) - jnp.log(2) + 2) < 1e-6
        ```
    """

    temperature: ArrayLike = eqx.field(default=1.0, kw_only=True)
    """What distances are divided by."""

    def __check_init__(self) -> None:
        check_number("temperature", self.temperature, lambda t: t > 0, "a positive number")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return proxy_nca(y_true, y_pred, temperature=self.temperature)
