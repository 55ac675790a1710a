"""Predictions of many batches, put together along their first axis."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._describe import array_name, path_name
from .._errors import DataError
from .._types import Ensemble, KeyPath, PyTree

# So many arrays are put together at once. XLA compiles a program for each number of arrays and their shapes, which
# takes longer the more there are: there are few such programs if most have this number.
_WIDTH = 32


def combined_predictions(y_pred: PyTree, ensemble: Ensemble) -> PyTree:
    """Return the mean of predictions `(batch, models, ...)` over the models, or the pair of it and their deviation."""
    mean = jax.tree.map(lambda y: jnp.mean(y, axis=1), y_pred)
    return mean if ensemble == "mean" else (mean, jax.tree.map(lambda y: jnp.std(y, axis=1), y_pred))


class Pieces:
    """Arrays in PyTrees of one structure, which come one by one and are put together in the end."""

    def __init__(self):
        # Of each level, at most `_WIDTH` pieces, which consist of `_WIDTH` times as many as those of the level before.
        self._levels: list[list[PyTree]] = []

    def append(self, piece: PyTree) -> None:
        """Add a piece behind the others."""
        level = 0
        while True:
            if level == len(self._levels):
                self._levels.append([])
            self._levels[level].append(piece)
            if len(self._levels[level]) < _WIDTH:
                return
            piece, self._levels[level] = _joined(self._levels[level]), []
            level += 1

    def joined(self) -> PyTree:
        """Return all pieces, as one.

        **Raises:** [`treegy.DataError`][] if their other axes differ.
        """
        # The largest came first.
        pieces = [piece for level in reversed(self._levels) for piece in level]
        return _joined(pieces)


def _joined(pieces: list[PyTree]) -> PyTree:
    if len(pieces) == 1:
        return pieces[0]
    return jax.tree_util.tree_map_with_path(_concatenated, *pieces)


def _concatenated(path: KeyPath, *arrays: Array) -> Array:
    kinds = {(a.shape[1:], a.dtype): a for a in arrays}
    if len(kinds) > 1:
        a, b = list(kinds.values())[:2]
        raise DataError(
            f"`y_pred{path_name(path)}` has other axes in some batches than in others, such as {array_name(a)} and "
            f"{array_name(b)}: they can't be put together. Pad them to one length, or call `predict_on_batch` for each."
        )
    return jnp.concatenate(arrays)
