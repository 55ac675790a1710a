"""How long compiling takes, which isn't the time of a step."""

from collections.abc import Callable
from typing import Any

import jax

_TO_MLIR = "/jax/core/compile/jaxpr_to_mlir_module_duration"
_EVENTS = ("/jax/core/compile/backend_compile_duration", _TO_MLIR)


class CompileClock:
    """Counts the seconds that JAX compiles, from `start` to `stop`."""

    seconds = 0.0
    _runs = False

    def __init__(self, when_compiling: Callable[[], None]):
        """**Arguments:**

        - `when_compiling`: called whenever XLA begins to compile a program, which may take minutes.
        """
        self._when_compiling = when_compiling

    def start(self) -> None:
        """Begin to count, unless that has begun."""
        if not self._runs:
            self._runs = True
            jax.monitoring.register_event_duration_secs_listener(self._note)

    def stop(self) -> None:
        """Count no more. May be called again."""
        if self._runs:
            self._runs = False
            jax.monitoring.unregister_event_duration_listener(self._note)

    def _note(self, event: str, duration_secs: float, **kwargs: Any) -> None:
        if event in _EVENTS:
            self.seconds += duration_secs
        if event == _TO_MLIR:  # the last that is told before XLA compiles
            self._when_compiling()
