"""Regularizers: losses of the parameters alone."""
