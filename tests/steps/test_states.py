"""`States`: an immutable mapping, a PyTree whose structure doesn't depend on the order in which fields were added."""

import copy
import pickle
from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import treegy as tg

NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=6).filter(
    lambda name: not hasattr(tg.States, name) and not name.startswith("_") and name != "cls"  # Equinox's own
)
FIELDS = st.dictionaries(NAMES, st.integers(), max_size=5)

quick = settings(deadline=None, max_examples=40)


# A mapping


@quick
@given(FIELDS)
def test_is_a_mapping(fields):
    states = tg.States(**fields)
    assert isinstance(states, Mapping)
    assert dict(states) == dict(states.items()) == fields
    assert len(states) == len(fields)
    assert sorted(states) == sorted(fields) == sorted(states.keys())
    assert sorted(states.values()) == sorted(fields.values())
    for name, value in fields.items():
        assert name in states
        assert states[name] == states.get(name) == getattr(states, name) == value
    assert "absent" not in states and 3 not in states
    assert states.get("absent") is None
    assert states.get("absent", 7) == 7
    assert {**states} == fields


@quick
@given(FIELDS, FIELDS)
def test_update(fields, more):
    states = tg.States(**fields)
    assert dict(states.update(**more)) == {**fields, **more}
    assert dict(states.update_known(**more)) == {**fields, **{k: v for k, v in more.items() if k in fields}}
    assert dict(states.maybe_update(**more)) == {**more, **fields}
    assert dict(states) == fields


def test_a_field_named_self():
    states = tg.States(self=1).update(self=2)
    assert dict(states) == {"self": 2} and states.self == 2
    assert dict(states.update_known(self=3)) == {"self": 3}
    assert dict(states.maybe_update(self=4)) == {"self": 2}


def test_maybe_update_sets_what_is_none_only():
    states = tg.States(a=None, b=0, c=False)
    assert dict(states.maybe_update(a=1, b=1, c=1, d=1)) == {"a": 1, "b": 0, "c": False, "d": 1}


def test_update_with_a_value_that_has_no_truth():
    states = tg.States(a=jnp.zeros(3))
    assert states.maybe_update(a=jnp.ones(3)).a is states.a


@pytest.mark.parametrize("name", ["absent", "net_parms"])
def test_an_unknown_field(name):
    states = tg.States(net_params=1, rng=2)
    with pytest.raises(AttributeError, match=f"`States` has no field `{name}`; there are: net_params, rng."):
        getattr(states, name)
    with pytest.raises(KeyError, match=f"'{name}'; there are: net_params, rng."):
        states[name]
    assert not hasattr(states, name)


def test_no_fields():
    states = tg.States()
    assert len(states) == 0 and list(states) == []
    with pytest.raises(AttributeError, match="has no field `a`; there are: none."):
        _ = states.a


@pytest.mark.parametrize("name", ["update", "items", "keys", "next_key", "get"])
def test_a_field_named_like_a_method(name):
    with pytest.raises(TypeError, match=f"`{name}` can't be a field of `States`: .*one of its methods"):
        tg.States(**{name: 1})
    with pytest.raises(TypeError, match=f"`{name}` can't be a field"):
        tg.States().update(**{name: 1})


# Immutable


def test_immutable():
    states = tg.States(a=1)
    with pytest.raises(AttributeError):
        states.a = 2  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(AttributeError):
        states.b = 2  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(AttributeError):
        del states.a  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError):
        states["a"] = 2  # pyright: ignore
    assert dict(states) == {"a": 1}


def test_new_states_share_nothing_that_changes():
    fields = {"a": 1}
    states = tg.States(**fields)
    fields["a"] = 2
    dict(states)["a"] = 3
    assert states.a == 1


# A PyTree


@quick
@given(st.permutations(["rng", "step", "net_params", "b", "a"]))
def test_structure_is_the_same_in_any_order(order):
    sorted_ = tg.States(**{name: i for i, name in enumerate(sorted(order))})
    built = tg.States()
    for name in order:
        built = built.update(**{name: sorted(order).index(name)})
    assert jax.tree.structure(built) == jax.tree.structure(sorted_)
    assert jax.tree.leaves(built) == jax.tree.leaves(sorted_)
    assert list(built) == list(sorted_)


def test_tree():
    states = tg.States(b={"c": jnp.ones(2)}, a=(1, None), other=None)
    leaves, structure = jax.tree.flatten(states)
    assert len(leaves) == 2
    assert isinstance(jax.tree.unflatten(structure, leaves), tg.States)
    doubled = jax.tree.map(lambda leaf: 2 * leaf, states)
    assert doubled.a == (2, None) and doubled.other is None
    assert np.array_equal(doubled.b["c"], [2, 2])
    assert jax.tree.structure(states) != jax.tree.structure(states.update(z=1))


def test_parts_can_be_chosen_by_equinox():
    states = tg.States(a=1, b=jnp.ones(2))
    arrays, others = eqx.partition(states, eqx.is_array)
    assert arrays.a is None and others.b is None
    assert eqx.combine(arrays, others).a == 1
    assert eqx.tree_at(lambda s: s.a, states, 5).a == 5
    assert eqx.tree_equal(states, tg.States(b=jnp.ones(2), a=1))


def test_through_jit_vmap_grad_and_scan():
    states = tg.States(w=jnp.arange(3.0), step=jnp.int32(0))

    @jax.jit
    def stepped(states):
        return states.update(w=states.w * 2, step=states["step"] + 1)

    after = stepped(states)
    assert isinstance(after, tg.States) and after.step == 1 and np.array_equal(after.w, [0, 2, 4])

    mapped = jax.vmap(lambda states: states.update(w=states.w**2), in_axes=(tg.States(w=0, step=None),))(states)
    assert np.array_equal(mapped.w, [0, 1, 4]) and mapped.step.shape == (3,)

    assert np.array_equal(jax.grad(lambda w: jnp.sum(states.update(w=w).w ** 2))(states.w), [0, 2, 4])
    last, steps = jax.lax.scan(lambda s, _: (stepped(s), s.step), states, length=4)
    assert last.step == 4 and np.array_equal(steps, [0, 1, 2, 3])


def test_one_trace_for_any_order_of_fields():
    traces = []

    @jax.jit
    def total(states):
        traces.append(1)
        return states.a + states.b

    assert total(tg.States(a=1, b=2)) == total(tg.States(b=2, a=1)) == total(tg.States(b=2).update(a=1)) == 3
    assert len(traces) == 1


def same(a: tg.States, b: tg.States) -> bool:
    return jax.tree.structure(a) == jax.tree.structure(b) and bool(eqx.tree_equal(a, b))


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda states: pickle.loads(pickle.dumps(states))],
    ids=["copy", "deep", "pickle"],
)
def test_copies(copied):
    states = tg.States(w=jnp.arange(3.0), nested={"a": [np.ones(2), None, "text"]}, step=1)
    again = copied(states)
    assert isinstance(again, tg.States)
    assert same(states, again)
    assert same(states.update(step=2), again.update(step=2))
    assert states.step == 1


def test_printing():
    text = repr(tg.States(net_params=jnp.ones((2, 3)), step=1))
    assert "net_params" in text and "f32[2,3]" in text


# Keys


def test_next_key():
    states = tg.States(rng=jax.random.key(0), other=1)
    first, after = states.next_key()
    second, last = after.next_key()
    words = {tuple(jax.random.key_data(k).tolist()) for k in (first, second, states.rng, after.rng, last.rng)}
    assert len(words) == 5
    assert after.other == 1 and jnp.issubdtype(first.dtype, jax.dtypes.prng_key)
    again, _ = states.next_key()
    assert again == first


@pytest.mark.parametrize("states", [tg.States(), tg.States(rng=None)])
def test_next_key_of_nothing(states):
    with pytest.raises(tg.InjectionError, match=r"`states.next_key\(\)` needs a field `rng` that holds a PRNG key"):
        states.next_key()
