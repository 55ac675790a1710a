"""What a model says of attributes that it doesn't have, those of Keras, PyTorch and Lightning among them."""

from typing import Any

import pytest

import treegy as tg
from helpers import linear
from helpers.linear_models import regression

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    "name, mend",
    [
        ("compile", r"pass `loss=`, `metrics=` and `optimizer=` to `tg\.Model\(\.\.\.\)`"),
        ("state_dict", r"`model\.save\(path\)` writes everything"),
        ("eval", "nothing is switched"),
        ("training_step", "a class of yours overrides `pred_step`"),
        ("weight", r"its network does, `model\.module\.weight`"),
        ("evalute", r"Did you mean `evaluate`\?"),
        ("nothing_like_it", r"$"),
    ],
)
def test_attributes_that_are_elsewhere(name: str, mend: str):
    model: Any = regression()
    assert not hasattr(model, name)
    with pytest.raises(AttributeError, match=f"'Model' object has no attribute '{name}'.*{mend}"):
        getattr(model, name)


def test_python_and_its_libraries_find_out_what_they_look_for():
    model: Any = regression()
    for name in ("__array__", "__jax_array__", "_repr_html_", "_nothing"):
        assert not hasattr(model, name)


def test_what_a_class_computes_may_be_missing():
    class Own(tg.Model[Any]):
        @property
        def broken(self) -> Any:
            return getattr(object(), "nothing")  # noqa: B009

    own = Own(linear())
    with pytest.raises(AttributeError, match="has no attribute 'nothing'$"):
        own.broken  # noqa: B018
