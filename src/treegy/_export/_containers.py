"""What holds a program's inputs and results: tuples, lists and dicts, which whoever loads it has, too."""

from jax.tree_util import tree_flatten_with_path

from .._describe import describe, path_name
from .._errors import ContractError
from .._types import PyTree


def check_containers(name: str, tree: PyTree, mend: str, place: str = "") -> None:
    """Refuse what holds arrays and is no tuple, list, dict with strings as keys, or `None`.

    **Arguments:**

    - `name`: what it is called, `x` or `y_pred`.
    - `mend`: what to do about it, a sentence.

    **Raises:** [`treegy.ContractError`][] that names the first place at which there is something else.
    """
    below = tree_flatten_with_path(tree, is_leaf=lambda child: child is not tree)[0]
    if tree is None or any(not path for path, _ in below):
        return
    found = type(tree)
    if found not in (tuple, list, dict) or (found is dict and not all(isinstance(key, str) for key in tree)):
        what = f"a dict with the keys {list(tree)!r:.60}" if found is dict else f"an instance of {found.__name__}"
        raise ContractError(
            f"`{name}{place}` is {what}, and the inputs and results of an exported model are arrays in tuples, lists "
            f"and dicts with strings as keys: whoever loads it knows of no other classes. {mend}\n"
            f"  {name} = {describe(tree)}"
        )
    for path, child in below:
        check_containers(name, child, mend, place + path_name(path))
