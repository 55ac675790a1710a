"""The order in which an epoch visits its examples, without a permutation being stored anywhere.

It is a keyed bijection of $[0, n)$: any position of it is known without the others, NumPy on the host and `jax.numpy`
under a trace compute the same one bit for bit, and it follows from the key and the step at which the epoch began.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._types import PyTree

# What sets the key of the orders apart from everything else that is drawn from the same root key.
_ORDER = np.uint32(0x80000DE2)
# With so few examples that most permutations will be seen, eight rounds give some of them more often than others;
# more rounds cost nothing there.
_ROUNDS = 8
_SMALL, _SMALL_ROUNDS = 1 << 7, 16
_GOLDEN = np.uint32(0x9E3779B9)
_MIXING_ROUNDS = 6
# As many positions as NumPy works on at a time: what is in between then stays in the processor's cache.
_BLOCK = 1 << 15


def key_data_of(key: Any, xp: Any = np) -> Any:
    """Return the two words from which the orders of a PRNG key follow.

    They are mixed in NumPy, as `jax.random.fold_in` would have to be compiled first, which takes longer than many an
    epoch.

    **Arguments:**

    - `key`: a typed key of any implementation.
    - `xp`: `numpy` or `jax.numpy`. Both give the same words; only with the latter may the key be traced.

    **Returns:** `uint32[2]`.
    """
    data = xp.asarray(jax.random.key_data(key)).astype(np.uint32).reshape(-1)
    data = xp.pad(data, (0, -data.size % 2)).reshape(-1, 2)
    left, right = xp.asarray([_ORDER]), xp.asarray([_GOLDEN])
    for more in data:
        left, right = left ^ more[:1], right ^ more[1:]
        # A bijection of both words, in which every bit depends on every bit: seeds differ in a few bits only.
        for i in range(1, _MIXING_ROUNDS + 1):
            left, right = right, left ^ _mix(right + np.array([i], np.uint32) * _GOLDEN)
    return xp.concatenate([left, right])


def order(words: Any, step: Any, n: int, start: Any, size: int, xp: Any = np) -> Any:
    """Return the examples at the positions `start, ..., start + size - 1` of an epoch, as `uint32[size]`.

    Positions from `n` on begin again at 0, so that a batch that reaches past the end has indices that exist.

    **Arguments:**

    - `words`: what `key_data_of` returned.
    - `step`: the step at which the epoch began; may be traced.
    - `n`: how many examples there are, $1 \\le n < 2^{32}$.
    - `start`: the first position, not negative; may be traced.
    - `size`: how many positions.
    - `xp`: `numpy` or `jax.numpy`. Both give the same numbers; only the latter can be traced.

    ??? cite

        ```bibtex
        @inproceedings{black2002ciphers,
            title={Ciphers with Arbitrary Finite Domains},
            author={Black, John and Rogaway, Phillip},
            booktitle={Topics in Cryptology, CT-RSA 2002},
        }
        ```
    """
    if not 1 <= n < 1 << 32:
        raise ValueError(f"An order needs 1 <= n < 2**32 examples; `n` is {n}.")
    keys = _round_keys(words, step, _SMALL_ROUNDS if n <= _SMALL else _ROUNDS, xp)
    a = math.isqrt(n - 1) + 1  # at most 2**16, and so is b: a * b fits where n does
    b = -(-n // a)
    start = xp.asarray(start).astype(xp.uint32) % np.uint32(n)
    if xp is not np:
        return _walk(_positions(n, start, 0, size, xp), keys, n, a, b, xp)
    blocks = range(0, size, _BLOCK)
    parts = [_walk(_positions(n, start, i, min(size - i, _BLOCK), xp), keys, n, a, b, xp) for i in blocks]
    return np.concatenate(parts) if parts else np.zeros(0, np.uint32)


def _positions(n: int, start: Any, first: int, size: int, xp: Any) -> Any:
    """`start + first + i` modulo `n`, without ever passing `2**32`."""
    i = xp.arange(first, first + size, dtype=xp.uint32) % np.uint32(n)
    left = np.uint32(n) - start
    return xp.where(i < left, start + i, i - left)


def _round_keys(words: Any, step: Any, rounds: int, xp: Any) -> Any:
    """One word for each round. Vectors all along: NumPy warns where a scalar overflows."""
    words = xp.asarray(words)
    keys = _mix(xp.arange(1, rounds + 1, dtype=xp.uint32) * _GOLDEN)
    for word in (words[0], words[1], xp.asarray(step).astype(xp.uint32)):
        keys = _mix(keys ^ word) + _GOLDEN
    return keys


def _mix(h: Any) -> Any:
    """Apply the finalizer of MurmurHash3, a bijection of the 32-bit words in which every bit depends on every bit."""
    h = h ^ (h >> np.uint32(16))
    h = h * np.uint32(0x85EBCA6B)
    h = h ^ (h >> np.uint32(13))
    h = h * np.uint32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))


def _modulo(x: PyTree, m: int) -> Any:
    # Several times faster than `%` in NumPy, which divides by a scalar with SIMD but takes remainders one by one.
    return x - x // np.uint32(m) * np.uint32(m)


def _permute(p: Any, keys: Any, a: int, b: int) -> Any:
    r"""Return a bijection of $[0, ab)$: a Feistel network on $\mathbb{Z}_a \times \mathbb{Z}_b$."""
    left = p // np.uint32(b)
    right = p - left * np.uint32(b)
    for i in range(0, len(keys), 2):
        left = _modulo(left + _modulo(_mix(right ^ keys[i]), a), a)
        right = _modulo(right + _modulo(_mix(left ^ keys[i + 1]), b), b)
    return left * np.uint32(b) + right


def _walk(p: Any, keys: Any, n: int, a: int, b: int, xp: Any) -> Any:
    """Return the same for $[0, n)$: what falls outside continues along its cycle, which comes back."""
    if xp is np:
        p = _permute(p, keys, a, b)
        while (outside := np.flatnonzero(p >= np.uint32(n))).size:
            p[outside] = _permute(p[outside], keys, a, b)
        return p
    if a * b == n:
        return _permute(p, keys, a, b)

    def go_on(walk: tuple[Any, Any]) -> tuple[Any, Any]:
        p, outside = walk
        p = jnp.where(outside, _permute(p, keys, a, b), p)
        return p, p >= np.uint32(n)

    # All of them take the first step inside the loop, so that the network is compiled once.
    return jax.lax.while_loop(lambda walk: jnp.any(walk[1]), go_on, (p, jnp.ones(p.shape, bool)))[0]
