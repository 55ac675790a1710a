import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treegy._data._shuffle import key_data_of, order

pytestmark = pytest.mark.once

WORDS = np.array([0x12345678, 0x9ABCDEF0], np.uint32)


def epoch(n, step=0, words=WORDS):
    return order(words, step, n, 0, n)


def many_words(count, seed=0):
    return np.random.default_rng(seed).integers(0, 1 << 32, (count, 2), dtype=np.uint32)


@pytest.mark.parametrize("n", range(1, 301))
def test_every_example_comes_once(n):
    np.testing.assert_array_equal(np.sort(epoch(n)), np.arange(n))


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(300, 200_000),
    step=st.integers(0, 1 << 31),
    words=st.tuples(*[st.integers(0, (1 << 32) - 1)] * 2),
)
def test_every_example_comes_once_where_there_are_many(n, step, words):
    o = epoch(n, step, np.array(words, np.uint32))
    assert o.dtype == np.uint32
    assert o.shape == (n,)
    assert np.all(np.bincount(o, minlength=n) == 1)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, (1 << 32) - 1), start=st.integers(0, (1 << 32) - 1), size=st.integers(0, 100))
def test_any_position_is_known_without_the_others(n, start, size):
    start %= n
    o = order(WORDS, 7, n, start, size)
    assert o.shape == (size,)
    assert np.all(o < n)
    each = [int(order(WORDS, 7, n, (start + i) % n, 1)[0]) for i in range(0, size, 37)]
    np.testing.assert_array_equal(o[::37], each)
    if size <= n:
        assert np.unique(o).size == size


@pytest.mark.parametrize("n", [1, 2, 3, 10, 100, 257])
def test_positions_past_the_end_begin_again(n):
    o = epoch(n)
    np.testing.assert_array_equal(order(WORDS, 0, n, n - 1, 2 * n + 2), np.concatenate([o[n - 1 :], o, o, o[:1]]))


def test_the_blocks_of_a_long_request_join():
    n = 100_000
    np.testing.assert_array_equal(epoch(n)[70_000:70_100], order(WORDS, 0, n, 70_000, 100))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 128, 129, 60_000, (1 << 31) + 11, (1 << 32) - 1])
def test_numpy_and_jax_agree_to_the_bit(n):
    size = min(n, 500)
    start = (n - 1) // 2
    host = order(WORDS, 12345, n, start, size)
    traced = jax.jit(lambda words, step, start: order(words, step, n, start, size, jnp))(
        WORDS, jnp.asarray(12345, jnp.int32), jnp.asarray(start, jnp.uint32)
    )
    assert traced.dtype == jnp.uint32
    np.testing.assert_array_equal(host, traced)


def test_numpy_and_jax_agree_without_a_trace():
    np.testing.assert_array_equal(order(WORDS, 3, 7, 2, 4), order(jnp.asarray(WORDS), 3, 7, 2, 4, jnp))


def test_it_can_be_traced_under_vmap_scan_and_grad():
    n, words = 10, jnp.asarray(many_words(3))
    many = jax.vmap(lambda w: order(w, 1, n, 0, n, jnp))(words)
    np.testing.assert_array_equal(many, [epoch(n, 1, np.asarray(w)) for w in words])

    def loss(scale, step):
        def body(carry, start):
            return carry + scale * jnp.arange(float(n))[order(WORDS, step, n, start, 2, jnp)].sum(), None

        return jax.lax.scan(body, 0.0, jnp.arange(0, n, 2))[0]

    assert jax.jit(jax.grad(loss))(2.0, 3) == 45.0


def test_numpy_gives_no_warnings_for_steps_and_words_of_any_size():
    with np.errstate(all="raise"):
        for step in (0, np.int32(2**31 - 1), np.uint32(2**32 - 1), jnp.asarray(5), 2**40):
            for words in ([0, 0], [2**32 - 1] * 2):
                assert order(np.array(words, np.uint32), step, 7, 3, 2).shape == (2,)


@pytest.mark.parametrize("n", [0, -1, 1 << 32])
def test_too_few_or_too_many_examples(n):
    with pytest.raises(ValueError, match=f"`n` is {n}"):
        order(WORDS, 0, n, 0, 1)


def test_steps_and_words_give_different_orders():
    orders = [tuple(epoch(50, step)) for step in range(50)]
    orders += [tuple(epoch(50, 0, words)) for words in many_words(50)]
    orders += [tuple(epoch(50, 0, WORDS ^ np.array(bits, np.uint32))) for bits in ([1, 0], [0, 1], [1 << 31, 0])]
    assert len(set(orders)) == len(orders)


def test_keys_give_words():
    def words(key):
        return tuple(np.asarray(key_data_of(key)).tolist())

    seen = {}
    for impl in ("threefry2x32", "rbg", "unsafe_rbg"):
        for seed in range(20):
            key = jax.random.key(seed, impl=impl)
            seen[impl, seed] = words(key)
            assert key_data_of(key).dtype == np.uint32
            assert seen[impl, seed] != tuple(jax.random.key_data(key).tolist()[:2])
    for impl in ("threefry2x32", "rbg"):
        assert len({w for (i, _), w in seen.items() if i == impl}) == 20
        # Neither word is constant: a longer key's repeated halves don't cancel.
        assert all(len({w[j] for (i, _), w in seen.items() if i == impl}) == 20 for j in (0, 1))


def test_every_bit_of_a_key_changes_half_of_the_bits_of_its_words():
    rng = np.random.default_rng(0)
    for bits in (64, 128):
        data = rng.integers(0, 2**32, (40, bits // 32), dtype=np.uint32)
        implementation = "threefry2x32" if bits == 64 else "rbg"
        changed = np.zeros((bits, 64))
        for row in data:
            words = key_data_of(jax.random.wrap_key_data(row, impl=implementation))
            for bit in range(bits):
                other = row.copy()
                other[bit // 32] ^= np.uint32(1 << bit % 32)
                found = key_data_of(jax.random.wrap_key_data(other, impl=implementation)) ^ words
                changed[bit] += np.unpackbits(found.view(np.uint8))
        # Of 40 coins, none of thousands shows fewer than 4 or more than 36 heads but by a chance below 1e-3.
        assert 4 <= changed.min() and changed.max() <= 36
        assert abs(changed.mean() - 20) < 0.2


def test_orders_stay_what_they_are():
    # A run that is resumed later must see the same order.
    assert key_data_of(jax.random.key(0)).tolist() == [2465396111, 413842074]
    assert key_data_of(jax.random.key(1, impl="rbg")).tolist() == [1374790220, 3826501958]
    assert epoch(10, 3).tolist() == [2, 1, 3, 9, 0, 4, 7, 6, 5, 8]
    assert order(WORDS, 3, 60_000, 30_000, 4).tolist() == [59930, 16044, 4918, 5076]


def chi2(counts, expected):
    return float(((counts - expected) ** 2 / expected).sum())


def limit(df):
    # The mean of a chi² is df and its variance 2 df.
    return df + 5 * np.sqrt(2 * df)


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_small_orders_are_uniform(n):
    rounds = 1000
    orders = np.stack([epoch(n, i % 5, words) for i, words in enumerate(many_words(rounds, n))])
    rows = np.arange(n)
    position = sum((orders[:, :, None] == rows).astype(int))
    assert chi2(position, rounds / n) < limit((n - 1) ** 2)
    following = np.zeros((n, n), int)
    np.add.at(following, (orders[:, :-1], orders[:, 1:]), 1)
    pairs = following[~np.eye(n, dtype=bool)]
    assert pairs.sum() == rounds * (n - 1)
    assert chi2(pairs, rounds / n) < limit(n * (n - 1))
    if n <= 5:
        _, counts = np.unique(orders, axis=0, return_counts=True)
        permutations = [2, 6, 0, 120][n - 2]
        assert len(counts) == permutations
        assert chi2(counts, rounds / permutations) < limit(permutations - 1)


def test_steps_in_a_row_are_as_good_as_other_keys():
    n, rounds = 8, 1000
    orders = np.stack([epoch(n, 938 * i) for i in range(rounds)])
    position = sum((orders[:, :, None] == np.arange(n)).astype(int))
    assert chi2(position, rounds / n) < limit((n - 1) ** 2)


@pytest.mark.parametrize("n", [10_000, 60_000, 65_536])
def test_large_orders_look_random(n):
    draws = 10
    orders = [epoch(n, 0, words).astype(np.int64) for words in many_words(draws, 1)]
    rows = np.arange(n)
    # Of a random permutation: the mean of |i - p(i)| is (n² - 1) / 3n; as many ascents as descents; Poisson(1) fixed
    # points and neighbours; a batch's examples are spread over all of the data.
    displacement = np.mean([np.abs(o - rows).mean() for o in orders])
    assert displacement == pytest.approx((n**2 - 1) / (3 * n), rel=0.01)
    ascents = np.mean([(np.diff(o) > 0).mean() for o in orders])
    assert ascents == pytest.approx(0.5, abs=0.01)
    assert sum((o == rows).sum() for o in orders) < draws + 5 * np.sqrt(draws)
    assert sum((np.abs(np.diff(o)) == 1).sum() for o in orders) < 2 * draws + 5 * np.sqrt(2 * draws)
    assert abs(np.mean([np.corrcoef(o, rows)[0, 1] for o in orders])) < 5 / np.sqrt(n * draws)
    assert abs(np.mean([np.corrcoef(o[1:], o[:-1])[0, 1] for o in orders])) < 5 / np.sqrt(n * draws)
    blocks = np.stack([np.bincount(o[i : i + n // 10] * 10 // n, minlength=10) for o in orders for i in (0, n // 2)])
    assert chi2(blocks, n / 100) < limit(blocks.size)
    # Two orders don't agree in more places than chance has it.
    assert sum((a == b).sum() for a, b in zip(orders[1:], orders[:-1], strict=True)) < draws + 5 * np.sqrt(draws)
