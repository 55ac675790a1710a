"""One loss or metric on one batch: what it reads, its weights, its reduction, its name, and what it accumulates.

The losses and metrics themselves are in `losses` and `metrics`; what calls the module is in `_steps`.
"""
