"""Which checkpoints a directory holds, and the newest whole one."""

import contextlib

from .._errors import CheckpointError
from .._paths import anywhere, is_local
from .._types import PyTree
from .._warn import warn
from ._layout import AnyPath, is_checkpoint, is_there
from ._stored import DamagedCheckpoint, read, read_head


def steps_in(directory: object) -> list[int]:
    """Return the steps of which a directory has checkpoints, or what is left of some that were damaged."""
    place: AnyPath = anywhere("path", directory)
    found: list[int] = []
    for _ in range(TIMES):
        entries = entries_in(place)
        with explained(place, "can't be read"):
            found = sorted(int(p.name) for p in entries if is_checkpoint(p))
            # What was removed meanwhile, by a run that keeps some of them, has a newer one.
            if all(is_there(p) for p in entries if p.name.isdigit()):
                break
    return found


def entries_in(place: AnyPath) -> list[AnyPath]:
    """Return what is in a directory: nothing where there is none."""
    with explained(place, "can't be read"):
        return list(place.iterdir()) if place.is_dir() else []


def read_checkpoint(directory: object, step: int) -> dict[str, PyTree]:
    """Return the document of a checkpoint; nothing is written.

    **Raises:** [`treegy.CheckpointError`][] if it isn't there, or is damaged.
    """
    place: AnyPath = anywhere("path", directory) / str(step)
    with explained(place, "can't be read"):
        there = place.is_dir()
    if not there:
        raise CheckpointError(f"There is no checkpoint of step {step} in '{directory}'.")
    return read(place, step)


def newest_whole(directory: object) -> dict[str, PyTree]:
    """Return the document of the newest checkpoint that isn't damaged, or of the best where the best were kept.

    Warns of those that are passed over.

    **Raises:** [`treegy.CheckpointError`][] if there is none.
    """
    place: AnyPath = anywhere("path", directory)
    for _ in range(TIMES):
        try:
            return _first_whole(place, _ranked(place))
        except FileNotFoundError:
            continue  # removed meanwhile by a run that keeps some of them: look again
    raise CheckpointError(f"There is no checkpoint in '{place}' that stays while it is read.")


def _ranked(place: AnyPath) -> list[int]:
    """Return the steps in the order in which they are tried: those of damaged ones first, so that they are told."""
    steps, best = steps_in(place)[::-1], "min"
    values: dict[int, float] = {}
    for step in steps:
        with contextlib.suppress(CheckpointError):
            head = read_head(place / str(step), step)
            if head.best is None or head.value is None:
                return steps  # not of those of which the best were kept
            values[step], best = head.value, head.best
    whole = sorted(values, key=lambda step: values[step] if best == "min" else -values[step])
    return [step for step in steps if step not in values] + whole


def _first_whole(place: AnyPath, steps: list[int]) -> dict[str, PyTree]:
    failed: list[DamagedCheckpoint] = []
    for step in steps:
        try:
            document = read(place / str(step), step)
        except DamagedCheckpoint as error:
            if not is_checkpoint(place / str(step)):
                raise FileNotFoundError from None
            failed.append(error)
            continue
        for error in failed:
            warn(f"{error}. The one of step {step} is loaded instead.")
        return document
    if not steps:
        raise FileNotFoundError
    others = f" There {'is none' if len(steps) == 1 else 'are none'} besides that could be read."
    raise CheckpointError(f"{failed[0]}.{others}")


TIMES = 100


class explained:
    """Raise errors of the file system as a `CheckpointError` that names the directory."""

    def __init__(self, directory: AnyPath, what: str):
        self._directory, self._what = directory, what

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, CheckpointError):
            return
        # What fails in a store has errors of its own.
        of_store = isinstance(error, Exception) and not isinstance(error, ImportError) and not is_local(self._directory)
        if of_store or isinstance(error, OSError | ValueError | RuntimeError):
            text = str(error).partition("\n")[0]
            raise CheckpointError(f"'{self._directory}' {self._what}: {text}") from error
