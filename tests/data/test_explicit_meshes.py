"""Meshes with explicit axes, which `jax.make_mesh` makes by default."""

from helpers import run_script

SCRIPT = """
import equinox as eqx, jax, jax.numpy as jnp, numpy as np, optax, treegy as tg
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

class Noisy(eqx.Module):
    linear: eqx.nn.Linear

    def __call__(self, x, *, key=None):
        return self.linear(x) + 0 * jax.random.normal(key, (2,))

def setting(kind):
    mesh = jax.make_mesh((4,), ("b",), (kind,))
    put = lambda array, *names: jax.device_put(array, NamedSharding(mesh, P(*names)))
    x, y = put(jnp.arange(128.0).reshape(32, 4) / 100, "b"), put(jnp.ones((32, 2)), "b")
    net = eqx.filter_shard(Noisy(eqx.nn.Linear(4, 2, key=jax.random.key(0))), NamedSharding(mesh, P()))
    mse = tg.losses.MeanSquaredError()
    return tg.Model(net, loss=mse, metrics=tg.metrics.R2Score(), optimizer=optax.sgd(0.1)), x, y

model, x, y = setting(AxisType.Explicit)
right = np.asarray(x) @ np.asarray(model.module.linear.weight).T + np.asarray(model.module.linear.bias)
assert np.allclose(model.predict_on_batch(x), right, atol=1e-5)
trained, logs = model.train_on_batch(x, y)
assert np.isclose(logs["loss"], np.mean((right - 1) ** 2), rtol=1e-5)
assert trained.test_on_batch(x, y)[1]["loss"] < logs["loss"]

def batches():
    yield x, y

for run in (
    lambda: model.fit(x, y, batch_size=8, verbose=0),
    lambda: model.fit(batches(), verbose=0),
    lambda: model.evaluate(x, y, batch_size=32, verbose=0),
    lambda: model.predict({"x": x}),
    lambda: model.fit(np.asarray(x), np.asarray(y), validation_data=(x, y), verbose=0),
):
    try:
        run()
    except tg.DataError as error:
        assert "split over the axis 'b' of a mesh" in str(error) and "AxisType.Auto" in str(error), error
    else:
        raise AssertionError("not refused")

model, x, y = setting(AxisType.Auto)  # what the message says
assert np.allclose(model.predict(x, batch_size=8), right, atol=1e-5)
assert np.isclose(model.evaluate(x, y, batch_size=8, verbose=0)["loss"], np.mean((right - 1) ** 2), rtol=1e-5)
model.fit(x, y, batch_size=8, verbose=0)
"""


def test_explicit_axes_work_on_batches_and_are_refused_by_the_loop():
    done = run_script(SCRIPT, devices=4)
    assert done.returncode == 0, done.stderr[-2000:]
