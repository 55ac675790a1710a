"""Pictures of what a model predicts, drawn with Matplotlib of metric values, or of a model and data."""

from ._confusion_matrix import confusion_matrix as confusion_matrix
from ._predictions import predictions as predictions
from ._reliability import reliability as reliability
from ._roc import roc as roc
