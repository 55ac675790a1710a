"""Metrics of forecasts: errors against a scale, intervals, quantiles, ensembles and distributions."""
