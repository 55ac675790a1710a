"""How much boxes overlap, as losses and metrics, against formulas in plain Python."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg
from helpers.formulas_of_boxes import box_iou

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
CORNERS = RNG.uniform(0, 10, (2, 6, 5, 2)).astype("float32")
SIDES = RNG.uniform(0.5, 8, (2, 6, 5, 2)).astype("float32")
Y, P = np.concatenate([CORNERS, CORNERS + SIDES], axis=-1)
KINDS: list[Any] = ["iou", "giou", "diou", "ciou"]


def test_formulas():
    found = jax.jit(lambda y, p: {kind: tg.losses.box_iou(y, p, kind=kind) for kind in KINDS})(Y, P)
    pairs = list(zip(Y.reshape(-1, 4).tolist(), P.reshape(-1, 4).tolist(), strict=True))
    for kind in KINDS:
        expected = np.reshape([1 - box_iou(a, b, kind) for a, b in pairs], (6, 5))
        np.testing.assert_allclose(found[kind], expected, rtol=1e-5, atol=1e-6, err_msg=kind)
    present = (RNG.random((6, 5)) < 0.5).astype("float32")
    overlap = tg.metrics.BoxIoU()(Y, P, sample_weight=present)
    assert abs(float(overlap) - np.average(1 - np.asarray(found["iou"]), weights=present)) < 1e-6


def test_layouts():
    (y, p), (w, v) = CORNERS, SIDES
    layouts: list[tuple[Any, ...]] = [
        ("xyxy", (y, y + w), (p, p + v)),
        ("xywh", (y, w), (p, v)),
        ("cxcywh", (y + w / 2, w), (p + v / 2, v)),
    ]
    found = [
        tg.losses.box_iou(jnp.concatenate(a, -1), jnp.concatenate(b, -1), kind="ciou", layout=layout)
        for layout, a, b in layouts
    ]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-5, atol=1e-6)


def test_empty_boxes_and_their_gradients():
    y = jnp.array([[1.0, 1, 1, 1], [0, 0, 0, 0], [0, 0, 2, 2], [0, 0, 2, 2]])
    p = jnp.array([[1.0, 1, 1, 1], [0, 0, 0, 0], [5, 5, 5, 5], [3, 3, 1, 1]])
    for kind in KINDS:
        values, slopes = jax.jit(jax.value_and_grad(lambda p, k=kind: jnp.sum(tg.losses.box_iou(y, p, kind=k))))(p)
        assert np.isfinite(values) and np.all(np.isfinite(slopes))
        assert tg.losses.box_iou(y, p, kind=kind)[:2].tolist() == [1, 1]


def test_mistakes():
    with pytest.raises(tg.ContractError, match=r"must hold boxes: shapes like \(batch, 4\)"):
        tg.losses.BoxIoU()(jnp.zeros((2, 5)), jnp.zeros((2, 5)))
    with pytest.raises(tg.ContractError, match="must have the same shape"):
        tg.metrics.BoxIoU()(Y, P[:, :3])
    wrong: Any = "gIoU"
    with pytest.raises((ValueError, TypeError), match="kind"):
        tg.losses.BoxIoU(kind=wrong)
