"""Reading what was saved: by `Model.save`, or by a callback during a training."""

import os
from pathlib import Path
from typing import Any

from ._checkpoints import read_checkpoint, steps_in, with_named_arrays
from ._documents import MODEL, RUN, checked
from ._errors import CheckpointError
from ._save import load_tree
from ._states import States


def load_states(like: dict[str, Any], path: str | os.PathLike[str], step: int | None) -> dict[str, Any]:
    """The states in a directory.

    **Arguments:**

    - `like`: the fields of states of the same structure.
    - `path`: of what `save_tree` wrote, or of checkpoints.
    - `step`: which of the checkpoints; the newest if `None`.

    **Raises:** [`treegy.CheckpointError`][] if they aren't there, are damaged, or have another structure.
    """
    steps = steps_in(path)
    if not steps:
        if step is not None:
            raise CheckpointError(f"There are no checkpoints in '{Path(path)}', of which `step` would choose one.")
        return load_tree(like, path)
    if step is not None and step not in steps:
        raise CheckpointError(
            f"There is no checkpoint of step {step} in '{Path(path)}'; there are {', '.join(map(str, steps))}."
        )
    document = checked(read_checkpoint(path, steps[-1] if step is None else step), f"'{Path(path)}'", MODEL, RUN)
    return dict(with_named_arrays(States(**like), document["states"], f"What is saved in '{Path(path)}'"))
