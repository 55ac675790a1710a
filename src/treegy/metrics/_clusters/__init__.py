"""Metrics of partitions: how well clusters agree with classes, whatever the clusters are called."""
