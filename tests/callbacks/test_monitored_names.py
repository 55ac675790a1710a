"""Which of two metric values is better, as callbacks know it by the name: right for every metric that there is."""

import math

import pytest

import treegy as tg
from treegy._terms._naming import default_name

pytestmark = pytest.mark.once

METRICS = {
    name: found
    for name in dir(tg.metrics)
    if isinstance(found := getattr(tg.metrics, name), type) and issubclass(found, tg.Metric) and name != "Metric"
    # Wrappers are called after what they wrap.
    if not hasattr(found, "_wrapped_name")
}

SMALLER = """
BinaryCrossentropy BrierScore CalibrationError CategoricalCrossentropy CategoricalHinge ERGAS EditDistance EnergyScore
EnsembleCRPS EqualErrorRate ExpectedCost FallOut FalseNegatives FalsePositives FrechetDistance GammaDeviance
GaussianCRPS GaussianLogScore HammingLoss HausdorffDistance Hinge JensenShannonDivergence KLDivergence KernelDistance
LogCoshError MatchErrorRate MeanAbsoluteError MeanAbsolutePercentageError MeanAbsoluteScaledError MeanSquaredError
MeanSquaredLogarithmicError MinkowskiDistance NegativeLikelihoodRatio NormalizedRootMeanSquaredError Perplexity Poisson
QuantileCRPS QuantileCalibrationError RelativeSquaredError RootMeanSquaredError SlidingRMSE
SparseCategoricalCrossentropy SpectralAngle SquaredHinge SurvivalBrierScore SymmetricMeanAbsolutePercentageError
TokenErrorRate TweedieDeviance Wasserstein WeightedMeanAbsolutePercentageError WinklerScore
""".split()

# Those for which neither is better, or which of the two depends on an option or on what is measured.
NEITHER = """
Alignment BestThreshold ConfusionAtBestThreshold ConfusionMatrix DemographicParity
EffectiveRank EqualizedOdds IntervalCoverage IntervalWidth Max Mean Min PermutationInvariant RocCurve Std Sum
TotalVariation Uniformity Variance
""".split()

# A curve has no better value, and no callback can monitor it: its shape is refused.
CURVES = ["PrecisionRecallCurve"]


def test_every_metric_is_as_its_name_says():
    assert not set(SMALLER + NEITHER + CURVES) - set(METRICS)
    for name, metric in METRICS.items():
        if name in CURVES:
            continue
        shown = "val_" + default_name("metric", metric.__new__(metric))
        if name in NEITHER:
            with pytest.raises(ValueError, match=f"whether '{shown}' is to be small or large can't be told"):
                tg.callbacks.EarlyStopping(shown)
        else:
            better = math.inf if name in SMALLER else -math.inf
            assert tg.callbacks.EarlyStopping(shown).best == better, shown
