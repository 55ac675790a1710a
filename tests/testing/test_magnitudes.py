"""Losses and metrics of small and large numbers: equal to their formulas in NumPy float64, with finite gradients.

The classes and their data are those of every_loss_and_metric.py. A class without a formula here fails.
"""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats
from sklearn import metrics as sklearn

import helpers.formulas_of_classes as of_more_classes
import helpers.formulas_of_images as of_images
import helpers.formulas_of_segmentation as of_regions
import helpers.formulas_of_sequences as of_sequences
import helpers.formulas_of_sound as of_sound
import helpers.formulas_of_survival as of_survival
import treegy as tg
from helpers.every_loss_and_metric import CLASSES, data_for, kind_of, make
from helpers.formulas_of_boxes import FIGURES as OF_BOXES
from helpers.formulas_of_boxes import box_iou
from helpers.formulas_of_rankings import VALUES as RANKING
from helpers.formulas_of_representations import FIGURES as OF_REPRESENTATIONS
from helpers.formulas_of_representations import VALUES as REPRESENTATIONS
from treegy._terms._saturating import widened

pytestmark = pytest.mark.once

EPSILON = 1e-7
SCALES = (1e-15, 1e-8, 1.0, 1e8, 1e15)

# What is to be scaled: labels are 0 or 1, or class indices, of whatever size predictions are.
BOTH = (
    "images",
    "pictures",
    "sounds",
    "sources",
    "boxes",
    "numbers",
    "rates",
    "positive",
    "values",
    "mean and variance",
    "series",
    "quantiles",
    "members",
    "ensembles of vectors",
    "intervals",
    "ends of intervals",
    "location, scale and degrees",
    "mixtures",
    "evidence",
    "views",
    "normal distributions",
    "points of a critic",
)


# Formulas of losses, and of metrics that are means, by the name of the class: a value per example.


def clipped(p: Any) -> Any:
    return np.clip(p, EPSILON, 1 - EPSILON)


def log_p(p: Any, from_logits: bool = False) -> Any:
    if from_logits:
        shifted = p - p.max(-1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    total = p.sum(-1, keepdims=True)
    return np.log(clipped(np.divide(p, total, out=np.zeros_like(p), where=total != 0)))


def of_label(values: Any, labels: Any) -> Any:
    return np.take_along_axis(values, labels[..., None], -1)[..., 0]


def binary(it: Any, y: Any, p: Any) -> Any:
    if it.from_logits:
        return (np.maximum(p, 0) - p * y + np.log1p(np.exp(-np.abs(p)))).mean(-1)
    p = clipped(p)
    return -(y * np.log(p) + (1 - y) * np.log1p(-p)).mean(-1)


def binary_focal(it: Any, y: Any, p: Any) -> Any:
    p = clipped(p)
    q = y * (1 - p) + (1 - y) * p
    return (q**2 * -(y * np.log(p) + (1 - y) * np.log1p(-p))).mean(-1)


def sigmoid_focal(it: Any, y: Any, z: Any) -> Any:
    log_right, log_wrong = (-np.logaddexp(0, -s * z * (2 * y - 1)) for s in (1, -1))
    return (np.exp(2 * log_wrong) * -log_right).mean(-1)


def categorical(it: Any, y: Any, p: Any) -> Any:
    return -np.sum(np.where(y == 0, 0, y * log_p(p, it.from_logits)), -1)


def sparse(it: Any, y: Any, p: Any) -> Any:
    return -of_label(log_p(p, it.from_logits), y)


def categorical_focal(it: Any, y: Any, p: Any) -> Any:
    log = log_p(p, it.from_logits)
    return np.sum(np.where(y == 0, 0, 0.25 * clipped(-np.expm1(log)) ** 2 * -y * log), -1)


def poly(it: Any, y: Any, z: Any) -> Any:
    log = log_p(z, from_logits=True)
    return np.sum(np.where(y == 0, 0, y * (-log - 2 * np.expm1(log))), -1)


def generalized(it: Any, y: Any, p: Any) -> Any:
    return (1 - np.sqrt(of_label(p, y))) / 0.5


def categorical_hinge(it: Any, y: Any, p: Any) -> Any:
    return np.maximum(1 + ((1 - y) * p).max(-1) - (y * p).sum(-1), 0)


def hinge(it: Any, y: Any, p: Any) -> Any:
    return np.maximum(1 - np.where(y == 0, -1, y) * p, 0).mean(-1)


def squared_hinge(it: Any, y: Any, p: Any) -> Any:
    return (np.maximum(1 - np.where(y == 0, -1, y) * p, 0) ** 2).mean(-1)


def kl(it: Any, y: Any, p: Any) -> Any:
    y, p = np.clip(y, EPSILON, 1), np.clip(p, EPSILON, 1)
    return np.sum(y * np.log(y / p), -1)


def unit(v: Any) -> Any:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), EPSILON)


def cosine(it: Any, y: Any, p: Any) -> Any:
    return (unit(y) * unit(p)).sum(-1)


def squared(it: Any, y: Any, p: Any) -> Any:
    return ((p - y) ** 2).mean(-1)


def absolute(it: Any, y: Any, p: Any) -> Any:
    return np.abs(p - y).mean(-1)


def percentage(it: Any, y: Any, p: Any) -> Any:
    return (100 * np.abs(p - y) / np.maximum(np.abs(y), EPSILON)).mean(-1)


def logarithmic(it: Any, y: Any, p: Any) -> Any:
    y, p = np.maximum(y, EPSILON), np.maximum(p, EPSILON)
    return ((np.log1p(p) - np.log1p(y)) ** 2).mean(-1)


def log_cosh(it: Any, y: Any, p: Any) -> Any:
    e = np.abs(p - y)
    small = np.log1p(2 * np.sinh(np.minimum(e, 1) / 2) ** 2)
    return np.where(e < 1, small, e + np.log1p(np.exp(-2 * e)) - np.log(2)).mean(-1)


def huber(it: Any, y: Any, p: Any) -> Any:
    e = np.abs(p - y)
    return np.where(e <= 1, e**2 / 2, e - 0.5).mean(-1)


def poisson(it: Any, y: Any, p: Any) -> Any:
    return (p - y * np.log(p + EPSILON)).mean(-1)


def quantile(it: Any, y: Any, p: Any) -> Any:
    return (np.abs(y - p) / 2).mean(-1)


def gaussian(it: Any, y: Any, p: Any) -> Any:
    mean, variance = p
    v = np.maximum(variance, 1e-6)
    return ((np.log(v) + (y - mean) ** 2 / v) / 2).mean(-1)


def triplet(it: Any, y: Any, p: Any) -> Any:
    anchor, near, far = p
    near, far = (np.sqrt(((anchor - other) ** 2).sum(-1) + 1e-6) for other in (near, far))
    return np.maximum(near - far + 1, 0)


def dice(it: Any, y: Any, p: Any) -> Any:
    return 1 - 2 * (y * p).sum(-1) / (y.sum(-1) + p.sum(-1) + EPSILON)


def tversky(it: Any, y: Any, p: Any, alpha: float = 0.5, beta: float = 0.5) -> Any:
    both = (y * p).sum(-1)
    return 1 - both / (both + (alpha * (1 - y) * p + beta * y * (1 - p)).sum(-1) + EPSILON)


def log_sum_exp(values: Any) -> Any:
    return np.logaddexp.reduce(np.asarray(values, "float64")) if len(values) else -np.inf


def ntxent(it: Any, labels: Any, e: Any) -> Any:
    s = unit(e) @ unit(e).T / 0.07
    found = []
    for i, label in enumerate(labels):
        same = [j for j in np.flatnonzero(labels == label) if j != i]
        rest = log_sum_exp(s[i, labels != label])
        if same:
            found.append(np.mean([np.logaddexp(s[i, j], rest) - s[i, j] for j in same]))
    return np.array(found)


def circle(it: Any, labels: Any, e: Any) -> Any:
    s = np.minimum(e @ e.T, 1)
    found = []
    for i, label in enumerate(labels):
        same = [j for j in np.flatnonzero(labels == label) if j != i]
        others = s[i, labels != label]
        if same and len(others):
            near = log_sum_exp(-80 * (1 + 0.4 - s[i, same]) * (s[i, same] - 1 + 0.4))
            found.append(np.logaddexp(0, near + log_sum_exp(80 * np.maximum(others + 0.4, 0) * (others - 0.4))))
    return np.array(found)


def ctc(it: Any, y: Any, z: Any) -> Any:
    log = log_p(z, from_logits=True)
    found = []
    for labels, steps in zip(y, log, strict=True):
        total = -np.inf
        for path in np.ndindex(*(steps.shape[1],) * len(steps)):
            merged = [c for i, c in enumerate(path) if (i == 0 or c != path[i - 1]) and c != 0]
            if merged == [c for c in labels if c != 0]:
                total = np.logaddexp(total, sum(steps[t, c] for t, c in enumerate(path)))
        found.append(-total)
    return np.array(found)


def brier(it: Any, y: Any, p: Any) -> Any:
    return ((np.eye(4)[y] - p) ** 2).sum(-1)


def thresholded(it: Any, y: Any, p: Any) -> Any:
    return (y == (p > 0.5)).mean(-1)


def of_top(k: int) -> Callable[..., Any]:
    def value(it: Any, y: Any, p: Any) -> Any:
        labels = y if y.ndim == 1 else y.argmax(-1)
        return (p > of_label(p, labels)[:, None]).sum(-1) < k

    return value


VALUES: dict[str, Callable[..., Any]] = {
    "Accuracy": lambda it, y, p: y == p,
    "BinaryAccuracy": thresholded,
    "BinaryCrossentropy": binary,
    "BinaryFocalCrossentropy": binary_focal,
    "BrierScore": brier,
    "CTC": ctc,
    "CategoricalAccuracy": lambda it, y, p: y.argmax(-1) == p.argmax(-1),
    "CategoricalCrossentropy": categorical,
    "CategoricalFocalCrossentropy": categorical_focal,
    "CategoricalGeneralizedCrossEntropy": generalized,
    "CategoricalHinge": categorical_hinge,
    "Circle": circle,
    "CosineSimilarity": lambda it, y, p: cosine(it, y, p) * (-1 if isinstance(it, tg.Loss) else 1),
    "Dice": dice,
    "ExactMatch": lambda it, y, p: (y == (p > 0.5)).all(-1),
    "GaussianNLL": gaussian,
    "HammingLoss": lambda it, y, p: 1 - thresholded(it, y, p),
    "Hinge": hinge,
    "Huber": huber,
    "KLDivergence": kl,
    "LogCosh": log_cosh,
    "LogCoshError": log_cosh,
    "Mean": lambda it, y, p: p,
    "MeanAbsoluteError": absolute,
    "MeanAbsolutePercentageError": percentage,
    "MeanSquaredError": squared,
    "MeanSquaredLogarithmicError": logarithmic,
    "NTXent": ntxent,
    "Poisson": poisson,
    "PolyLoss": poly,
    "Quantile": quantile,
    "Running": squared,
    "SigmoidFocal": sigmoid_focal,
    "SparseCategoricalAccuracy": lambda it, y, p: y == p.argmax(-1),
    "SparseCategoricalCrossentropy": sparse,
    "SparseTopKCategoricalAccuracy": of_top(2),
    "SquaredHinge": squared_hinge,
    "TopKCategoricalAccuracy": of_top(2),
    "TripletMargin": triplet,
    "Tversky": tversky,
}


VALUES.update(RANKING)
VALUES.update(of_more_classes.VALUES)
VALUES.update(of_sequences.VALUES)
VALUES.update(of_survival.VALUES)


def of_each(value: Callable[..., Any]) -> Callable[..., Any]:
    """A value for each example, of its own labels and predictions."""
    return lambda it, y, p: [value(it, *one) for one in (zip(p) if y is None else zip(y, p, strict=True))]


def negative_if_loss(it: Any, value: Any) -> Any:
    return -value if isinstance(it, tg.Loss) else value


def one_minus_if_loss(it: Any, value: Any) -> Any:
    return 1 - value if isinstance(it, tg.Loss) else value


def one_minus_if_metric(it: Any, value: Any) -> Any:
    return value if isinstance(it, tg.Loss) else 1 - value


def of_classes(value: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    return of_each(lambda it, y, p: value(y, p.argmax(-1), range(p.shape[-1]), **options))


VALUES.update(
    {
        "BoxIoU": of_each(lambda it, y, p: one_minus_if_loss(it, box_iou(y, p, it.kind))),
        "Boundary": lambda it, y, p: (y * p).mean(-1),
        "Charbonnier": lambda it, y, p: np.sqrt((y - p) ** 2 + 1e-6).mean(-1),
        "DiceScore": of_classes(of_regions.dice),
        "ERGAS": of_each(lambda it, y, p: of_images.ergas(y, p)),
        "FocalFrequency": of_each(lambda it, y, p: of_images.focal_frequency(y, p)),
        "FocalTversky": lambda it, y, p: np.maximum(tversky(it, y, p, 0.3, 0.7), 0) ** 0.75,
        "GeneralizedDice": of_classes(of_regions.generalized_dice),
        "HausdorffDistance": of_classes(of_regions.mean_hausdorff, empty=9.0),
        "LovaszHinge": of_each(lambda it, y, s: of_regions.lovasz_hinge(y, s)),
        "LovaszSoftmax": of_each(lambda it, y, p: of_regions.lovasz_softmax(y, p)),
        "MultiResolutionSTFT": of_each(lambda it, y, p: of_sound.multi_resolution_stft(y, p, it.resolutions)),
        "MultiScaleSSIM": of_each(
            lambda it, y, p: one_minus_if_metric(it, of_images.multi_scale_ssim_loss(y, p, 1.0, (0.4, 0.6), 2))
        ),
        "PSNR": of_each(lambda it, y, p: of_images.psnr(y, p, 1.0)),
        "PermutationInvariant": of_each(lambda it, y, p: negative_if_loss(it, of_sound.best(of_sound.si_sdr, y, p))),
        "SDR": of_each(lambda it, y, p: negative_if_loss(it, of_sound.sdr(y, p, it.filter_length))),
        "SISDR": of_each(lambda it, y, p: negative_if_loss(it, of_sound.si_sdr(y, p))),
        "SISNR": of_each(lambda it, y, p: of_sound.si_sdr(y, p, zero_mean=True)),
        "SNR": of_each(lambda it, y, p: negative_if_loss(it, of_sound.snr(y, p))),
        "SSIM": of_each(lambda it, y, p: one_minus_if_metric(it, of_images.ssim_loss(y, p, 1.0, 3))),
        "SlidingRMSE": of_each(lambda it, y, p: of_images.sliding_rmse(y, p, 3)),
        "SpectralAngle": of_each(lambda it, y, p: of_images.spectral_angle(y, p)),
        "TotalVariation": of_each(lambda it, p: of_images.total_variation(p)),
        "UQI": of_each(lambda it, y, p: of_images.uqi(y, p, 3)),
    }
)


# Formulas of metrics that aren't means: their values.


def share(a: Any, b: Any) -> Any:
    a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)


def at(thresholds: Any, y: Any, p: Any) -> Any:
    """True and false positives, false and true negatives at each threshold; predictions out of range count as its
    ends."""
    t = np.asarray(thresholds, "float32")[:, None]
    chosen, y = np.clip(p, 0, 1).ravel() > t, y.ravel()
    return [(a & (y == b)).sum(1) for a, b in ((chosen, 1), (chosen, 0), (~chosen, 1), (~chosen, 0))]


SPREAD = (-EPSILON, *(np.arange(1, 199) / 199), 1 + EPSILON)
EVEN = tuple(np.arange(200) / 199)


def rates(y: Any, p: Any, thresholds: Any = SPREAD) -> Any:
    tp, fp, fn, tn = at(thresholds, y, p)
    return share(tp, tp + fp), share(tp, tp + fn), share(fp, fp + tn), share(tn, fp + tn)


def auc(it: Any, y: Any, p: Any) -> Any:
    _, recall, false, _ = rates(y, p)
    return ((false[:-1] - false[1:]) * (recall[:-1] + recall[1:]) / 2).sum()


def average_precision(it: Any, y: Any, p: Any) -> Any:
    precision, recall, _, _ = rates(y, p)
    return ((recall[:-1] - recall[1:]) * precision[:-1]).sum()


def roc(it: Any, y: Any, p: Any) -> Any:
    _, recall, false, _ = rates(y, p)
    return np.stack([false[::-1], recall[::-1], SPREAD[::-1]])


def precision_recall(it: Any, y: Any, p: Any) -> Any:
    tp, fp, _, _ = at(SPREAD, y, p)
    precision, recall, _, _ = rates(y, p)
    return np.stack([np.where(tp + fp == 0, 1, precision), recall, SPREAD])


def best(of: int, given: int) -> Callable[..., Any]:
    def figure(it: Any, y: Any, p: Any) -> Any:
        shares = rates(y, p, EVEN)
        return np.where(shares[given] < 0.5, 0, shares[of]).max()

    return figure


def rate(which: int) -> Callable[..., Any]:
    return lambda it, y, p: rates(y, p, (0.5,))[which]


def count(which: int) -> Callable[..., Any]:
    return lambda it, y, p: at((0.5,), y, p)[which]


def matrix(it: Any, y: Any, p: Any) -> Any:
    n = p.shape[-1] if p.ndim > 1 else 3
    y, p = (a if a.ndim == 1 else a.argmax(-1) for a in (y, p))
    return np.array([[((y == i) & (p == j)).sum() for j in range(n)] for i in range(n)], "float64")


def overlaps(m: Any) -> Any:
    return share(np.diag(m), m.sum(0) + m.sum(1) - np.diag(m)), m.sum(0) + m.sum(1) > 0


def iou(classes: Any = None) -> Callable[..., Any]:
    def figure(it: Any, y: Any, p: Any) -> Any:
        each, there = overlaps(matrix(it, y, p))
        chosen = [c for c in (range(len(each)) if classes is None else classes) if there[c]]
        return np.mean(each[chosen]) if chosen else 0.0

    return figure


def binary_iou(it: Any, y: Any, p: Any) -> Any:
    return iou()(it, y.ravel(), (p.ravel() > 0.5).astype(int))


def balanced(it: Any, y: Any, p: Any) -> Any:
    m = matrix(it, y, p)
    there = m.sum(1) > 0
    return np.mean(share(np.diag(m), m.sum(1))[there])


def kappa(it: Any, y: Any, p: Any) -> Any:
    m = matrix(it, y, p) / len(y)
    chance = m.sum(0) @ m.sum(1)
    return share(np.trace(m) - chance, 1 - chance)


def matthews(it: Any, y: Any, p: Any) -> Any:
    m = matrix(it, y, p)
    a, b, n = m.sum(0), m.sum(1), m.sum()
    return share(np.trace(m) * n - a @ b, np.sqrt((n**2 - a @ a) * (n**2 - b @ b)))


def calibration(it: Any, y: Any, p: Any) -> Any:
    confidence, right = p.max(-1), p.argmax(-1) == y
    bins = np.searchsorted((np.arange(1, 15) / 15).astype("float32"), confidence)
    return sum(abs((right - confidence)[bins == b].sum()) for b in range(15)) / len(y)


def f_score(it: Any, y: Any, p: Any) -> Any:
    chosen = (p == p.max(-1, keepdims=True)) & (np.abs(p) > 0)
    tp, fp, fn = ((a & b).sum(0) for a, b in ((chosen, y == 1), (chosen, y == 0), (~chosen, y == 1)))
    return share(2 * tp, 2 * tp + fp + fn)


def varying(a: Any, axis: int = 0) -> Any:
    return a - a.mean(axis, keepdims=True)


def explained_variance(it: Any, y: Any, p: Any) -> Any:
    return np.mean(1 - (varying(y - p) ** 2).sum(0) / (varying(y) ** 2).sum(0))


def r2(it: Any, y: Any, p: Any) -> Any:
    return np.mean(1 - ((y - p) ** 2).sum(0) / (varying(y) ** 2).sum(0))


def pearson(y: Any, p: Any, axis: int) -> Any:
    a, b = varying(y, axis), varying(p, axis)
    return (a * b).sum(axis) / np.sqrt((a**2).sum(axis) * (b**2).sum(axis))


def concordance(it: Any, y: Any, p: Any) -> Any:
    a, b = varying(y, 1), varying(p, 1)
    apart = y.mean(1) - p.mean(1)
    return np.mean(2 * (a * b).mean(1) / ((a**2).mean(1) + (b**2).mean(1) + apart**2))


def spearman(it: Any, y: Any, p: Any) -> Any:
    y, p = (a.argsort(0).argsort(0).astype("float64") for a in (y, p))
    return pearson(y, p, 0)


def by_group(it: Any, y: Any, p: Any) -> Any:
    group, errors = p[:, 0] > 0, (p - y) ** 2
    return [errors[group == g].mean() for g in (False, True)] + [0.0]


def panoptic_quality(it: Any, y: Any, p: Any) -> Any:
    counts = [of_regions.panoptic_counts(*one, it.things, it.stuffs) for one in zip(y, p, strict=True)]
    return of_regions.panoptic_quality(np.sum(counts, axis=0))


FIGURES: dict[str, Callable[..., Any]] = {
    "AUC": auc,
    "AveragePrecision": average_precision,
    "BalancedAccuracy": balanced,
    "BinaryIoU": binary_iou,
    "ByGroup": by_group,
    "CalibrationError": calibration,
    "Classwise": lambda it, y, p: pearson(y, p, 0),
    "CohenKappa": kappa,
    "ConcordanceCorrelation": concordance,
    "ConfusionMatrix": matrix,
    "ExplainedVariance": explained_variance,
    "F1Score": f_score,
    "FBetaScore": f_score,
    "FalseNegatives": count(2),
    "FalsePositives": count(1),
    "GlobalL1": lambda it, theta: it.l * np.abs(theta).sum(),
    "GlobalL1L2": lambda it, theta: it.l1 * np.abs(theta).sum() + it.l2 * (theta**2).sum(),
    "GlobalL2": lambda it, theta: it.l * (theta**2).sum(),
    "IoU": iou((0, 2)),
    "Jaccard": lambda it, y, p: overlaps(matrix(it, y, p))[0].mean(),
    "MatthewsCorrelation": matthews,
    "Max": lambda it, y, p: p.max(),
    "MeanIoU": iou(),
    "Min": lambda it, y, p: p.min(),
    "OneHotIoU": iou((0, 2)),
    "OneHotMeanIoU": iou(),
    "PearsonCorrelation": lambda it, y, p: pearson(y, p, 1).mean(),
    "PanopticQuality": panoptic_quality,
    "Perplexity": lambda it, y, p: np.exp(sparse(it, y, p).mean()),
    "Precision": rate(0),
    "PrecisionAtRecall": best(0, 1),
    "PrecisionRecallCurve": precision_recall,
    "R2Score": r2,
    "Recall": rate(1),
    "RecallAtPrecision": best(1, 0),
    "RocCurve": roc,
    "RootMeanSquaredError": lambda it, y, p: np.sqrt(((p - y) ** 2).mean()),
    "SensitivityAtSpecificity": best(1, 3),
    "SpearmanCorrelation": spearman,
    "Specificity": rate(3),
    "SpecificityAtSensitivity": best(3, 1),
    "Std": lambda it, y, p: p.std(),
    "Sum": lambda it, y, p: p.sum(),
    "TrueNegatives": count(3),
    "TruePositives": count(0),
    "Variance": lambda it, y, p: p.var(),
}

FIGURES.update(of_more_classes.FIGURES)
FIGURES.update(OF_BOXES)
FIGURES.update(of_sequences.FIGURES)
FIGURES.update(of_survival.FIGURES)

# Of forecasts and distributions.


def deviance(y: Any, p: Any, power: float) -> Any:
    """Where `power` isn't 1 or 2."""
    p = np.maximum(p, EPSILON)
    of_y = np.where(y > 0, np.where(y > 0, y, 1) ** (2 - power), 0)
    return 2 * (
        of_y / ((1 - power) * (2 - power)) - y * p ** (1 - power) / (1 - power) + p ** (2 - power) / (2 - power)
    )


def gamma_deviance(it: Any, y: Any, p: Any) -> Any:
    r = y / np.maximum(p, EPSILON)
    return 2 * (r - 1 - np.log(r)).mean(-1)


def d2_tweedie(it: Any, y: Any, p: Any) -> Any:
    mean = np.full_like(p, y.mean())
    return 1 - deviance(y, p, 1.5).sum() / deviance(y, mean, 1.5).sum()


def gaussian_crps(it: Any, y: Any, p: Any) -> Any:
    s = np.sqrt(np.maximum(p[1], 1e-6))
    z = (y - p[0]) / s
    return (s * (z * special.erf(z / 2**0.5) + np.exp(-(z**2) / 2) * (2 / np.pi) ** 0.5 - np.pi**-0.5)).mean(-1)


def spread(x: Any) -> Any:
    """The mean distance of any two members along the last axis, halved."""
    return np.abs(x[..., :, None] - x[..., None, :]).mean((-1, -2)) / 2


def ensemble_crps(it: Any, y: Any, x: Any) -> Any:
    return (np.abs(x - y[..., None]).mean(-1) - spread(x)).mean(-1)


def energy(it: Any, y: Any, x: Any) -> Any:
    between = np.linalg.norm(x[:, :, None] - x[:, None], axis=-1).mean((1, 2)) / 2
    return np.linalg.norm(x - y[:, None], axis=-1).mean(1) - between


def pinball(it: Any, y: Any, p: Any) -> Any:
    e, q = y[..., None] - p, np.array([0.25, 0.75])
    return 2 * np.maximum(q * e, (q - 1) * e).mean((-1, -2))


def negative_binomial(y: Any, p: Any) -> Any:
    mean, r = np.maximum(p[0], EPSILON), 1 / np.clip(p[1], EPSILON, 1e7)
    # The quotient of the gamma functions is a product, of counts as small as these.
    rising = sum(np.where(k < y, np.log(r + k), 0) for k in range(3)) - special.gammaln(y + 1)
    return -(rising - r * np.log1p(mean / r) + y * (np.log(mean) - np.log(r + mean)))


def zero_inflated(it: Any, y: Any, p: Any) -> Any:
    counted = np.logaddexp(0, p[2]) + negative_binomial(y, p[:2])
    return np.where(y == 0, -np.logaddexp(-np.logaddexp(0, -p[2]), -counted), counted).mean(-1)


def beta(it: Any, y: Any, p: Any) -> Any:
    v = np.maximum(p[1], 1e-6)
    return (np.sqrt(v) * (np.log(v) + (y - p[0]) ** 2 / v) / 2).mean(-1)


def student_t(errors: Any, scale: Any, degrees: Any) -> Any:
    constant = special.gammaln(degrees / 2) - special.gammaln((degrees + 1) / 2) + np.log(degrees * np.pi) / 2
    # For many degrees, of Stirling's series, as even float64 cancels.
    constant = np.where(degrees > 1e5, np.log(2 * np.pi) / 2 + 1 / (4 * degrees), constant)
    return (degrees + 1) / 2 * np.log1p((errors / scale) ** 2 / degrees) + np.log(scale) + constant


def student_nll(it: Any, y: Any, p: Any) -> Any:
    return student_t(y - p[0], np.maximum(p[1], 1e-6), np.clip(p[2], 1e-6, 1e7)).mean(-1)


def evidential(it: Any, y: Any, p: Any) -> Any:
    nu, alpha, rate = (np.maximum(each, 1e-6) for each in p[1:])
    scale = np.sqrt(rate * (1 + nu) / (nu * alpha))
    errors = np.abs(y - p[0])
    return (student_t(errors, scale, 2 * np.minimum(alpha, 5e6)) + 0.01 * errors * (2 * nu + alpha)).mean(-1)


def mixture(it: Any, y: Any, p: Any) -> Any:
    v = np.maximum(p[2], 1e-6)
    each = log_p(p[0], from_logits=True) - ((y[..., None] - p[1]) ** 2 / v + np.log(2 * np.pi * v)) / 2
    return -np.asarray(special.logsumexp(each, -1)).mean(-1)


def winkler(it: Any, y: Any, p: Any) -> Any:
    return (p[1] - p[0] + 20 * (np.maximum(p[0] - y, 0) + np.maximum(y - p[1], 0))).mean(-1)


def shares_of(p: Any) -> Any:
    return p / p.sum(-1, keepdims=True)


def jensen_shannon(it: Any, y: Any, p: Any) -> Any:
    y, p = shares_of(y), shares_of(p)
    return (special.rel_entr(y, (y + p) / 2) + special.rel_entr(p, (y + p) / 2)).sum(-1) / 2


def scaled_error(it: Any, y: Any, p: Any, x: Any) -> Any:
    return np.abs(y - p).mean(-1) / np.abs(x[:, 1:] - x[:, :-1]).mean(-1)


VALUES.update(
    {
        "BetaNLL": beta,
        "EnergyScore": energy,
        "EnsembleCRPS": ensemble_crps,
        "EvidentialRegression": evidential,
        "GammaDeviance": gamma_deviance,
        "GaussianCRPS": gaussian_crps,
        "GaussianLogScore": lambda it, y, p: gaussian(it, y, p) + np.log(2 * np.pi) / 2,
        "IntervalCoverage": lambda it, y, p: ((p[0] <= y) & (y <= p[1])).mean(-1),
        "IntervalWidth": lambda it, y, p: (p[1] - p[0]).mean(-1),
        "JensenShannonDivergence": jensen_shannon,
        "MeanAbsoluteScaledError": scaled_error,
        "MixtureDensityNLL": mixture,
        "NegativeBinomialNLL": lambda it, y, p: negative_binomial(y, p).mean(-1),
        "QuantileCRPS": pinball,
        "StudentNLL": student_nll,
        "SymmetricMeanAbsolutePercentageError": lambda it, y, p: (200 * np.abs(y - p) / (np.abs(y) + np.abs(p))).mean(
            -1
        ),
        "TweedieDeviance": lambda it, y, p: deviance(y, p, 1.5).mean(-1),
        "Wasserstein": lambda it, y, p: np.abs(np.cumsum(shares_of(y) - shares_of(p), -1)).sum(-1),
        "WinklerScore": winkler,
        "ZeroInflatedNLL": zero_inflated,
    }
)
FIGURES.update(
    {
        "D2AbsoluteError": lambda it, y, p: np.mean(1 - np.abs(y - p).sum(0) / np.abs(y - np.median(y, 0)).sum(0)),
        "D2Tweedie": d2_tweedie,
        "KendallCorrelation": lambda it, y, p: [stats.kendalltau(a, b)[0] for a, b in zip(y.T, p.T, strict=True)],
        "MinkowskiDistance": lambda it, y, p: np.sqrt(((y - p) ** 2).sum()),
        "NormalizedRootMeanSquaredError": lambda it, y, p: np.mean(np.sqrt(((y - p) ** 2).mean(0)) / np.abs(y.mean(0))),
        "QuantileCalibrationError": lambda it, y, p: np.abs(
            (y[..., None] <= p).mean((0, 1)) - np.array([0.25, 0.75])
        ).mean(),
        "RelativeSquaredError": lambda it, y, p: np.mean(((y - p) ** 2).sum(0) / (varying(y) ** 2).sum(0)),
        "WeightedMeanAbsolutePercentageError": lambda it, y, p: 100 * np.abs(y - p).sum() / np.abs(y).sum(),
    }
)

VALUES.update(REPRESENTATIONS)
FIGURES.update(OF_REPRESENTATIONS)

# Of partitions: scikit-learn's, which are of float64.
FIGURES.update(
    {
        "AdjustedMutualInformation": lambda it, y, p: sklearn.adjusted_mutual_info_score(y, p),
        "AdjustedRandScore": lambda it, y, p: sklearn.adjusted_rand_score(y, p),
        "ClusterAccuracy": lambda it, y, p: max(
            sum(matrix(it, y, p)[range(3), names]) / len(y) for names in itertools.permutations(range(3))
        ),
        "Completeness": lambda it, y, p: sklearn.completeness_score(y, p),
        "FowlkesMallows": lambda it, y, p: sklearn.fowlkes_mallows_score(y, p),
        "Homogeneity": lambda it, y, p: sklearn.homogeneity_score(y, p),
        "MutualInformation": lambda it, y, p: sklearn.mutual_info_score(y, p),
        "NormalizedMutualInformation": lambda it, y, p: sklearn.normalized_mutual_info_score(y, p),
        "RandScore": lambda it, y, p: sklearn.rand_score(y, p),
        "VMeasure": lambda it, y, p: sklearn.v_measure_score(y, p),
    }
)

# What has no unit, and so no magnitude at which it may be lost.
WITHOUT_SCALE = {
    "BoxIoU",
    "Classwise",
    "ConcordanceCorrelation",
    "ERGAS",
    "D2AbsoluteError",
    "ExplainedVariance",
    "IntervalCoverage",
    "KendallCorrelation",
    "MeanAbsoluteScaledError",
    "NormalizedRootMeanSquaredError",
    "PearsonCorrelation",
    "PermutationInvariant",
    "R2Score",
    "SISDR",
    "SISNR",
    "SNR",
    "SpearmanCorrelation",
    "SpectralAngle",
    "UQI",
    "RelativeSquaredError",
    "SymmetricMeanAbsolutePercentageError",
    "WeightedMeanAbsolutePercentageError",
}
# Random, so that no formula says what it is.
RANDOM = {"Bootstrap"}


def scaled(cls: Any, scale: float) -> Any:
    """The data of a class, its numbers times `scale` and rounded to float32."""

    def times(a: Any) -> Any:
        return jnp.asarray(np.asarray(a, "float64") * scale, jnp.float32) if is_float(a) else a

    data = data_for(cls)
    names = ("x", "y_true", "y_pred", "parameters") if kind_of(cls) in BOTH else ("y_pred", "parameters")
    return {name: jax.tree.map(times, value) if name in names else value for name, value in data.items()}


def is_float(a: Any) -> bool:
    return jnp.issubdtype(a.dtype, jnp.floating)


def flat(figures: Any) -> Any:
    return np.concatenate([np.ravel(np.asarray(a, "float64")) for a in jax.tree.leaves(figures)])


def value_of(it: Any, data: Any) -> Any:
    if "parameters" in data:
        return it(**data)
    made = it(**data)
    return made if isinstance(it, tg.Loss) else jax.tree.map(figure_of, made, is_leaf=is_accumulator)


def is_accumulator(value: Any) -> bool:
    return hasattr(value, "compute")


def figure_of(value: Any) -> Any:
    return value.compute()


def expected(it: Any, data: Any) -> Any:
    name = type(it).__name__
    if name not in VALUES and name not in FIGURES:
        pytest.fail(f"No formula is known for {name}: add it to VALUES or FIGURES, so that it is tested at all scales.")
    with np.errstate(all="ignore"):
        exact: Any = jax.tree.map(lambda a: np.asarray(a, "float64" if is_float(a) else None), data)
        if "parameters" in exact:
            return flat(FIGURES[name](it, flat(exact["parameters"])))
        given = it, exact.get("y_true"), exact["y_pred"], *([exact["x"]] if "x" in exact else [])
        if name in FIGURES:
            return flat(FIGURES[name](*given))
        return flat(np.mean(np.asarray(VALUES[name](*given), "float64")))


def check(cls: Any, scale: float, **options: Any) -> None:
    it, data = make(cls, options), scaled(cls, scale)
    got = flat(jax.jit(lambda data: value_of(it, data))(data))
    want = expected(it, data)
    # What doesn't fit into float32 rounds to infinity.
    with np.errstate(over="ignore"):
        want = want.astype("float32").astype("float64")
    # Terms of these cancel, so that what is left is as exact as the terms.
    atol = 2e-6 if cls.__name__ in CANCELLING else 0.0
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=atol, err_msg=f"{cls.__name__} at {scale:g}")


CANCELLING = {
    *WITHOUT_SCALE,
    *("CosineSimilarity", "KLDivergence", "CalibrationError", "CohenKappa", "TripletMargin"),
    *("Distillation", "Uniformity"),
}

KNOWN = [cls for cls in CLASSES if cls.__name__ not in RANDOM]


def name_of(cls: Any) -> str:
    return f"{cls.__module__.split('.')[1]}.{cls.__name__}"


@pytest.mark.slow
@pytest.mark.parametrize("cls", KNOWN, ids=name_of)
@pytest.mark.parametrize("scale", SCALES)
def test_equals_its_formula(cls: Any, scale: float):
    check(cls, scale)


@pytest.mark.once
@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e2, 1e15])
@pytest.mark.parametrize(
    "name",
    [
        "BinaryCrossentropy",
        "CategoricalCrossentropy",
        "CategoricalFocalCrossentropy",
        "SparseCategoricalCrossentropy",
    ],
)
def test_logits_equal_their_formula(name: str, scale: float):
    check(getattr(tg.losses, name), scale, from_logits=True)


@pytest.mark.slow
@pytest.mark.parametrize("cls", KNOWN, ids=name_of)
def test_at_1e_19_what_has_no_scale_is_right_and_the_rest_finite(cls: Any):
    if cls.__name__ in WITHOUT_SCALE:
        check(cls, 1e-19)
    else:
        it, data = make(cls, {}), scaled(cls, 1e-19)
        assert np.all(np.isfinite(flat(jax.jit(lambda data: value_of(it, data))(data))))


SCORES: dict[str, Callable[..., Any]] = {
    "R2Score": lambda y, p: r2(None, y, p),
    "ExplainedVariance": lambda y, p: explained_variance(None, y, p),
    "PearsonCorrelation": lambda y, p: pearson(y, p, 0),
    "ConcordanceCorrelation": lambda y, p: (
        2 * (varying(y) * varying(p)).sum(0) / ((varying(y) ** 2 + varying(p) ** 2).sum(0) + len(y) * apart(y, p) ** 2)
    ),
}


def apart(y: Any, p: Any) -> Any:
    return y.mean(0) - p.mean(0)


@pytest.mark.once
@pytest.mark.parametrize(
    "scales",
    [(1e-19, 1e-15, 1e-19), *(pytest.param(s, marks=pytest.mark.slow) for s in ((1e-19,) * 3, (1e15, 1e-19, 1.0)))],
)
@pytest.mark.parametrize("name", SCORES)
def test_batches_of_other_magnitudes_merge(name: str, scales: tuple[float, ...]):
    rng = np.random.default_rng(0)
    sizes = np.repeat(scales, 5)[:, None]
    y = (sizes * (rng.normal(size=(15, 2)) + np.repeat([0, 3, 1], 5)[:, None])).astype("float32")
    p = (y + sizes * rng.normal(size=(15, 2))).astype("float32")
    metric = getattr(tg.metrics, name)(**({"axis": 0} if "Correlation" in name else {}))

    def figures(batches: Any) -> Any:
        one, two, three = [metric(*batch) for batch in batches]
        left, right = one.merge(two).merge(three), one.empty().merge(one).merge(two.merge(three.merge(one.empty())))
        return left.compute(), right.compute()

    got = jax.jit(figures)(list(zip(np.split(y, 3), np.split(p, 3), strict=True)))
    want = SCORES[name](y.astype("float64"), p.astype("float64"))
    for figure in got:
        np.testing.assert_allclose(figure, want, rtol=1e-5)


@pytest.mark.once
def test_outputs_of_other_magnitudes_are_weighted_by_their_variance():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(8, 3)) * [1e-19, 3e-20, 1e-30]
    p = y + rng.normal(size=(8, 3)) * [1e-19, 3e-20, 1e-30]
    variances = y.var(0)
    want = 1 - ((y - p) ** 2).mean(0) @ np.ones(3) / variances.sum()
    metric = tg.metrics.R2Score(class_aggregation="variance_weighted_average")
    np.testing.assert_allclose(metric(*(a.astype("float32") for a in (y, p))).compute(), want, rtol=1e-5)


@pytest.mark.once
def test_probabilities_and_logits_near_their_ends_equal_their_formulas():
    p = np.array([[0.9999, 0.00005, 0.00005], [1 - 1e-6, 4e-7, 6e-7], [1.0, 0.0, 0.0]], "float32")
    z = np.array([[12.0, 0.0, 1.0], [40.0, 25.0, 0.0], [9.0, 9.0, -9.0]], "float32")
    one_hot, labels = np.eye(3, dtype="float32")[[0, 0, 0]], np.zeros(3, "int32")
    for name, y, options in (
        ("BinaryCrossentropy", one_hot, {}),
        ("BinaryFocalCrossentropy", one_hot, {}),
        ("CategoricalCrossentropy", one_hot, {}),
        ("CategoricalFocalCrossentropy", one_hot, {}),
        ("SparseCategoricalCrossentropy", labels, {}),
        ("CategoricalGeneralizedCrossEntropy", labels, {}),
        ("Dice", one_hot, {}),
        ("Tversky", one_hot, {}),
        ("CategoricalCrossentropy", one_hot, {"from_logits": True}),
        ("CategoricalFocalCrossentropy", one_hot, {"from_logits": True}),
        ("SparseCategoricalCrossentropy", labels, {"from_logits": True}),
        ("PolyLoss", one_hot, {}),
        ("SigmoidFocal", one_hot, {}),
    ):
        it = getattr(tg.losses, name)(reduction="none", **options)
        y_pred = z if options or name in ("PolyLoss", "SigmoidFocal") else p
        want = VALUES[name](it, y.astype("float64") if y.ndim > 1 else y, y_pred.astype("float64"))
        np.testing.assert_allclose(it(y, y_pred), want, rtol=1e-5, atol=1e-30, err_msg=name)


def test_a_class_without_a_formula_fails():
    class Unheard(tg.Loss):
        def call(self, y_pred: Any) -> Any:
            return y_pred

    with pytest.raises(pytest.fail.Exception, match="No formula is known for Unheard"):
        expected(Unheard(), {"y_pred": jnp.ones(2)})
    names = {cls.__name__ for cls in CLASSES}
    assert names == {*VALUES, *FIGURES, *RANDOM} and names >= WITHOUT_SCALE | CANCELLING


# Gradients

WORST = (0.0, 1e-40, 6e-8, 1e-30, 1.0, 1e4, "largest")


@pytest.mark.once
@pytest.mark.parametrize(
    "dtype",
    [
        # At most of these numbers, `check_loss` looks at gradients in single precision.
        pytest.param(jnp.float32, id="float32", marks=pytest.mark.slow),
        pytest.param(jnp.float16, id="float16", marks=pytest.mark.slow),
        pytest.param(jnp.bfloat16, id="bfloat16", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("cls", [cls for cls in CLASSES if issubclass(cls, tg.Loss)], ids=name_of)
def test_gradients_are_finite(cls: Any, dtype: Any):
    it, data = make(cls, {}), data_for(cls)
    name = "parameters" if "parameters" in data else "y_pred"
    half = jax.tree.map(lambda a: a.astype(dtype) if is_float(a) else a, data)
    gradient = jax.jit(jax.grad(lambda values, data: it(**{**data, name: values}).astype(jnp.float32)))

    def times(tree: Any, number: Any) -> Any:
        number = float(jnp.finfo(dtype).max) if number == "largest" else number
        with np.errstate(all="ignore"):
            return jax.tree.map(
                lambda a: jnp.asarray(np.sign(np.asarray(a, "float64")) * number).astype(dtype) if is_float(a) else a,
                tree,
            )

    # The slope of a square of a parameter may be more than float32 holds.
    for number in WORST[:-1] if name == "parameters" else WORST:
        everywhere = times(jax.tree.map(jnp.ones_like, half[name]), number)
        for values in (everywhere, times(half[name], number)):
            for others in (half, {n: jax.tree.map(jnp.zeros_like, v) for n, v in half.items()}):
                for leaf in jax.tree.leaves(gradient(values, others)):
                    assert leaf.dtype == dtype
                    assert np.all(np.isfinite(np.asarray(leaf, "float64"))), f"where {name} is {number}: {leaf}"


def test_what_does_not_fit_saturates():
    with jax.numpy_dtype_promotion("standard"):
        gradient = jax.grad(lambda p: tg.losses.Poisson(reduction="sum")(jnp.ones(2), p))(jnp.zeros(2, jnp.float16))
    assert gradient.tolist() == [-65504.0, -65504.0]


def test_widened_under_all_transformations():
    x = jnp.array([1.0, 2.0, 65504.0], jnp.float16)

    def cubed(x: Any) -> Any:
        return jnp.sum(widened(x, jnp.float32) ** 3)

    want = [3.0, 12.0, 65504.0]
    assert jax.grad(cubed)(x).tolist() == want == jax.jit(jax.grad(cubed))(x).tolist()
    assert jax.vmap(jax.grad(cubed))(jnp.stack([x, x])).tolist() == [want, want]
    assert jax.grad(jax.checkpoint(cubed))(x).tolist() == want
    _, tangent = jax.jvp(cubed, (x,), (x,))
    np.testing.assert_allclose(tangent, 3 * np.sum(np.asarray(x, "float64") ** 3), rtol=1e-6)
    total = jax.grad(lambda xs: jax.lax.scan(lambda c, x: (c + cubed(x), None), jnp.zeros(()), xs)[0])
    assert total(jnp.stack([x, x])).tolist() == [want, want]
    np.testing.assert_allclose(jax.hessian(cubed)(x[:2]), [[6, 0], [0, 12]])
    assert widened(x, jnp.float32).dtype == jnp.float32
