"""Figures of Matplotlib, which is there if it is installed, and without `pyplot`."""

import io
from typing import Any


def new_figure(who: str, width: float, height: float) -> Any:
    """Return an empty `matplotlib.figure.Figure`, which notebooks show.

    **Arguments:**

    - `who`: what draws it, as users call it.
    - `width`, `height`: in inches.

    **Raises:** `ImportError` without Matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(f'`{who}` draws with Matplotlib: pip install "treegy[plot]"') from error

    class Shown(Figure):
        # Without pyplot nobody tells notebooks how to show a figure.
        def _repr_png_(self) -> bytes:
            file = io.BytesIO()
            self.savefig(file, format="png")
            return file.getvalue()

    return Shown(figsize=(width, height), layout="constrained")
