"""Metrics of sequences of ids."""
