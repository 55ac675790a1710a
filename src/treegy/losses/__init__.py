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
from ._beta_nll import BetaNLL as BetaNLL
from ._beta_nll import beta_nll as beta_nll
from ._ensemble_crps import EnsembleCRPS as EnsembleCRPS
from ._ensemble_crps import ensemble_crps as ensemble_crps
from ._evidential_regression import EvidentialRegression as EvidentialRegression
from ._evidential_regression import evidential_regression as evidential_regression
from ._gaussian_crps import GaussianCRPS as GaussianCRPS
from ._gaussian_crps import gaussian_crps as gaussian_crps
from ._mixture_density_nll import MixtureDensityNLL as MixtureDensityNLL
from ._mixture_density_nll import mixture_density_nll as mixture_density_nll
from ._negative_binomial_nll import NegativeBinomialNLL as NegativeBinomialNLL
from ._negative_binomial_nll import negative_binomial_nll as negative_binomial_nll
from ._quantile_crps import QuantileCRPS as QuantileCRPS
from ._quantile_crps import quantile_crps as quantile_crps
from ._student_nll import StudentNLL as StudentNLL
from ._student_nll import student_nll as student_nll
from ._tweedie_deviance import TweedieDeviance as TweedieDeviance
from ._tweedie_deviance import tweedie_deviance as tweedie_deviance
from ._zero_inflated_nll import ZeroInflatedNLL as ZeroInflatedNLL
from ._zero_inflated_nll import zero_inflated_nll as zero_inflated_nll
