"""Metrics of numbers that have mathematics of their own. Those that are the mean of a loss are in `_of_losses.py`."""
