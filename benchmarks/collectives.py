"""What devices exchange in a compiled program: its collectives, with how often each is run."""

import dataclasses
import functools
import math
import re
from typing import NamedTuple

import numpy as np

_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_COLLECTIVE = re.compile(
    r" = (.*?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute|collective-broadcast)(-start)?\("
)
_CALLED = re.compile(r"(?:calls|to_apply|body|condition)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{(.*?)\}")
_MESH = re.compile(r"replica_groups=mesh\[(.*?)\](?:, device_ids=\(\[([\d,]+)\](?:T\(([\d,]+)\))?\))? \{(.*?)\}")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


@dataclasses.dataclass(frozen=True)
class Collective:
    """One collective of a program."""

    kind: str
    bytes: int
    """Of its result, on one device."""
    times: int
    """How often it is run in a step."""
    groups: tuple[tuple[int, ...], ...]
    """Which devices exchange with each other."""


class _Call(NamedTuple):
    name: str
    times: int
    """How often it is called, where the caller runs once."""


def collectives(program: str) -> list[Collective]:
    """Return the collectives of a compiled program, as XLA prints it. Those in loops are run as often as the loops are.

    **Raises:** `ValueError` if there is a collective in a loop of which XLA doesn't know how often it is run.
    """
    computations, entry = _computations(program)
    found: list[Collective] = []

    def visit(name: str, times: int | None) -> None:
        for line in computations[name]:
            matched = _COLLECTIVE.search(line)
            if matched:
                if times is None:
                    raise ValueError(f"a collective is in a loop that XLA doesn't know the length of: {line.strip()}")
                kind, size = matched[2], _size(matched[1], matched[3] is not None)
                found.append(Collective(kind, size, times, _groups(line)))
            for call in _calls(line):
                # A length of 0 stands for one that isn't known.
                visit(call.name, None if times is None or not call.times else times * call.times)

    visit(entry, 1)
    return found


def _computations(program: str) -> tuple[dict[str, list[str]], str]:
    found: dict[str, list[str]] = {}
    entry, lines = "", list[str]()
    for line in program.splitlines():
        begins = _COMPUTATION.match(line)
        if begins:
            lines = found[begins[2]] = []
            entry = begins[2] if begins[1] else entry
        else:
            lines.append(line)
    return found, entry


def _calls(line: str) -> list[_Call]:
    trips = 1
    if " while(" in line:
        known = _TRIPS.search(line)
        trips = int(known[1]) if known else 0
    names = _CALLED.findall(line)
    for branches in _BRANCHES.findall(line):
        names += [name.strip().lstrip("%") for name in branches.split(",")]
    return [_Call(name, trips) for name in names]


def _size(shapes: str, starts: bool) -> int:
    arrays = re.findall(r"(\w+)\[([\d,]*)\]", shapes)
    if starts:
        # What a collective that runs meanwhile begins with comes first, and then as many results.
        arrays = arrays[len(arrays) // 2 :]
    return sum(_BYTES[kind] * math.prod(int(n) for n in shape.split(",") if n) for kind, shape in arrays)


def _groups(line: str) -> tuple[tuple[int, ...], ...]:
    """Return the groups of a collective, in whichever way XLA writes them."""
    mesh = re.search(
        r"replica_groups=mesh\[(.*?)\](?:, device_ids=\(\[([\d,]+)\](?:T\(([\d,]+)\))?\))? \{(.*?)\}", line
    )
    if mesh:
        axes = {name: int(size) for name, size in re.findall(r"'(\w+)'=(\d+)", mesh[1])}
        over = mesh[4].replace("'", "").replace(" ", "").split(",")
        if all(name in axes for name in over):
            return _over_axes(tuple(axes.items()), tuple(over), mesh[2], mesh[3])
    counted = re.search(r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", line)
    if counted:
        return _rows(_ordered(counted[2], counted[3]).reshape(_numbers(counted[1])))
    listed = re.search(r"(?:replica_groups|source_target_pairs)=\{(\{.*?\})\}", line)
    if listed:
        return tuple(_numbers(group) for group in re.findall(r"\{([\d,]+)\}", listed[1]))
    raise ValueError(f"which devices exchange isn't understood: {line.strip()}")


@functools.cache
def _over_axes(
    axes: tuple[tuple[str, int], ...], over: tuple[str, ...], shape: str | None, order: str | None
) -> tuple[tuple[int, ...], ...]:
    """Return the groups along some axes of a mesh."""
    names, sizes = [name for name, _ in axes], [size for _, size in axes]
    devices = np.arange(math.prod(sizes)) if shape is None else _ordered(shape, order)
    along = [names.index(name) for name in over]
    moved = np.moveaxis(devices.reshape(sizes), along, range(-len(along), 0))
    return _rows(moved.reshape(-1, math.prod(sizes[i] for i in along)))


def _ordered(shape: str, order: str | None) -> np.ndarray:
    """Return the numbers of devices, counted along the axes of an array that is then transposed."""
    sizes = _numbers(shape)
    return np.arange(math.prod(sizes)).reshape(sizes).transpose(_numbers(order) if order else range(len(sizes)))


def _rows(groups: np.ndarray) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(map(int, row)) for row in groups)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))
