"""Metrics: metric values over all examples of an epoch or an evaluation."""

from ._classification._accuracy import Accuracy as Accuracy
from ._classification._accuracy import accuracy as accuracy
from ._classification._auc import AUC as AUC
from ._classification._average_precision import AveragePrecision as AveragePrecision
from ._classification._balanced_accuracy import BalancedAccuracy as BalancedAccuracy
from ._classification._best_at import PrecisionAtRecall as PrecisionAtRecall
from ._classification._best_at import RecallAtPrecision as RecallAtPrecision
from ._classification._best_at import SensitivityAtSpecificity as SensitivityAtSpecificity
from ._classification._best_at import SpecificityAtSensitivity as SpecificityAtSensitivity
from ._classification._binary_accuracy import BinaryAccuracy as BinaryAccuracy
from ._classification._binary_accuracy import binary_accuracy as binary_accuracy
from ._of_losses import BinaryCrossentropy as BinaryCrossentropy
from ._wrappers._bootstrap import Bootstrap as Bootstrap
from ._classification._brier_score import BrierScore as BrierScore
from ._classification._brier_score import brier_score as brier_score
from ._wrappers._by_group import ByGroup as ByGroup
from ._classification._calibration_error import CalibrationError as CalibrationError
from ._classification._categorical_accuracy import CategoricalAccuracy as CategoricalAccuracy
from ._classification._categorical_accuracy import categorical_accuracy as categorical_accuracy
from ._of_losses import CategoricalCrossentropy as CategoricalCrossentropy
from ._of_losses import CategoricalHinge as CategoricalHinge
from ._wrappers._classwise import Classwise as Classwise
from ._classification._cohen_kappa import CohenKappa as CohenKappa
from ._regression._concordance_correlation import ConcordanceCorrelation as ConcordanceCorrelation
from ._regression._concordance_correlation import concordance_correlation as concordance_correlation
from ._classification._confusion_matrix import ConfusionMatrix as ConfusionMatrix
from ._regression._cosine_similarity import CosineSimilarity as CosineSimilarity
from ._classification._curves import PrecisionRecallCurve as PrecisionRecallCurve
from ._classification._curves import RocCurve as RocCurve
from ._classification._exact_match import ExactMatch as ExactMatch
from ._classification._exact_match import exact_match as exact_match
from ._regression._explained_variance import ExplainedVariance as ExplainedVariance
from ._classification._f_score import F1Score as F1Score
from ._classification._f_score import FBetaScore as FBetaScore
from ._classification._hamming_loss import HammingLoss as HammingLoss
from ._classification._hamming_loss import hamming_loss as hamming_loss
from ._of_losses import Hinge as Hinge
from ._classification._iou import BinaryIoU as BinaryIoU
from ._classification._iou import IoU as IoU
from ._classification._iou import MeanIoU as MeanIoU
from ._classification._iou import OneHotIoU as OneHotIoU
from ._classification._iou import OneHotMeanIoU as OneHotMeanIoU
from ._classification._jaccard import Jaccard as Jaccard
from ._of_losses import KLDivergence as KLDivergence
from ._of_losses import LogCoshError as LogCoshError
from ._classification._matthews_correlation import MatthewsCorrelation as MatthewsCorrelation
from ._values._extremum import Max as Max
from ._values._mean import Mean as Mean
from ._of_losses import MeanAbsoluteError as MeanAbsoluteError
from ._of_losses import MeanAbsolutePercentageError as MeanAbsolutePercentageError
from ._of_losses import MeanSquaredError as MeanSquaredError
from ._of_losses import MeanSquaredLogarithmicError as MeanSquaredLogarithmicError
from .._terms._metric import Metric as Metric
from ._values._extremum import Min as Min
from ._regression._pearson_correlation import PearsonCorrelation as PearsonCorrelation
from ._regression._pearson_correlation import pearson_correlation as pearson_correlation
from ._classification._perplexity import Perplexity as Perplexity
from ._of_losses import Poisson as Poisson
from ._classification._positives_and_negatives import FalseNegatives as FalseNegatives
from ._classification._positives_and_negatives import FalsePositives as FalsePositives
from ._classification._positives_and_negatives import TrueNegatives as TrueNegatives
from ._classification._positives_and_negatives import TruePositives as TruePositives
from ._classification._precision_recall import Precision as Precision
from ._regression._r2_score import R2Score as R2Score
from ._classification._precision_recall import Recall as Recall
from ._regression._root_mean_squared_error import RootMeanSquaredError as RootMeanSquaredError
from ._wrappers._running import Running as Running
from ._classification._sparse_categorical_accuracy import SparseCategoricalAccuracy as SparseCategoricalAccuracy
from ._classification._sparse_categorical_accuracy import sparse_categorical_accuracy as sparse_categorical_accuracy
from ._of_losses import SparseCategoricalCrossentropy as SparseCategoricalCrossentropy
from ._classification._sparse_top_k_categorical_accuracy import (
    SparseTopKCategoricalAccuracy as SparseTopKCategoricalAccuracy,
)
from ._classification._sparse_top_k_categorical_accuracy import (
    sparse_top_k_categorical_accuracy as sparse_top_k_categorical_accuracy,
)
from ._regression._spearman_correlation import SpearmanCorrelation as SpearmanCorrelation
from ._classification._precision_recall import Specificity as Specificity
from ._of_losses import SquaredHinge as SquaredHinge
from ._values._std import Std as Std
from ._values._sum import Sum as Sum
from ._classification._top_k_categorical_accuracy import TopKCategoricalAccuracy as TopKCategoricalAccuracy
from ._classification._top_k_categorical_accuracy import top_k_categorical_accuracy as top_k_categorical_accuracy
from ._values._variance import Variance as Variance
