"""How the overridable steps are called: by position or by name, with `self` bound to the states that they are given.

What they do where nobody overrides them is in `_defaults.py`.
"""

import functools
import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

from .._describe import describe, did_you_mean, is_arraylike
from .._errors import InjectionError
from .._injection._contract import check
from .._injection._inject import bind, call, function_name, request
from .._types import Function, PyTree, Values
from .._warn import warn
from ._bind_self import bound_to
from ._model_like import ModelLike
from ._states import States

_BATCH = ("x", "y_true", "sample_weight", "class_weight", "states")


_PRED = ("x", "states", "initializing", "training")


_TEST = (*_BATCH, "initializing", "training")


class Step(NamedTuple):
    """What a step can ask for, in the order of positional arguments, and what it returns."""

    arguments: tuple[str, ...]
    returns: tuple[str, ...]


_STEPS = {
    "pred": Step(_PRED, ("y_pred", "states")),
    "test": Step(_TEST, ("loss", "logs", "states")),
    "grad": Step(_TEST, ("loss", "logs", "states", "grads")),
    "train": Step(_TEST, ("logs", "states")),
    "init": Step(_BATCH, ("states",)),
    "summary": Step(("x", "states"), ("entries",)),
}


STEPS = {f"{name}_step": step for name, step in _STEPS.items()} | {
    f"call_{name}_step": step for name, step in _STEPS.items() if name != "grad"
}


def install(cls: type, default: bool = False) -> None:
    """Make the steps of `cls`, and those of its bases, callable from anywhere. Once for each class.

    A step then takes its arguments by position or by name, of which it gets those that it names; runs with `self`
    bound to the states that it was given; and what it returns is checked.

    This happens when the first object is made, and not when the class is: decorators of classes, such as `beartype`,
    then find what their user wrote.
    """
    for base in reversed(cls.__mro__):
        if hasattr(base, "call_train_step") and _INSTALLED not in vars(base):
            setattr(base, _INSTALLED, True)
            for name, step in STEPS.items():
                written = inspect.getattr_static(base, name, None)
                is_step = inspect.isfunction(written) or hasattr(written, "__wrapped__")
                if is_step and not hasattr(written, "is_default_step"):
                    setattr(base, name, _called(name, step, written, default))


_INSTALLED = "_has_steps_installed"


def is_default(model: ModelLike, *names: str) -> bool:
    """Whether none of these steps is overridden."""
    return all(getattr(inspect.getattr_static(type(model), n), "is_default_step", False) for n in names)


def name_initializing(model: ModelLike, *names: str) -> bool:
    """Whether one of these steps is overridden and names `initializing` in its signature."""
    written = [inspect.getattr_static(type(model), n) for n in names if not is_default(model, n)]
    return any("initializing" in request(step).names for step in written)


def jitted(model: ModelLike, step: Function) -> Function:
    """Return a step as a model compiles it, if it does."""
    return step if model.run_eagerly else model.jit_step(step)


def is_default_jit(model: ModelLike) -> bool:
    """Whether `jit_step` is not overridden."""
    return _has_default_jit(type(model))


@functools.cache
def _has_default_jit(cls: type) -> bool:
    return hasattr(inspect.getattr_static(cls, "jit_step"), "is_default_jit")


def _called(name: str, step: Step, written: PyTree, default: bool) -> Function:
    who = f"step `{name}` ({function_name(written)})"

    def stepped(model: ModelLike, *args: Any, **kwargs: Any) -> Any:
        available = _arguments(who, step, args, kwargs)
        if available["states"] is None:
            available["states"] = model.states
        model = bound_to(model, available["states"])
        if default:
            return written(model, **available)
        method = functools.partial(written, model)
        arguments = bind(method, available, who)
        check(method, arguments, who=who)
        _tell_of_ignored_weights(who, method, available)
        returned = call(method, arguments)
        _check_returned(who, step, returned)
        check(method, {**arguments, "return": returned}, who=who)
        return returned

    # Not as a decorator: `beartype.claw` over this package would take the user's annotations for those of `stepped`.
    functools.update_wrapper(stepped, written)
    setattr(stepped, "is_default_step", default)  # noqa: B010
    return stepped


def _tell_of_ignored_weights(who: str, method: Function, available: Values) -> None:
    """Warn of weights that a step doesn't ask for: neither it nor what it calls has them."""
    for name in ("sample_weight", "class_weight"):
        if available.get(name) is not None and not available.get("initializing", True) and name not in request(method):
            warn(
                f"`{name}` is given, and {who} doesn't ask for it, so that it has no effect: add a parameter `{name}` "
                "to the step, and use it or pass it on."
            )


def _arguments(who: str, step: Step, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    names = step.arguments
    if len(args) > len(names):
        raise InjectionError(f"{who} takes at most {len(names)} arguments ({', '.join(names)}), and got {len(args)}.")
    given = dict(zip(names, args, strict=False))
    for name, value in kwargs.items():
        if name in given:
            raise InjectionError(f"{who} got `{name}` twice, by position and by name.")
        if name not in names:
            raise InjectionError(f"{who} takes {', '.join(names)}, and got `{name}`.{did_you_mean(name, names)}")
        given[name] = value
    for name, value in given.items():
        if value is not None and isinstance(value, States) != (name == "states"):
            raise InjectionError(
                f"{who} got {describe(value)} for `{name}`. By position it takes {', '.join(names)}, in this order, "
                "whatever it names itself: pass arguments by name, such as `states=states`."
            )
    absent = {n: False if n in ("initializing", "training") else None for n in names}
    return {**absent, **given}


def _check_returned(who: str, step: Step, returned: PyTree) -> None:
    several, expected = len(step.returns) > 1, ", ".join(step.returns)
    expected = f"`({expected})`" if several else f"`{expected}`"
    if several:
        if not isinstance(returned, tuple) or len(step.returns) != len(returned):
            raise TypeError(f"{who} must return {expected}, and returned {describe(returned)}.")
        values = dict(zip(step.returns, returned, strict=True))
    else:
        values = dict.fromkeys(step.returns, returned)
    for name, value in values.items():
        if name == "states" and not isinstance(value, States):
            raise TypeError(f"{who} must return {expected}; its `states` is {describe(value)}, not `tg.States`.")
        if name == "logs" and not isinstance(value, Mapping):
            raise TypeError(f"{who} must return {expected}; its `logs` is {describe(value)}, not a dict.")
        if name == "entries" and not isinstance(value, list):
            raise TypeError(f"{who} must return a list of entries, and returned {describe(value)}.")
        if name == "loss":
            check_loss(who, value)


def check_loss(who: str, loss: PyTree) -> None:
    if not isinstance(loss, bool | int | float) and not (is_arraylike(loss) and loss.shape == ()):
        raise TypeError(f"{who} returned a loss that is {describe(loss)}; a scalar is expected.")
