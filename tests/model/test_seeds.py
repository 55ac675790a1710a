"""Randomness: keys differ where they should, and one seed gives the same bits."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg
from helpers import linear
from helpers.linear_models import X, Y, arrays, fitted, identical, predicted, regression


class Noisy(eqx.Module):
    linear: eqx.nn.Linear

    def __call__(self, x, key):
        return self.linear(x) + jax.random.normal(key, (2,))


def test_keys_differ_by_example():
    def words(x, key):
        return jax.random.key_data(key)

    model = tg.Model(words)
    found = np.asarray(model.predict(X, batch_size=4))
    assert len({tuple(row) for row in found}) == 10
    assert np.array_equal(found, model.predict(X, batch_size=4))


def test_keys_differ_from_step_to_step_and_from_epoch_to_epoch():
    seen = []

    class Telling(eqx.Module):
        linear: eqx.nn.Linear

        def __call__(self, x, key):
            jax.debug.callback(lambda data: seen.append(tuple(data.ravel().tolist())), jax.random.key_data(key))
            return self.linear(x)

    fitted(regression(Telling(linear())), epochs=3)
    jax.effects_barrier()
    assert len(seen) >= 30 and len(set(seen)) >= 30


def test_dropout_only_in_training():
    module = eqx.nn.Sequential([linear(), eqx.nn.Dropout(0.5)])
    model = regression(module)
    assert np.allclose(model.predict(X), predicted(module[0]), atol=1e-5)
    _, a = model.train_on_batch(X, Y)
    _, b = model.replace(seed=1).train_on_batch(X, Y)
    expected = np.mean((predicted(module[0]) - Y) ** 2)
    assert a["loss"] != b["loss"] and a["loss"] != pytest.approx(expected)
    assert model.evaluate(X, Y, verbose=0)["loss"] == pytest.approx(expected, rel=1e-5)


def test_same_seed_same_bits():
    a, history_a = regression(Noisy(linear())).fit(X, Y, batch_size=4, epochs=2, validation_split=0.3, verbose=0)
    b, history_b = regression(Noisy(linear())).fit(X, Y, batch_size=4, epochs=2, validation_split=0.3, verbose=0)
    assert identical(arrays(a), arrays(b))
    assert history_a.history == history_b.history
    assert identical(a.predict(X), b.predict(X))


@pytest.mark.parametrize("other", [43, jax.random.key(43), np.int64(43), jax.random.PRNGKey(43)], ids=str)
def test_another_seed(other):
    model = regression(Noisy(linear()))
    assert not identical(arrays(fitted(model).module), arrays(fitted(model.replace(seed=other)).module))


@pytest.mark.parametrize("same", [jax.random.key(42), np.int64(42), jnp.int32(42), jax.random.PRNGKey(42)], ids=str)
def test_a_seed_can_be_a_key(same):
    model = regression(Noisy(linear()))
    assert identical(arrays(fitted(model).module), arrays(fitted(model.replace(seed=same)).module))


@pytest.mark.parametrize("seed", [0, -1, 2**31, 2**32 - 1])
def test_every_integer_of_32_bits_is_a_seed(seed):
    assert regression(seed=seed).states.rng.shape == ()


def test_a_seed_of_more_bits():
    with pytest.raises(ValueError, match="`seed` is 1099511627776; an integer of 32 bits is expected"):
        regression(seed=2**40)


def test_a_key_of_another_kind():
    trained = fitted(regression(Noisy(linear()), seed=jax.random.key(0, impl="rbg")))
    assert str(jax.random.key_impl(trained.states.rng)) == "rbg"
