"""Which part of `y_true`, `y_pred`, ... a loss or metric reads: `on=` and `tg.At`."""

from collections.abc import Mapping, Sequence

from .._describe import describe, listed
from .._errors import InjectionError
from .._types import PyTree


class At:
    """A place inside a structure, to be used in an annotation.

    !!! example

        ```python
        from typing import Annotated

        import jax.numpy as jnp
        import treegy as tg
        from jaxtyping import Array, Float

        class Margin(tg.Loss):
            def call(
                self, y_pred: Annotated[Float[Array, "batch classes"], tg.At("logits")]
            ) -> Float[Array, "batch"]:
                return -jnp.max(y_pred, axis=-1)
        ```
    """

    path: tuple[str | int, ...]

    def __init__(self, *path: str | int):
        """**Arguments:**

        - `*path`: keys of dicts and indices of sequences, from the outside in: `At("a", 0)` is `value["a"][0]`.
        """
        for key in path:
            if not isinstance(key, str | int):
                raise TypeError(f"`At` takes strings and integers, and got {describe(key)}.")
        self.path = path

    def __repr__(self) -> str:
        return f"At({', '.join(map(repr, self.path))})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, At) and self.path == other.path

    def __hash__(self) -> int:
        return hash((At, self.path))

    def __call__(self, value: PyTree, name: str = "value") -> PyTree:
        """Return the part of `value` at this place. Raises [`treegy.InjectionError`][] where there is none."""
        part = value
        for i, key in enumerate(self.path):
            try:
                # Strings also find the fields of named tuples, dataclasses and modules.
                if isinstance(key, str) and not isinstance(part, Mapping):
                    part = getattr(part, key)
                else:
                    part = part[key]
            except (KeyError, IndexError, TypeError, AttributeError):
                so_far = name + "".join(f"[{k!r}]" for k in self.path[:i])
                raise InjectionError(
                    f"there is no {key!r} in `{so_far}`, which is {describe(part)}. Keys: {_keys(part)}."
                ) from None
        return part


Selection = tuple[tuple[str, At], ...]


def selection(on: object) -> Selection:
    """What `on=` means: pairs of an injected name and the place to read in it.

    A key, an index or a path of them is a place in both `y_true` and `y_pred`; a mapping says it for each name.
    """
    if on is None:
        return ()
    if isinstance(on, tuple) and all(
        isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[1], At) for pair in on
    ):
        return on  # already converted
    if isinstance(on, Mapping):
        return tuple((str(name), _place(path)) for name, path in on.items())
    place = _place(on)
    return (("y_true", place), ("y_pred", place))


def _place(path: object) -> At:
    if isinstance(path, At):
        return path
    if isinstance(path, str | int):
        return At(path)
    if isinstance(path, Sequence):
        return At(*path)
    raise TypeError(
        "`on` takes a key, an index, a path of them, or a dict from `y_true`, `y_pred`, ... to such a path, "
        f"and got {describe(path)}."
    )


def _keys(value: PyTree) -> str:
    if isinstance(value, Mapping):
        return listed(repr(k) for k in value) or "none"
    if hasattr(value, "_fields"):
        return ", ".join(value._fields)
    if isinstance(value, list | tuple):
        return f"0 to {len(value) - 1}" if value else "none"
    return "none: it is not a container"
