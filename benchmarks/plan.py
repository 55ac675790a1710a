"""What a training step takes on more devices than there are: bytes, collectives, and a model of its time.

Steps are compiled for virtual devices of the CPU, and none is run. No model is ever in memory: its arrays are shapes.
With `--topology` they are compiled for TPUs that aren't there, which needs the package `libtpu`.
"""

import argparse
import dataclasses
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from collectives import Collective, collectives
from interconnects import MACHINES, step_time
from plan_sizes import SIZES

STRATEGIES = ("data", "fsdp", "two-axes")

# The machine code isn't run, so that it needn't be fast: bytes and collectives are the same.
_UNOPTIMIZED = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is known of a step once it is compiled."""

    devices: int
    strategy: str
    parameters: int
    """How many numbers the parameters are."""
    tokens: int
    """Of a batch."""
    held: int
    """Bytes on a device between steps: parameters, states of the optimizer, its part of the batch."""
    temporaries: int
    """Bytes on a device within a step, besides."""
    collectives: list[Collective] | None
    """`None` for TPUs, whose programs have them within others, several times: they aren't read."""
    flops: float
    seconds: float
    """What compiling took."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=SIZES, default="gpt-84m", help="default: %(default)s")
    parser.add_argument("--devices", type=_counts, default="8,64,256", help="how many (default: %(default)s)")
    parser.add_argument("--topology", help="TPUs to compile for in the place of virtual devices, such as v5e:8x8")
    parser.add_argument("--strategies", type=_strategies, default=",".join(STRATEGIES), help="default: %(default)s")
    parser.add_argument("--shards", type=_count, default=8, help="in how many shards two-axes splits (default: 8)")
    parser.add_argument("--microbatches", type=_count, default=1, help="in how many parts batches are gone through")
    parser.add_argument("--batch", type=_count, help="examples of a batch, over all devices (default: the model's)")
    parser.add_argument("--length", type=_count, help="tokens of an example (default: the model's)")
    parser.add_argument("--layers", type=_count, help="layers of the model (default: the model's)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line instead of tables")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        for strategy in arguments.strategies:
            print(json.dumps(dataclasses.asdict(planned(arguments, strategy))), flush=True)
        return
    plans: list[Plan] = []
    for devices in [1] if arguments.topology else arguments.devices:
        for plan in elsewhere(devices):
            plans.append(plan)
            if arguments.json:
                print(json.dumps(dataclasses.asdict(plan)), flush=True)
            else:
                told = f"{plan.strategy} on {plan.devices}: compiled in {plan.seconds:.1f} s"
                print(told, file=sys.stderr, flush=True)
    if not arguments.json:
        print("\n".join(of_bytes(plans)))
        if not arguments.topology:
            print("\n".join(of_time(plans)))


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"{text!r} isn't a number from 1")
    return int(text)


def _counts(text: str) -> list[int]:
    if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", text):
        raise argparse.ArgumentTypeError(f"{text!r} isn't numbers with commas between them, such as 8,64")
    return [int(count) for count in text.split(",")]


def _strategies(text: str) -> list[str]:
    found = text.split(",")
    for name in found:
        if name not in STRATEGIES:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(STRATEGIES)}")
    return found


def elsewhere(devices: int) -> Iterator[Plan]:
    """Compile the steps in a process that has so many virtual devices, with the arguments of this one."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} {_UNOPTIMIZED} --xla_force_host_platform_device_count={devices}"
    env = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "JAX_ENABLE_COMPILATION_CACHE": "false"}
    # Nobody is to ask the servers of a cloud which TPUs this machine has.
    env["TPU_SKIP_MDS_QUERY"] = "1"
    command = [sys.executable, __file__, *sys.argv[1:], "--here"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        for line in process.stdout:
            found = json.loads(line)
            if found["collectives"] is not None:
                found["collectives"] = [Collective(**each) for each in found["collectives"]]
            yield Plan(**found)
    if process.returncode:
        sys.exit("compiling failed.")


# What the new process does


def planned(arguments: argparse.Namespace, strategy_name: str) -> Plan:
    """Compile a step."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    from jax.sharding import NamedSharding, PartitionSpec
    from plan_models import model_of, strategy_of

    from treegy._steps._homes import of_structure

    own = {name: getattr(arguments, name) for name in ("batch", "length", "layers")}
    size = dataclasses.replace(SIZES[arguments.model], **{name: n for name, n in own.items() if n is not None})
    devices: list[Any] = jax.devices()
    if arguments.topology:
        from jax.experimental import topologies

        if importlib.util.find_spec("libtpu") is None:
            sys.exit("`--topology` needs the compiler of TPUs: pip install libtpu")
        devices = list(topologies.get_topology_desc(arguments.topology, "tpu").devices)
    if size.batch % len(devices):
        sys.exit(
            f"a batch of {size.batch} examples can't be split over {len(devices)} devices: pass another `--batch`."
        )
    if len(devices) % min(arguments.shards, len(devices)):
        sys.exit(f"{len(devices)} devices can't be split into groups of {arguments.shards}: pass another `--shards`.")
    strategy = strategy_of(strategy_name, devices, arguments.shards)
    shapes = eqx.filter_eval_shape(model_of(size, strategy, arguments.microbatches))
    is_shape = lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct)  # noqa: E731
    structs, rest = eqx.partition(shapes, is_shape)
    # Nothing public says where the arrays of a model are that doesn't have them yet.
    homes = of_structure(shapes).shardings(structs)
    structs = jax.tree.map(lambda a, home: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=home), structs, homes)
    tokens = jax.ShapeDtypeStruct(
        (size.batch, size.length), jnp.int32, sharding=NamedSharding(strategy.mesh, PartitionSpec(strategy.batch))
    )

    def step(arrays: Any, x: Any, y: Any) -> Any:
        model, logs = eqx.combine(arrays, rest).train_on_batch(x, y)
        return eqx.filter(model, eqx.is_array), logs

    begin = time.perf_counter()
    # `fit` writes the new states over the old ones.
    compiled = jax.jit(step, donate_argnums=0).lower(structs, tokens, tokens).compile()
    seconds = time.perf_counter() - begin
    memory: Any = compiled.memory_analysis()
    return Plan(
        devices=len(devices),
        strategy=strategy_name,
        parameters=sum(a.size for a in jax.tree.leaves(eqx.filter(shapes.module, is_shape))),
        tokens=size.tokens,
        held=memory.argument_size_in_bytes,
        temporaries=memory.temp_size_in_bytes,
        collectives=None if arguments.topology else collectives(compiled.as_text() or ""),
        flops=size.flops,
        seconds=seconds,
    )


# Tables

_KINDS = ("all-reduce", "all-gather")


def of_bytes(plans: list[Plan]) -> Iterator[str]:
    """Yield the lines of the table of what is held and exchanged."""
    parameters, tokens, flops = plans[0].parameters, plans[0].tokens, plans[0].flops
    yield f"{parameters / 1e6:,.1f} M parameters, {tokens:,} tokens, {flops / 1e12:,.0f} TFLOP\n"
    yield "| devices | strategy | held, MB | temporaries, MB | all-reduce | all-gather | others | compiled in |"
    yield "|---:|---|---:|---:|---:|---:|---:|---:|"
    for plan in plans:
        yield (
            f"| {plan.devices} | {plan.strategy} | {_mb(plan.held)} | {_mb(plan.temporaries)} | "
            f"{' | '.join(_by_kind(plan.collectives))} | {plan.seconds:.0f} s |"
        )


def of_time(plans: list[Plan]) -> Iterator[str]:
    """Yield the lines of the tables of what the model of time says of each machine."""
    yield "\nA collective is counted, with the bytes of its result on a device, as often as it is run in a step."
    for machine in MACHINES:
        yield f"\n{machine.name}\n"
        yield "| devices | strategy | fits | computing | exchanging | efficiency | even at, tokens a device |"
        yield "|---:|---|---|---:|---:|---:|---:|"
        for plan in plans:
            if plan.collectives is None or plan.devices > machine.most:
                continue
            found = step_time(machine, plan.devices, plan.flops, plan.collectives)
            fits = "yes" if plan.held + plan.temporaries <= machine.memory else "no"
            even = plan.tokens / plan.devices * found.exchanging / found.computing
            yield (
                f"| {plan.devices} | {plan.strategy} | {fits} | {_ms(found.computing)} | {_ms(found.exchanging)} | "
                f"{found.in_turn:.0%} to {found.overlapped:.0%} | {even:,.0f} |"
            )


def _mb(size: float) -> str:
    return f"{size / 1e6:,.0f}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.{0 if seconds >= 0.1 else 1}f} ms"


def _by_kind(found: list[Collective] | None) -> list[str]:
    if found is None:
        return ["not read"] * (len(_KINDS) + 1)
    kinds = [[c for c in found if c.kind == kind] for kind in _KINDS]
    return [*map(_exchanged, kinds), _exchanged([c for c in found if c.kind not in _KINDS])]


def _exchanged(found: list[Collective]) -> str:
    times = sum(c.times for c in found)
    return f"{times}, {_mb(sum(c.times * c.bytes for c in found))} MB" if times else ""


if __name__ == "__main__":
    main()
