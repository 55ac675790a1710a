"""Metrics: figures over all examples of an epoch or an evaluation."""

from ._accuracy import Accuracy as Accuracy
from ._accuracy import accuracy as accuracy
from ._binary_accuracy import BinaryAccuracy as BinaryAccuracy
from ._binary_accuracy import binary_accuracy as binary_accuracy
from ._categorical_accuracy import CategoricalAccuracy as CategoricalAccuracy
from ._categorical_accuracy import categorical_accuracy as categorical_accuracy
from ._mean import Mean as Mean
from ._mean_absolute_error import MeanAbsoluteError as MeanAbsoluteError
from ._mean_squared_error import MeanSquaredError as MeanSquaredError
from ._metric import Metric as Metric
from ._precision import Precision as Precision
from ._recall import Recall as Recall
from ._sparse_categorical_accuracy import SparseCategoricalAccuracy as SparseCategoricalAccuracy
from ._sparse_categorical_accuracy import sparse_categorical_accuracy as sparse_categorical_accuracy
from ._sum import Sum as Sum
