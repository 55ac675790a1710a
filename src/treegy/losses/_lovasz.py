"""The Lovász losses: how little regions overlap, as a function of scores that has gradients."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num, Shaped

from .._converters import flag, integer
from .._describe import array_name
from .._errors import ContractError
from .._terms._accumulator import safe_divide
from .._terms._classes import check_classes_last, class_labels
from .._terms._elementwise import absolute, all_in_floats, matched
from .._terms._loss import Loss


def lovasz_hinge(y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."]) -> Float[Array, "batch"]:
    r"""The Lovász hinge of a region: the Lovász extension of $1 - \text{IoU}$ at the errors
    $\max(1 - (2 y_i - 1) s_i, 0)$ of its pixels. Pixels count the more the larger their error is, by how much IoU they
    cost.

    **Arguments:**

    - `y_true`: 0 or 1, of the shape `(batch, ...)`.
    - `y_pred`: scores of the same shape, logits: positive ones stand for 1. Nothing is broadcast.

    **Returns:**

    One value per example, `(batch,)`. Where no pixel is 1, it is the largest error. Nothing is averaged over examples;
    see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or there is no axis besides that of the batch.

    ??? cite

        Berman, Triki and Blaschko, *The Lovász-Softmax Loss: A Tractable Surrogate for the Optimization of the
        Intersection-over-Union Measure in Neural Networks*, CVPR 2018.
    """
    y, p = matched(y_true, y_pred)
    if p.ndim < 2:
        raise ContractError(f"`y_pred` {array_name(y_pred)} has no axis of pixels besides that of the batch.")
    y, p = y.reshape(y.shape[0], -1), p.reshape(p.shape[0], -1)
    errors = 1 - (2 * y - 1) * p
    return _extension(errors, y > 0.5, jnp.ones(y.shape, bool))


def lovasz_softmax(
    y_true: Shaped[Array, "..."],
    y_pred: Num[Array, "..."],
    *,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Float[Array, "batch"]:
    r"""The Lovász-softmax loss of the regions of classes: the mean over the classes that occur in an example of the
    Lovász extension of $1 - \text{IoU}$ at the errors $\lvert [y_i = c] - p_{ic} \rvert$ of its pixels.

    **Arguments:**

    - `y_true`: class indices `(batch, ...)`.
    - `y_pred`: probabilities of the classes `(batch, ..., classes)`.
    - `from_logits`: whether `y_pred` holds logits instead of probabilities.
    - `ignore_class`: a label that says that there is none: such pixels don't count.
    - `axis`: that of the classes in `y_pred`, 1 if they come first.

    **Returns:**

    One value per example, `(batch,)`: 0 where no class occurs, NaN where a label is no class. The paper also takes the
    extension of all examples of a batch at once, whose value depends on how these are cut into batches. Nothing is
    averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes aren't these, or `y_true` isn't of an integer dtype.

    ??? cite

        Berman, Triki and Blaschko, *The Lovász-Softmax Loss: A Tractable Surrogate for the Optimization of the
        Intersection-over-Union Measure in Neural Networks*, CVPR 2018.
    """
    check_classes_last(y_true, y_pred, axis)
    labels = class_labels(y_true, y_pred, axis)
    (p,) = all_in_floats({"y_pred": y_pred})
    if labels.ndim < 2:
        raise ContractError(f"`y_pred` {array_name(y_pred)} has no axis of pixels besides the batch and the classes.")
    p = jnp.moveaxis(p, axis, -1)
    classes = p.shape[-1]
    labels, p = labels.reshape(labels.shape[0], -1), p.reshape(p.shape[0], -1, classes)
    p = jax.nn.softmax(p, axis=-1) if from_logits else p
    valid = jnp.ones(labels.shape, bool) if ignore_class is None else labels != ignore_class

    def of_class(each: Array, scores: Array) -> tuple[Array, Array]:
        here = (labels == each) & valid
        return _extension(absolute(here.astype(p.dtype) - scores), here, valid), jnp.any(here, axis=-1)

    values, occurs = jax.vmap(of_class, in_axes=(0, -1))(jnp.arange(classes, dtype=labels.dtype), p)
    total = jnp.sum(jnp.where(occurs, values, 0), axis=0)
    mean = safe_divide(total, jnp.sum(occurs, axis=0).astype(p.dtype))
    wrong = jnp.any(valid & ((labels < 0) | (labels >= classes)), axis=-1)
    return jnp.where(wrong, jnp.nan, mean)


def _extension(
    errors: Float[Array, "batch pixels"], region: Bool[Array, "batch pixels"], valid: Bool[Array, "batch pixels"]
) -> Float[Array, "batch"]:
    r"""Return the Lovász extension of $1 - \text{IoU}$ at the positive ones of `errors`, of those that are `valid`.

    From the largest error on, each counts by how much the IoU gets less if its pixel is wrong as well. These
    differences are written out: of two numbers near each other little would be left in a large image.
    """
    order = jnp.argsort(-jax.lax.stop_gradient(jnp.where(valid, errors, -jnp.inf)), axis=-1)
    errors, region, valid = (jnp.take_along_axis(a, order, axis=-1) for a in (errors, region, valid))
    inside, outside = region & valid, ~region & valid
    size = jnp.sum(inside, axis=-1, keepdims=True)
    left = (size - jnp.cumsum(inside, axis=-1)).astype(errors.dtype)
    union = (size + jnp.cumsum(outside, axis=-1)).astype(errors.dtype)
    before = union - outside.astype(errors.dtype)
    # Of a region that is empty, the first pixel that is wrong takes all of the IoU.
    costs = jnp.where(
        inside, safe_divide(jnp.ones_like(union), union), safe_divide(left, before) / jnp.maximum(union, 1)
    )
    costs = jnp.where(before == 0, jnp.where(outside, 1, 0), costs)
    return jnp.sum(jnp.where(valid & (errors > 0), errors, 0) * costs, axis=-1)


class LovaszHinge(Loss):
    """The Lovász hinge of a region: [`treegy.losses.lovasz_hinge`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        mask = jnp.array([[[1, 1], [0, 0]]])
        assert tg.losses.LovaszHinge()(mask, jnp.array([[[2.0, 1.0], [-1.0, -3.0]]])) == 0
        # One pixel too many, by 1: a third of the union, by an error of 2.
        assert abs(tg.losses.LovaszHinge()(mask, jnp.array([[[2.0, 1.0], [1.0, -3.0]]])) - 2 / 3) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "logits"

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch"]:
        return lovasz_hinge(y_true, y_pred)


class LovaszSoftmax(Loss):
    """The Lovász-softmax loss of the regions of classes: [`treegy.losses.lovasz_softmax`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        labels = jnp.array([[0, 0, 1, 1]])
        loss = tg.losses.LovaszSoftmax()
        assert loss(labels, jnp.eye(2)[labels]) == 0
        # Class 0 has 2 of 3 pixels, and class 1 has 1 of 2.
        assert abs(loss(labels, jnp.eye(2)[jnp.array([[0, 0, 0, 1]])]) - (1 / 3 + 1 / 2) / 2) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "probabilities"

    from_logits: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("from_logits"))
    """Whether `y_pred` holds logits instead of probabilities."""
    ignore_class: int | None = eqx.field(
        default=None, kw_only=True, static=True, converter=integer("ignore_class", "a label", optional=True)
    )
    """A label that says that there is none: such pixels don't count."""
    axis: int = eqx.field(default=-1, kw_only=True, static=True, converter=integer("axis", "an axis"))
    """The axis of classes in `y_pred`, 1 if they come first."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch"]:
        return lovasz_softmax(
            y_true, y_pred, from_logits=self.from_logits, ignore_class=self.ignore_class, axis=self.axis
        )
