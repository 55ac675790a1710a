"""Names of types that Python and JAX have no name for."""

from typing import Any, TypeAlias

import jax
import numpy as np

# `jaxtyping.PyTree` says the same to readers, and is an unknown type to pyright's strict mode.
PyTree: TypeAlias = Any
"""Any nest of containers and registered nodes, with arrays and other leaves in it."""

AnyArray: TypeAlias = jax.Array | np.ndarray | np.generic
"""An array of JAX's, traced or not, or of NumPy's, or one of NumPy's numbers."""

KeyPath: TypeAlias = tuple[Any, ...]
"""Where a leaf is, as `jax.tree_util` says it; its own alias has a type variable for the keys."""
