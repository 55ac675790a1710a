"""Data: from what users pass as `x` and `y` to batches."""
