"""Metrics and losses of segmentations against what their definitions say in NumPy and SciPy."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers.formulas_of_segmentation as of
import treegy as tg

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
CLASSES = range(3)


def blobs() -> Any:
    """Labels of regions, and scores of which the largest are nearly these. Class 2 is missing in some."""
    y = np.zeros((4, 10, 12), "int32")
    for i, mask in enumerate(y):
        mask[1 + i : 5 + i, 2:7] = 1
        if i % 2:
            mask[0:3, 8:11] = 2
    found = np.roll(y, (1, 2), (1, 2))
    found[RNG.random(y.shape) < 0.05] = 1
    scores = np.eye(3, dtype="float32")[found] + 0.3 * RNG.random((*y.shape, 3)).astype("float32")
    return y, scores, found


Y, SCORES, FOUND = blobs()


def values(things: dict[str, Callable[..., Any]], *arrays: Any) -> dict[str, float]:
    """The values of many metrics, by one program."""
    return jax.jit(lambda *arrays: {name: thing(*arrays).compute() for name, thing in things.items()})(*arrays)


def of_examples(formula: Callable[..., Any], *arrays: Any, **options: Any) -> Any:
    return np.mean([formula(*one, **options) for one in zip(*arrays, strict=True)], axis=0)


DICE: dict[str, dict[str, Any]] = {
    "macro": {"average": "macro"},
    "micro": {"average": "micro"},
    "foreground": {"average": "macro", "include_background": False},
}


def test_dice_of_examples_and_of_all_pixels():
    metrics = {
        f"{name} {by_example}": tg.metrics.DiceScore(by_example=by_example, **options)
        for name, options in DICE.items()
        for by_example in (True, False)
    } | {"each": tg.metrics.DiceScore(average=None), "each pixel": tg.metrics.DiceScore(average=None, by_example=False)}
    found = values(metrics, Y, SCORES)
    for name, options in DICE.items():
        classes = CLASSES if options.get("include_background", True) else CLASSES[1:]
        each = of_examples(lambda y, p, c=classes, o=options: of.dice(y, p, c, o["average"]), Y, FOUND)
        np.testing.assert_allclose(found[f"{name} True"], each, rtol=1e-6, err_msg=name)
        together = of.dice(Y, FOUND, classes, options["average"])
        np.testing.assert_allclose(found[f"{name} False"], together, rtol=1e-6, err_msg=name)
    each = [of.dice(y, p, CLASSES, None) for y, p in zip(Y, FOUND, strict=True)]
    np.testing.assert_allclose(found["each"], np.nanmean(each, axis=0), rtol=1e-6)
    np.testing.assert_allclose(found["each pixel"], of.dice(Y, FOUND, CLASSES, None), rtol=1e-6)


def test_forms_of_labels_and_predictions():
    metric, p = tg.metrics.DiceScore, RNG.random(Y.shape).astype("float32")
    found = values(
        {
            "indices": lambda y, hot, s, f, p: metric(num_classes=3)(y, f),
            "one-hot": lambda y, hot, s, f, p: metric()(hot, s),
            "first": lambda y, hot, s, f, p: metric(axis=1)(y, jnp.moveaxis(s, -1, 1)),
            "both first": lambda y, hot, s, f, p: metric(axis=1)(jnp.moveaxis(hot, -1, 1), jnp.moveaxis(s, -1, 1)),
            "masks": lambda y, hot, s, f, p: metric(threshold=0.5, include_background=False)(y == 1, p),
        },
        *(Y, np.eye(3, dtype="float32")[Y], SCORES, FOUND, p),
    )
    assert abs(found.pop("masks") - of_examples(lambda y, p: of.dice(y == 1, p > 0.5, [1]), Y, p)) < 1e-6
    for name, value in found.items():
        assert abs(value - of_examples(of.dice, Y, FOUND, classes=CLASSES)) < 1e-6, name


def test_pixels_that_do_not_count():
    """By a weight of 0, or a label that says so."""
    absent = RNG.random(Y.shape) < 0.3
    expected = of_examples(lambda y, p, a: of.dice(y[~a], p[~a], CLASSES), Y, FOUND, absent)
    dice = tg.metrics.DiceScore
    found = values(
        {
            "weighted": lambda y, s, w: dice()(y, s, sample_weight=w),
            "ignored": lambda y, s, w: dice(ignore_class=255)(jnp.where(w == 0, 255, y), s),
            "together": lambda y, s, w: dice(by_example=False)(y, s, sample_weight=w),
        },
        *(Y, SCORES, (~absent).astype("float32")),
    )
    assert abs(found["weighted"] - expected) < 1e-6 and abs(found["ignored"] - expected) < 1e-6
    assert abs(found["together"] - of.dice(Y[~absent], FOUND[~absent], CLASSES)) < 1e-6


def test_classes_that_are_nowhere():
    nothing, some = np.zeros((2, 4, 4), "int32"), np.zeros((2, 4, 4), "int32")
    some[0, 0, 0] = 1
    options: Any = {"num_classes": 3, "include_background": False}
    dice, generalized = tg.metrics.DiceScore(**options), tg.metrics.GeneralizedDice(**options)
    distance = tg.metrics.HausdorffDistance(**options)
    found = values(
        {
            # The first example has a class that isn't found, the second nothing at all: it is left out, or counts as 1.
            "left out": lambda some, nothing: dice(some, nothing),
            "counted": lambda some, nothing: tg.metrics.DiceScore(zero_division=1, **options)(some, nothing),
            "generalized": lambda some, nothing: generalized(nothing, nothing),
            "near": lambda some, nothing: distance(some, some),
            "far": lambda some, nothing: distance(some, nothing),
            "given": lambda some, nothing: tg.metrics.HausdorffDistance(empty=7.0, **options)(some, nothing),
        },
        *(some, nothing),
    )
    assert found == {"left out": 0, "counted": 0.75, "generalized": 0, "near": 0, "far": np.inf, "given": 7}
    # A label that is no class shows.
    wrong = {str(i): metric for i, metric in enumerate((dice, generalized, distance))}
    assert np.isnan(list(values(wrong, some + 5, nothing).values())).all()


def test_generalized_dice():
    powers: dict[Any, float] = {"square": 2, "simple": 1, "linear": 0}
    found = values({name: tg.metrics.GeneralizedDice(weighting=name) for name in powers}, Y, SCORES)
    for name, power in powers.items():
        expected = of_examples(of.generalized_dice, Y, FOUND, classes=CLASSES, power=power)
        assert abs(found[name] - expected) < 1e-6, name


DISTANCES: list[dict[str, Any]] = [
    {},
    {"directed": True},
    {"percentile": 95},
    {"percentile": 30, "spacing": (2.0, 0.5)},
]


def test_hausdorff():
    metrics = {str(options): tg.metrics.HausdorffDistance(empty=50.0, **options) for options in DISTANCES}
    found = values(metrics, Y, SCORES)
    for options in DISTANCES:
        each = [
            of.hausdorff(y == c, p == c, empty=50.0, **options) for y, p in zip(Y, FOUND, strict=True) for c in CLASSES
        ]
        np.testing.assert_allclose(found[str(options)], np.nanmean(each), rtol=1e-6, err_msg=str(options))


def test_hausdorff_of_volumes():
    y, p = RNG.random((2, 2, 5, 6, 4)) < 0.3
    distance = tg.metrics.HausdorffDistance(2, include_background=False, spacing=(3.0, 1.0, 1.0))
    found = values({"": distance}, y, p)[""]
    assert abs(found - of_examples(of.hausdorff, y, p, spacing=(3.0, 1.0, 1.0))) < 1e-6


def test_panoptic_quality():
    category = np.repeat(np.repeat(RNG.integers(0, 5, (4, 3, 3)), 4, 1), 4, 2)
    y = np.stack([category, np.repeat(np.repeat(RNG.integers(0, 3, (4, 3, 3)), 4, 1), 4, 2)], axis=-1).astype("int32")
    p = y.copy()
    p[RNG.random(category.shape) < 0.2] = [1, 2]
    # Numbers of instances may be any.
    p[..., 1] = p[..., 1] * 1_000_003 - 5
    options: Any = {"things": [0, 2], "stuffs": [1, 3]}
    counts: Any = sum(of.panoptic_counts(*one, **options) for one in zip(y, p, strict=True))
    metric, free = tg.metrics.PanopticQuality, {"check_bounds": False, "max_segments": 32}
    found: Any = values(
        {
            "mean": metric(**free, **options),
            "parts": metric(parts=True, by_category=True, **free, **options),
            "void": metric(max_segments=32, **options),
            "too many": metric(check_bounds=False, max_segments=3, **options),
        },
        *(y, p),
    )
    assert abs(found["mean"] - of.panoptic_quality(counts)) < 1e-6
    (iou, pairs, too_many, missing), parts = counts, found["parts"]
    np.testing.assert_allclose(parts["segmentation"], iou / np.maximum(pairs, 1), rtol=1e-6)
    np.testing.assert_allclose(parts["recognition"], pairs / (pairs + (too_many + missing) / 2), rtol=1e-6)
    # Void in what is predicted, and more segments than there is room for, show.
    assert np.isnan(found["void"]) and np.isnan(found["too many"])


def test_lovasz():
    labels, void = Y, np.where(RNG.random(Y.shape) < 0.2, 7, Y)
    scores, logits = RNG.normal(size=Y.shape).astype("float32"), 3 * SCORES
    found = jax.jit(
        lambda labels, void, scores, logits: (
            tg.losses.lovasz_hinge(labels == 1, scores),
            tg.losses.lovasz_softmax(labels, logits, from_logits=True),
            tg.losses.lovasz_softmax(void, jax.nn.softmax(logits), ignore_class=7),
        )
    )(labels, void, scores, logits)
    p = np.exp(logits.astype("float64"))
    p = p / p.sum(-1, keepdims=True)
    pairs = list(zip(labels, scores.astype("float64"), strict=True))
    np.testing.assert_allclose(found[0], [of.lovasz_hinge(y == 1, s) for y, s in pairs], rtol=1e-5)
    np.testing.assert_allclose(found[1], [of.lovasz_softmax(*one) for one in zip(labels, p, strict=True)], rtol=1e-5)
    np.testing.assert_allclose(found[2], [of.lovasz_softmax(*one, 7) for one in zip(void, p, strict=True)], rtol=1e-5)


def test_lovasz_where_nothing_is_and_nothing_counts():
    scores = jnp.array([[-3.0, 0.5, -2.0]])
    assert tg.losses.lovasz_hinge(jnp.zeros((1, 3)), scores).tolist() == [1.5]
    labels, p = jnp.full((1, 2), 9), jnp.full((1, 2, 3), 1 / 3)
    ignored, wrong = jax.jit(
        lambda y, p: (tg.losses.lovasz_softmax(y, p, ignore_class=9), tg.losses.lovasz_softmax(y, p))
    )(labels, p)
    assert ignored.tolist() == [0] and np.isnan(wrong).tolist() == [True]


def test_boundary_and_signed_distances():
    masks = np.concatenate([Y == 1, np.zeros((1, 10, 12), bool), np.ones((1, 10, 12), bool)])
    found = jax.jit(tg.losses.signed_distances)(masks)
    np.testing.assert_allclose(found, [of.signed_distances(mask) for mask in masks], rtol=1e-6)
    p = RNG.random(masks.shape).astype("float32")
    assert abs(tg.losses.Boundary()(found, p) - np.mean(np.asarray(found, "float64") * p)) < 1e-5


def test_focal_tversky():
    y, p = Y == 1, RNG.random(Y.shape).astype("float32")
    tversky = tg.losses.Tversky(alpha=0.2, beta=0.8, reduction="none")(y, p)
    found = tg.losses.FocalTversky(alpha=0.2, beta=0.8, gamma=0.5, reduction="none")(y, p)
    both, too_much, missing = (a.sum((1, 2)) for a in (y * p.astype("float64"), ~y * p, y * (1 - p)))
    np.testing.assert_allclose(tversky, 1 - both / (both + 0.2 * too_much + 0.8 * missing), rtol=1e-5)
    np.testing.assert_allclose(found, np.sqrt(tversky), rtol=1e-6)


def test_mistakes():
    with pytest.raises(tg.ContractError, match="`num_classes` is needed"):
        tg.metrics.DiceScore()(Y, FOUND)
    with pytest.raises(tg.ContractError, match="has no axis of pixels"):
        tg.metrics.DiceScore()(Y[:, 0, 0], SCORES[:, 0, 0])
    first = np.moveaxis(SCORES, -1, 1)
    for thing in (tg.metrics.DiceScore(), tg.losses.LovaszSoftmax()):
        with pytest.raises(tg.ContractError, match=r"`y_pred` f32\[4,3,10,12\] has its classes first.* `axis=1`"):
            thing(Y, first)
    with pytest.raises(tg.ContractError, match=r"look like masks and their probabilities: pass `threshold=0.5`"):
        tg.metrics.DiceScore()(Y == 1, SCORES[..., 1])
    with pytest.raises(ValueError, match="`average` is one of 'micro', 'macro' and None"):
        tg.metrics.DiceScore(average="weighted")  # pyright: ignore
    with pytest.raises(ValueError, match="`threshold` is about two classes"):
        tg.metrics.HausdorffDistance(3, threshold=0.5)
    with pytest.raises(ValueError, match="`percentile` is a percentile, a number from 0 to 100, and got 101"):
        tg.metrics.HausdorffDistance(3, percentile=101)
    with pytest.raises(tg.ContractError, match="`spacing` has 3 numbers, and there are 2 axes of space"):
        tg.metrics.HausdorffDistance(spacing=(1.0, 1.0, 1.0))(Y, SCORES)
    with pytest.raises(ValueError, match="`things` and `stuffs` are different categories, at least one"):
        tg.metrics.PanopticQuality(things=[1], stuffs=[1])
    with pytest.raises(tg.ContractError, match="must hold a category and an instance for each pixel"):
        tg.metrics.PanopticQuality(things=[1])(Y, FOUND)
    with pytest.raises(tg.ContractError, match="must hold a class index"):
        tg.losses.LovaszSoftmax()(Y, SCORES[..., 0])
    with pytest.raises(tg.ContractError, match="has no axis of pixels"):
        tg.losses.LovaszHinge()(jnp.zeros(3), jnp.zeros(3))
    with pytest.raises(ValueError, match="`gamma` is a positive number"):
        tg.losses.FocalTversky(gamma=0)
    with pytest.raises(tg.ContractError, match=r"`mask` is bool\[10,12\]"):
        tg.losses.signed_distances(jnp.asarray(Y[0] == 1))
