"""The maximum mean discrepancy of two samples."""

from collections.abc import Mapping
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from .._checks import check_number
from .._describe import array_name, is_arraylike
from .._errors import ContractError
from .._terms._elementwise import matched
from .._terms._loss import Loss
from .._types import PyTree
from ._pairs import OF_PAIRS
from ._views import cleared, present

# From where on `exp` of minus the half is 0 in float64, too.
_FAR = 2000.0


def mmd(
    y_true: Shaped[Array, "..."],
    y_pred: Num[Array, "..."],
    *,
    bandwidths: ArrayLike | tuple[float, ...] = 1.0,
    sample_weight: ArrayLike | None = None,
) -> Float[Array, "batch"]:
    r"""How far two samples are from being of the same distribution, by the mean similarity within and between them.
    With the kernel $k(u, v) = \frac1S \sum_s e^{-\lVert u - v \rVert^2 / 2 \sigma_s^2}$, the mean over the examples of

    $$
    \frac1n \sum_j \left(k(y_i, y_j) + k(\hat y_i, \hat y_j) - k(y_i, \hat y_j) - k(\hat y_i, y_j)\right)
    $$

    is the squared discrepancy, of which each example with itself is part: it is never negative.

    **Arguments:**

    - `y_true`, `y_pred`: vectors $y$ and $\hat y$, both `(batch, d)`. Which of them stand side by side doesn't matter.
    - `bandwidths`: the $\sigma_s > 0$: a number or several.
    - `sample_weight`: `(batch,)`; an example of weight 0 is in no pair. The values aren't multiplied with it.

    **Returns:**

    One value per example `(batch,)`. They depend on the other examples of the batch, and so does their mean on how
    examples are cut into batches.

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or aren't `(batch, d)`.

    ??? cite

        Gretton et al., *A Kernel Two-Sample Test*, JMLR 13 (2012).
    """
    y_true, y_pred = matched(y_true, y_pred)
    if y_true.ndim != 2:
        raise ContractError(f"`y_true` is {array_name(y_true)}, and vectors are expected: shapes like (batch, d).")
    there = present(y_true, sample_weight)
    scales = jnp.ravel(jnp.asarray(bandwidths, y_true.dtype))
    # Within bounds, since the gradients of infinite squares would be NaN.
    bound = (float(jnp.finfo(y_true.dtype).max) / max(y_true.shape[1], 1)) ** 0.5 / 4
    y, p = (jnp.clip(cleared(v, there), -bound, bound) for v in (y_true, y_pred))

    def similar(u: Array, v: Array) -> Array:
        # By differences: squares of lengths would cancel. Less 1, which the sum of the four has not: so do similarities
        # of vectors that are close together.
        squares = jnp.sum((u[:, None] - v[None]) ** 2, axis=-1)
        ratios = (jnp.minimum(squares, _FAR * scale**2) / scale**2 for scale in scales)
        return sum((jnp.expm1(-ratio / 2) for ratio in ratios), jnp.zeros_like(squares)) / len(scales)

    values = similar(y, y) + similar(p, p) - similar(y, p) - similar(p, y)
    count = jnp.maximum(jnp.sum(there), 1).astype(values.dtype)
    return jnp.sum(jnp.where(there[None, :], values, jnp.zeros_like(values)), axis=1) / count


class MMD(Loss):
    r"""The maximum mean discrepancy of labels and predictions: [`treegy.losses.mmd`][].

    **Raises:** `ValueError` where one of the `bandwidths` isn't positive.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.MMD(bandwidths=(0.5, 1.0, 2.0))
        samples = jnp.array([[0.0], [1.0], [2.0]])
        assert abs(loss(samples, samples[::-1])) < 1e-6
        assert loss(samples, samples + 1) > 0.1
        ```
    """

    bandwidths: ArrayLike | tuple[float, ...] = eqx.field(default=1.0, kw_only=True)
    r"""The $\sigma_s$: a number or several."""

    exempt_from: ClassVar[Mapping[str, str]] = OF_PAIRS

    def __check_init__(self) -> None:
        several = self.bandwidths if isinstance(self.bandwidths, tuple) else (self.bandwidths,)
        for one in several:
            if not is_arraylike(one):
                check_number("bandwidths", one, lambda b: b > 0, "a positive number or a tuple of them")

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
        sample_weight: PyTree = None,
    ) -> Float[Array, "batch"]:
        return mmd(y_true, y_pred, bandwidths=self.bandwidths, sample_weight=sample_weight)
