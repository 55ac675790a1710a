"""Metrics of any value that can be asked for by name: means, sums, extremes, variances."""
