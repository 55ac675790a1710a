"""Gradients of a batch that is evaluated part by part: exactly those of the whole, in less memory.

What losses return are accumulators, and the loss of a batch is computed from those of its parts, merged. So the parts
are gone through twice: to merge, which says how much the loss changes with the accumulator of each part, and to
differentiate each part with these cotangents. For means, the first pass costs next to nothing: their cotangents depend
on the denominators alone, and the compiler leaves out what isn't used.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._sharding._mesh import parts
from .._sharding._placing import split_examples
from .._terms._accumulator import Accumulator
from .._terms._logs import StepLogs, empty_logs, lifted
from .._terms._part_of_batch import PartOfBatch, evaluating
from .._types import PyTree
from .._warn import warn
from ._assembly import rebuilt
from ._dispatch import is_default
from ._divided import note_divided
from ._forward import size_of_batch
from ._homes import Homes, of_structure
from ._model_like import ModelLike
from ._states import States
from ._structure import settled

_EXAMPLES = ("x", "y_true", "sample_weight")


class Block(NamedTuple):
    """Parts of one size, of which all shards work on the same one at a time: leaves `(shards, size, parts, ...)`.

    Examples that are next to each other are in different parts. So every device has a share of every part, however
    many devices there are.
    """

    examples: dict[str, PyTree]
    positions: Array
    """Where the examples are in the batch: `(shards, size, parts)`."""


class Part(NamedTuple):
    """What evaluating a part gives."""

    total: Accumulator
    """What the loss is computed from."""
    logs: StepLogs
    states: States
    """Those after it, without `net_params`."""


@dataclasses.dataclass(frozen=True)
class Whole:
    """The batch of which parts are evaluated."""

    model: ModelLike
    net_params: PyTree
    fixed: PyTree
    """What isn't differentiated of `net_params`."""
    batch: dict[str, PyTree]
    """The arguments of `test_step`, besides the states."""
    size: int
    """How many examples there are."""
    homes: Homes | None
    """Where arrays are, if there are several devices."""

    def part(self, trained: PyTree, carried: States, examples: dict[str, PyTree], positions: Array) -> Part:
        """Evaluate a part: its examples, and their positions in the batch."""
        states, rng = carried.update(net_params=self.net_params), carried.get("rng")
        inner, own = states.update(net_params=eqx.combine(trained, self.fixed)), None
        if rng is not None:
            own = jax.random.fold_in(rng, positions[0])
            inner = inner.update(rng=own)
        with evaluating(PartOfBatch(self.size, positions, own, rng, [])) as part:
            loss, logs, after = self.model.test_step(states=inner, **{**self.batch, **examples})
        total = next((accumulator for value, accumulator in part.totals if value is loss), None)
        if total is None:
            raise ValueError(_unknown(self.model))
        after = settled("test_step", states, after.update(net_params=self.net_params))
        logs = StepLogs.of(lifted("test_step", logs, len(positions)))
        return Part(total, logs, after.update(net_params=None))


def loss_by_parts(model: ModelLike, states: States, batch: dict[str, PyTree]) -> Array:
    """Return the loss of a batch, evaluated part by part."""
    trained, fixed = eqx.partition(states.net_params, eqx.is_inexact_array)
    whole, blocks, _ = _cut(model, states, batch, trained, fixed)
    return _merged(_totals(whole, blocks, trained, states)[0]).compute()


def value_and_grad_by_parts(
    model: ModelLike,
    states: States,
    batch: dict[str, PyTree],
    trained: PyTree,
    fixed: PyTree,
    watched: Callable[[Array], Array],
) -> tuple[Array, dict[str, Any], States, PyTree]:
    """Return the loss of a batch, evaluated part by part; its logs, the states after it, and its gradients.

    **Arguments:**

    - `batch`: the arguments of `test_step`, besides the states.
    - `trained`, `fixed`: what is differentiated of `states.net_params`, and the rest of them.
    - `watched`: called with what is differentiated in the place of the loss. Returns it, or a multiple of it.
    """
    note_divided()
    whole, blocks, logs = _cut(model, states, batch, trained, fixed)
    totals, counts = _totals(whole, blocks, trained, states)
    loss, cotangents = eqx.filter_value_and_grad(lambda totals: _merged(totals).compute())(totals)

    def body(carry: PyTree, examples: dict[str, PyTree], positions: Array, cotangent: PyTree) -> tuple[PyTree, None]:
        carried, logs, grads = carry

        def in_place_of_loss(trained: PyTree) -> tuple[Array, tuple[StepLogs, States]]:
            part = whole.part(trained, carried, examples, positions)
            leaves = jax.tree.leaves(eqx.filter(part.total, eqx.is_inexact_array))
            products = map(jnp.vdot, jax.tree.leaves(cotangent), leaves)
            return watched(functools.reduce(operator.add, products)), (part.logs, part.states)

        found, (added, after) = eqx.filter_grad(in_place_of_loss, has_aux=True)(trained)
        return (after, logs.merge(added), jax.tree.map(operator.add, grads, found)), None

    carried, start, grads = states.update(net_params=None), 0, jax.tree.map(jnp.zeros_like, trained)
    for block, count in zip(blocks, counts, strict=True):
        own = jax.tree.map(lambda c, start=start, stop=start + count: c[start:stop], cotangents)
        begin = (carried, logs.empty(), jax.tree.map(jnp.zeros_like, trained))
        (after, found, added), _ = _over_parts(whole.homes, body, begin, block, own)
        start, carried = start + count, _first(after)
        logs = logs.merge(_merged(found))
        grads = jax.tree.map(lambda g, a: g + jnp.sum(a, axis=0), grads, added)
    return loss, logs.each, carried.update(net_params=states.net_params), grads


def _totals(whole: Whole, blocks: list[Block], trained: PyTree, states: States) -> tuple[Accumulator, list[int]]:
    """Return what the loss is computed from, of every part along a first axis, and how many each block has."""

    def body(carried: States, examples: dict[str, PyTree], positions: Array, _: None) -> tuple[States, Accumulator]:
        part = whole.part(trained, carried, examples, positions)
        return part.states, part.total

    carried, found = states.update(net_params=None), list[Accumulator]()
    for block in blocks:
        after, totals = _over_parts(whole.homes, body, carried, block, None)
        carried = _first(after)
        found.append(totals)

    def along_parts(*leaves: PyTree) -> PyTree:
        if not eqx.is_array(leaves[0]):
            return leaves[0]
        return jnp.concatenate([jnp.reshape(leaf, (-1, *leaf.shape[2:])) for leaf in leaves])

    counts = [block.positions.shape[0] * block.positions.shape[-1] for block in blocks]
    return jax.tree.map(along_parts, *found), counts


def _over_parts(
    homes: Homes | None, body: Callable[..., tuple[PyTree, PyTree]], begin: PyTree, block: Block, xs: PyTree
) -> tuple[PyTree, PyTree]:
    """Call `body(carry, examples, positions, x)`, which returns `(carry, y)`, with one part after the other.

    **Arguments:**

    - `begin`: the first carry. All shards begin with it.
    - `xs`: what each part is called with, `(shards * parts, ...)`.

    **Returns:**

    The last carry of each shard, `(shards, ...)`, and what was returned of each part, `(shards, parts, ...)`.
    """
    shards, _, n = block.positions.shape
    strategy = None if homes is None else homes.strategy
    xs = jax.tree.map(lambda a: jnp.reshape(a, (shards, n, *a.shape[1:])), xs)
    begun, rest = eqx.partition(begin, eqx.is_array)
    static: list[PyTree] = []

    def on_shard(block: Block, xs: PyTree) -> tuple[PyTree, PyTree]:
        def step(carry: PyTree, x: tuple[Array, PyTree]) -> tuple[PyTree, PyTree]:
            i, x = x
            taken = jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, i, 1, keepdims=False), block)
            examples = taken.examples if shards > 1 else split_examples(taken.examples, strategy)
            after = body(eqx.combine(carry, rest), examples, taken.positions, x)
            arrays, others = eqx.partition(after, eqx.is_array)
            static.append(others)
            return arrays

        first = begun if homes is None else homes.constrained(begun)
        return jax.lax.scan(step, first, (jnp.arange(n), xs))

    if shards == 1:
        found = on_shard(*jax.tree.map(lambda a: a[0], (block, xs)))
        found = jax.tree.map(lambda a: a[None], found)
    else:
        assert strategy is not None
        each = jax.tree.map(lambda a: split_examples(a, strategy), (block, xs))
        found = jax.vmap(on_shard, spmd_axis_name=strategy.batch)(*each)
    return eqx.combine(found, static[-1])


def _cut(
    model: ModelLike, states: States, batch: dict[str, PyTree], trained: PyTree, fixed: PyTree
) -> tuple[Whole, list[Block], StepLogs]:
    """Return a batch, its parts, and the logs of no examples."""
    examples = {name: batch[name] for name in _EXAMPLES}
    size = size_of_batch(*examples.values()) or 1
    homes = None if model.strategy is None else of_structure(model)
    whole = Whole(model, states.net_params, fixed, batch, size, homes)
    blocks = _blocks(examples, size, model.microbatches, 1)
    changed: list[bool] = []

    def logs(trained: PyTree, carried: States, block: Block) -> StepLogs:
        part = whole.part(trained, carried, *jax.tree.map(lambda a: a[0, :, 0], block))
        pairs = zip(jax.tree.leaves(carried), jax.tree.leaves(part.states), strict=True)
        changed.extend(a is not b for a, b in pairs)
        return part.logs

    empty = empty_logs(logs, trained, states.update(net_params=None), blocks[0])
    if homes is not None and not any(changed) and not homes.parameters:
        # Each device adds up gradients of its own, which are summed over the devices once, and not for every part.
        shards = parts(homes.strategy.mesh, homes.strategy.batch)
        blocks = _blocks(examples, size, model.microbatches, shards)
        whole = dataclasses.replace(whole, model=rebuilt(model, {"strategy": None}))
    elif homes is not None:
        _tell_if_few(homes, size, model.microbatches)
    return whole, blocks, empty


def _blocks(examples: dict[str, PyTree], size: int, k: int, shards: int) -> list[Block]:
    """Return a batch cut into at most `k` parts of equal sizes, and what remains, if anything, as one more."""
    each = -(-size // (k * shards))
    n = size // (each * shards)
    done = n * each * shards

    def cut(start: int, stop: int, shape: tuple[int, int, int]) -> Block:
        found = Block(examples, jnp.arange(size))
        return jax.tree.map(lambda leaf: jnp.reshape(leaf[start:stop], (*shape, *leaf.shape[1:])), found)

    blocks = [cut(0, done, (shards, each, n))] if done else []
    return blocks if done == size else [*blocks, cut(done, size, (1, size - done, 1))]


def _tell_if_few(homes: Homes, size: int, k: int) -> None:
    devices, each = parts(homes.strategy.mesh, homes.strategy.batch), -(-size // k)
    if each < devices <= size:
        warn(
            f"`microbatches={k}` cuts a batch of {size} into parts of {each} examples, and they are split over "
            f"{devices} devices: some have nothing to do. At most {max(size // devices, 1)} parts have an example for "
            "each device."
        )


def _merged(stacked: Any) -> Any:
    """Return an accumulator of all those along the first axis."""
    begin, rest = eqx.partition(_first(stacked).empty(), eqx.is_array)
    stacked = eqx.filter(stacked, eqx.is_array)

    def step(merged: PyTree, one: PyTree) -> tuple[PyTree, None]:
        merged = eqx.combine(merged, rest).merge(eqx.combine(one, rest))
        return eqx.filter(merged, eqx.is_array), None

    return eqx.combine(jax.lax.scan(step, begin, stacked)[0], rest)


def _first(stacked: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[0] if eqx.is_array(leaf) else leaf, stacked)


def _unknown(model: ModelLike) -> str:
    if is_default(model, "test_step"):
        return f"`{type(model).__name__}` has no loss to train on: pass `loss=`."
    return (
        f"`{type(model).__name__}` has `microbatches={model.microbatches}`, and its `test_step` returns a loss of its "
        "own. That of a batch can't be told from those of its parts: return the loss that `super().test_step(...)` "
        "returns, and pass what is to be added to it as `loss=`."
    )
