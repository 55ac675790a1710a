"""Convolutions in loops on the CPU: programs rewritten to channels last compute what they computed."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np
import pytest
from jax.lax import conv_general_dilated as conv

from treegy._steps import _convolution_forms, _convolutions
from treegy._steps._convolutions import channels_last, convolutions, fast_in_loops, slow_in_loops, with_channels_last

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def _rewriting(monkeypatch):
    # Also where the tests run on a GPU, or with the rewriting switched off.
    monkeypatch.setattr(_convolutions, "_SWITCHED_ON", True)
    monkeypatch.setattr(_convolutions, "_on_cpu", lambda: True)
    # Small ones too.
    monkeypatch.setattr(_convolution_forms, "_LEAST", 0)


def _array(shape, dtype: Any = np.float32, seed=0):
    values = np.random.default_rng([seed, *shape]).normal(size=shape)
    return jnp.asarray(np.round(3 * values) if np.issubdtype(dtype, np.integer) else values, dtype)


def _slow(jaxpr):
    """The numbers of convolutions before and after, of those that are slow in loops."""
    new = with_channels_last(jaxpr)
    jex.check_jaxpr(new.jaxpr)
    assert new.in_avals == jaxpr.in_avals
    assert new.out_avals == jaxpr.out_avals
    return tuple(sum(not fast_in_loops(c) for c in convolutions(j.jaxpr)) for j in (jaxpr, new))


def _run(fn, *args):
    # Compiling is what takes the time here, and the faster way of it serves as well.
    return jax.jit(fn, compiler_options={"xla_backend_optimization_level": 0})(*args)


def _same(fn, *args, slow=None, rtol=1e-4):
    """`fn` and `fn` rewritten agree, and no slow convolution is left of the `slow` ones (or of at least one)."""
    before, after = _slow(jax.make_jaxpr(fn)(*args))
    assert after == 0
    assert before > 0 if slow is None else before == slow
    want = _run(fn, *args)
    _equal(want, _run(channels_last(fn), *args), rtol)
    return want


def _equal(want, got, rtol=1e-4):
    assert jax.tree.structure(want) == jax.tree.structure(got)
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(want), jax.tree.leaves(got), strict=True):
        where = jax.tree_util.keystr(path)
        assert (a.shape, a.dtype, a.weak_type) == (b.shape, b.dtype, b.weak_type), where
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        np.testing.assert_allclose(b, a, rtol=rtol, atol=rtol * max(1.0, float(np.abs(a).max())), err_msg=where)


def _with_gradients(fn):
    """Values of `fn(x, kernel)`, and the gradients of a sum in which every element has a weight of its own."""

    def run(x, kernel):
        out, pull = jax.vjp(fn, x, kernel)
        weights = jnp.cos(jnp.arange(out.size, dtype=jnp.float32)).reshape(out.shape).astype(out.dtype)
        return out, pull(weights)

    return run


def _each(fns):
    """One program for all."""

    def run(arrays):
        return jax.tree.map(lambda fn, a: _with_gradients(fn)(*a), fns, arrays)

    return run


# x, kernel, and arguments of `conv_general_dilated`. Axes lead with batch and channels, if not told otherwise.
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "1d": ((3, 4, 11), (5, 4, 3), dict(padding="SAME")),
    "1d strided": ((3, 4, 11), (5, 4, 3), dict(window_strides=(2,), padding="VALID")),
    "1d dilated": ((3, 4, 11), (5, 4, 3), dict(padding=[(3, 1)], rhs_dilation=(2,))),
    "2d": ((2, 3, 8, 9), (5, 3, 3, 2), dict(padding="SAME")),
    "2d valid": ((2, 3, 8, 9), (5, 3, 3, 2), dict(padding="VALID")),
    "2d uneven": ((2, 3, 8, 9), (5, 3, 3, 4), dict(window_strides=(2, 3), padding=[(0, 2), (1, 0)])),
    "2d negative padding": ((2, 3, 8, 9), (5, 3, 3, 2), dict(padding=[(-1, 0), (0, -2)])),
    "2d dilated": ((2, 3, 8, 9), (5, 3, 3, 2), dict(padding="SAME", rhs_dilation=(2, 3))),
    "2d transposed": ((2, 3, 4, 5), (5, 3, 4, 3), dict(padding=[(2, 2), (1, 1)], lhs_dilation=(2, 3))),
    "2d pointwise": ((2, 3, 4, 5), (5, 3, 1, 1), dict(padding="VALID")),
    "2d one channel": ((2, 1, 7, 6), (5, 1, 3, 3), dict(padding="SAME")),
    "2d everything": (
        (2, 4, 6, 7),
        (6, 2, 3, 2),
        dict(
            window_strides=(2, 1),
            padding=[(1, 2), (3, 0)],
            lhs_dilation=(1, 2),
            rhs_dilation=(2, 1),
            feature_group_count=2,
        ),
    ),
    "3d": ((2, 3, 5, 6, 4), (4, 3, 3, 2, 3), dict(window_strides=(1, 2, 1), padding="SAME")),
    "3d transposed": ((2, 3, 3, 3, 4), (4, 3, 2, 2, 2), dict(padding=[(1, 0), (0, 2), (1, 1)], lhs_dilation=(2, 1, 2))),
    "grouped": ((2, 6, 8, 7), (4, 3, 3, 3), dict(window_strides=(2, 2), padding="SAME", feature_group_count=2)),
    "batch grouped": ((6, 3, 7, 8), (4, 3, 3, 2), dict(padding="SAME", batch_group_count=2)),
    "batch grouped, strided": ((4, 3, 7), (8, 3, 3), dict(window_strides=(2,), padding="VALID", batch_group_count=4)),
    "batch grouped, one channel": ((6, 1, 7, 8), (6, 1, 3, 2), dict(padding="SAME", batch_group_count=6)),
    "NWC of a kernel OIW": ((2, 9, 3), (4, 3, 3), dict(padding="SAME", dimension_numbers=("NWC", "OIW", "NWC"))),
    "NHWC to NCHW": ((2, 7, 8, 3), (3, 2, 3, 5), dict(padding="SAME", dimension_numbers=("NHWC", "HWIO", "NCHW"))),
    "HWCN": ((7, 8, 3, 2), (3, 5, 2, 3), dict(padding="SAME", dimension_numbers=("HWCN", "HOWI", "CNHW"))),
    "space in another order": (
        (7, 2, 8, 3),
        (3, 5, 2, 3),
        dict(window_strides=(2, 1), padding=[(1, 0), (0, 3)], dimension_numbers=("HNWC", "IOWH", "WNCH")),
    ),
    "batch inside, grouped": (
        (7, 3, 6, 8),
        (3, 2, 3, 4),
        dict(padding="SAME", batch_group_count=2, dimension_numbers=("HCNW", "IWHO", "WHNC")),
    ),
    "DHWNC": (
        (4, 5, 6, 2, 3),
        (4, 2, 3, 2, 3),
        dict(padding="SAME", dimension_numbers=("DHWNC", "OHDWI", "NDCHW")),
    ),
}


def test_values_and_gradients():
    fns, arrays = {}, {}
    for name, (x, kernel, options) in CASES.items():
        fns[name] = functools.partial(conv, **{"window_strides": (1,) * (len(x) - 2)} | options)
        arrays[name] = _array(x), _array(kernel)
    _same(_each(fns), arrays)


def test_any_order_of_dimensions():
    rng = np.random.default_rng(0)

    def case(ndim):
        specs = tuple(jax.lax.ConvDimensionNumbers(*(tuple(map(int, rng.permutation(ndim))) for _ in range(3))))
        groups = {str(rng.choice(["feature_group_count", "batch_group_count"])): int(rng.choice([1, 2, 3]))}
        sizes = (6, 6, *rng.integers(4, 7, ndim - 2))
        inputs = 6 // groups.get("feature_group_count", 1)
        kernel_sizes = (6, inputs, *rng.integers(1, 4, ndim - 2))
        shapes = [[0] * ndim, [0] * ndim]
        for shape, spec, of in zip(shapes, specs, (sizes, kernel_sizes), strict=False):
            for at, size in zip(spec, of, strict=True):
                shape[at] = int(size)
        options = dict(
            window_strides=tuple(map(int, rng.integers(1, 3, ndim - 2))),
            padding=[tuple(map(int, rng.integers(0, 3, 2))) for _ in range(ndim - 2)],
            lhs_dilation=tuple(map(int, rng.integers(1, 3, ndim - 2))),
            rhs_dilation=tuple(map(int, rng.integers(1, 3, ndim - 2))),
            dimension_numbers=jax.lax.ConvDimensionNumbers(*specs),
            **groups,
        )
        return _array(shapes[0]), _array(shapes[1]), functools.partial(conv, **options)

    cases = [case(ndim) for ndim in (3, 4, 5) for _ in range(3)]
    _same(_each([fn for _, _, fn in cases]), [(x, k) for x, k, _ in cases])


def test_what_is_in_order_is_left_alone():
    fn = functools.partial(conv, window_strides=(1, 1), padding="SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    jaxpr = jax.make_jaxpr(fn)(_array((2, 7, 8, 4)), _array((3, 3, 4, 6)))
    assert with_channels_last(jaxpr) is jaxpr


def _forms(fn, *args):
    """The names of the forms that a function's convolutions are given."""
    found = [_convolutions._form(eqn) for eqn in convolutions(jax.make_jaxpr(fn)(*args).jaxpr)]
    return [form.__name__ if form is not None else None for form in found]


# Groups, channels of each, kernels of each, the kernel's size, and the forms of: forwards, gradients of both.
GROUPED: dict[str, tuple[int, int, int, tuple[int, ...], list[str | None]]] = {
    "depthwise": (4, 1, 1, (3, 3), ["products_of_shifts", "products_of_shifts", "sums_of_products"]),
    "depthwise, several kernels a channel": (
        (3, 1, 2, (3, 2), ["products_of_shifts", "products_of_shifts", "sums_of_products"])
    ),
    "depthwise, one dimension": (4, 1, 1, (5,), ["products_of_shifts", "products_of_shifts", "sums_of_products"]),
    "depthwise, three dimensions": (
        (2, 1, 1, (2, 3, 2), ["products_of_shifts", "products_of_shifts", "sums_of_products"])
    ),
    "depthwise, a large kernel": (3, 1, 1, (5, 5), ["products_of_shifts", "products_of_shifts", None]),
    "depthwise, a kernel that is larger still": (2, 1, 1, (12, 12), [None, None, None]),
    "few channels": (2, 4, 3, (3, 3), ["products_of_shifts", "products_of_shifts", "by_group"]),
    "many channels": (2, 9, 9, (3, 3), ["by_group", "by_group", "by_group"]),
    "many kernels": (2, 2, 9, (3, 3), ["products_of_shifts", "by_group", "by_group"]),
    "many groups": (33, 9, 9, (1, 1), [None, None, None]),
}


@pytest.mark.once
@pytest.mark.parametrize("name", GROUPED)
@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"window_strides": 2, "lhs_dilation": 3}, marks=pytest.mark.slow),
        pytest.param({"window_strides": 2}, marks=pytest.mark.slow),
        pytest.param({"rhs_dilation": 2}, marks=pytest.mark.slow),
        pytest.param({"lhs_dilation": 3}, marks=pytest.mark.slow),
    ],
)
def test_groups(name, options):
    groups, channels, kernels, size, forms = GROUPED[name]
    ndim = len(size)
    options = {"window_strides": 1, **options}
    arguments: Any = {key: (value,) * ndim for key, value in options.items()}
    fn = functools.partial(conv, padding=[(1, 2)] * ndim, feature_group_count=groups, **arguments)
    x = _array((11, groups * channels, *(25, 24, 9)[:ndim]))
    kernel = _array((groups * kernels, channels, *size))
    assert sorted(_forms(_with_gradients(fn), x, kernel), key=str) == sorted(forms, key=str)
    want = _run(_with_gradients(fn), x, kernel)
    _equal(want, _run(channels_last(_with_gradients(fn)), x, kernel))


@pytest.mark.once
@pytest.mark.parametrize("name", [name for name, row in GROUPED.items() if any(row[4])])
@pytest.mark.parametrize("value", [np.inf, pytest.param(np.nan, marks=pytest.mark.slow)])
@pytest.mark.parametrize("where", [0, 1], ids=["the input", "the kernel"])
def test_what_is_not_finite_stays_in_its_group(name, value, where):
    groups, channels, kernels, size, _ = GROUPED[name]
    fn = functools.partial(conv, padding="VALID", feature_group_count=groups, window_strides=(1,) * len(size))
    x = np.array(_array((3, groups * channels, *(25, 24, 9)[: len(size)])))
    kernel = np.array(_array((groups * kernels, channels, *size)))
    clean = _run(channels_last(_with_gradients(fn)), x, kernel)
    # In the first group.
    [x, kernel][where][(slice(None), slice(channels)) if where == 0 else slice(kernels)] = value
    out, (of_x, of_kernel) = _run(channels_last(_with_gradients(fn)), x, kernel)
    np.testing.assert_array_equal(out[:, kernels:], clean[0][:, kernels:])
    np.testing.assert_array_equal(of_x[:, channels:], clean[1][0][:, channels:])
    np.testing.assert_array_equal(of_kernel[kernels:], clean[1][1][kernels:])


@pytest.mark.once
@pytest.mark.parametrize("name", [name for name, row in GROUPED.items() if any(row[4])])
@pytest.mark.parametrize("dtype, rtol", [(jnp.bfloat16, 3e-2), pytest.param(jnp.float16, 4e-3, marks=pytest.mark.slow)])
def test_groups_in_half_precision(name, dtype, rtol):
    groups, channels, kernels, size, _ = GROUPED[name]
    fn = functools.partial(conv, padding="SAME", feature_group_count=groups, window_strides=(1,) * len(size))
    x = _array((9, groups * channels, *(25, 24, 9)[: len(size)])).astype(dtype)
    kernel = _array((groups * kernels, channels, *size)).astype(dtype)
    found = _run(channels_last(_with_gradients(fn)), x, kernel)
    exact = _run(_with_gradients(fn), x.astype(jnp.float32), kernel.astype(jnp.float32))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(exact), strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(np.float32(a), b, rtol=rtol, atol=rtol * float(np.abs(b).max()))


def test_small_ones_are_left_alone(monkeypatch):
    monkeypatch.setattr(_convolution_forms, "_LEAST", 1_000_000)
    fn = functools.partial(conv, window_strides=(1, 1), padding="SAME", feature_group_count=8)
    kernel = _array((8, 1, 3, 3))
    assert _forms(fn, _array((4, 8, 60, 60)), kernel) == ["products_of_shifts"]
    small = jax.make_jaxpr(fn)(_array((4, 8, 50, 50)), kernel)
    assert with_channels_last(small) is small


def test_a_program_of_groups_keeps_no_slow_convolution():
    fn = functools.partial(conv, window_strides=(2, 1), padding="SAME", feature_group_count=4)
    for out in (4, 8):
        x, kernel = _array((3, 4, 8, 7)), _array((out, 1, 3, 3))
        both = convolutions(jax.make_jaxpr(_with_gradients(fn))(x, kernel).jaxpr)
        assert sorted(c.params["batch_group_count"] for c in both) == [1, 1, 4]
        _same(_with_gradients(fn), x, kernel, slow=3)
        assert not list(convolutions(with_channels_last(jax.make_jaxpr(_with_gradients(fn))(x, kernel)).jaxpr))


@pytest.mark.parametrize("dtype, rtol", [(jnp.bfloat16, 2e-2), (jnp.float16, 2e-3), (jnp.complex64, 1e-4)])
def test_dtypes(dtype, rtol):
    x, kernel = _array((2, 3, 8, 9), dtype), _array((5, 3, 3, 2), dtype)
    fn = functools.partial(conv, window_strides=(1, 2), padding="SAME")
    if dtype is jnp.complex64:
        _same(lambda x, k: (jnp.real(fn(x, k)), jnp.imag(fn(x, k * 1j))), x, kernel)
    else:
        _same(_with_gradients(fn), x, kernel, rtol=rtol)


def test_integers_and_other_accumulators():
    x, kernel = _array((2, 3, 8, 9), np.int8), _array((5, 3, 3, 2), np.int8)
    _same(lambda x, k: conv(x, k, (1, 1), "SAME", preferred_element_type=jnp.int32), x, kernel, rtol=0)
    x, kernel = x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16)
    _same(lambda x, k: conv(x, k, (1, 1), "SAME", preferred_element_type=jnp.float32), x, kernel)


def test_other_parameters_are_kept():
    def fn(x, k):
        return conv(x, k, (1, 1), "SAME", precision=("float32", "bfloat16"), preferred_element_type=jnp.float32)

    jaxpr = jax.make_jaxpr(fn)(_array((2, 3, 8, 9)), _array((5, 3, 3, 2)))
    (old,), (new,) = (list(convolutions(j.jaxpr)) for j in (jaxpr, with_channels_last(jaxpr)))
    changed = {name for name in old.params if old.params[name] != new.params[name]}
    assert changed == {"dimension_numbers"}
    assert new.params.keys() == old.params.keys()


def test_the_context_is_kept():
    def fn(x, k):
        with jax.named_scope("here"):
            return conv(x, k, (1, 1), "SAME")

    x, k = _array((2, 3, 8, 9)), _array((5, 3, 3, 2))
    jaxpr = with_channels_last(jax.make_jaxpr(fn)(x, k))
    assert {str(eqn.source_info.name_stack) for eqn in jaxpr.eqns} == {"here"}
    # Names of operations are what profilers show.
    assert "here/conv_general_dilated" in jax.jit(channels_last(fn)).lower(x, k).as_text(debug_info=True)


class _Net(eqx.Module):
    layers: list[Any]
    head: eqx.nn.Linear

    def __init__(self, layers):
        self.layers = layers
        self.head = eqx.nn.Linear(layers[-1].out_channels, 3, key=jax.random.key(9))

    def __call__(self, x):
        for layer in self.layers:
            x = jax.nn.tanh(layer(x))
        return self.head(x.mean(range(1, x.ndim)))


def _net(kind, key=0):
    k = iter(jax.random.split(jax.random.key(key), 3))
    return _Net(
        {
            "1d": lambda: [eqx.nn.Conv1d(2, 4, 3, key=next(k)), eqx.nn.Conv1d(4, 5, 3, stride=2, key=next(k))],
            "2d": lambda: [eqx.nn.Conv2d(2, 4, 3, key=next(k)), eqx.nn.Conv2d(4, 5, 3, dilation=2, key=next(k))],
            "3d": lambda: [eqx.nn.Conv3d(2, 4, 2, padding=1, key=next(k))],
            "transposed": lambda: [eqx.nn.ConvTranspose2d(2, 4, 3, stride=2, output_padding=1, key=next(k))],
            "grouped": lambda: [
                eqx.nn.Conv2d(2, 4, 3, groups=2, key=next(k)),
                eqx.nn.Conv2d(4, 8, 3, groups=2, key=next(k)),
            ],
            "depthwise": lambda: [eqx.nn.Conv2d(2, 6, 3, groups=2, key=next(k)), eqx.nn.Conv2d(6, 4, 1, key=next(k))],
        }[kind]()
    )


_SHAPES = {"1d": (4, 2, 9), "3d": (4, 2, 4, 5, 4)}


def _step(net, x, y, rate=0.1):
    arrays, rest = eqx.partition(net, eqx.is_array)

    def loss(arrays):
        return jnp.mean((jax.vmap(eqx.combine(arrays, rest))(x) - y) ** 2)

    value, gradients = jax.value_and_grad(loss)(arrays)
    return jax.tree.map(lambda a, g: a - rate * g, arrays, gradients), value


def test_layers_of_equinox():
    def steps(nets, data):
        return {kind: _step(net, *data[kind]) for kind, net in nets.items()}

    kinds = ["1d", "2d", "3d", "transposed", "grouped", "depthwise"]
    data = {kind: (_array(_SHAPES.get(kind, (4, 2, 9, 8))), _array((4, 3))) for kind in kinds}
    nets = {kind: _net(kind) for kind in kinds}
    arrays, rest = eqx.partition(nets, eqx.is_array)
    _same(lambda arrays, data: steps(eqx.combine(arrays, rest), data), arrays, data)


@pytest.mark.parametrize("kind", ["2d", "depthwise"])
def test_many_networks_at_once(kind):
    # Kernels with a batch axis of their own: groups of features forwards, groups of examples backwards.
    nets = [eqx.filter(_net(kind, key), eqx.is_array) for key in range(3)]
    rest = eqx.filter(_net(kind), eqx.is_array, inverse=True)
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *nets)

    def each(arrays, x, y):
        return _step(eqx.combine(arrays, rest), x, y)

    x, y = _array((4, 2, 9, 8)), _array((4, 3))
    _same(jax.vmap(each, in_axes=(0, None, None)), stacked, x, y)


_X, _K = _array((2, 3, 6, 7)), _array((3, 3, 3, 3))


def _plain(x, k):
    return jnp.tanh(conv(x, k, (1, 1), "SAME"))


@jax.custom_jvp
def _own_jvp(x, k):
    return _plain(x, k)


@_own_jvp.defjvp
def _(primals, tangents):
    out, tangent = jax.jvp(_plain, primals, tangents)
    return out, 2 * tangent


@jax.custom_vjp
def _own_vjp(x, k):
    return _plain(x, k)


_own_vjp.defvjp(lambda x, k: (_plain(x, k), (x, k)), lambda kept, g: jax.vjp(_plain, *kept)[1](3 * g))


def _scan(x, k):
    return jax.lax.scan(lambda c, row: (_plain(c, k) + row, c.sum()), x, _array((3, 1, 1, 1, 1)))[0]


def _fori(x, k):
    return jax.lax.fori_loop(0, 3, lambda i, c: _plain(c, k) + i.astype(jnp.float32), x)


def _while(x, k):
    return jax.lax.while_loop(lambda c: _plain(c, k).sum() < -1e9, lambda c: _plain(c, k), x) + _plain(x, k)


def _cond(x, k):
    return jax.lax.cond(x.sum() < 0, lambda x: _plain(x, k), lambda x: _plain(2 * x, k), x)


def _switch(x, k):
    return jax.lax.switch(jnp.int32(1), [lambda x: x, lambda x: _plain(x, k), lambda x: _plain(-x, k)], x)


def _solve(x, k):
    def matvec(v):
        return v + 0.01 * conv(v, k, (1, 1), "SAME")

    return jax.lax.custom_linear_solve(matvec, x, lambda mv, b: 2 * b - mv(b), lambda mv, b: 2 * b - mv(b))


def _deep(x, k):
    @jax.jit
    @jax.checkpoint
    def inner(c, k):
        return jax.lax.cond(c.sum() < 0, _own_vjp, _own_jvp, c, k)

    return jax.lax.scan(lambda c, _: (inner(c, k), None), x, length=2)[0]


INSIDE = {
    "jit": jax.jit(_plain),
    "inlined jit": jax.jit(_plain, inline=True),
    "scan": _scan,
    "fori_loop": _fori,
    "cond": _cond,
    "switch": _switch,
    "remat": jax.checkpoint(_plain),
    "remat with a policy": jax.checkpoint(_plain, policy=jax.checkpoint_policies.dots_saveable),
    "custom_jvp": _own_jvp,
    "custom_vjp": _own_vjp,
    "custom_linear_solve": _solve,
    "all": _deep,
}


@pytest.mark.parametrize("name", INSIDE)
def test_inside(name):
    fn = INSIDE[name]
    want = _same(_with_gradients(fn), _X, _K)
    # Differentiated after rewriting.
    _equal(want, _run(_with_gradients(channels_last(fn)), _X, _K))


@pytest.mark.parametrize("name", ["custom_jvp", "custom_vjp", "while"])
def test_inside_without_gradients(name):
    # Custom rules are still there, and a `while_loop` has no reverse mode.
    _same(_while if name == "while" else INSIDE[name], _X, _K, slow=3 if name == "while" else 1)


def test_vmapped_after_rewriting():
    x = jnp.stack([_X, 2 * _X])
    want = jax.vmap(_deep, in_axes=(0, None))(x, _K)
    np.testing.assert_allclose(jax.vmap(channels_last(_deep), in_axes=(0, None))(x, _K), want, rtol=1e-5, atol=1e-5)


def test_in_a_loop_of_which_only_the_running_program_knows_the_length():
    net, xs, ys = _net("2d"), _array((5, 4, 2, 9, 8)), _array((5, 4, 3))
    arrays, rest = eqx.partition(net, eqx.is_array)
    step = jax.jit(lambda arrays, x, y: _step(eqx.combine(arrays, rest), x, y))

    @jax.jit
    def run(arrays, n):
        return jax.lax.fori_loop(0, n, lambda i, a: channels_last(step)(a, xs[i], ys[i])[0], arrays)

    want = arrays
    for x, y in zip(xs[:4], ys[:4], strict=True):
        want = step(want, x, y)[0]
    got = run(arrays, np.int32(4))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5), want, got)
    # All of them are in the loop, and all are as they should be.
    inside = list(convolutions(jax.make_jaxpr(run)(arrays, 4).jaxpr))
    assert len(inside) == 5
    assert all(map(fast_in_loops, inside))


def test_without_convolutions_nothing_changes():
    @jax.checkpoint
    def fn(x):
        return jax.lax.scan(lambda c, _: (jax.lax.cond(True, jnp.sin, jnp.cos, c), jax.jit(jnp.tanh)(c)), x, length=3)

    jaxpr = jax.make_jaxpr(jax.grad(lambda x: sum(jnp.sum(a) for a in fn(x))))(_array((3,)))
    assert with_channels_last(jaxpr) is jaxpr
    assert with_channels_last(jaxpr.jaxpr) is jaxpr.jaxpr


def test_trees_statics_constants_and_weak_types():
    table = _array((2, 3, 6, 7), seed=5)  # captured, as a loss does with its class weights

    def fn(flag, tree, number):
        (x, nothing), k = tree["in"], tree["kernel"]
        assert nothing is None
        out = conv(x + table, k, (1, 1), "SAME")
        return {"out": (out * number, None, out if flag else out.sum()), "same": x, "one": number, "constant": 1.0}

    tree = {"in": (_X, None), "kernel": _K}
    for flag in (True, False):
        _same(functools.partial(fn, flag), tree, jnp.float32(2))
        _same(functools.partial(fn, flag), tree, 2.0)  # weakly typed
    flagged = functools.partial(jax.jit(fn, static_argnums=0), True)
    _same(flagged, tree, 2.0)

    # Also of a value that is itself being traced.
    @jax.jit
    def outer(scale):
        return channels_last(lambda x: conv(x * scale, _K, (1, 1), "SAME"))(_X)

    np.testing.assert_allclose(outer(2.0), conv(2 * _X, _K, (1, 1), "SAME"), rtol=1e-4, atol=1e-4)


def test_python_runs_once():
    runs = 0

    @jax.jit
    def step(x, k):
        nonlocal runs
        runs += 1
        return _plain(x, k)

    shapes = step.eval_shape(_X, _K)
    assert runs == 1

    @jax.jit
    def run(x, n):
        return jax.lax.fori_loop(0, n, lambda i, c: channels_last(step)(c, _K), x)

    assert run(_X, np.int32(2)).shape == shapes.shape
    assert not slow_in_loops(step, _X, _K)
    assert runs == 1

    def plain(x, k):
        nonlocal runs
        runs += 1
        return _plain(x, k)

    jax.jit(channels_last(plain))(_X, _K)
    assert runs == 2


def test_what_is_shared_stays_shared():
    inner = jax.jit(_plain)
    jaxpr = with_channels_last(jax.make_jaxpr(lambda x, k: inner(inner(x, k), k))(_X, _K))
    first, second = (eqn.params["jaxpr"] for eqn in jaxpr.eqns)
    assert first is second


def test_what_is_donated_stays_donated():
    @functools.partial(jax.jit, donate_argnums=0)
    def fn(x, k):
        return x + _plain(x, k)

    jaxpr = jax.make_jaxpr(fn)(_X, _K)
    new = with_channels_last(jaxpr)
    assert new is not jaxpr
    assert new.eqns[0].params["donated_invars"] == jaxpr.eqns[0].params["donated_invars"] == (True, False)


def test_effects_are_kept():
    def fn(x, k):
        x = conv(x, k, (1, 1), "SAME")
        jax.debug.callback(lambda v: seen.append(float(v)), x.sum())
        return x

    seen: list[float] = []
    jaxpr = jax.make_jaxpr(fn)(_X, _K)
    assert with_channels_last(jaxpr).effects == jaxpr.effects
    jax.block_until_ready(jax.jit(channels_last(fn))(_X, _K))
    jax.effects_barrier()
    assert len(seen) == 1


def test_switched_off_and_elsewhere(monkeypatch):
    plain = jax.make_jaxpr(_deep)(_X, _K)
    assert str(jax.make_jaxpr(channels_last(_deep))(_X, _K)) != str(plain)
    assert not slow_in_loops(_deep, _X, _K)
    with monkeypatch.context() as patch:
        patch.setattr(_convolutions, "_SWITCHED_ON", False)
        assert str(jax.make_jaxpr(channels_last(_deep))(_X, _K)) == str(plain)
        assert slow_in_loops(_deep, _X, _K)
    with monkeypatch.context() as patch:
        patch.setattr(_convolutions, "_on_cpu", lambda: False)
        assert str(jax.make_jaxpr(channels_last(_deep))(_X, _K)) == str(plain)
        assert not slow_in_loops(_deep, _X, _K)


def test_the_backend_is_that_of_new_arrays(monkeypatch):
    monkeypatch.undo()
    assert _convolutions._on_cpu() is (jax.default_backend() == "cpu")
    with jax.default_device(jax.devices("cpu")[0]):
        assert _convolutions._on_cpu()
    with jax.default_device("cpu"):
        assert _convolutions._on_cpu()


def test_what_cannot_be_rewritten_is_left_as_it_is(monkeypatch):
    def broken(*args):
        raise AttributeError("no such attribute")

    monkeypatch.setattr(_convolutions, "_convolution", broken)
    with pytest.warns(UserWarning, match=r"can't be rewritten.*AttributeError.*TREEGY_REWRITE_CONVOLUTIONS=0"):
        out = channels_last(_plain)(_X, _K)
    np.testing.assert_array_equal(out, _plain(_X, _K))
    with pytest.warns(UserWarning, match="can't be rewritten"):
        assert slow_in_loops(_plain, _X, _K)


def test_convolutions_of_another_type_are_left_as_they_are(monkeypatch):
    # As an explicit sharding would make them: the rewritten equation wouldn't fit into its place.
    monkeypatch.setattr(_convolutions, "_conv", lambda lhs, rhs, params, out: jnp.zeros((1,)))
    jaxpr = jax.make_jaxpr(_plain)(_X, _K)
    assert with_channels_last(jaxpr) is jaxpr
