"""What a training step takes on more devices than there are: bytes, collectives, and a model of its time.

Steps are compiled for virtual devices of the CPU, and none is run. No model is ever in memory: its arrays are shapes.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from collectives import Collective, collectives
from interconnects import MACHINES, step_time


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is known of a step once it is compiled."""

    devices: int
    strategy: str
    parameters: int
    """How many numbers the parameters are."""
    held: int
    """Bytes on a device between steps: parameters, states of the optimizer, its part of the batch."""
    temporaries: int
    """Bytes on a device within a step, besides."""
    collectives: list[Collective]
    flops: float
    seconds: float
    """What compiling took."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="gpt-84m", help="gpt-tiny, gpt-84m or gpt-7b (default: gpt-84m)")
    parser.add_argument("--devices", default="8,64,256", help="numbers of devices (default: 8,64,256)")
    parser.add_argument("--strategies", default="data,fsdp,two-axes", help="of data, fsdp and two-axes (default: all)")
    parser.add_argument("--shards", type=int, default=8, help="in how many shards two-axes splits (default: 8)")
    parser.add_argument("--microbatches", type=int, default=1, help="in how many parts batches are gone through")
    parser.add_argument("--batch", type=int, help="examples of a batch, over all devices (default: the model's)")
    parser.add_argument("--length", type=int, help="tokens of an example (default: the model's)")
    parser.add_argument("--layers", type=int, help="layers of the model (default: the model's)")
    parser.add_argument("--bfloat16", action="store_true", help="compute in bfloat16, with tg.DTypePolicy")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line instead of tables")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        for strategy in arguments.strategies.split(","):
            print(json.dumps(dataclasses.asdict(planned(arguments, strategy))), flush=True)
        return
    plans: list[Plan] = []
    for devices in map(int, arguments.devices.split(",")):
        for plan in elsewhere(devices):
            plans.append(plan)
            if arguments.json:
                print(json.dumps(dataclasses.asdict(plan)), flush=True)
            else:
                print(f"{plan.strategy} on {devices}: compiled in {plan.seconds:.1f} s", file=sys.stderr, flush=True)
    if not arguments.json:
        print("\n".join(report(plans)))


def elsewhere(devices: int) -> Iterator[Plan]:
    """Compile the steps in a process that has so many devices, with the arguments of this one."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    env = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "JAX_ENABLE_COMPILATION_CACHE": "false"}
    command = [sys.executable, __file__, *sys.argv[1:], "--here"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        for line in process.stdout:
            found = json.loads(line)
            yield Plan(**{**found, "collectives": [Collective(**each) for each in found["collectives"]]})
    if process.returncode:
        sys.exit(f"compiling for {devices} devices failed.")


# What the new process does


def planned(arguments: argparse.Namespace, strategy_name: str) -> Plan:
    """Compile a step."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    from jax.sharding import NamedSharding, PartitionSpec
    from plan_models import SIZES, model_of, strategy_of

    from treegy._steps._homes import of_structure

    own = {name: getattr(arguments, name) for name in ("batch", "length", "layers")}
    size = dataclasses.replace(SIZES[arguments.model], **{name: n for name, n in own.items() if n is not None})
    strategy = strategy_of(strategy_name, arguments.shards)
    shapes = eqx.filter_eval_shape(model_of(size, strategy, arguments.microbatches, arguments.bfloat16))
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
        devices=jax.device_count(),
        strategy=strategy_name,
        parameters=sum(a.size for a in jax.tree.leaves(eqx.filter(shapes.module, is_shape))),
        held=memory.argument_size_in_bytes,
        temporaries=memory.temp_size_in_bytes,
        collectives=collectives(compiled.as_text()),
        flops=size.flops,
        seconds=seconds,
    )


# Tables

_KINDS = ("all-reduce", "all-gather", "reduce-scatter")


def report(plans: list[Plan]) -> Iterator[str]:
    """Yield the lines of the tables."""
    yield f"{plans[0].parameters / 1e6:,.1f} M parameters, {plans[0].flops / 1e12:,.1f} TFLOP a step\n"
    yield "| devices | strategy | held, MB | temporaries, MB | all-reduce | all-gather | others | compiled in |"
    yield "|---:|---|---:|---:|---:|---:|---:|---:|"
    for plan in plans:
        kinds = [[c for c in plan.collectives if c.kind == kind] for kind in _KINDS[:2]]
        kinds.append([c for c in plan.collectives if c.kind not in _KINDS[:2]])
        yield (
            f"| {plan.devices} | {plan.strategy} | {_mb(plan.held)} | {_mb(plan.temporaries)} | "
            f"{' | '.join(map(_exchanged, kinds))} | {plan.seconds:.0f} s |"
        )
    yield "\nA collective is counted, with the bytes of its result on a device, as often as it is run in a step.\n"
    for machine in MACHINES:
        yield f"{machine.name}\n"
        yield "| devices | strategy | fits | computing, ms | exchanging, ms | efficiency | as much at |"
        yield "|---:|---|---|---:|---:|---:|---:|"
        for plan in plans:
            found = step_time(machine, plan.devices, plan.flops, plan.collectives)
            fits = "yes" if plan.held + plan.temporaries <= machine.memory else "no"
            even = plan.devices * found.computing / found.exchanging if found.exchanging else float("inf")
            yield (
                f"| {plan.devices} | {plan.strategy} | {fits} | {_ms(found.computing)} | {_ms(found.exchanging)} | "
                f"{found.in_turn:.0%} to {found.overlapped:.0%} | {even:,.0f} devices |"
            )
        yield ""


def _mb(size: float) -> str:
    return f"{size / 1e6:,.0f}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.2f}" if seconds < 0.01 else f"{seconds * 1e3:,.0f}"


def _exchanged(found: list[Collective]) -> str:
    times = sum(c.times for c in found)
    return f"{times}, {_mb(sum(c.times * c.bytes for c in found))} MB" if times else ""


if __name__ == "__main__":
    main()
