"""How little boxes overlap: one minus IoU, and its kin that have gradients where boxes are apart."""

import math
from typing import Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped

from .._converters import OneOf
from .._describe import array_name
from .._errors import ContractError
from .._terms._accumulator import safe_divide
from .._terms._elementwise import matched
from .._terms._loss import Loss
from .._terms._powers import without_unit

Kind: TypeAlias = Literal["iou", "giou", "diou", "ciou"]
Layout: TypeAlias = Literal["xyxy", "xywh", "cxcywh"]

as_kind = OneOf[Kind]("kind", "iou", "giou", "diou", "ciou")
as_layout = OneOf[Layout]("layout", "xyxy", "xywh", "cxcywh")


def box_iou(
    y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], *, kind: Kind = "iou", layout: Layout = "xyxy"
) -> Float[Array, "..."]:
    r"""One minus how much boxes overlap, $1 - \text{IoU}$, or one of its kin:

    - `"giou"`: $+ (C - U) / C$, for the union $U$ and the smallest box $C$ around both;
    - `"diou"`: $+ \rho^2 / c^2$, for the distance $\rho$ of their centers and the diagonal $c$ of that box;
    - `"ciou"`: $+ \rho^2 / c^2 + \alpha v$ with
      $v = \frac{4}{\pi^2} (\arctan \frac{w}{h} - \arctan \frac{\hat w}{\hat h})^2$ and
      $\alpha = v / (1 - \text{IoU} + v)$, through which no gradients go.

    **Arguments:**

    - `y_true`, `y_pred`: boxes of the same shape `(batch, ..., 4)`, in any unit. Nothing is broadcast: each box is
        compared with the one in its place. A side that would be negative is 0.
    - `kind`: which of them.
    - `layout`: what the four numbers are: `"xyxy"` two corners, `"xywh"` the first corner and the sides, `"cxcywh"`
        the center and the sides.

    **Returns:**

    One value for each box, `(batch, ...)`: weights of that shape leave out those that are there to fill an array. From
    0 (the same) to 1, to 2 for `"giou"` and `"diou"`, and to 3 for `"ciou"`. 1 or more where both boxes are empty.
    Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or aren't those of boxes. `ValueError` where `kind`
    or `layout` is unknown.

    ??? cite

        Rezatofighi et al., *Generalized Intersection over Union*, CVPR 2019. Zheng et al., *Distance-IoU Loss: Faster
        and Better Learning for Bounding Box Regression*, AAAI 2020.
    """
    kind, layout = as_kind(kind), as_layout(layout)
    y, p = matched(y_true, y_pred)
    if p.ndim < 2 or p.shape[-1] != 4:
        raise ContractError(f"`y_pred` {array_name(y_pred)} must hold boxes: shapes like (batch, 4) are expected.")
    (low, high), (other_low, other_high) = (corners(a, layout) for a in without_unit([y, p], -1))
    sides, other_sides = jnp.maximum(high - low, 0), jnp.maximum(other_high - other_low, 0)
    shared = _area(jnp.maximum(jnp.minimum(high, other_high) - jnp.maximum(low, other_low), 0))
    union = _area(sides) + _area(other_sides) - shared
    lack = 1 - safe_divide(shared, union)
    if kind == "iou":
        return lack
    around = jnp.maximum(high, other_high) - jnp.minimum(low, other_low)
    if kind == "giou":
        return lack + safe_divide(_area(around) - union, _area(around))
    apart = jnp.sum((low + high - other_low - other_high) ** 2, axis=-1) / 4
    values = lack + safe_divide(apart, jnp.sum(around**2, axis=-1))
    if kind == "diou":
        return values
    v = 4 / math.pi**2 * (_slant(sides) - _slant(other_sides)) ** 2
    return values + jax.lax.stop_gradient(safe_divide(v, lack + v)) * v


def corners(boxes: Array, layout: Layout) -> tuple[Array, Array]:
    """Return the least and the largest coordinates of boxes, `(..., 2)` each."""
    first, second = boxes[..., :2], boxes[..., 2:]
    if layout == "xyxy":
        return first, second
    return (first, first + second) if layout == "xywh" else (first - second / 2, first + second / 2)


def _area(sides: Array) -> Array:
    return sides[..., 0] * sides[..., 1]


def _slant(sides: Array) -> Array:
    """Return the angle of the diagonal of boxes, and a half of a right angle where they are points."""
    largest = jax.lax.stop_gradient(jnp.max(sides, axis=-1, keepdims=True))
    point = largest < 1e-30
    # Divided first: squares of small sides, in the slope of the arcus tangent, would be lost.
    sides = jnp.where(point, 1, sides / jnp.where(point, 1, largest))
    return jnp.arctan2(sides[..., 0], sides[..., 1])


class BoxIoU(Loss):
    """One minus how much boxes overlap: [`treegy.losses.box_iou`][].

    **Raises:** `ValueError` where `kind` or `layout` is unknown.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        boxes, found = jnp.array([[[0.0, 0, 2, 2], [0, 0, 0, 0]]]), jnp.array([[[1.0, 0, 3, 2], [5, 5, 6, 6]]])
        # The second box isn't there.
        loss = tg.losses.BoxIoU(kind="giou", reduction="weighted_mean")(boxes, found, sample_weight=jnp.array([[1, 0]]))
        assert abs(loss - (1 - 1 / 3)) < 1e-6
        ```
    """

    kind: Kind = eqx.field(default="giou", kw_only=True, static=True, converter=as_kind)
    """`"iou"`, `"giou"`, `"diou"` or `"ciou"`."""
    layout: Layout = eqx.field(default="xyxy", kw_only=True, static=True, converter=as_layout)
    """`"xyxy"` for two corners, `"xywh"` for a corner and the sides, `"cxcywh"` for the center and the sides."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return box_iou(y_true, y_pred, kind=self.kind, layout=self.layout)
