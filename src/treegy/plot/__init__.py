"""Pictures of what a model predicts, as figures of Matplotlib: fed by metric values, or by a model and data."""

from ._confusion_matrix import confusion_matrix as confusion_matrix
from ._predictions import predictions as predictions
from ._reliability import reliability as reliability
from ._roc import roc as roc
