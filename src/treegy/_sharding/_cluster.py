"""Jobs of several processes that JAX hasn't been told of."""

import functools
import os

import jax

from .._warn import warn

# How schedulers tell a process how many of them they have started. Slurm's first is of the step that `srun` starts: a
# script that runs in a job without it is one process, whatever the job has.
_COUNTS = {
    "SLURM_STEP_NUM_TASKS": "Slurm",
    "SLURM_NTASKS": "Slurm",
    "OMPI_COMM_WORLD_SIZE": "Open MPI",
    "PMI_SIZE": "MPI",
}


def tell_of_cluster() -> None:
    """Warn once if a scheduler has started several processes, and each of them knows of itself alone."""
    found = _started()
    if found is not None and not jax.distributed.is_initialized():
        _tell(*found)


def _started() -> tuple[str, str, int] | None:
    for name, who in _COUNTS.items():
        text = os.environ.get(name, "")
        if text.isdecimal():
            return (name, who, int(text)) if int(text) > 1 else None
    return None


@functools.cache
def _tell(name: str, who: str, count: int) -> None:
    warn(
        f"{who} has started {count} processes ({name}={count}), and JAX knows of this one alone: each trains a model "
        "of its own, on its own devices. To train one model together, call `jax.distributed.initialize()` before "
        "anything else of JAX."
    )
