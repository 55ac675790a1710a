"""`DTypePolicy`: in which precision a module computes, and what keeps its gradients from vanishing there."""

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._checks import number
from .._describe import describe, dtype_name, is_arraylike, path_name
from .._types import DTypeLike, LossScale, PyTree
from ._states import States

_FIRST_SCALE, _GROWS_AFTER, _FACTOR, _MOST = 2.0**15, 2000, 2.0, 2.0**100


@dataclasses.dataclass(frozen=True, init=False)
class DTypePolicy:
    """In which precision a module computes, and in which its parameters are kept.

    Parameters and inputs are cast to `compute` where the module is called, and what it returns is cast back.
    Parameters, the optimizer's states, averages, losses, metric values and the `eqx.nn.State` stay in `params`: small
    updates aren't lost. `eqx.nn.BatchNorm` computes in `params`, too, and returns `compute`. Whoever overrides
    `pred_step` casts there.

    !!! example

        ```python
        import equinox as eqx
        import jax
        import jax.numpy as jnp
        import optax
        import treegy as tg

        model = tg.Model(
            eqx.nn.MLP(8, 3, 16, 1, key=jax.random.key(0)),
            loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
            optimizer=optax.adam(1e-3),
            dtype_policy=tg.DTypePolicy(compute=jnp.bfloat16),
        )
        ```

    ??? cite

        ```bibtex
        @inproceedings{micikevicius2018mixed,
            title={Mixed Precision Training},
            author={Micikevicius, Paulius and Narang, Sharan and Alben, Jonah and Diamos, Gregory and Elsen, Erich and
                others},
            booktitle={International Conference on Learning Representations},
            year={2018},
        }
        ```
    """

    compute: np.dtype[Any]
    params: np.dtype[Any]
    loss_scale: LossScale

    def __init__(self, compute: DTypeLike = jnp.float32, params: DTypeLike = jnp.float32, loss_scale: LossScale = None):
        """**Arguments:**

        - `compute`: the dtype that the module computes in.
        - `params`: that of its parameters.
        - `loss_scale`: what the loss is multiplied with before it is differentiated, so that gradients in float16 don't
            vanish; they are divided by it again. `"dynamic"` halves it where gradients overflow, in a step which
            changes nothing else and is counted in `states.loss_scale.skipped`, and doubles it after 2,000 steps
            without.

        **Raises:** `TypeError` for what is no dtype of floats; `ValueError` for float16 without `loss_scale`.
        """
        object.__setattr__(self, "compute", _floating("compute", compute))
        object.__setattr__(self, "params", _floating("params", params))
        if loss_scale is not None and loss_scale != "dynamic":
            if number("loss_scale", loss_scale) <= 0:
                raise ValueError(f'`loss_scale` is {loss_scale}; a positive number or "dynamic" is expected.')
        elif loss_scale is None and self.compute == jnp.float16:
            raise ValueError(
                "`compute` is float16, in which small gradients vanish, and there is no `loss_scale`: pass "
                '`loss_scale="dynamic"`, or compute in bfloat16, which needs none.'
            )
        object.__setattr__(self, "loss_scale", loss_scale)


if TYPE_CHECKING:
    AnyPolicy: TypeAlias = DTypePolicy | None
    """What a model takes."""
else:
    AnyPolicy = Any  # treegy says itself what it isn't


def _floating(name: str, dtype: Any) -> np.dtype[Any]:
    try:
        found = jnp.dtype(dtype)
    except TypeError:
        found = None
    if found is None or not jnp.issubdtype(found, jnp.floating):
        raise TypeError(f"`{name}` is {describe(dtype)}; a dtype of floats is expected, such as `jnp.bfloat16`.")
    return found


def check_dtypes(policy: object, net_params: PyTree) -> None:
    """**Raises:** `TypeError` if it is no policy; `ValueError` for parameters that are kept in another dtype."""
    if policy is None:
        return
    if not isinstance(policy, DTypePolicy):
        raise TypeError(f"`dtype_policy` is {describe(policy)}; a `tg.DTypePolicy` is expected.")
    for path, leaf in jax.tree_util.tree_leaves_with_path(net_params):
        if _is_float(leaf) and leaf.dtype != policy.params:
            kept = dtype_name(policy.params)
            raise ValueError(
                f"`module{path_name(path)}` is {describe(leaf)}, and the `dtype_policy` keeps parameters in {kept}: "
                "cast the module, or pass `params=`."
            )


class _KeepsPrecision(eqx.nn.StatefulLayer):
    """A layer that computes in the precision of the parameters, within a module that computes in another."""

    layer: PyTree
    policy: DTypePolicy = eqx.field(static=True)

    def __init__(self, layer: PyTree, policy: DTypePolicy):
        self.layer = layer
        self.policy = policy

    def __call__(self, x: PyTree, *args: Any, **kwargs: Any) -> PyTree:
        found, *rest = self.layer(cast(x, self.policy.params), *args, **kwargs)
        return cast(found, self.policy.compute), *rest

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.layer, name)


def cast_module(module: PyTree, policy: DTypePolicy) -> PyTree:
    """Return a module that computes as a policy says, but for layers whose averages would lose digits."""

    def is_kept(node: object) -> bool:
        return isinstance(node, eqx.nn.BatchNorm)

    def part(node: PyTree) -> PyTree:
        return _KeepsPrecision(node, policy) if is_kept(node) else cast(node, policy.compute)

    return jax.tree.map(part, module, is_leaf=is_kept)


def cast(tree: PyTree, dtype: np.dtype[Any]) -> PyTree:
    """Return a PyTree whose arrays of real floats are of this dtype."""
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if _is_float(leaf) else leaf, tree)


def cast_like(tree: PyTree, like: PyTree) -> PyTree:
    """Return a PyTree whose arrays of floats have the dtypes that they have in `like`, of the same structure."""
    return jax.tree.map(lambda leaf, old: leaf.astype(old.dtype) if _is_float(leaf) else leaf, tree, like)


def _is_float(leaf: Any) -> bool:
    return is_arraylike(leaf) and jnp.issubdtype(leaf.dtype, jnp.floating)


# Scaling the loss


class Scale(NamedTuple):
    """What a dynamic loss scale is now: `states.loss_scale`."""

    value: Array
    good: Array
    """How many steps have gone well since it changed."""
    skipped: Array
    """How many steps have changed nothing, since gradients overflowed."""


def first_scale(policy: DTypePolicy | None) -> dict[str, Scale]:
    """Return the field that states have for a dynamic loss scale, if there is one."""
    if policy is None or policy.loss_scale != "dynamic":
        return {}
    none = jnp.zeros((), jnp.int32)
    return {"loss_scale": Scale(jnp.asarray(_FIRST_SCALE, jnp.float32), none, none)}


def scale_of(policy: DTypePolicy | None, states: States) -> Array | float | None:
    """Return what the loss is to be multiplied with; `None` for 1."""
    if policy is None or policy.loss_scale is None:
        return None
    dynamic = states.get("loss_scale")
    return dynamic.value if isinstance(dynamic, Scale) else float(policy.loss_scale)


def unless_overflown(before: States, after: States, grads: PyTree) -> States:
    """Return the states after a step; where gradients weren't finite, those before it, with a smaller scale."""
    scale = before.get("loss_scale")
    if not isinstance(scale, Scale):
        return after
    finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(g)) for g in jax.tree.leaves(grads)]))
    grows = scale.good + 1 >= _GROWS_AFTER
    larger = jnp.where(grows, jnp.minimum(scale.value * _FACTOR, _MOST), scale.value)
    new = Scale(
        jnp.where(finite, larger, jnp.maximum(scale.value / _FACTOR, 1.0)),
        jnp.where(finite & ~grows, scale.good + 1, 0),
        jnp.where(finite, scale.skipped, scale.skipped + 1),
    )
    kept = {n: v for n, v in before.items() if n in after and n != "loss_scale"}
    chosen = {n: jax.tree.map(lambda a, b: _chosen(finite, a, b), after[n], v) for n, v in kept.items()}
    return after.update(**chosen, loss_scale=new)


def _chosen(finite: Array, new: PyTree, old: PyTree) -> PyTree:
    return new if new is old or not eqx.is_array(new) else jnp.where(finite, new, old)
