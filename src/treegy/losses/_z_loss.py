"""What keeps logits near logarithms of probabilities."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from .._converters import integer
from .._describe import array_name
from .._errors import ContractError
from .._terms._elementwise import all_in_floats
from .._terms._loss import Loss
from .._terms._weights import Masked


def z_loss(y_pred: Num[Array, "..."]) -> Float[Array, "..."]:
    r"""The square of the logarithm of what a softmax divides by, $\big(\log \sum_c e^{z_c}\big)^2$.

    It is 0 where the logits $z$ are logarithms of probabilities. Added to a crossentropy with a small weight, such as
    $10^{-4}$, it keeps them from drifting away, where half precision rounds them coarsely.

    **Arguments:**

    - `y_pred`: logits of the shape `(batch, ..., classes)`.

    **Returns:**

    One value for each set of logits, `(batch, ...)`. In the dtype of `y_pred`, at least float32. Nothing is averaged
    over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where there is no axis of classes.

    ??? cite

        Chowdhery et al., *PaLM: Scaling Language Modeling with Pathways*, JMLR 24 (2023).
    """
    if y_pred.ndim < 2:
        raise ContractError(
            f"`y_pred` is {array_name(y_pred)}, and logits of a shape like (batch, classes) are expected."
        )
    (logits,) = all_in_floats({"y_pred": y_pred})
    logarithm = jax.nn.logsumexp(logits, axis=-1)
    # Beyond this the square is infinite, and a gradient through it would be NaN.
    root = float(jnp.finfo(logits.dtype).max) ** 0.5 * (1 - 1e-6)
    squared = jnp.clip(logarithm, -root, root) ** 2
    return jnp.where(jnp.abs(logarithm) > root, jnp.inf, squared)


class ZLoss(Loss):
    r"""The square of the logarithm of what a softmax divides by: [`treegy.losses.z_loss`][].

    It is added to a crossentropy of logits, whose `ignore_class` and `y_true` it takes to leave out the same labels.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        z_loss = tg.losses.ZLoss(ignore_class=-1, weight=1e-4)
        logits = jnp.log(jnp.array([[[0.5, 0.5], [4.0, 4.0]]]))
        assert abs(z_loss(y_true=jnp.array([[0, -1]]), y_pred=logits)) < 1e-6
        losses = [tg.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1), z_loss]
        ```
    """

    predictions: ClassVar[str | None] = "logits"

    ignore_class: int | None = eqx.field(
        default=None, kw_only=True, static=True, converter=integer("ignore_class", "a label", optional=True)
    )
    """A label that says that there is none: such places don't count."""

    def call(
        self, y_pred: Num[Array, "batch ..."], y_true: Num[Array, "batch ..."] | None = None
    ) -> Float[Array, "batch ..."] | Masked:
        values = z_loss(y_pred)
        if self.ignore_class is None:
            return values
        if y_true is None or y_true.shape != values.shape:
            got = "nothing" if y_true is None else array_name(y_true)
            raise ContractError(
                f"`y_true` is {got}, and with `ignore_class` a label for each of the logits {array_name(y_pred)} is "
                "expected."
            )
        return Masked(values, y_true != self.ignore_class)
