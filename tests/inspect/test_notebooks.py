"""What a notebook shows."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
import rich.console

import treegy as tg

pytestmark = pytest.mark.once


def test_a_summary_is_shown_once_and_can_be_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    model = tg.Model(eqx.nn.MLP(3, 2, 4, 1, key=jax.random.key(0)))
    summary = model.summary(jnp.zeros((4, 3)))
    expected = str(summary)
    # As in a kernel of Jupyter, where Rich would show tables by itself.
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    assert str(summary) == repr(summary) == expected and ".layers[0]" in expected
    assert "<table>" in summary._repr_html_()
    assert capsys.readouterr().out == ""
