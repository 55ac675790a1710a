"""JAX keeps numbers in 32 bits, unless told otherwise: those that don't fit are refused, and not cut.

Arrays are looked at where their examples are gathered into batches, when they are in the processor's cache anyway.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import DataError


def check_fits_32_bits(array: Any, name: str) -> None:
    """Check that JAX's own conversion of a NumPy array changes no value by more than rounding.

    **Raises:** [`treegy.DataError`][] that names the array and a value.
    """
    if not isinstance(array, np.ndarray) or array.dtype.itemsize < 8 or not array.size:
        return
    kept = jax.dtypes.canonicalize_dtype(array.dtype)
    if kept == array.dtype or array.dtype.kind not in "iufc":
        return
    if array.dtype.kind == "c":
        check_fits_32_bits(array.real, name)
        check_fits_32_bits(array.imag, name)
        return
    info: Any = np.iinfo(kept) if array.dtype.kind in "iu" else jnp.finfo(kept)
    low, high = info.min, info.max
    # Two passes, and nothing is copied. NaN is in neither range, and infinity stays what it is: looked at more closely.
    if low <= array.min() and array.max() <= high:
        return
    wrong = array[np.isfinite(array) & ((array < low) | (array > high))]
    if wrong.size:
        raise DataError(
            f"`{name}` is an array of {array.dtype} that holds {wrong[0]}, which doesn't fit into {kept.name}, in "
            "which JAX keeps it. Give it another form, such as indices from 0, or turn on JAX's numbers of 64 bits: "
            '`jax.config.update("jax_enable_x64", True)`.'
        )


def in_32_bits(array: Any, name: str) -> Any:
    """Return `array`, checked by `check_fits_32_bits`."""
    check_fits_32_bits(array, name)
    return array
