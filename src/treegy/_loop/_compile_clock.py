"""How long compiling takes, which isn't the time of a step."""

from typing import Any

import jax

_EVENTS = ("/jax/core/compile/backend_compile_duration", "/jax/core/compile/jaxpr_to_mlir_module_duration")


class CompileClock:
    """Counts the seconds that JAX compiles, from `start` to `stop`."""

    seconds = 0.0
    _runs = False

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
