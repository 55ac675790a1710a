"""The names under which metric values are logged, which are the same in every library."""

import hashlib
import re
from collections.abc import Iterable

# Names of axes, and of what W&B writes itself.
_TAKEN = frozenset({"epoch", "step", "_step", "_runtime", "_timestamp"})
# The shortest limit is MLflow's, of 250 signs.
_LONGEST = 200


def logged_names(names: Iterable[str], prefix: str = "") -> dict[str, str]:
    """Return the name under which each metric value is logged, by its own name.

    Letters, digits, and `_`, `-`, `.`, `/` are allowed in all libraries; other signs become `_`. No two names become
    equal, nor that of an axis: `_1`, `_2`, ... tell them apart. Names without such signs keep what they are.

    **Arguments:**

    - `names`: those of all values that are known at a time.
    - `prefix`: what stands before them, also unlike any of them without it.
    """
    names = list(names)
    plain = {name: _allowed(name) for name in names}
    found: dict[str, str] = {}
    taken, parents = set(_TAKEN), set[str]()
    for before in dict.fromkeys(("", prefix)):
        # Those that stay as they are come first.
        for name in sorted(names, key=lambda n: (plain[n] != n, "/" in plain[n])):
            wanted, i = before + plain[name], 0
            if not taken.isdisjoint(_parents(wanted)):
                wanted = wanted.replace("/", "_")
            new = wanted
            while new in taken or new in parents:
                i += 1
                new = f"{wanted}_{i}"
            taken.add(new)
            parents.update(_parents(new))
            found[name] = new
    return found


def _parents(name: str) -> list[str]:
    """Return the folders of a name, which is a file where values are kept in files: `a` and `a/b` of `a/b/c`."""
    parts = name.split("/")
    return ["/".join(parts[:i]) for i in range(1, len(parts))]


def _allowed(name: str) -> str:
    parts = [re.sub(r"[^\w.-]", "_", part) for part in name.split("/")]
    # No empty ones, and no steps through directories.
    parts = [re.sub(r"^\.+$", "_", part) for part in parts if part]
    text = "/".join(parts) or "_"
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
