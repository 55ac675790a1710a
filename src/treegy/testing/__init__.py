"""The laws that losses and metrics keep, for testing your own."""

from ._check import check_loss as check_loss
from ._check import check_metric as check_metric
