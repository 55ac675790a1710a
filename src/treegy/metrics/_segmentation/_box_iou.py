"""`BoxIoU`: how much boxes overlap."""

import equinox as eqx
from jaxtyping import Array, Float, Num, Shaped

from ..._terms._metric import Metric
from ...losses._box_iou import Kind, Layout, as_kind, as_layout, box_iou


class BoxIoU(Metric):
    """How much boxes overlap, the mean over all of them: 1 minus [`treegy.losses.box_iou`][].

    `y_true` and `y_pred` are boxes of the same shape `(batch, ..., 4)`, each compared with the one in its place.
    Weights `(batch, ...)` of 0 leave out boxes that are there to fill an array.

    **Raises:** `ValueError` where `kind` or `layout` is unknown. [`treegy.ContractError`][] where the shapes differ, or
    aren't those of boxes.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        boxes, found = jnp.array([[0.0, 0, 2, 2], [0, 0, 1, 1]]), jnp.array([[1.0, 0, 3, 2], [0, 0, 1, 1]])
        assert abs(float(tg.metrics.BoxIoU()(boxes, found)) - (1 / 3 + 1) / 2) < 1e-6
        ```
    """

    kind: Kind = eqx.field(default="iou", kw_only=True, static=True, converter=as_kind)
    """`"iou"`, `"giou"`, `"diou"` or `"ciou"`."""
    layout: Layout = eqx.field(default="xyxy", kw_only=True, static=True, converter=as_layout)
    """`"xyxy"` for two corners, `"xywh"` for a corner and the sides, `"cxcywh"` for the center and the sides."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return 1 - box_iou(y_true, y_pred, kind=self.kind, layout=self.layout)
