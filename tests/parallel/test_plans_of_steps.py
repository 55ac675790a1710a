"""`benchmarks/plan.py`: what it says of steps on many devices, beside what is counted by hand."""

import importlib
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from helpers import ROOT

BENCHMARKS = ROOT / "benchmarks"

# The parameters of `gpt-tiny`: 3 layers of width 128, 256 words, 32 positions. Those of 2 ** 14 numbers and more are
# split by FSDP: four matrices of the attention and two of the perceptron in a layer, the embedding and the head.
OF_LAYERS = 3 * (4 * 128 * 128 + 2 * 128 * 512)
OF_WORDS = 2 * 256 * 128
SMALL = 3 * (512 + 128 + 4 * 128) + 32 * 128
PARAMETERS = OF_LAYERS + OF_WORDS + SMALL

# The two arrays of tokens of 16 of 64 examples, and some scalars: the step, the count of Adam, the key.
TOKENS, SCALARS = 2 * 16 * 32 * 4, 100


def plans(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, str(BENCHMARKS / "plan.py"), "--model", "gpt-tiny", "--devices", "4", "--json"]
    env = {**os.environ, "JAX_ENABLE_X64": "false"}
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=600, env=env, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return {plan["strategy"]: plan for plan in map(json.loads, done.stdout.splitlines())}


def exchanged(plan: Any, kind: str) -> int:
    return sum(c["bytes"] * c["times"] for c in plan["collectives"] if c["kind"] == kind)


@pytest.mark.once
def test_plans_of_a_small_network():
    found = plans("--strategies", "data,fsdp,two-axes", "--shards", "2")
    data, fsdp, two = found["data"], found["fsdp"], found["two-axes"]
    for plan in found.values():
        assert plan["parameters"] == PARAMETERS
        assert plan["flops"] == 64 * 32 * (6 * (OF_LAYERS + OF_WORDS // 2) + 12 * 3 * 128 * 32)
    # Parameters and the two moments of Adam, in single precision.
    for plan, parts in ((data, 1), (fsdp, 4), (two, 2)):
        held = 12 * ((OF_LAYERS + OF_WORDS) // parts + SMALL) + TOKENS
        assert held <= plan["held"] <= held + SCALARS
    # Gradients are summed once, and with them the loss; nothing else is exchanged.
    assert {c["kind"] for c in data["collectives"]} == {"all-reduce"}
    assert 4 * PARAMETERS <= exchanged(data, "all-reduce") <= 4 * PARAMETERS + SCALARS
    # Parameters of layers are put together for the forward pass, and again for the backward pass; others once.
    assert exchanged(fsdp, "all-gather") == 4 * (2 * OF_LAYERS + OF_WORDS)
    assert {len(group) for c in two["collectives"] if c["kind"] == "all-gather" for group in c["groups"]} == {2}


def test_a_batch_that_devices_cannot_share():
    with pytest.raises(AssertionError, match="a batch of 6 examples can't be split over 4 devices"):
        plans("--strategies", "data", "--batch", "6")


# Reading programs


PROGRAM = """
HloModule jit_step, num_partitions=4

%body (p: (s32[], f32[8,2])) -> (s32[], f32[8,2]) {
  %x = f32[8,2]{1,0} get-tuple-element(%p), index=1
  %g = f32[8,2]{1,0} all-gather(%x), channel_id=1, replica_groups=[2,2]<=[4], dimensions={0}
  %t = (s32[], f32[8,2]{1,0}) while(%q), condition=%c2, body=%inner, backend_config={"known_trip_count":{"n":"3"}}
}

%inner (p: (s32[], f32[8,2])) -> (s32[], f32[8,2]) {
  %r = (bf16[8,2]{1,0}, f32[]) all-reduce(%x, %y), replica_groups=[2,2]<=[2,2]T(1,0), to_apply=%add
}

ENTRY %main (a: f32[8,2]) -> f32[8,2] {
  %w = (s32[], f32[8,2]{1,0}) while(%t), condition=%c, body=%body, backend_config={"known_trip_count":{"n":"5"}}
  %s = f32[4]{0} reduce-scatter(%b), replica_groups={{0,1},{2,3}}, dimensions={0}, to_apply=%add
  %z = f32[4]{0} all-reduce(%b), replica_groups=mesh['a'=2,'b'=2], device_ids=([2,2]T(1,0)) {'b'}, to_apply=%add
}
"""
TRAILING = "\n%{} (p: s32[]) -> s32[] {{\n  ROOT %p = s32[] parameter(0)\n}}\n"
CALLED = "".join(map(TRAILING.format, ("c", "c2", "add")))


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


def test_collectives_in_loops_are_counted_as_often_as_they_run(module: Any):
    found = module("collectives").collectives(PROGRAM + CALLED)
    assert {(c.kind, c.bytes, c.times, c.groups) for c in found} == {
        ("all-gather", 64, 5, ((0, 1), (2, 3))),
        ("all-reduce", 36, 15, ((0, 2), (1, 3))),
        ("reduce-scatter", 16, 1, ((0, 1), (2, 3))),
        ("all-reduce", 16, 1, ((0, 2), (1, 3))),
    }


def test_a_loop_of_unknown_length_is_an_error(module: Any):
    unknown = PROGRAM.replace('{"known_trip_count":{"n":"3"}}', "{}") + CALLED
    with pytest.raises(ValueError, match=r"in a loop that XLA doesn't know the length of: %r = "):
        module("collectives").collectives(unknown)


@pytest.mark.parametrize(
    ("kind", "groups", "seconds"),
    [
        # In a host: a ring over NVLink, twice for a sum that all get.
        ("all-gather", [range(8)], 7 / 8 / 450),
        ("all-reduce", [range(8)], 2 * 7 / 8 / 450),
        # A result of 1 GB on each of 8 devices: 8 GB in all.
        ("reduce-scatter", [range(8)], 7 / 450),
        # Two hosts, and all of their eight adapters of 50 GB/s.
        ("all-gather", [range(16)], 15 / 16 / 400),
        # One device of each of two hosts: one adapter.
        ("all-reduce", [(i, i + 8) for i in range(8)], 2 * 1 / 2 / 50),
    ],
)
def test_how_long_a_gigabyte_takes(module: Any, kind: str, groups: Any, seconds: float):
    machine = module("interconnects").MACHINES[0]
    collective = module("collectives").Collective(kind, 10**9, 3, tuple(map(tuple, groups)))
    assert machine.seconds(collective) == pytest.approx(3 * (20e-6 + seconds))


def test_tables(module: Any):
    plan = module("plan")
    sums = module("collectives").Collective("all-reduce", 10**9, 2, (tuple(range(8)),))
    # What eight H100s compute in 100 ms, at 0.4 of their peak.
    found = plan.Plan(8, "data", 5 * 10**6, 8000, 80 * 10**9, 10**6, [sums], 0.1 * 8 * 989e12 * 0.4, 3.2)
    assert "| 8 | data | 80,000 | 1 | 2, 2,000 MB |  |  | 3 s |" in plan.of_bytes([found])
    # Two sums, each of 20 µs and 7/4 GB at 450 GB/s: 7.8 ms. With a MB more than it has, it doesn't fit.
    assert "| 8 | data | no | 100 ms | 7.8 ms | 93% to 100% | 78 |" in plan.of_time([found])
    unread = plan.Plan(8, "data", 5 * 10**6, 8000, 0, 0, None, 1e15, 3.2)
    assert "| 8 | data | 0 | 0 | not read | not read | not read | 3 s |" in plan.of_bytes([unread])
    assert not [line for line in plan.of_time([unread]) if line.startswith("| 8 ")]
