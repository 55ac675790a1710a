"""Losses: functions that give a value per example, and classes that make them injectable."""

from ._binary_crossentropy import BinaryCrossentropy as BinaryCrossentropy
from ._binary_crossentropy import binary_crossentropy as binary_crossentropy
from ._binary_focal_crossentropy import BinaryFocalCrossentropy as BinaryFocalCrossentropy
from ._binary_focal_crossentropy import binary_focal_crossentropy as binary_focal_crossentropy
from ._categorical_crossentropy import CategoricalCrossentropy as CategoricalCrossentropy
from ._categorical_crossentropy import categorical_crossentropy as categorical_crossentropy
from ._categorical_focal_crossentropy import CategoricalFocalCrossentropy as CategoricalFocalCrossentropy
from ._categorical_focal_crossentropy import categorical_focal_crossentropy as categorical_focal_crossentropy
from ._categorical_generalized_cross_entropy import (
    CategoricalGeneralizedCrossEntropy as CategoricalGeneralizedCrossEntropy,
)
from ._categorical_generalized_cross_entropy import (
    categorical_generalized_cross_entropy as categorical_generalized_cross_entropy,
)
from ._categorical_hinge import CategoricalHinge as CategoricalHinge
from ._categorical_hinge import categorical_hinge as categorical_hinge
from ._circle import Circle as Circle
from ._circle import circle as circle
from ._cosine_similarity import CosineSimilarity as CosineSimilarity
from ._cosine_similarity import cosine_similarity as cosine_similarity
from ._ctc import CTC as CTC
from ._ctc import ctc as ctc
from ._gaussian_nll import GaussianNLL as GaussianNLL
from ._gaussian_nll import gaussian_nll as gaussian_nll
from ._hinge import Hinge as Hinge
from ._hinge import SquaredHinge as SquaredHinge
from ._hinge import hinge as hinge
from ._hinge import squared_hinge as squared_hinge
from ._huber import Huber as Huber
from ._huber import huber as huber
from ._kl_divergence import KLDivergence as KLDivergence
from ._kl_divergence import kl_divergence as kl_divergence
from ._log_cosh import LogCosh as LogCosh
from ._log_cosh import log_cosh as log_cosh
from .._terms._loss import Loss as Loss
from ._mean_absolute_error import MeanAbsoluteError as MeanAbsoluteError
from ._mean_absolute_error import mean_absolute_error as mean_absolute_error
from ._mean_absolute_percentage_error import MeanAbsolutePercentageError as MeanAbsolutePercentageError
from ._mean_absolute_percentage_error import mean_absolute_percentage_error as mean_absolute_percentage_error
from ._mean_squared_error import MeanSquaredError as MeanSquaredError
from ._mean_squared_error import mean_squared_error as mean_squared_error
from ._mean_squared_logarithmic_error import MeanSquaredLogarithmicError as MeanSquaredLogarithmicError
from ._mean_squared_logarithmic_error import mean_squared_logarithmic_error as mean_squared_logarithmic_error
from ._ntxent import NTXent as NTXent
from ._ntxent import ntxent as ntxent
from ._overlap import Dice as Dice
from ._overlap import Tversky as Tversky
from ._overlap import dice as dice
from ._overlap import tversky as tversky
from ._poisson import Poisson as Poisson
from ._poisson import poisson as poisson
from ._poly_loss import PolyLoss as PolyLoss
from ._poly_loss import poly_loss as poly_loss
from ._quantile import Quantile as Quantile
from ._quantile import quantile as quantile
from ._sigmoid_focal import SigmoidFocal as SigmoidFocal
from ._sigmoid_focal import sigmoid_focal as sigmoid_focal
from ._sparse_categorical_crossentropy import SparseCategoricalCrossentropy as SparseCategoricalCrossentropy
from ._sparse_categorical_crossentropy import sparse_categorical_crossentropy as sparse_categorical_crossentropy
from ._triplet_margin import TripletMargin as TripletMargin
from ._triplet_margin import triplet_margin as triplet_margin
from ._approx_ndcg import ApproxNDCG as ApproxNDCG
from ._approx_ndcg import approx_ndcg as approx_ndcg
from ._bpr import BPR as BPR
from ._bpr import bpr as bpr
from ._lambda_rank import LambdaRank as LambdaRank
from ._lambda_rank import lambda_rank as lambda_rank
from ._list_net import ListNet as ListNet
from ._list_net import list_net as list_net
from ._pairwise_hinge import PairwiseHinge as PairwiseHinge
from ._pairwise_hinge import pairwise_hinge as pairwise_hinge
from ._pairwise_logistic import PairwiseLogistic as PairwiseLogistic
from ._pairwise_logistic import pairwise_logistic as pairwise_logistic
from ._sampled_softmax import SampledSoftmax as SampledSoftmax
from ._sampled_softmax import sampled_softmax as sampled_softmax
