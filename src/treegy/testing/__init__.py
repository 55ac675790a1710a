"""The laws that losses and metrics keep, for testing your own, and what looks wrong about the values they read."""

from ._check import check_loss as check_loss
from ._check import check_metric as check_metric
from ._doubts import doubts as doubts
