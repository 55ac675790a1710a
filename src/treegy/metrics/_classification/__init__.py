"""Metrics of classes: accuracies, counts and their ratios, curves over thresholds, confusion matrices."""
