"""Names of types that Python and JAX have no name for."""

from typing import Any, TypeAlias

# `jaxtyping.PyTree` says the same to readers, and is an unknown type to pyright's strict mode.
PyTree: TypeAlias = Any
"""Any nest of containers and registered nodes, with arrays and other leaves in it."""
