"""What a callback's class is checked for when it is made, and how a callback is shown."""

import copy
import pickle
from typing import Any

import pytest

import treegy as tg
from treegy import callbacks as public

pytestmark = pytest.mark.once

# To be used wrongly.
callbacks: Any = public
Model: Any = tg.Model


def test_hooks_that_take_too_little_or_too_much_are_refused_where_the_class_is_made():
    def few(self: Any, epoch: int) -> None: ...

    def many(self: Any, logs: Any, more: Any) -> None: ...

    with pytest.raises(TypeError, match=r"`Few\.on_epoch_end\(self.*, epoch.*\).*` can't be called: it gets \(self"):
        type("Few", (public.Callback,), {"on_epoch_end": few})
    with pytest.raises(TypeError, match=r"`Many\.on_train_begin\(self.*, logs.*, more.*\).*` can't be called"):
        type("Many", (public.Callback,), {"on_train_begin": many})

    class Fine(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None, **rest):
            pass

        def on_train_begin(self, *args: Any):
            pass

    class Wrapped(callbacks.Callback):
        on_train_end = staticmethod(print)

    assert repr(Fine()) == "Fine()" and repr(Wrapped()) == "Wrapped()"


def test_callbacks_are_shown_as_they_were_made():
    stopping = callbacks.EarlyStopping("val_loss", patience=3)
    assert repr(stopping) == "EarlyStopping('val_loss', patience=3)"
    assert repr(callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)).startswith(
        "LambdaCallback(on_epoch_end"
    )
    assert len(repr(callbacks.CSVLogger("long" * 100))) < 100
    for again in (copy.deepcopy(stopping), pickle.loads(pickle.dumps(stopping))):
        assert repr(again) == repr(stopping)


def test_a_function_is_no_callback():
    with pytest.raises(TypeError, match=r"Of functions, `tg\.callbacks\.LambdaCallback\(on_epoch_end=\.\.\.\)` makes"):
        Model(lambda x: x).predict([[1.0]], callbacks=[lambda epoch, logs: None])
