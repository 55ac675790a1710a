"""Data frames and their columns, of which NumPy makes objects where pandas has numbers of several dtypes."""

from typing import Any

import numpy as np


def numbers_in(frame: Any) -> Any:
    """Return the numbers of a pandas frame or column as one array, in which missing ones are NaN; else `None`."""
    if type(frame).__module__.partition(".")[0] != "pandas" or not hasattr(frame, "to_numpy"):
        return None
    dtypes = list(frame.dtypes) if frame.ndim > 1 else [frame.dtype]
    # Nullable ones and those of Arrow say which of NumPy's they are.
    numpy = [getattr(dtype, "numpy_dtype", dtype) for dtype in dtypes]
    if not numpy or not all(isinstance(dtype, np.dtype) and dtype.kind in "biufc" for dtype in numpy):
        return None
    common = np.result_type(*numpy)
    if not np.asarray(frame.isna()).any():
        return frame.to_numpy(dtype=common)
    # Of missing integers and booleans there is no NaN.
    return frame.to_numpy(dtype=np.result_type(common, np.float32), na_value=np.nan)
