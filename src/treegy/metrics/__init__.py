"""Metrics: metric values over all examples of an epoch or an evaluation."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._terms._metric import Metric as Metric
    from ._classification._accuracy import Accuracy as Accuracy
    from ._classification._accuracy import accuracy as accuracy
    from ._classification._auc import AUC as AUC
    from ._classification._average_precision import AveragePrecision as AveragePrecision
    from ._classification._balanced_accuracy import BalancedAccuracy as BalancedAccuracy
    from ._classification._best_at import PrecisionAtRecall as PrecisionAtRecall
    from ._classification._best_at import RecallAtPrecision as RecallAtPrecision
    from ._classification._best_at import SensitivityAtSpecificity as SensitivityAtSpecificity
    from ._classification._best_at import SpecificityAtSensitivity as SpecificityAtSensitivity
    from ._classification._best_threshold import BestThreshold as BestThreshold
    from ._classification._best_threshold import ConfusionAtBestThreshold as ConfusionAtBestThreshold
    from ._classification._binary_accuracy import binary_accuracy as binary_accuracy
    from ._classification._binary_accuracy import BinaryAccuracy as BinaryAccuracy
    from ._classification._brier_score import brier_score as brier_score
    from ._classification._brier_score import BrierScore as BrierScore
    from ._classification._calibration_error import CalibrationError as CalibrationError
    from ._classification._categorical_accuracy import categorical_accuracy as categorical_accuracy
    from ._classification._categorical_accuracy import CategoricalAccuracy as CategoricalAccuracy
    from ._classification._cohen_kappa import CohenKappa as CohenKappa
    from ._classification._confusion_matrix import ConfusionMatrix as ConfusionMatrix
    from ._classification._cramers_v import CramersV as CramersV
    from ._classification._cumulative_gain import CumulativeGain as CumulativeGain
    from ._classification._cumulative_gain import Lift as Lift
    from ._classification._curves import PrecisionRecallCurve as PrecisionRecallCurve
    from ._classification._curves import RocCurve as RocCurve
    from ._classification._demographic_parity import DemographicParity as DemographicParity
    from ._classification._equal_error_rate import EqualErrorRate as EqualErrorRate
    from ._classification._equalized_odds import EqualizedOdds as EqualizedOdds
    from ._classification._exact_match import exact_match as exact_match
    from ._classification._exact_match import ExactMatch as ExactMatch
    from ._classification._expected_cost import ExpectedCost as ExpectedCost
    from ._classification._f_score import F1Score as F1Score
    from ._classification._f_score import FBetaScore as FBetaScore
    from ._classification._fleiss_kappa import FleissKappa as FleissKappa
    from ._classification._hamming_loss import hamming_loss as hamming_loss
    from ._classification._hamming_loss import HammingLoss as HammingLoss
    from ._classification._iou import BinaryIoU as BinaryIoU
    from ._classification._iou import IoU as IoU
    from ._classification._iou import MeanIoU as MeanIoU
    from ._classification._iou import OneHotIoU as OneHotIoU
    from ._classification._iou import OneHotMeanIoU as OneHotMeanIoU
    from ._classification._jaccard import Jaccard as Jaccard
    from ._classification._likelihood_ratio import NegativeLikelihoodRatio as NegativeLikelihoodRatio
    from ._classification._likelihood_ratio import PositiveLikelihoodRatio as PositiveLikelihoodRatio
    from ._classification._log_auc import LogAUC as LogAUC
    from ._classification._matthews_correlation import MatthewsCorrelation as MatthewsCorrelation
    from ._classification._perplexity import Perplexity as Perplexity
    from ._classification._positives_and_negatives import FalseNegatives as FalseNegatives
    from ._classification._positives_and_negatives import FalsePositives as FalsePositives
    from ._classification._positives_and_negatives import TrueNegatives as TrueNegatives
    from ._classification._positives_and_negatives import TruePositives as TruePositives
    from ._classification._precision_recall import NegativePredictiveValue as NegativePredictiveValue
    from ._classification._precision_recall import Precision as Precision
    from ._classification._precision_recall import Recall as Recall
    from ._classification._precision_recall import Specificity as Specificity
    from ._classification._sparse_categorical_accuracy import sparse_categorical_accuracy as sparse_categorical_accuracy
    from ._classification._sparse_categorical_accuracy import SparseCategoricalAccuracy as SparseCategoricalAccuracy
    from ._classification._sparse_top_k_categorical_accuracy import (
        sparse_top_k_categorical_accuracy as sparse_top_k_categorical_accuracy,
    )
    from ._classification._sparse_top_k_categorical_accuracy import (
        SparseTopKCategoricalAccuracy as SparseTopKCategoricalAccuracy,
    )
    from ._classification._theils_u import TheilsU as TheilsU
    from ._classification._top_k_categorical_accuracy import top_k_categorical_accuracy as top_k_categorical_accuracy
    from ._classification._top_k_categorical_accuracy import TopKCategoricalAccuracy as TopKCategoricalAccuracy
    from ._clusters._adjusted_mutual_information import AdjustedMutualInformation as AdjustedMutualInformation
    from ._clusters._cluster_accuracy import ClusterAccuracy as ClusterAccuracy
    from ._clusters._fowlkes_mallows import FowlkesMallows as FowlkesMallows
    from ._clusters._mutual_information import MutualInformation as MutualInformation
    from ._clusters._mutual_information import NormalizedMutualInformation as NormalizedMutualInformation
    from ._clusters._rand_score import AdjustedRandScore as AdjustedRandScore
    from ._clusters._rand_score import RandScore as RandScore
    from ._clusters._v_measure import Completeness as Completeness
    from ._clusters._v_measure import Homogeneity as Homogeneity
    from ._clusters._v_measure import VMeasure as VMeasure
    from ._forecasts._d2_absolute_error import D2AbsoluteError as D2AbsoluteError
    from ._forecasts._d2_tweedie import D2Tweedie as D2Tweedie
    from ._forecasts._deviances import GammaDeviance as GammaDeviance
    from ._forecasts._deviances import TweedieDeviance as TweedieDeviance
    from ._forecasts._distributions import JensenShannonDivergence as JensenShannonDivergence
    from ._forecasts._distributions import Wasserstein as Wasserstein
    from ._forecasts._energy_score import EnergyScore as EnergyScore
    from ._forecasts._intervals import IntervalCoverage as IntervalCoverage
    from ._forecasts._intervals import IntervalWidth as IntervalWidth
    from ._forecasts._intervals import WinklerScore as WinklerScore
    from ._forecasts._kendall_correlation import KendallCorrelation as KendallCorrelation
    from ._forecasts._mean_absolute_scaled_error import MeanAbsoluteScaledError as MeanAbsoluteScaledError
    from ._forecasts._minkowski_distance import MinkowskiDistance as MinkowskiDistance
    from ._forecasts._normalized_root_mean_squared_error import (
        NormalizedRootMeanSquaredError as NormalizedRootMeanSquaredError,
    )
    from ._forecasts._percentage_errors import (
        SymmetricMeanAbsolutePercentageError as SymmetricMeanAbsolutePercentageError,
    )
    from ._forecasts._percentage_errors import (
        WeightedMeanAbsolutePercentageError as WeightedMeanAbsolutePercentageError,
    )
    from ._forecasts._quantile_calibration_error import QuantileCalibrationError as QuantileCalibrationError
    from ._forecasts._relative_squared_error import RelativeSquaredError as RelativeSquaredError
    from ._forecasts._scores import EnsembleCRPS as EnsembleCRPS
    from ._forecasts._scores import GaussianCRPS as GaussianCRPS
    from ._forecasts._scores import GaussianLogScore as GaussianLogScore
    from ._forecasts._scores import QuantileCRPS as QuantileCRPS
    from ._images._ergas import ERGAS as ERGAS
    from ._images._multi_scale_ssim import MultiScaleSSIM as MultiScaleSSIM
    from ._images._psnr import PSNR as PSNR
    from ._images._sliding_rmse import SlidingRMSE as SlidingRMSE
    from ._images._spectral_angle import SpectralAngle as SpectralAngle
    from ._images._ssim import SSIM as SSIM
    from ._images._total_variation import TotalVariation as TotalVariation
    from ._images._uqi import UQI as UQI
    from ._of_losses import BinaryCrossentropy as BinaryCrossentropy
    from ._of_losses import CategoricalCrossentropy as CategoricalCrossentropy
    from ._of_losses import CategoricalHinge as CategoricalHinge
    from ._of_losses import Hinge as Hinge
    from ._of_losses import KLDivergence as KLDivergence
    from ._of_losses import LogCoshError as LogCoshError
    from ._of_losses import MeanAbsoluteError as MeanAbsoluteError
    from ._of_losses import MeanAbsolutePercentageError as MeanAbsolutePercentageError
    from ._of_losses import MeanSquaredError as MeanSquaredError
    from ._of_losses import MeanSquaredLogarithmicError as MeanSquaredLogarithmicError
    from ._of_losses import Poisson as Poisson
    from ._of_losses import SparseCategoricalCrossentropy as SparseCategoricalCrossentropy
    from ._of_losses import SquaredHinge as SquaredHinge
    from ._ranking._fall_out import FallOut as FallOut
    from ._ranking._hit_rate import HitRate as HitRate
    from ._ranking._mean_average_precision import MeanAveragePrecision as MeanAveragePrecision
    from ._ranking._mean_reciprocal_rank import MeanReciprocalRank as MeanReciprocalRank
    from ._ranking._ndcg import NDCG as NDCG
    from ._ranking._precision_at_k import PrecisionAtK as PrecisionAtK
    from ._ranking._query_auc import QueryAUC as QueryAUC
    from ._ranking._r_precision import RPrecision as RPrecision
    from ._ranking._recall_at_k import RecallAtK as RecallAtK
    from ._regression._concordance_correlation import concordance_correlation as concordance_correlation
    from ._regression._concordance_correlation import ConcordanceCorrelation as ConcordanceCorrelation
    from ._regression._cosine_similarity import CosineSimilarity as CosineSimilarity
    from ._regression._explained_variance import ExplainedVariance as ExplainedVariance
    from ._regression._pearson_correlation import pearson_correlation as pearson_correlation
    from ._regression._pearson_correlation import PearsonCorrelation as PearsonCorrelation
    from ._regression._r2_score import R2Score as R2Score
    from ._regression._root_mean_squared_error import RootMeanSquaredError as RootMeanSquaredError
    from ._regression._spearman_correlation import SpearmanCorrelation as SpearmanCorrelation
    from ._representations._alignment import Alignment as Alignment
    from ._representations._cka import CKA as CKA
    from ._representations._effective_rank import EffectiveRank as EffectiveRank
    from ._representations._embedding_mean_average_precision import (
        EmbeddingMeanAveragePrecision as EmbeddingMeanAveragePrecision,
    )
    from ._representations._embedding_recall_at_k import EmbeddingRecallAtK as EmbeddingRecallAtK
    from ._representations._frechet_distance import FrechetDistance as FrechetDistance
    from ._representations._kernel_distance import KernelDistance as KernelDistance
    from ._representations._uniformity import Uniformity as Uniformity
    from ._segmentation._box_iou import BoxIoU as BoxIoU
    from ._segmentation._detection_map import DetectionMAP as DetectionMAP
    from ._segmentation._detection_mar import DetectionMAR as DetectionMAR
    from ._segmentation._dice_score import DiceScore as DiceScore
    from ._segmentation._generalized_dice import GeneralizedDice as GeneralizedDice
    from ._segmentation._hausdorff_distance import HausdorffDistance as HausdorffDistance
    from ._segmentation._panoptic_quality import PanopticQuality as PanopticQuality
    from ._sequences._bleu import BLEU as BLEU
    from ._sequences._chrf import ChrF as ChrF
    from ._sequences._edit_distance import EditDistance as EditDistance
    from ._sequences._error_rates import MatchErrorRate as MatchErrorRate
    from ._sequences._error_rates import TokenErrorRate as TokenErrorRate
    from ._sequences._sequence_accuracy import SequenceAccuracy as SequenceAccuracy
    from ._sequences._span_scores import SpanF1 as SpanF1
    from ._sequences._span_scores import SpanPrecision as SpanPrecision
    from ._sequences._span_scores import SpanRecall as SpanRecall
    from ._sound._permutation_invariant import PermutationInvariant as PermutationInvariant
    from ._sound._ratios import SISDR as SISDR
    from ._sound._ratios import SISNR as SISNR
    from ._sound._ratios import SNR as SNR
    from ._sound._sdr import SDR as SDR
    from ._survival._censoring import Censoring as Censoring
    from ._survival._concordance_index import ConcordanceIndex as ConcordanceIndex
    from ._survival._survival_auc import SurvivalAUC as SurvivalAUC
    from ._survival._survival_brier_score import SurvivalBrierScore as SurvivalBrierScore
    from ._values._extremum import Max as Max
    from ._values._extremum import Min as Min
    from ._values._mean import Mean as Mean
    from ._values._std import Std as Std
    from ._values._sum import Sum as Sum
    from ._values._variance import Variance as Variance
    from ._wrappers._bootstrap import Bootstrap as Bootstrap
    from ._wrappers._by_group import ByGroup as ByGroup
    from ._wrappers._classwise import Classwise as Classwise
    from ._wrappers._running import Running as Running
else:
    from .._lazy import lazily

    __getattr__, __dir__ = lazily(__name__)
    __all__ = __dir__()
