"""What processes tell each other: short messages, which go over the devices as everything else does.

Processes that share a model have to do the same things in the same order. Each message says what it is about, so that
those which don't are told, and nobody waits for what never comes.
"""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from .._errors import ProcessError
from .._spread import moved, of_parts
from ._processes import is_first, is_shared, processes_of
from ._strategy import Strategy

# What fits into so many bytes goes in one message; all are of one length, so that any two of them meet.
_FRAME, _HEAD = 1024, 8
_KNOWN = "_treegy_known"


def exchanged(strategy: Strategy | None, about: str, said: Any) -> list[Any]:
    """Return what each process says, in their order. All of them call this.

    **Arguments:**

    - `about`: what is being done, such as ``"`fit`"``.
    - `said`: what JSON has.

    **Raises:** [`treegy.ProcessError`][] if some process is doing something else.
    """
    return begun(strategy, about, said)()


def begun(strategy: Strategy | None, about: str | None, said: Any) -> Callable[[], list[Any]]:
    """Say something, and return a function that waits for what the others say: as `exchanged` in two halves.

    **Arguments:**

    - `about`: as there; `None` if this process does nothing any more.
    """
    if strategy is None or not is_shared(strategy):
        return lambda: [said]
    text = json.dumps([about, said]).encode()
    head = len(text).to_bytes(_HEAD, "little")
    first = _sent(strategy, head + text[: _FRAME - _HEAD], _FRAME)

    def heard() -> list[Any]:
        frames = _received(strategy, first)
        lengths = [int.from_bytes(frame[:_HEAD], "little") for frame in frames]
        texts = [frame[_HEAD:] for frame in frames]
        if max(lengths) > _FRAME - _HEAD:
            rest = 1 << (max(lengths) - 1).bit_length()
            more = _received(strategy, _sent(strategy, text[_FRAME - _HEAD :], rest))
            texts = [text + part for text, part in zip(texts, more, strict=True)]
        return _checked(strategy, [json.loads(t[:n]) for t, n in zip(texts, lengths, strict=True)])

    return heard


def first_does(strategy: Strategy | None, about: str, work: Callable[[], Any]) -> Any:
    """Have the first process do something, and return what that gave, in all of them.

    **Arguments:**

    - `work`: what it does; returns what JSON has.

    **Raises:** in the first process what `work` raises, in the others [`treegy.ProcessError`][] with its words.
    """
    result: Any = None
    failure: BaseException | None = None
    if is_first(strategy):
        try:
            result = work()
        except Exception as error:
            failure = error
    found = exchanged(strategy, about, [result, _told(failure)])[0]
    if failure is not None:
        raise known(failure)
    if found[1] is not None:
        raise ProcessError(f"{about}: process {processes_of(strategy)[0]} failed: {found[1]}")
    return found[0]


def each_does(strategy: Strategy | None, about: str, work: Callable[[], Any]) -> Any:
    """Do something in each process, and return what that gave in this one. If one fails, all of them do.

    **Raises:** where it fails what `work` raises, in the others [`treegy.ProcessError`][] with its words.
    """
    if not is_shared(strategy):
        return work()
    result: Any = None
    failure: BaseException | None = None
    try:
        result = work()
    except Exception as error:
        failure = error
    told = exchanged(strategy, about, _told(failure))
    if failure is not None:
        raise known(failure)
    raise_failures(strategy, about, told)
    return result


def known(error: BaseException) -> BaseException:
    """Return an error of this process of which the others have been told."""
    with contextlib.suppress(AttributeError):  # an error with slots
        setattr(error, _KNOWN, True)
    return error


def take_leave(strategy: Strategy | None, error: BaseException) -> None:
    """Tell the other processes that this one fails, if they don't know: whatever they wait for, it doesn't come.

    Nothing is waited for here. Processes that compute a step meanwhile, and no message, don't hear of it.
    """
    if strategy is None or not is_shared(strategy) or isinstance(error, ProcessError) or hasattr(error, _KNOWN):
        return
    with contextlib.suppress(Exception):  # what has failed first is what is raised
        begun(strategy, None, _told(error))
        known(error)


def raise_failures(strategy: Strategy | None, about: str, told: list[str | None]) -> None:
    """**Raises:** [`treegy.ProcessError`][] if one of the processes tells that it failed."""
    for process, text in zip(processes_of(strategy), told, strict=True):
        if text is not None:
            raise ProcessError(f"{about}: process {process} failed: {text}")


def _told(error: BaseException | None) -> str | None:
    return None if error is None else f"{type(error).__name__}: {error!s:.500}"


def _checked(strategy: Strategy, messages: list[Any]) -> list[Any]:
    for process, (about, said) in zip(processes_of(strategy), messages, strict=True):
        if about is None:
            raise ProcessError(f"process {process} failed: {said}")
    first = messages[0][0]
    for process, (about, _) in zip(processes_of(strategy), messages, strict=True):
        if about != first:
            raise ProcessError(
                f"the processes do different things: process {processes_of(strategy)[0]} is at {first}, and process "
                f"{process} at {about}. All of them have to call `fit`, `evaluate`, `save` and the others, in the same "
                "order: nothing of a shared model goes under `if jax.process_index() == 0`."
            )
    return [said for _, said in messages]


def _sent(strategy: Strategy, content: bytes, length: int) -> jax.Array:
    mesh = strategy.mesh
    row = np.zeros((1, length), np.uint8)
    row[0, : len(content)] = np.frombuffer(content, np.uint8)
    split = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    # One row for each device, as there is no axis of processes.
    mine = of_parts((mesh.size, length), split, lambda index: row)
    return moved(NamedSharding(mesh, PartitionSpec()))(mine)


def _received(strategy: Strategy, sent: jax.Array) -> list[bytes]:
    rows = np.asarray(sent)
    found = {device.process_index: row for device, row in zip(strategy.mesh.devices.flat, rows, strict=True)}
    return [found[process].tobytes() for process in processes_of(strategy)]
