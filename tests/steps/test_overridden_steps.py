"""Steps as people write them: GANs, VAEs, their own gradients and optimizers."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import MSE, linear, numbers, predicted
from helpers.steps import X, Y, make


class GAN(tg.Model):
    """Two networks and two optimizers that take turns."""

    generator_optimizer: Any = eqx.field(kw_only=True)
    discriminator_optimizer: Any = eqx.field(kw_only=True)

    def states_step(self):
        states = super().states_step()
        params = states.net_params
        return states.update(
            generator_states=self.generator_optimizer.init(params["generator"]),
            discriminator_states=self.discriminator_optimizer.init(params["discriminator"]),
        )

    def pred_step(self, x, states):
        return jax.vmap(self.module["generator"])(x), states

    def train_step(self, x, y_true, states, initializing):
        if initializing:
            return {}, states
        params, static = states.net_params, states.net_states

        def scores(params: Any, samples: Any) -> Any:
            return jax.vmap(eqx.combine(params, static["discriminator"]))(samples)[:, 0]

        def generated(params: Any) -> Any:
            return jax.vmap(eqx.combine(params, static["generator"]))(x)

        def discriminator_loss(discriminator: Any) -> Any:
            fake = jax.lax.stop_gradient(generated(params["generator"]))
            real = jax.nn.softplus(-scores(discriminator, y_true))
            return jnp.mean(real) + jnp.mean(jax.nn.softplus(scores(discriminator, fake)))

        def generator_loss(generator: Any) -> Any:
            return jnp.mean(jax.nn.softplus(-scores(params["discriminator"], generated(generator))))

        d_loss, d_grads = jax.value_and_grad(discriminator_loss)(params["discriminator"])
        g_loss, g_grads = jax.value_and_grad(generator_loss)(params["generator"])
        d_updates, d_states = self.discriminator_optimizer.update(d_grads, states.discriminator_states)
        g_updates, g_states = self.generator_optimizer.update(g_grads, states.generator_states)
        params = {
            "generator": optax.apply_updates(params["generator"], g_updates),
            "discriminator": optax.apply_updates(params["discriminator"], d_updates),
        }
        states = states.update(net_params=params, discriminator_states=d_states, generator_states=g_states)
        return {"generator_loss": g_loss, "discriminator_loss": d_loss}, states


@pytest.mark.standard_promotion
def test_a_gan_of_two_networks_and_two_optimizers():
    noise, real = numbers(128, 2), 0.3 * numbers(128, 2, seed=1) + np.array([2.0, -1.0], np.float32)
    module = {
        "generator": eqx.nn.MLP(2, 2, 16, 1, key=jax.random.key(0)),
        "discriminator": eqx.nn.MLP(2, 1, 16, 1, key=jax.random.key(1)),
    }
    model = GAN(module, generator_optimizer=optax.adam(1e-2, b1=0.5), discriminator_optimizer=optax.adam(1e-2, b1=0.5))
    before = np.linalg.norm(np.mean(model.predict(noise), axis=0) - np.array([2, -1]))
    model, history = model.fit(noise, real, epochs=60, batch_size=32)
    assert list(history.history) == ["generator_loss", "discriminator_loss"]
    after = np.linalg.norm(np.mean(model.predict(noise), axis=0) - np.array([2, -1]))
    assert after < 0.4 * before
    assert model.predict(noise).shape == (128, 2)


class OwnOptimizer(tg.Model):
    """Brings its parameters, its gradient and its optimizer."""

    def train_step(self, x, y_true, states, initializing):
        optimizer = optax.sgd(0.1, momentum=0.9)
        if initializing:
            params = {"w": jnp.zeros((x.shape[1], y_true.shape[1])), "b": jnp.zeros((1, y_true.shape[1]))}
            return {}, states.update(net_params=params, optimizer_states=optimizer.init(params))

        def loss_of(params: Any) -> Any:
            return jnp.mean((y_true - x @ params["w"] - params["b"]) ** 2)

        loss, grads = jax.value_and_grad(loss_of)(states.net_params)
        updates, optimizer_states = optimizer.update(grads, states.optimizer_states)
        params = optax.apply_updates(states.net_params, updates)
        return {"mse": loss}, states.update(net_params=params, optimizer_states=optimizer_states)


def test_a_train_step_with_its_own_gradient_and_optimizer():
    y = X @ numbers(3, 2, seed=2) + 1
    model, history = OwnOptimizer().fit(X, y, epochs=100, batch_size=10)
    assert list(history.history) == ["mse"]
    assert history.history["mse"][0] == pytest.approx(np.mean(y**2), rel=1e-5)
    assert history.history["mse"][-1] < 1e-3
    np.testing.assert_allclose(model.parameters["w"], numbers(3, 2, seed=2), atol=0.1)


def test_overriding_train_step_alone_does_not_hide_that_nothing_can_be_evaluated():
    # A validation that can't be made is an error, not one that is left out.
    with pytest.raises(tg.MissingModule, match="has no module"):
        OwnOptimizer().fit(X, Y, validation_data=(X, Y))
    with pytest.raises(tg.MissingModule, match="has no module"):
        OwnOptimizer().fit(X, Y)[0].evaluate(X, Y)


class Clipped(tg.Model):
    limit: float = eqx.field(default=0.01, kw_only=True)

    def grad_step(self, **kwargs):
        loss, logs, states, grads = super().grad_step(**kwargs)
        norm = optax.tree.norm(grads)
        scale = jnp.minimum(1.0, self.limit / norm)
        return loss, {**logs, "grad_norm": norm}, states, jax.tree.map(lambda g: g * scale, grads)


def test_gradients_are_clipped_in_grad_step():
    chain = optax.chain(optax.clip_by_global_norm(0.01), optax.sgd(0.1))
    expected, _ = make(optimizer=chain).fit(X, Y, epochs=3, batch_size=5)
    model, history = make(Clipped).fit(X, Y, epochs=3, batch_size=5)
    assert history.history["grad_norm"][0] > 0.01
    np.testing.assert_allclose(model.module.weight, expected.module.weight, rtol=1e-5)
    unclipped, _ = make(Clipped, limit=1e6).fit(X, Y, epochs=3, batch_size=5)
    assert not np.allclose(unclipped.module.weight, expected.module.weight, rtol=1e-3)


@pytest.mark.standard_promotion
def test_optimizers_that_accumulate_gradients():
    optimizer = optax.MultiSteps(optax.sgd(0.1), every_k_schedule=2).gradient_transformation()
    twice, _ = make(optimizer=optimizer).fit(X, Y, batch_size=5, shuffle=False)
    once, _ = make().fit(X, Y, batch_size=10)
    np.testing.assert_allclose(twice.module.weight, once.module.weight, rtol=1e-5)


@pytest.mark.standard_promotion
def test_optimizers_that_ask_for_the_loss():
    optimizer = optax.chain(optax.sgd(0.0), optax.contrib.reduce_on_plateau(patience=1, factor=0.5))
    model, _ = make(optimizer=optimizer).fit(X, Y, epochs=6, batch_size=10)
    scale = model.states.optimizer_states[-1].scale
    assert 0 < float(scale) <= 0.25


class VAE(eqx.Module):
    encoder: eqx.nn.Linear
    decoder: eqx.nn.Linear

    def __init__(self):
        self.encoder, self.decoder = linear(6, 4), linear(2, 6, seed=1)

    def __call__(self, x, key, training):
        mean, log_std = jnp.split(self.encoder(x), 2)
        noise = jax.random.normal(key, mean.shape) if training else jnp.zeros_like(mean)
        return {"x": self.decoder(mean + jnp.exp(log_std) * noise), "mean": mean, "log_std": log_std, "noise": noise}


class KL(tg.Loss):
    def call(self, y_pred):
        mean, log_std = y_pred["mean"], y_pred["log_std"]
        return 0.5 * jnp.sum(mean**2 + jnp.exp(2 * log_std) - 2 * log_std - 1, axis=-1)


class Reconstruction(tg.Loss):
    def call(self, x, y_pred):
        return jnp.mean((x - y_pred["x"]) ** 2, axis=-1)


def test_a_vae_draws_noise_while_training():
    x = numbers(64, 2) @ numbers(2, 6, seed=3)
    model = tg.Model(VAE(), loss=[Reconstruction(), KL(weight=1e-3)], optimizer=optax.sgd(0.05))
    trained, history = model.fit(x, epochs=20, batch_size=16)
    assert list(history.history) == ["loss", "reconstruction_loss", "kl_loss"]
    assert history.history["reconstruction_loss"][-1] < 0.5 * history.history["reconstruction_loss"][0]
    np.testing.assert_array_equal(trained.predict(x)["noise"], 0)
    y_pred, _ = trained.pred_step(jnp.asarray(x), training=True)
    noise = np.asarray(y_pred["noise"])
    assert len(np.unique(noise)) == noise.size  # each example has a key of its own
    assert trained.evaluate(x) == trained.evaluate(x)


class Normalized(eqx.Module):
    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    last: eqx.nn.Linear

    def __init__(self):
        self.first, self.last = linear(3, 8), linear(8, 2, seed=1)
        self.norm = eqx.nn.BatchNorm(8, axis_name="batch", mode="ema", momentum=0.5)
        self.dropout = eqx.nn.Dropout(0.5)

    def __call__(self, x, state, key):
        x, state = self.norm(self.first(x), state)
        return self.last(self.dropout(jax.nn.relu(x), key=key)), state


def test_batch_norm_and_dropout_change_with_training_only():
    module, state = eqx.nn.make_with_state(Normalized)()
    model = tg.Model(module, loss=MSE(), state=state, optimizer=optax.sgd(0.05)).init(X, Y)
    before = jax.tree.map(np.asarray, model.states.state)
    trained, history = model.fit(X, Y, epochs=10, batch_size=5)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert not eqx.tree_equal(jax.tree.map(np.asarray, trained.state), before)
    # The old model and its state stay as they were, and usable.
    assert eqx.tree_equal(jax.tree.map(np.asarray, model.state), before)
    model.fit(X, Y, batch_size=5)

    # Outside training nothing is dropped, and an example doesn't depend on the others in its batch.
    first = trained.predict(X)
    np.testing.assert_array_equal(first, trained.predict(X))
    np.testing.assert_allclose(trained.predict(X, batch_size=1), first, rtol=1e-5, atol=1e-6)
    logs = trained.evaluate(X, Y, batch_size=3)
    assert logs["loss"] == pytest.approx(np.mean((Y - np.asarray(first)) ** 2), rel=1e-5)
    after, _ = trained.test_on_batch(X, Y)
    assert eqx.tree_equal(after.state, trained.state)
    # In training it does, and the noise is another each time.
    in_training, states = trained.pred_step(jnp.asarray(X), training=True)
    assert not np.allclose(np.asarray(in_training), first)
    assert not eqx.tree_equal(states.state, trained.state)
    # The network itself is in the mode in which it was given.
    assert trained.module.dropout.inference is False


def test_batch_norm_counts_the_examples_as_numpy_does():
    module, state = eqx.nn.make_with_state(Normalized)()
    model = tg.Model(module, loss=MSE(), state=state, optimizer=optax.sgd(0.0))
    model, _ = model.fit(X, Y, epochs=1, batch_size=10)
    hidden = predicted(module.first, X)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(model.state)]
    # The first batch sets the running mean and variance.
    assert any(leaf.shape == (8,) and np.allclose(leaf, hidden.mean(axis=0), atol=1e-5) for leaf in leaves)


def test_frozen_leaves_stay_as_they_are():
    frozen = eqx.tree_at(lambda m: m.weight, jax.tree.map(eqx.is_inexact_array, linear()), False)
    model, history = make(trainable=frozen, optimizer=optax.sgd(0.1, momentum=0.9)).fit(X, Y, epochs=5, batch_size=5)
    assert history.history["loss"][-1] < history.history["loss"][0]
    np.testing.assert_array_equal(model.module.weight, linear().weight)
    assert not eqx.tree_equal(model.module.bias, linear().bias)
    assert [leaf.shape for leaf in jax.tree.leaves(model.states.optimizer_states)] == [(2,)]


class Detached(tg.Model):
    def test_step(self, x, y_true, states):
        y_pred = jax.lax.stop_gradient(jax.vmap(self.module)(x))
        loss = jnp.mean((y_true - y_pred) ** 2)
        return loss, {"loss": loss}, states


class IntegerParameters(tg.Model):
    def test_step(self, x, states, initializing):
        if initializing:
            states = states.update(net_params={"w": jnp.ones(3), "n": jnp.int32(1)})
        loss = jnp.mean(x @ states.net_params["w"])
        return loss, {}, states


class NoParameters(tg.Model):
    def test_step(self, x, states):
        return jnp.mean(x), {}, states


@pytest.mark.parametrize(
    "model, message",
    [
        (make(Detached), "the loss doesn't depend on `net_params`"),
        (make(loss=None), "`Model` has no loss to train on"),
        (make(trainable=False), r"nothing to train.*`trainable` selects none of the module's"),
        (NoParameters(optimizer=optax.sgd(0.1)), "nothing to train.*there is no module"),
        (IntegerParameters(optimizer=optax.sgd(0.1)), r"`states.net_params\['n'\]` is i32\[\], which can't be trained"),
        (make(optimizer=None), "`Model` has no optimizer to train with"),
    ],
)
def test_training_that_would_change_nothing_is_an_error(model, message):
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y)
