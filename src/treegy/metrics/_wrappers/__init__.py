"""Metrics made of another metric: by group, by class, over the last batches, with an interval."""
