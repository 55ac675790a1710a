"""`States`: everything that a step carries."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
from jaxtyping import Array

from .._describe import listed
from .._errors import InjectionError
from .._pretty import called


class States(eqx.Module, Mapping[str, Any]):
    """An immutable mapping and PyTree of all that a step carries from batch to batch.

    Fields are read as attributes or items and changed by making a new one. Any field may be added, except one
    named like a method. The order in which fields were added doesn't change the tree's structure.

    The default steps use `rng`, `step`, `net_params`, `net_states`, `state`, `metrics_states` and
    `optimizer_states`.

    !!! example

        ```python
        import treegy as tg

        states = tg.States(net_params=1.0)
        states = states.update(net_params=2.0, counter=0)
        assert states.net_params == states["net_params"] == 2.0
        ```
    """

    _fields: dict[str, Any]

    def __init__(self, /, **fields: Any):
        """**Arguments:**

        - `**fields`: any PyTrees, by name.

        **Raises:** `TypeError` if a name is that of a method of `States`.
        """
        _check_names(fields)
        self._fields = dict(sorted(fields.items()))

    if not TYPE_CHECKING:

        def __getattribute__(self, name: str) -> Any:
            # Equinox makes a PyTree of a bound method, for which it looks through all leaves each time. Nobody passes
            # `states.get` through a transformation.
            return object.__getattribute__(self, name)

    def __getitem__(self, key: str) -> Any:
        try:
            return self._fields[key]
        except KeyError:
            raise KeyError(f"{key!r}; {self._there_are()}") from None

    def __getattr__(self, name: str) -> Any:
        # Only called where ordinary lookup fails. A leading underscore is never a field of ours: copy, pickle and
        # Equinox probe for such names on objects that have no `_fields` yet.
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._fields[name]
        except KeyError:
            raise AttributeError(f"`States` has no field `{name}`; {self._there_are()}") from None

    def __contains__(self, key: object) -> bool:
        return key in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __pdoc__(self, **options: Any) -> Any:
        return called("States", self._fields.items(), **options)

    def _there_are(self) -> str:
        return f"there are: {listed(self._fields) or 'none'}."

    def update(self, /, **fields: Any) -> "States":
        """Return new states in which `fields` are added or replaced."""
        _check_names(fields.keys() - self._fields.keys())
        # Past the constructor, which costs more than all that is done here.
        new = object.__new__(States)
        object.__setattr__(new, "_fields", dict(sorted({**self._fields, **fields}.items())))
        return new

    def maybe_update(self, /, **fields: Any) -> "States":
        """Return new states in which those of `fields` are set that are absent or `None` here."""
        return self.update(**{k: v for k, v in fields.items() if self._fields.get(k) is None})

    def update_known(self, /, **fields: Any) -> "States":
        """Return new states in which those of `fields` are replaced that are already here; others are left out."""
        return self.update(**{k: v for k, v in fields.items() if k in self._fields})

    def next_key(self) -> tuple[Array, "States"]:
        """Return a fresh PRNG key, and the states that will give the next one.

        **Raises:** [`treegy.InjectionError`][] if there is no `rng` to draw from.
        """
        rng = self._fields.get("rng")
        if rng is None:
            raise InjectionError("`states.next_key()` needs a field `rng` that holds a PRNG key, and there is none.")
        rng, key = jax.random.split(rng)
        return key, self.update(rng=rng)


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        if hasattr(States, name):
            raise TypeError(f"`{name}` can't be a field of `States`: it is the name of one of its methods.")
