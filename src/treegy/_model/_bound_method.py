"""Methods of a model, as attributes of it: PyTrees, as those of every `eqx.Module`, that cost nothing to make."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import jax

from .._tracebacks import shorten
from .._types import PyTree


# A method and its model, whose arrays are those of this PyTree: `eqx.filter_jit(model.predict_on_batch)` and
# `jax.jit(f)(model.predict_on_batch)` have them as inputs. Equinox makes a whole module of each method, which takes as
# long as a small training step. (No docstring: that of the method is looked for here.)
class BoundMethod:
    __slots__ = ("__func__", "__self__")

    def __init__(self, function: Callable[..., Any], model: PyTree):
        self.__func__ = function
        self.__self__ = model

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.__func__(self.__self__, *args, **kwargs)
        except BaseException as error:
            shorten(error)
            raise

    def __getattr__(self, name: str) -> Any:
        if name in BoundMethod.__slots__:  # of one that is being copied, or unpickled
            raise AttributeError(name)
        if name == "__wrapped__":  # what tells the signature, without `self`
            return self.__func__.__get__(self.__self__)
        return getattr(self.__func__, name)

    if not TYPE_CHECKING:

        @property
        def __doc__(self) -> str | None:
            return self.__func__.__doc__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BoundMethod) and self.__func__ is other.__func__ and self.__self__ is other.__self__

    def __hash__(self) -> int:
        return hash((self.__func__, id(self.__self__)))

    def __repr__(self) -> str:
        return f"<bound method {self.__func__.__qualname__} of {type(self.__self__).__name__}>"


def _flattened(method: BoundMethod) -> tuple[tuple[PyTree], Callable[..., Any]]:
    return (method.__self__,), method.__func__


def _flattened_with_keys(method: BoundMethod) -> tuple[tuple[tuple[Any, PyTree]], Callable[..., Any]]:
    return ((jax.tree_util.GetAttrKey("__self__"), method.__self__),), method.__func__


def _unflattened(function: Callable[..., Any], children: Iterable[PyTree]) -> BoundMethod:
    return BoundMethod(function, *children)


jax.tree_util.register_pytree_with_keys(BoundMethod, _flattened_with_keys, _unflattened, _flattened)
