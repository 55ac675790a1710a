"""How long a step takes on real machines, by a model of two numbers: what is computed, and what is exchanged.

Computing takes the operations of a step, divided by what the devices can do of them, of which a fraction is reached. A
collective takes what each device sends and receives of it in a ring, divided by the bandwidth of its links in one
direction, and a constant. The sources of the figures are in `docs/scaling.md`.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable

from collectives import Collective

# The fraction of the peak that is reached while nobody waits.
UTILIZATION = 0.4

# What a collective takes however small it is, in seconds: an assumption.
LATENCY = 20e-6


@dataclasses.dataclass(frozen=True)
class Machine:
    """Devices, and what connects them."""

    name: str
    peak: float
    """Operations per second of a device, in bfloat16."""
    memory: float
    """Bytes of a device."""
    link: float
    """Bytes per second that a device sends to others of its host, or in its torus along all axes together."""
    outside: float | None = None
    """Bytes per second that a device sends to other hosts; `None` where all devices are in one torus."""
    per_host: int = 8
    most: float = math.inf
    """How many devices are connected so."""

    def seconds(self, collective: Collective) -> float:
        """Return how long a collective takes, as often as it is run in a step."""
        n = max(map(len, collective.groups))
        if n == 1:
            return 0.0
        of_result = {
            "all-gather": (n - 1) / n,
            "all-reduce": 2 * (n - 1) / n,
            # Each device ends with one of `n` parts.
            "reduce-scatter": n - 1,
            "all-to-all": (n - 1) / n,
            "collective-permute": 1,
            "collective-broadcast": 1,
        }[collective.kind]
        return collective.times * (LATENCY + of_result * collective.bytes / self._bandwidth(collective.groups))

    def _bandwidth(self, groups: tuple[tuple[int, ...], ...]) -> float:
        if self.outside is None:
            # Groups of which there are several are along some axes of the torus, those of the others along the rest.
            return self.link if len(groups) == 1 else self.link / 2
        together = max(max(Counter(i // self.per_host for i in group).values()) for group in groups)
        if all(len({i // self.per_host for i in group}) == 1 for group in groups):
            return self.link
        # A ring enters and leaves a host as often as it has devices of it, each time through the adapter of another.
        return min(self.link, together * self.outside)


MACHINES = [
    Machine("H100, NVLink, and an adapter of InfiniBand NDR each", peak=989e12, memory=80e9, link=450e9, outside=50e9),
    Machine("H100, one adapter a host for all eight", peak=989e12, memory=80e9, link=450e9, outside=50e9 / 8),
    Machine("TPU v5e", peak=197e12, memory=16e9, link=200e9, most=256),
    Machine("TPU v5p", peak=459e12, memory=95e9, link=600e9, most=8960),
]


@dataclasses.dataclass(frozen=True)
class StepTime:
    """What the model says of a step, in seconds."""

    computing: float
    exchanging: float

    @property
    def overlapped(self) -> float:
        """Return the fraction of the time in which devices compute, if all that is exchanged is so meanwhile."""
        return self.computing / max(self.computing, self.exchanging)

    @property
    def in_turn(self) -> float:
        """Return that fraction if nothing is exchanged meanwhile."""
        return self.computing / (self.computing + self.exchanging)


def step_time(machine: Machine, devices: int, flops: float, found: Iterable[Collective]) -> StepTime:
    computing = flops / (devices * machine.peak * UTILIZATION)
    return StepTime(computing, sum(map(machine.seconds, found)))
