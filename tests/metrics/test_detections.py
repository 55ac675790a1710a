"""`DetectionMAP` and `DetectionMAR` against COCO's definitions box by box in float64, which pycocotools equals.

| class | reference | tolerance |
|---|---|---|
| both | box by box, with crowds, ties of scores, classes of many boxes, sizes, and weights | 1e-6 |
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg
from helpers.formulas_of_boxes import precisions_and_recalls
from treegy._terms._logs import StepLogs
from treegy._terms._objective import evaluate
from treegy._terms._term import Context

pytestmark = pytest.mark.once

IMAGES, CLASSES = 24, 3


def data(seed: int, whole: bool) -> Any:
    """Boxes near those that are there. Of whole pixels, many are exactly at a threshold and many scores are equal."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 80, (IMAGES, 6, 2))
    meant = np.concatenate([corners, corners + rng.uniform(5, 30, corners.shape)], axis=-1)
    found = np.concatenate([meant] * 3, axis=1) + 3 * rng.normal(size=(IMAGES, 18, 4))
    found[..., 2:] = np.maximum(found[..., 2:], found[..., :2] + 1)
    labels = rng.integers(-1, CLASSES, (IMAGES, 6)).astype("int32")
    others = np.where(rng.uniform(size=(IMAGES, 18)) < 0.2, -1, np.concatenate([labels] * 3, axis=1)).astype("int32")
    scores = rng.uniform(size=(IMAGES, 18)).astype("float32")
    meant, found = (np.round(a) if whole else a for a in (meant.astype("float32"), found.astype("float32")))
    crowd = (rng.uniform(size=(IMAGES, 6)) < 0.15).astype("int32")
    return (
        {"boxes": meant, "labels": labels, "iscrowd": crowd},
        {"boxes": found, "labels": others, "scores": np.round(scores, 2) if whole else scores},
    )


def metric(**options: Any) -> Any:
    return tg.metrics.DetectionMAP(num_classes=CLASSES, capacity=32, **options)


def recall(**options: Any) -> Any:
    return tg.metrics.DetectionMAR(num_classes=CLASSES, capacity=32, **options)


EACH = [
    metric(by_class=True, by_threshold=True, **options)
    for metric in (metric, recall)
    for options in ({}, {"max_detections": 2}, {"area_range": (200, 500)}, {"area_range": (300, np.inf)})
]
MEANS = [metric(), metric(by_class=True), metric(by_threshold=True)]


def cut(values: Any, span: slice) -> Any:
    return jax.tree.map(lambda a: a[span], values)


@jax.jit
def values(y: Any, p: Any, weight: Any) -> Any:
    def of(it: Any) -> Any:
        spans = (slice(7), slice(7, None))
        one, more = (it(cut(y, span), cut(p, span), sample_weight=weight[span]) for span in spans)
        return one.merge(more).compute()

    return [of(it) for it in EACH], [of(it) for it in MEANS]


WEIGHT = np.random.default_rng(3).integers(0, 3, IMAGES).astype("float32")


@pytest.mark.parametrize("whole", [False, True], ids=["anywhere", "whole pixels"])
@pytest.mark.parametrize("weight", [np.ones(IMAGES, "float32"), WEIGHT], ids=["equal", "weighted"])
def test_equals_its_definition(weight: Any, whole: bool):
    y, p = data(0, whole)
    each, means = values(y, p, weight)
    for it, got in zip(EACH, each, strict=True):
        expected = precisions_and_recalls(
            y, p, CLASSES, it.thresholds, it.max_detections, weight=weight.astype(float), area_range=it.area_range
        )
        np.testing.assert_allclose(got, expected[isinstance(it, tg.metrics.DetectionMAR)], atol=1e-6)
    for got, expected in zip(means, (each[0].mean(), each[0].mean(0), each[0].mean(1)), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_areas_that_are_given():
    y, p = data(4, False)
    y["area"] = np.random.default_rng(5).uniform(0, 500, y["labels"].shape).astype("float32")
    each, _ = values(y, p, np.ones(IMAGES, "float32"))
    for it, got in zip(EACH, each, strict=True):
        expected = precisions_and_recalls(y, p, CLASSES, it.thresholds, it.max_detections, area_range=it.area_range)
        np.testing.assert_allclose(got, expected[isinstance(it, tg.metrics.DetectionMAR)], atol=1e-6)


def test_what_isnt_there_doesnt_matter():
    y, p = data(1, False)
    weight = np.ones(IMAGES, "float32")
    expected = values(y, p, weight)
    for it in (y, p):
        it["boxes"][it["labels"] == -1] = np.nan
    p["scores"][p["labels"] == -1] = np.inf
    jax.tree.map(np.testing.assert_array_equal, values(y, p, weight), expected)


def test_classes_that_dont_occur():
    y, p = data(2, False)
    y["labels"] = np.where(y["labels"] == 1, -1, y["labels"])
    each, means = values(y, p, np.ones(IMAGES, "float32"))
    assert np.all(each[0][:, 1] == 0)
    np.testing.assert_allclose(means[0], each[0][:, [0, 2]].mean(), rtol=1e-6)
    nowhere = values({**y, "labels": np.full_like(y["labels"], -1)}, p, np.ones(IMAGES, "float32"))
    assert all(np.all(value == 0) for value in jax.tree.leaves(nowhere))


def test_what_is_wrong_shows():
    y, p = data(2, False)
    weight = np.ones(IMAGES, "float32")
    k = int(np.argmax(p["labels"][3] != -1))
    for name, value in (("labels", CLASSES), ("labels", -2), ("scores", np.nan), ("boxes", np.nan)):
        wrong = {**p, name: p[name].copy()}
        wrong[name][3, k] = value
        assert all(np.all(np.isnan(found)) for found in jax.tree.leaves(values(y, wrong, weight))), (name, value)
        found = values(y, wrong, weight * (np.arange(IMAGES) != 3))
        assert all(np.all(np.isfinite(each)) for each in jax.tree.leaves(found)), (name, value)


def test_more_than_there_is_room_for():
    y, p = data(0, False)
    small = tg.metrics.DetectionMAP(num_classes=CLASSES, capacity=16)

    @jax.jit
    def half_and_all(y: Any, p: Any) -> Any:
        one, more = (small(cut(y, span), cut(p, span)) for span in (slice(12), slice(12, None)))
        return one.compute(), one.merge(more).compute()

    half, everything = half_and_all(y, p)
    assert np.isfinite(half) and np.isnan(everything)
    with pytest.raises(tg.ContractError, match="24 examples are more than there is room for: pass `capacity=`"):
        jax.eval_shape(small, y, p)


def test_precision_and_recall_accumulate_the_same():
    y, p = data(0, False)
    y_true, y_pred = (jax.tree.map(jnp.asarray, it) for it in (y, p))
    few = {"thresholds": [0.5, 0.75]}
    metrics = [metric(**few), recall(**few), metric(by_class=True, **few), recall(area_range=(0, 100), **few)]
    _, logs = evaluate(None, metrics, Context({"y_true": y_true, "y_pred": y_pred}, IMAGES))
    # The boxes that were found, and how many there are, twice.
    assert len(StepLogs.of(logs).parts) == 4
    for it, value in zip(metrics, logs.values(), strict=True):
        np.testing.assert_array_equal(value.compute(), it(y_true, y_pred).compute())


def test_layouts_and_points():
    y = {"boxes": jnp.array([[[0.0, 0, 4, 4]]]), "labels": jnp.array([[0]])}
    p = {"boxes": jnp.array([[[0.0, 0, 4, 4], [3, 0, 7, 4]]]), "labels": jnp.array([[0, 0]])}
    metrics = [
        tg.metrics.DetectionMAP(num_classes=1, capacity=1, layout=layout, recall_points=11, thresholds=0.5)
        for layout in ("xyxy", "xywh", "cxcywh")
    ]
    found = jax.jit(lambda scores: [it(y, {**p, "scores": scores}).compute() for it in metrics])
    np.testing.assert_allclose(found(jnp.array([[0.9, 0.1]])), 1.0)
    # It is found by the second only.
    np.testing.assert_allclose(found(jnp.array([[0.1, 0.9]])), 0.5)


def test_mistakes():
    y, p = data(0, False)
    with pytest.raises(tg.ContractError, match='`y_pred` must be a dict of arrays "boxes", "labels" and "scores"'):
        metric()(y, {"boxes": p["boxes"], "labels": p["labels"]})
    with pytest.raises(tg.ContractError, match='`y_true` must be a dict of arrays "boxes" and "labels", and got'):
        metric()(y["boxes"], p)
    with pytest.raises(tg.ContractError, match=r"as many boxes as labels: \(batch, n, 4\) and \(batch, n\)"):
        metric()({**y, "labels": y["labels"][:, :4]}, p)
    with pytest.raises(tg.ContractError, match=r'`y_pred\["scores"\]` f32\[24,18,1\] must hold one for each of the'):
        metric()(y, {**p, "scores": p["scores"][..., None]})
    with pytest.raises(tg.ContractError, match=r'`y_pred\["labels"\]` .* must hold class indices, of an integer dtype'):
        metric()(y, {**p, "labels": p["scores"]})
    with pytest.raises(ValueError, match="`thresholds` is a list of numbers above 0 up to 1, and got 50"):
        metric(thresholds=[50])
    with pytest.raises(ValueError, match="at least one, and got none"):
        metric(thresholds=[])
    with pytest.raises(TypeError, match="`thresholds` is a list of numbers above 0 up to 1, and got"):
        metric(thresholds="0.5")
    for wrong in ((5, 5), (-1, 5)):
        with pytest.raises(ValueError, match="`area_range` is two numbers from 0 on, of which the first is less, or"):
            metric(area_range=wrong)
    for wrong in (5, "ab", (1, None)):
        with pytest.raises(TypeError, match="`area_range` is two numbers from 0 on, of which the first is less, or"):
            metric(area_range=wrong)
    with pytest.raises(tg.ContractError, match=r'`y_true\["area"\]` f32\[24,6,4\] must hold one for each of the'):
        metric()({**y, "area": y["boxes"]}, p)
    with pytest.raises(ValueError, match="`layout` is one of 'xyxy', 'xywh' and 'cxcywh', and got"):
        metric(layout="yxyx")
