"""The loss of transducers: sequences of labels whose alignment to the steps isn't known, predicted given each other."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from .._describe import array_name
from .._errors import ContractError
from .._terms._elementwise import in_floats
from .._terms._loss import Loss
from ._crossentropy import log_softmax
from ._ctc import BLANK
from ._labels_of_sequences import check_labels


def rnnt(
    y_true: Shaped[Array, "..."], y_pred: Float[Array, "..."], *, lengths: Shaped[Array, "..."] | None = None
) -> Float[Array, "..."]:
    r"""The negative logarithm of the probability of a sequence of labels, whichever steps they were said in: the loss
    of a transducer (RNN-T).

    At each step labels are said until a blank is, after which the next step comes. Unlike in [`treegy.losses.ctc`][],
    what is said may depend on the labels before, a step may have several labels, and repetitions stay. Class 0 is the
    blank.

    **Arguments:**

    - `y_true`: integers from 1 to $C - 1$, followed by zeros as padding, of the shape `(batch, labels)`.
    - `y_pred`: logits of the shape `(batch, steps, labels + 1, classes)`: at each step, given the first 0, 1, ... of
        the labels.
    - `lengths`: how many steps of each sequence count, integers `(batch,)` from 1 to `steps`. All of them by default.

    **Returns:**

    One value per sequence, `(batch,)`. In the dtype of `y_pred`, at least float32. Nothing is averaged over examples,
    nor divided by the number of labels; see [`treegy.Loss`][].

    NaN where a label isn't from 0 to $C - 1$, where a 0 comes before a label, or where a length is out of range.

    **Raises:** [`treegy.ContractError`][] where the shapes aren't these, or `y_true` isn't of an integer dtype.

    ??? cite

        Graves, *Sequence Transduction with Recurrent Neural Networks*, ICML 2012 Workshop on Representation Learning.
    """
    _check_shapes(y_true, y_pred, lengths)
    _, y_pred = in_floats(y_true, y_pred)
    labels = y_true.astype(jnp.int32)
    steps, classes = y_pred.shape[1], y_pred.shape[3]
    padding = labels == BLANK
    valid = jnp.all((labels >= 0) & (labels < classes), axis=1) & ~jnp.any(padding[:, :-1] & ~padding[:, 1:], axis=1)
    last = jnp.full(labels.shape[:1], steps, jnp.int32) if lengths is None else lengths.astype(jnp.int32)
    valid = valid & (last >= 1) & (last <= steps)
    # Within bounds, outside of which sums over the steps would be infinite.
    bound = float(jnp.finfo(y_pred.dtype).max) / (16 * (steps + labels.shape[1] + 1) ** 2)
    logs = log_softmax(jnp.clip(y_pred, -bound, bound), -1)
    blank = logs[..., BLANK]
    own = jnp.where((labels > 0) & (labels < classes), labels, 0)
    said = jnp.take_along_axis(logs[:, :, :-1], own[:, None, :, None], axis=-1)[..., 0]
    count = jnp.sum(~padding, axis=1, dtype=jnp.int32)
    at_end = jnp.clip(last, 1, steps) - 1
    reached = _reached(blank, said)
    values = -(reached + blank)[jnp.arange(len(labels)), at_end, count]
    return jnp.where(valid, values, jnp.full_like(values, jnp.nan))


def _reached(blank: Array, said: Array) -> Float[Array, "batch steps labels_and_none"]:
    """Return the logarithm of the probability that at each step the first labels have been said, for each number.

    **Arguments:**

    - `blank`: logarithms of the probabilities of blanks, `(batch, steps, labels + 1)`.
    - `said`: those of the next label, `(batch, steps, labels)`.
    """
    none = jnp.zeros_like(blank[:, 0, :1])
    first = jnp.concatenate([none, jnp.cumsum(said[:, 0], axis=1)], axis=1)

    def next_step(before: Array, of_step: tuple[Array, Array]) -> tuple[Array, Array]:
        gone_on, label = of_step
        # Where n labels have been said: so at the step before, or n - 1 at this one and then the next. In this
        # recurrence along the labels, each number is a function of the one before, and these compose.
        factors = jnp.concatenate([none, label], axis=1)
        _, found = jax.lax.associative_scan(_composed, (factors, before + gone_on), axis=1)
        return found, found

    _, others = jax.lax.scan(next_step, first, (blank[:, :-1].swapaxes(0, 1), said[:, 1:].swapaxes(0, 1)))
    return jnp.concatenate([first[:, None], others.swapaxes(0, 1)], axis=1)


def _composed(inner: tuple[Array, Array], outer: tuple[Array, Array]) -> tuple[Array, Array]:
    """Return the function f(g(x)) of functions x -> log(exp(b) + exp(a + x)), each by its `a` and `b`."""
    (a, b), (c, d) = inner, outer
    return a + c, jnp.logaddexp(d, c + b)


def _check_shapes(y_true: Array, y_pred: Array, lengths: Array | None) -> None:
    if y_true.ndim != 2 or y_pred.ndim != 4 or (y_true.shape[0], y_true.shape[1] + 1) != y_pred.shape[:3:2]:
        raise ContractError(
            f"`y_true` {array_name(y_true)} and `y_pred` {array_name(y_pred)} must be sequences of labels, and logits "
            "at each step given the first 0, 1, ... of them: shapes like (batch, labels) and (batch, steps, "
            "labels + 1, classes) are expected."
        )
    check_labels(y_true, lengths)


class RNNT(Loss):
    """The loss of transducers: [`treegy.losses.rnnt`][].

    All steps count. Where sequences are of different lengths, a loss of your own passes these on, as
    [`treegy.losses.CTC`][] shows.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        # One label in two steps: it is said in the first or in the second, before the blank of that step.
        loss = tg.losses.RNNT()(jnp.array([[1]]), jnp.zeros((1, 2, 2, 2)))
        assert abs(loss + jnp.log(2 / 8)) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "logits"

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch"]:
        return rnnt(y_true, y_pred)
