"""Metrics: figures over all examples of an epoch or an evaluation."""

from ._metric import Metric as Metric
