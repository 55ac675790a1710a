"""What is told of arrays that aren't those of the model that they are loaded into."""

from collections.abc import Mapping

from .._describe import differences

_LINES, _WIDTH = 10, 150


def told_differences(here: Mapping[str, str], there: Mapping[str, str], where: str) -> str:
    """Return the first lines of a report about arrays that differ, none of them too long; nothing if all are alike.

    **Arguments:**

    - `here`: the shapes and dtypes of the arrays that are expected, by their paths; `""` where they aren't known.
    - `there`: those of the arrays that were found.
    - `where`: where they were found, such as `"file"`.
    """
    lines = [_line(*found, where) for found in differences(here, there)]
    more = len(lines) - _LINES
    shown = [*lines[:_LINES], f"... and {more} more"] if more > 0 else lines
    return "\n".join(f"  {line}" if len(line) <= _WIDTH else f"  {line[: _WIDTH - 3]}..." for line in shown)


def _line(name: str, here: str | None, there: str | None, where: str) -> str:
    if there is None:
        return f"only here: {name}: {here}" if here else f"only here: {name}"
    if here is None:
        return f"only in the {where}: {name}: {there}"
    return f"{name}: {here} here, {there} in the {where}"
