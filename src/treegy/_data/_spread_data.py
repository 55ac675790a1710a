"""Arrays of data that other processes have parts of, which can't be cut into batches here."""

from collections.abc import Mapping

import jax

from .._describe import array_name, path_name
from .._errors import DataError
from .._spread import is_spread
from .._types import PyTree


def refuse_spread(named: Mapping[str, PyTree]) -> None:
    """**Raises:** [`treegy.DataError`][] for an array that this process can't read as a whole."""
    for name, value in named.items():
        for path, leaf in jax.tree_util.tree_leaves_with_path(value):
            if is_spread(leaf):
                raise DataError(
                    f"`{name}{path_name(path)}` is {array_name(leaf)}, which is spread over several processes: `fit`, "
                    "`evaluate` and `predict` put data there themselves. Pass the whole of it in each process, as "
                    "NumPy arrays, or something that gives batches, of which each process gives its part. "
                    "`train_on_batch`, `test_on_batch` and `predict_on_batch` take such arrays."
                )
