"""Metrics of segmentations: how well the regions of classes that are predicted are those that are there."""
