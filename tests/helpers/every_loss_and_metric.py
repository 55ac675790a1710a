"""Every loss, metric and regularizer of the package, and data for each.

The classes are found in the package, and their data is chosen by their names and by what they ask for.
"""

import dataclasses
import inspect
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg
from helpers.formulas_of_survival import TRAIN
from treegy._injection._inject import request

Data = dict[str, Any]

# How many examples there are, the same everywhere: another number would be compiled again.
N = 7

CLASSES = [
    cls
    for package in (tg.losses, tg.metrics, tg.regularizers)
    for cls in (getattr(package, name) for name in sorted(dir(package)))
    if inspect.isclass(cls) and issubclass(cls, tg.Loss | tg.Metric) and not inspect.isabstract(cls)
]


def side(y_pred: Any) -> Any:
    """The group of an example."""
    return (y_pred[:, 0] > 0).astype(jnp.int32)


def half(y_pred: Any) -> Any:
    """Another group of an example, of probabilities."""
    return (y_pred[:, 0] > 0.5).astype(jnp.int32)


def score(module: Any, x: Any) -> Any:
    """What a critic gives a point. Its weights are the first parameter of any module."""
    return jnp.sum(jnp.tanh(x) * jax.tree.leaves(module)[0].astype(x.dtype))


# Besides the default: what takes another path through the mathematics. One line for each class.
OPTIONS: dict[str, list[Data]] = {
    "AUC": [{"curve": "PR", "multi_label": True}],
    "AveragePrecision": [{"average": "macro"}],
    "BestThreshold": [{"criterion": c} for c in ("f1", "accuracy", "mcc")],
    "BinaryCrossentropy": [{"label_smoothing": 0.1, "from_logits": True}],
    "BinaryFocalCrossentropy": [{"apply_class_balancing": True, "gamma": 0.5}, {"from_logits": True, "gamma": 0.0}],
    "BootstrappedCrossentropy": [{"hard": True, "from_logits": True}],
    "CalibrationError": [{"adaptive": True, "capacity": 24, "classwise": True, "num_bins": 3}],
    "CategoricalCrossentropy": [{"label_smoothing": 0.1, "from_logits": True}],
    "CategoricalFocalCrossentropy": [{"from_logits": True, "alpha": [0.1, 0.2, 0.3, 0.4], "gamma": 0.5}],
    "ConcordanceCorrelation": [{"axis": 0}],
    "CumulativeGain": [{"fraction": [0.2, 0.7, 1.0]}],
    "CramersV": [{"bias_correction": True}],
    "Cox": [{"ties": "breslow"}],
    "ConfusionAtBestThreshold": [{"criterion": c, "num_thresholds": 11} for c in ("f1", "accuracy", "mcc")],
    "ConfusionMatrix": [{"normalize": "true"}],
    "F1Score": [{"average": "micro", "threshold": 0.5}],
    "DetectionMAP": [{"max_detections": 2, "by_class": True, "area_range": (0.1, 0.5)}],
    "DetectionMAR": [{"max_detections": 2, "by_class": True, "area_range": (0.1, 0.5)}],
    "DiceScore": [{"by_example": False, "average": "micro"}],
    "EnergyScore": [{"fair": True}],
    "EqualizedOdds": [{"ratio": True, "agg": "mean"}],
    "ExplainedVariance": [{"class_aggregation": None}],
    "LambdaRank": [{"k": 2, "gain": "linear"}],
    "Lift": [{"fraction": [0.2, 0.7, 1.0]}],
    "ListNet": [{"target": "share"}],
    "GlobalL1L2": [{"l1": 0.1, "l2": 0.2}],
    "MeanAveragePrecision": [{"k": 2}],
    "KendallCorrelation": [{"variant": "c"}],
    "NormalizedRootMeanSquaredError": [{"normalization": "range"}],
    "QuantileCalibrationError": [{"norm": "l2"}],
    "MeanSquaredError": [{"weight": 2.0, "reduction": "sum"}, {"reduction": "weighted_mean"}],
    "NDCG": [{"k": 3, "gain": "exponential", "skip_empty": True}],
    "PSNR": [{"pooled": True}],
    "PositiveLikelihoodRatio": [{"average": "macro"}],
    "PearsonCorrelation": [{"axis": 0}],
    "Perplexity": [{"ignore_class": 0}],
    "Precision": [{"thresholds": [0.25, 0.5], "class_id": 1}],
    "R2Score": [{"class_aggregation": "variance_weighted_average"}],
    "Recall": [
        {"average": "macro", "zero_division": float("nan"), "top_k": 2},
        {"thresholds": [0.25, 0.5], "class_id": 1},
    ],
    "SigmoidFocal": [{"alpha": 0.25, "gamma": 0.5}],
    "SparseCategoricalCrossentropy": [{"ignore_class": 0, "from_logits": True, "label_smoothing": 0.1}],
    "SpanF1": [{"average": "macro"}],
    "SpearmanCorrelation": [{"capacity": 24}],
    "TokenErrorRate": [{"end_id": 0, "blank_id": 2}],
    "TripletMargin": [{"norm_degree": 1}],
}

PARTITIONS = (
    "AdjustedMutualInformation",
    "AdjustedRandScore",
    "ClusterAccuracy",
    "Completeness",
    "FowlkesMallows",
    "Homogeneity",
    "MutualInformation",
    "NormalizedMutualInformation",
    "RandScore",
    "VMeasure",
)

TAGS = ["O", "B-place", "I-place", "B-name", "I-name"]

# What a class can't be made without, or not for the data of the laws.
NEEDED: dict[str, Data] = {
    **{name: {"num_classes": 3, "num_clusters": 3} for name in PARTITIONS},
    **{
        name: {"capacity": 24}
        for name in ("EmbeddingMeanAveragePrecision", "EmbeddingRecallAtK", "KernelDistance", "Uniformity")
    },
    "FleissKappa": {"of": "y_pred"},
    "GradientPenalty": {"critic": score},
    "Bootstrap": {"metric": tg.metrics.MeanSquaredError(), "n": 3},
    "ByGroup": {"metric": tg.metrics.MeanSquaredError(), "by": side, "num_groups": 3},
    "ConcordanceIndex": {"capacity": 24},
    "CumulativeGain": {"capacity": 24},
    "D2AbsoluteError": {"capacity": 24},
    "D2Tweedie": {"power": 1.5},
    "DemographicParity": {"by": half, "num_groups": 3},
    "EqualErrorRate": {"capacity": 24},
    "EqualizedOdds": {"by": half, "num_groups": 3},
    "ExpectedCost": {"costs": [[0, 1, 2, 3], [2, 0, 1, 1], [4, 3, 0, 1], [1, 1, 1, -1]]},
    "KendallCorrelation": {"capacity": 24},
    "MinkowskiDistance": {"p": 2},
    "QuantileCRPS": {"q": [0.25, 0.75]},
    "QuantileCalibrationError": {"q": [0.25, 0.75]},
    "TweedieDeviance": {"power": 1.5},
    "WinklerScore": {"alpha": 0.1},
    "Classwise": {"metric": tg.metrics.PearsonCorrelation(axis=0)},
    "DetectionMAP": {"num_classes": 2, "capacity": 24},
    "DetectionMAR": {"num_classes": 2, "capacity": 24},
    "HausdorffDistance": {"empty": 9.0},
    "IoU": {"num_classes": 3, "target_class_ids": [0, 2]},
    "LabelDistributionAwareMargin": {"class_counts": [4, 3, 2, 1], "scale": 3.0},
    "LogitAdjusted": {"class_counts": [4, 3, 2, 1]},
    "Lift": {"capacity": 24},
    "LogAUC": {"false_positive_rates": (0.1, 0.9), "capacity": 24},
    "MeanIoU": {"num_classes": 3},
    "MultiResolutionSTFT": {"resolutions": ((8, 3, 6),)},
    "MultiScaleSSIM": {"data_range": 1.0, "window": 2, "weights": (0.4, 0.6)},
    "OneHotIoU": {"num_classes": 4, "target_class_ids": [0, 2]},
    "OneHotMeanIoU": {"num_classes": 4},
    "PSNR": {"data_range": 1.0},
    "PanopticQuality": {"things": (0,), "stuffs": (1, 2), "max_segments": 16},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    **{name: {"tags": TAGS} for name in ("SpanF1", "SpanPrecision", "SpanRecall")},
    "BLEU": {"n": 2},
    "ChrF": {"n": 2},
    **{name: {"zero_division": 0.0} for name in ("NegativeLikelihoodRatio", "PositiveLikelihoodRatio")},
    "Running": {"metric": tg.metrics.MeanSquaredError(), "k": 2},
    "SDR": {"filter_length": 3, "iterations": 8},
    "SSIM": {"data_range": 1.0, "window": 3},
    **{
        name: {"times": [1.0, 2.0], "censoring": tg.metrics.Censoring(np.array(TRAIN))}
        for name in ("SurvivalAUC", "SurvivalBrierScore")
    },
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SlidingRMSE": {"window": 3},
    "SparseTopKCategoricalAccuracy": {"k": 2},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "TopKCategoricalAccuracy": {"k": 2},
    "UQI": {"window": 3},
}

# Data by a pattern in the name of the class; the first that fits. One line for each kind.
KINDS: list[tuple[str, str]] = [
    ("^Cox|^ConcordanceIndex", "times"),
    ("^SurvivalAUC", "times"),
    ("^SurvivalBrier", "probabilities at times"),
    ("^DiscreteHazards", "intervals of time"),
    (
        "^CramersV|^LogitAdjusted|^LabelDistribution|^Symmetric.*opy$|^Bootstrapped|^TheilsU|^ExpectedCost",
        "class indices",
    ),
    ("^NegativePredictive|LikelihoodRatio$|^EqualizedOdds|^AsymmetricLoss", "binary"),
    ("^EqualErrorRate|^LogAUC|^CumulativeGain|^Lift|BestThreshold$", "binary"),
    ("^DemographicParity", "uniform values"),
    ("^CORAL|^CORN", "ordered classes"),
    ("^FleissKappa", "raters"),
    ("^RNNT", "transducer"),
    ("^Unlikelihood", "class indices of steps"),
    ("^ZLoss", "logits"),
    ("^EditDistance|^TokenError|^MatchError|^BLEU|^ChrF|^SequenceAccuracy", "ids"),
    ("^Span", "tags"),
    ("^InfoNCE|^SigLIP|^VICReg|^Barlow|^BYOL|^DINO|^GANDisc|^Alignment$", "views"),
    ("^SupervisedContrastive|^Embedding", "embeddings"),
    ("^ArcFace|^CosFace|^ProxyNCA", "class indices"),
    ("^Distillation|^MMD|^Frechet|^KernelDistance|^CKA", "numbers"),
    ("^GaussianKL", "normal distributions"),
    ("^GANGen|^Uniformity|^EffectiveRank", "values"),
    ("^GradientPenalty", "points of a critic"),
    ("SSIM$|^UQI$|^PSNR$|^SpectralAngle$|^ERGAS$|^SlidingRMSE$|^FocalFrequency$", "images"),
    ("^TotalVariation$", "pictures"),
    ("^SNR$|^SDR$|^SISDR$|^SISNR$|STFT$", "sounds"),
    ("^PermutationInvariant$", "sources"),
    ("^DiceScore|^GeneralizedDice|^Hausdorff|^LovaszSoftmax", "regions"),
    ("^Panoptic", "segments"),
    ("^BoxIoU", "boxes"),
    ("^DetectionMA", "detections"),
    ("^LovaszHinge|^FocalTversky", "binary"),
    ("^Boundary|^Charbonnier", "numbers"),
    ("^MeanAbsoluteScaled", "series"),
    ("^QuantileC", "quantiles"),
    ("^EnsembleCRPS", "members"),
    ("^EnergyScore", "ensembles of vectors"),
    ("^IntervalCoverage|^Winkler", "intervals"),
    ("^IntervalWidth", "ends of intervals"),
    ("^NegativeBinomial", "counts"),
    ("^ZeroInflated", "counts of which some are 0"),
    ("^Student", "location, scale and degrees"),
    ("^Mixture", "mixtures"),
    ("^Evidential", "evidence"),
    ("^TweedieDeviance|^D2Tweedie", "rates"),
    ("^GammaDeviance", "positive"),
    ("^JensenShannon|^Wasserstein", "distributions"),
    ("^Minkowski", "numbers"),
    ("^NDCG|^MeanReciprocal|^MeanAveragePrec|^HitRate|AtK$|^RPrecision|^FallOut|^QueryAUC", "relevances"),
    ("^Pairwise|^LambdaRank|^ApproxNDCG|^ListNet", "relevances"),
    ("^BPR|^SampledSoftmax", "choices"),
    ("^Sparse|Generalized", "class indices"),
    ("^Categorical|^KLDivergence|^PolyLoss|^Top|^OneHot|^F1|^FBeta", "distributions"),
    ("^Binary|^Precision|^Recall|^SigmoidFocal|Hinge$|^Dice|^Tversky", "binary"),
    ("^Spec|^Sens|tives$|^AUC|^Average|^Roc|^Hamming|^Exact", "binary"),
    ("^Confusion|^Balanced|^Matthews|^Cohen|^Jaccard|^Brier|^Calibration", "class indices"),
    ("^IoU|^MeanIoU", "labels"),
    ("^Accuracy", "labels"),
    ("^Rand|^Adjusted|^Fowlkes|Information$|^Homogen|^Complete|^VMeasure|^Cluster", "labels"),
    ("^Mean$|^Sum$", "values"),
    ("^Poisson", "rates"),
    ("^CTC", "sequences"),
    ("^Circle|^NTXent", "embeddings"),
    ("^Triplet", "triplets"),
    ("^Gaussian|^BetaNLL", "mean and variance"),
    ("Error$|^Huber|^LogCosh|^CosineSimilarity|^Quantile", "numbers"),
    ("^Min$|^Max$|^Std$|^Variance$", "values"),
    ("^Perplexity", "class indices"),
    ("^Bootstrap$|^ByGroup$|^Classwise$|^Running$", "numbers"),
    ("Correlation$|^ExplainedVariance|^R2Score", "numbers"),
]

# What isn't negative by its meaning.
NOT_NEGATIVE = (
    "rates",
    "positive",
    "mean and variance",
    "counts",
    "counts of which some are 0",
    "location, scale and degrees",
    "mixtures",
    "evidence",
    "normal distributions",
)


def make_data(kind: str, n: int, rng: np.random.Generator) -> Data:
    """Values for `n` examples. Those that have gradients are floats."""
    if kind == "parameters":
        return {"parameters": {"weight": _floats(rng, (2, 3)), "bias": _floats(rng, (3,))}}
    if kind == "values":
        return {"y_pred": _floats(rng, (n, 3))}
    if kind == "uniform values":
        return {"y_pred": _uniform(rng, (n, 3))}
    if kind == "raters":
        return {"y_pred": _integers(rng, 4, (n, 3))}
    if kind == "ordered classes":
        return {"y_true": _integers(rng, 5, (n,)), "y_pred": _floats(rng, (n, 4))}
    if kind == "numbers":
        return {"y_true": _floats(rng, (n, 3)), "y_pred": _floats(rng, (n, 3))}
    if kind == "views":
        return {"y_pred": (_floats(rng, (n, 3)), _floats(rng, (n, 3)))}
    if kind == "normal distributions":
        return {"y_pred": (_floats(rng, (n, 3)), _uniform(rng, (n, 3)))}
    if kind == "points of a critic":
        return {"y_pred": _floats(rng, (n, 3)), "module": {"weight": jnp.asarray([0.5, -1.0, 2.0])}}
    if kind == "images":
        return {"y_true": _floats(rng, (n, 6, 5, 2)), "y_pred": _floats(rng, (n, 6, 5, 2))}
    if kind == "pictures":
        return {"y_pred": _floats(rng, (n, 3, 4, 2))}
    if kind == "sounds":
        return {"y_true": _floats(rng, (n, 12)), "y_pred": _floats(rng, (n, 12))}
    if kind == "sources":
        return {"y_true": _floats(rng, (n, 2, 6)), "y_pred": _floats(rng, (n, 2, 6))}
    if kind == "regions":
        return {"y_true": _integers(rng, 3, (n, 3, 4)), "y_pred": _uniform(rng, (n, 3, 4, 3))}
    if kind == "boxes":
        corners = [_uniform(rng, (n, 2)) for _ in range(2)]
        pair = [jnp.concatenate([corner, corner + 0.5 + _uniform(rng, (n, 2))], axis=-1) for corner in corners]
        return {"y_true": pair[0], "y_pred": pair[1]}
    if kind == "detections":
        corners = _uniform(rng, (n, 3, 2))
        meant = jnp.concatenate([corners, corners + 0.5], axis=-1)
        found = jnp.concatenate([meant, meant], axis=1) + 0.1 * _floats(rng, (n, 6, 4))
        labels = _integers(rng, 3, (n, 3)) - 1
        return {
            "y_true": {"boxes": meant, "labels": labels},
            "y_pred": {
                "boxes": found,
                "scores": _uniform(rng, (n, 6)),
                "labels": jnp.concatenate([labels, _integers(rng, 3, (n, 3)) - 1], axis=1),
            },
        }
    if kind == "segments":
        return {"y_true": _integers(rng, 3, (n, 2, 4, 2)), "y_pred": _integers(rng, 3, (n, 2, 4, 2))}
    if kind == "relevances":
        return {"y_true": _integers(rng, 4, (n, 5)) - 1, "y_pred": _floats(rng, (n, 5))}
    if kind == "choices":
        return {"y_pred": (_floats(rng, (n,)), _floats(rng, (n, 3)))}
    if kind == "rates":
        return {"y_true": _integers(rng, 3, (n, 3)), "y_pred": _uniform(rng, (n, 3))}
    if kind == "mean and variance":
        return {"y_true": _floats(rng, (n, 3)), "y_pred": (_floats(rng, (n, 3)), _uniform(rng, (n, 3)))}
    if kind == "positive":
        return {"y_true": _uniform(rng, (n, 3)), "y_pred": _uniform(rng, (n, 3))}
    if kind == "series":
        return {"x": _floats(rng, (n, 4)), "y_true": _floats(rng, (n, 3)), "y_pred": _floats(rng, (n, 3))}
    if kind == "quantiles":
        return {"y_true": _floats(rng, (n, 3)), "y_pred": _floats(rng, (n, 3, 2))}
    if kind == "members":
        return {"y_true": _floats(rng, (n, 3)), "y_pred": _floats(rng, (n, 3, 5))}
    if kind == "ensembles of vectors":
        return {"y_true": _floats(rng, (n, 3)), "y_pred": _floats(rng, (n, 5, 3))}
    if kind == "intervals":
        return {"y_true": _floats(rng, (n, 3)), "y_pred": (_floats(rng, (n, 3)), _floats(rng, (n, 3)))}
    if kind == "ends of intervals":
        return {"y_pred": (_floats(rng, (n, 3)), _floats(rng, (n, 3)))}
    if kind == "mixtures":
        parts = (_floats(rng, (n, 3, 2)), _floats(rng, (n, 3, 2)), _uniform(rng, (n, 3, 2)))
        return {"y_true": _floats(rng, (n, 3)), "y_pred": parts}
    if kind in ("counts", "counts of which some are 0"):
        parts = 2 if kind == "counts" else 3
        return {"y_true": _integers(rng, 3, (n, 3)), "y_pred": tuple(_uniform(rng, (n, 3)) for _ in range(parts))}
    if kind in ("location, scale and degrees", "evidence"):
        others = 2 if kind != "evidence" else 3
        parts = (_floats(rng, (n, 3)), *(_uniform(rng, (n, 3)) for _ in range(others)))
        return {"y_true": _floats(rng, (n, 3)), "y_pred": parts}
    if kind == "labels":
        return {"y_true": _integers(rng, 3, (n,)), "y_pred": _integers(rng, 3, (n,))}
    if kind == "sequences":
        y_true = jnp.stack([1 + _integers(rng, 3, (n,)), _integers(rng, 4, (n,))], axis=1)
        return {"y_true": y_true, "y_pred": _floats(rng, (n, 3, 4))}
    if kind == "probabilities at times":
        y_true = jnp.stack([_integers(rng, 4, (n,)), _integers(rng, 2, (n,))], axis=1)
        return {"y_true": y_true, "y_pred": _uniform(rng, (n, 2))}
    if kind in ("times", "intervals of time"):
        y_true = jnp.stack([_integers(rng, 4, (n,)), _integers(rng, 2, (n,))], axis=1)
        return {"y_true": y_true, "y_pred": _floats(rng, (n,) if kind == "times" else (n, 4))}
    if kind == "transducer":
        y_true = jnp.stack([1 + _integers(rng, 3, (n,)), _integers(rng, 4, (n,))], axis=1)
        return {"y_true": y_true, "y_pred": _floats(rng, (n, 2, 3, 4))}
    if kind == "class indices of steps":
        return {"y_true": _integers(rng, 4, (n, 5)), "y_pred": _uniform(rng, (n, 5, 4))}
    if kind == "logits":
        return {"y_pred": _floats(rng, (n, 4))}
    if kind == "ids":
        return {"y_true": _integers(rng, 4, (n, 6)) - 1, "y_pred": _integers(rng, 4, (n, 5)) - 1}
    if kind == "tags":
        return {"y_true": _integers(rng, 6, (n, 6)) - 1, "y_pred": _integers(rng, 5, (n, 6))}
    if kind == "embeddings":
        return {"y_true": _integers(rng, 2, (n,)), "y_pred": _floats(rng, (n, 3))}
    if kind == "triplets":
        return {"y_pred": tuple(_floats(rng, (n, 3)) for _ in range(3))}
    if kind == "binary":
        return {"y_true": _integers(rng, 2, (n, 3)), "y_pred": _uniform(rng, (n, 3))}
    labels = _integers(rng, 4, (n,))
    y_true = labels if kind == "class indices" else jnp.asarray(np.eye(4, dtype="float32")[np.asarray(labels)])
    return {"y_true": y_true, "y_pred": _uniform(rng, (n, 4))}


def _floats(rng: np.random.Generator, shape: tuple[int, ...]) -> jax.Array:
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def _uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> jax.Array:
    return jnp.asarray(rng.uniform(size=shape), jnp.float32)


def _integers(rng: np.random.Generator, high: int, shape: tuple[int, ...]) -> jax.Array:
    return jnp.asarray(rng.integers(0, high, shape), jnp.int32)


def kind_of(cls: type[Any]) -> str:
    if "parameters" in request(cls.call).names:
        return "parameters"
    for pattern, kind in KINDS:
        if re.search(pattern, cls.__name__):
            return kind
    pytest.fail(f"No data is known for {cls.__name__}: add it to KINDS, so that the laws are tested for it.")


def data_for(cls: type[Any], n: int = N) -> Data:
    data = make_data(kind_of(cls), n, np.random.default_rng(0))
    return data | ({"key": jax.random.key(0)} if "key" in make(cls, {})._asking().request.names else {})


def make(cls: type[Any], options: Data) -> Any:
    return cls(**NEEDED.get(cls.__name__, {}), **options)


def fits(options: Data, cls: type[Any]) -> bool:
    """Whether a class has these options: a loss and a metric may have the same name."""
    return set(options) <= {field.name for field in dataclasses.fields(cls)}


def variants() -> list[tuple[Any, Data]]:
    """Every class, with its default and its other options."""
    return [(cls, options) for cls in CLASSES for options in [{}, *OPTIONS.get(cls.__name__, [])] if fits(options, cls)]
