"""Where an operation is: in which layer, loss or gradient, and in which line."""

import functools
import linecache
import sys
from pathlib import Path
from typing import NamedTuple

import jax.extend.core as jex

# Library frames to skip.
_LIBRARIES = ("jax", "equinox", "optax", "treegy", "jaxtyping", "beartype", "numpy")

# Which files of treegy are between a module of the user and its layers.
_BETWEEN = ("_layers.py", "_named_scopes.py")

# What the names begin with that are given to parts of a step, for `jax.named_scope`.
LAYER, LOSS, METRIC, LOG = "layer ", "loss ", "metric ", "log "
OPTIMIZER, GRADIENT = "optimizer", "gradient of "


class Place(NamedTuple):
    """Where an operation is, including enclosing scopes."""

    operation: str = ""
    names: tuple[str, ...] = ()
    """The names of the parts of the step that it is in, from the outside in."""
    in_gradient: bool = False
    """Whether it is a part of the backward pass."""
    line: str = ""
    """The user's line that it comes from, if there is one."""
    iterations: tuple[int, ...] = ()
    """In which iterations of the loops around it."""

    def inside(self, eqn: jex.JaxprEqn) -> "Place":
        """Return the place of an equation in this one."""
        stack = eqn.source_info.name_stack.stack
        names = tuple(part.name for part in stack if type(part).__name__ == "Scope")
        transposed = any(part.name == "transpose" for part in stack if type(part).__name__ == "Transform")
        return self._replace(
            operation=eqn.primitive.name,
            names=(*self.names, *names),
            in_gradient=self.in_gradient or transposed,
            line=_line_of(eqn) or self.line,
        )

    def at_iteration(self, i: int) -> "Place":
        """Return this place in an iteration of a loop."""
        return self._replace(iterations=(*self.iterations, i))

    @property
    def mark(self) -> str | None:
        """What an operation marks that does nothing else."""
        last = self.names[-1] if self.names else ""
        return last.removeprefix(GRADIENT) if last.startswith(GRADIENT) and self.operation == "copy" else None

    @property
    def is_update(self) -> bool:
        """Whether it is a part of the optimizer's update."""
        return OPTIMIZER in self.names

    @property
    def part(self) -> str:
        """The part of the step in words, such as "in the layer `module.layers[0]` (Linear)"."""
        if self.is_update:
            return "in the optimizer's update"
        for name in reversed(self.names):
            for start, words in ((LAYER, "the layer"), (LOSS, "the loss"), (METRIC, "the metric"), (LOG, "the log")):
                if name.startswith(start):
                    what = name.removeprefix(start)
                    inside = f"{words} {what if start == LAYER else f'`{what}`'}"
                    return f"in the gradient of {inside}" if self.in_gradient else f"in {inside}"
        return "in the gradient" if self.in_gradient else ""

    @property
    def at(self) -> str:
        """The line, and the iterations of loops."""
        loops = [f"in iteration {i} of a loop" for i in self.iterations]
        return ", ".join([self.line, *loops] if self.line else loops)


def _line_of(eqn: jex.JaxprEqn) -> str:
    traceback = eqn.source_info.traceback
    for frame in [] if traceback is None else traceback.frames:
        if _is_of(frame.file_name, "treegy") and not frame.file_name.endswith(_BETWEEN):
            return ""  # what is further out calls treegy
        if not _is_of_a_library(frame.file_name):
            text = linecache.getline(frame.file_name, frame.line_num).strip()
            return f"{frame.file_name}:{frame.line_num} ({frame.function_name})" + (f": {text}" if text else "")
    return ""


@functools.lru_cache(maxsize=16)
def _folder(module: str) -> str | None:
    file = getattr(sys.modules.get(module), "__file__", None)
    return None if file is None else str(Path(file).parent) + "/"


def _is_of(file: str, module: str) -> bool:
    folder = _folder(module)
    return folder is not None and file.startswith(folder)


def _is_of_a_library(file: str) -> bool:
    # Among those of Python are those of most packages.
    return file.startswith(("<", str(Path(functools.__file__).parent))) or any(_is_of(file, m) for m in _LIBRARIES)
