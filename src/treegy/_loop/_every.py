"""How often something happens: every so many epochs, after given epochs, every so many steps or parts of an epoch."""

import math
from collections.abc import Iterable

from .._checks import positive


class Every:
    """How often to validate, for `validation_freq`: every so many steps, or parts of an epoch.

    !!! example

        ```python
        import treegy as tg

        often = tg.Every(steps=500)
        four_times_an_epoch = tg.Every(fraction=0.25)
        ```
    """

    def __init__(self, *, steps: int | None = None, fraction: float | int | None = None):
        """**Arguments:** one of

        - `steps`: after every so many steps of the model, as `model.states.step` counts them.
        - `fraction`: after each such part of an epoch, and at its end.

        **Raises:** `TypeError` unless one of them is given, `ValueError` for what is no number of steps or fraction.
        """
        if (steps is None) == (fraction is None):
            raise TypeError("`tg.Every` takes either `steps` or `fraction`.")
        self.steps: int | None = None if steps is None else positive("steps", steps)
        if fraction is not None and not 0 < fraction <= 1:
            raise ValueError(f"`fraction` is {fraction}; a number above 0 and up to 1 is expected.")
        self.fraction = fraction

    def __repr__(self) -> str:
        return f"Every(steps={self.steps})" if self.fraction is None else f"Every(fraction={self.fraction})"


def next_multiple(step: int, every: int) -> int:
    """Return the first multiple of `every` after `step`."""
    return (step // every + 1) * every


def steps_of(name: str, frequency: object, *, batch: bool = False) -> int | None:
    """Return after how many steps something is due, each time; `None` for after each epoch.

    **Arguments:**

    - `frequency`: `"epoch"` or a number of steps; `"batch"` for each of them, where `batch` allows it.

    **Raises:** `ValueError` for something else, which calls it `name`.
    """
    if frequency == "epoch":
        return None
    if batch and frequency == "batch":
        return 1
    if isinstance(frequency, bool) or not isinstance(frequency, int) or frequency < 1:
        words = '"epoch", "batch"' if batch else '"epoch"'
        raise ValueError(f"`{name}` is {frequency!r:.100}; {words} or a number of steps is expected.")
    return frequency


class ValidationFrequency:
    """When something is due."""

    def __init__(self, name: str, value: object):
        """**Arguments:**

        - `name`: what errors call it.
        - `value`: an int, every so many epochs; epochs, counted from 1; or an [`treegy.Every`][].
        """
        self._name = name
        self._every = value if isinstance(value, Every) else None
        self._epochs: int | frozenset[int] = 1
        if self._every is None and isinstance(value, Iterable) and not isinstance(value, str | bytes):
            self._epochs = frozenset(positive(f"{name}[{i}]", v) for i, v in enumerate(value))
        elif self._every is None:
            self._epochs = positive(name, value)

    @property
    def is_default(self) -> bool:
        return self._every is None and self._epochs == 1

    def checked(self, steps_per_epoch: int | None) -> "ValidationFrequency":
        """**Raises:** `ValueError` if it is about fractions of epochs whose length isn't known."""
        if self._every is not None and self._every.fraction is not None and steps_per_epoch is None:
            raise ValueError(
                f"`{self._name}` is {self._every}, and how many steps an epoch has isn't known: give "
                "`steps_per_epoch`, or `tg.Every(steps=...)`."
            )
        return self

    @property
    def is_within_epochs(self) -> bool:
        """Whether it counts steps, and not epochs."""
        return self._every is not None

    def after_epoch(self, epoch: int) -> bool:
        """Whether it is due after `epoch`, counted from 0."""
        if self._every is not None:
            return False
        if isinstance(self._epochs, frozenset):
            return epoch + 1 in self._epochs
        return (epoch + 1) % self._epochs == 0

    def after_step(self, step: int, done: int, steps_per_epoch: int | None) -> bool:
        """Whether it is due after `step`, the `done`-th of its epoch."""
        if self._every is None:
            return False
        if self._every.steps is not None:
            return step % self._every.steps == 0
        return done in self._within(steps_per_epoch)

    def next_step(self, step: int, done: int, steps_per_epoch: int | None) -> int | None:
        """Return the step, later than `step`, after which it is due within this epoch."""
        if self._every is None:
            return None
        if self._every.steps is not None:
            return next_multiple(step, self._every.steps)
        later = [n for n in self._within(steps_per_epoch) if n > done]
        return step - done + later[0] if later else None

    def _within(self, steps_per_epoch: int | None) -> list[int]:
        assert self._every is not None and self._every.fraction is not None and steps_per_epoch is not None
        parts = math.ceil(1 / self._every.fraction - 1e-9)
        return sorted(
            {
                min(steps_per_epoch, math.ceil(i * self._every.fraction * steps_per_epoch - 1e-9))
                for i in range(1, parts + 1)
            }
        )
