"""Callbacks: what happens besides training, at the moments that the loop names."""

from ._callback import Callback as Callback
