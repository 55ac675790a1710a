"""What losses and metrics are made with and never trace: integers and flags, checked when they are made."""

import dataclasses
import inspect
from typing import Any, cast

import numpy as np
import pytest

import treegy as tg
from helpers.every_loss_and_metric import data_for

CLASSES = [
    cls
    for module in (tg.losses, tg.metrics)
    for cls in (getattr(module, name) for name in dir(module))
    if isinstance(cls, type) and issubclass(cls, tg.Loss | tg.Metric)
]


def converters(*annotations: Any) -> list[Any]:
    """How values of such fields are read, of every class."""
    return [
        pytest.param(
            field.name, field.metadata.get("converter"), field.type is not int, id=f"{cls.__name__}.{field.name}"
        )
        for cls in CLASSES
        for field in dataclasses.fields(cls)
        if field.type in annotations
    ]


@pytest.mark.parametrize("name, convert, optional", converters(int, int | None))
def test_integers(name: str, convert: Any, optional: bool):
    three = convert(np.int64(3))
    assert (type(three), three, convert(3)) == (int, 3, 3)
    assert not optional or convert(None) is None
    for bad in ("a", 2.5, 2.0, True, np.array([1]), [1], *(() if optional else (None,))):
        with pytest.raises(TypeError, match=f"`{name}` is .*, an integer, and got "):
            convert(bad)


@pytest.mark.parametrize("name, convert, optional", converters(bool))
def test_flags(name: str, convert: Any, optional: bool):
    assert (convert(np.True_), convert(False)) == (True, False)
    for bad in ("yes", 1, None):
        with pytest.raises(TypeError, match=f"`{name}` is True or False, and got "):
            convert(bad)


@pytest.mark.parametrize(
    "name, convert",
    [
        pytest.param(field.name, field.metadata.get("converter"), id=f"{cls.__name__}.{field.name}")
        for cls in CLASSES
        for field in dataclasses.fields(cls)
        if field.metadata.get("static") and field.init
    ],
)
def test_what_is_static_is_no_array(name: str, convert: Any):
    """Equinox would warn of it, and JAX fail much later, as it compares what is static."""
    try:
        found = convert(np.zeros(3))
    except (TypeError, ValueError) as error:
        assert f"`{name}`" in str(error)
    else:
        assert isinstance(found, tuple) and all(type(each) is float for each in found)


@pytest.mark.parametrize(
    "function, option",
    [
        pytest.param(function, option.name, id=f"{name}.{option.name}")
        for name, function in ((name, getattr(tg.losses, name)) for name in dir(tg.losses))
        if inspect.isfunction(function)
        for option in inspect.signature(function).parameters.values()
        if isinstance(option.default, str)
    ],
)
def test_functions_take_no_word_that_they_do_not_know(function: Any, option: str):
    cls = next(cls for cls in CLASSES if cls.__name__.lower() == function.__name__.replace("_", ""))
    given = {k: v for k, v in data_for(cls).items() if k in inspect.signature(function).parameters}
    with pytest.raises(ValueError, match=f"`{option}` is one of .*, and got 'no such word'"):
        function(**given, **{option: "no such word"})


def test_arrays_of_numpy_are_lists():
    assert tg.metrics.AUC(thresholds=np.array([0.5, 0.2])).thresholds == (0.5, 0.2)
    assert tg.metrics.AUC(multi_label=True, label_weights=np.array([1, 2])).label_weights == (1.0, 2.0)
    assert tg.metrics.IoU(3, np.array([0, 2])).target_class_ids == (0, 2)
    assert tg.metrics.Bootstrap(tg.metrics.Mean(), quantiles=np.array([0.5, 0.9])).quantiles == (0.5, 0.9)
    assert tg.losses.Dice(axis=np.array([1, 2])).axis == (1, 2)


def test_what_are_no_lists_of_numbers():
    with pytest.raises(TypeError, match="`axis` is an axis, or a list of them, an integer, and got 'a'"):
        tg.losses.Dice(axis="a")
    for bad in ("x", ["x"], None):
        with pytest.raises(TypeError, match="`quantiles` are numbers from 0 to 1, and got"):
            tg.metrics.Bootstrap(tg.metrics.Mean(), quantiles=bad)
    with pytest.raises(TypeError, match="`thresholds` is a list of numbers from 0 to 1, and got"):
        tg.metrics.AUC(thresholds=cast(Any, "x"))
