"""The loss of sequences of labels whose alignment to the predictions isn't known."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Shaped

from .._describe import array_name
from .._errors import ContractError
from .._terms._elementwise import in_floats
from .._terms._loss import Loss
from ._labels_of_sequences import check_labels

BLANK = 0


def ctc(
    y_true: Shaped[Array, "..."], y_pred: Float[Array, "..."], *, lengths: Shaped[Array, "..."] | None = None
) -> Float[Array, "..."]:
    r"""The negative logarithm of the probability of a sequence of labels, whichever steps they were said in:
    connectionist temporal classification.

    At each step one class is said; what is said stands for the sequence that is left when repetitions are merged and
    then blanks removed. Class 0 is the blank.

    **Arguments:**

    - `y_true`: integers from 1 to $C - 1$, followed by zeros as padding, of the shape `(batch, labels)`.
    - `y_pred`: logits of the shape `(batch, steps, classes)`, class 0 among them.
    - `lengths`: how many steps of each sequence count, integers `(batch,)` from 0 to `steps`. All of them by default.

    **Returns:**

    One value per sequence, `(batch,)`. In the dtype of `y_pred`, at least float32. Nothing is averaged over examples,
    nor divided by the number of labels; see [`treegy.Loss`][].

    NaN where a label isn't from 0 to $C - 1$, where a 0 comes before a label, or where a length is out of range. At
    least about $10^5$, and not $\infty$, where the labels don't fit in the steps.

    **Raises:** [`treegy.ContractError`][] where the shapes aren't these, or `y_true` isn't of an integer dtype.

    ??? cite

        Graves et al., *Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent Neural
        Networks*, ICML 2006.
    """
    _check_shapes(y_true, y_pred, lengths)
    _, y_pred = in_floats(y_true, y_pred)
    # Small and unsigned integers couldn't be compared with the number of classes.
    labels = y_true.astype(jnp.int32)
    steps, classes = y_pred.shape[1:]
    padding = labels == BLANK
    valid = jnp.all((labels >= 0) & (labels < classes), axis=1) & ~jnp.any(padding[:, :-1] & ~padding[:, 1:], axis=1)
    if lengths is None:
        silent = jnp.zeros(y_pred.shape[:2], bool)
    else:
        lengths = lengths.astype(jnp.int32)
        valid = valid & (lengths >= 0) & (lengths <= steps)
        silent = jnp.arange(steps)[None, :] >= lengths[:, None]
    # Within bounds, outside of which sums over the steps would be infinite.
    bound = float(jnp.finfo(y_pred.dtype).max) / (16 * (steps + 1) ** 2)
    y_pred = jnp.clip(y_pred, -bound, bound)
    # What stands for the logarithm of 0 has to be less than that of any alignment.
    spread = jnp.max(y_pred, axis=(1, 2)) - jnp.min(y_pred, axis=(1, 2))
    impossible = -1e5 - 2 * steps * jax.lax.stop_gradient(spread)[:, None]
    # Optax computes in part in the default dtype, whichever that of the logits is.
    with jax.numpy_dtype_promotion("standard"):
        values = optax.losses.ctc_loss(
            y_pred,
            silent.astype(y_pred.dtype),
            labels,
            padding.astype(y_pred.dtype),
            blank_id=BLANK,
            log_epsilon=impossible,
        )
    values = values.astype(y_pred.dtype)
    return jnp.where(valid, values, jnp.full_like(values, jnp.nan))


def _check_shapes(y_true: Array, y_pred: Array, lengths: Array | None) -> None:
    if y_true.ndim != 2 or y_pred.ndim != 3 or y_true.shape[0] != y_pred.shape[0]:
        raise ContractError(
            f"`y_true` {array_name(y_true)} and `y_pred` {array_name(y_pred)} must be sequences of labels and of "
            "logits: shapes like (batch, labels) and (batch, steps, classes) are expected."
        )
    check_labels(y_true, lengths)


class CTC(Loss):
    """The loss of sequences of labels whose alignment isn't known: [`treegy.losses.ctc`][].

    All steps count. Where sequences are of different lengths, a loss of your own passes these on.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg
        from jaxtyping import Array, Float, Int

        class Spoken(tg.Loss):
            def call(
                self, x: dict[str, Array], y_true: Int[Array, "batch _"], y_pred: Float[Array, "batch _ _"]
            ) -> Float[Array, "batch"]:
                return tg.losses.ctc(y_true, y_pred, lengths=x["lengths"])

        # One label in two steps: three of the four sequences of two classes stand for it.
        y_true, y_pred = jnp.array([[1, 0]]), jnp.zeros((1, 2, 2))
        assert abs(tg.losses.CTC()(y_true, y_pred) + jnp.log(3 / 4)) < 1e-6
        # In a single step it is one of two.
        loss = Spoken()(x={"lengths": jnp.array([1])}, y_true=y_true, y_pred=y_pred)
        assert abs(loss + jnp.log(1 / 2)) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "logits"

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch"]:
        return ctc(y_true, y_pred)
