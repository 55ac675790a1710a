"""A metric value that is made of what another accumulator computes."""

from collections.abc import Callable
from typing import ClassVar

import equinox as eqx

from ..._terms._accumulator import Accumulator
from ..._types import PyTree


class ValueOf(Accumulator):
    r"""What a function makes of another accumulator, $f(\text{compute}(\text{part}))$.

    Only the part is accumulated. So metrics that differ in their function alone accumulate the same.
    """

    part: Accumulator
    # Static, and compared by value: equal metrics give accumulators of the same structure, which merge.
    function: Callable[..., PyTree] = eqx.field(static=True)
    options: tuple[tuple[str, object], ...] = eqx.field(static=True)

    merges_parts: ClassVar[bool] = True

    def __init__(self, part: Accumulator, function: Callable[..., PyTree], **options: object):
        """**Arguments:**

        - `part`: the accumulator.
        - `function`: a function of a module, not one made again each time, of what `part` computes.
        - `**options`: what else the function takes, hashable.
        """
        self.part = part
        self.function = function
        self.options = tuple(sorted(options.items()))  # in whatever order they were written

    def empty(self) -> "ValueOf":
        return ValueOf(self.part.empty(), self.function, **dict(self.options))

    def merge(self, other: "ValueOf") -> "ValueOf":
        return ValueOf(self.part.merge(other.part), self.function, **dict(self.options))

    def compute(self) -> PyTree:
        return self.function(self.part.compute(), **dict(self.options))
