"""How fast treegy is, next to what people would use instead. See `README.md`."""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

# Before jax is imported anywhere: a cache of compiled programs would hide what compiling costs.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

import counts  # noqa: E402
import fields  # noqa: E402
import fresh  # noqa: E402
import loaders  # noqa: E402
import other_networks  # noqa: E402
import report  # noqa: E402
import single_calls  # noqa: E402
import stacks  # noqa: E402
from bounds import BOUNDS  # noqa: E402
from contenders import OTHERS, OURS, Contender, present  # noqa: E402
from timing import Differ, Result, measure, prepare  # noqa: E402
from workloads import FIRST_EPOCHS, MEMORY, PLANS, Plan, Work  # noqa: E402

_CALLS = single_calls.CALLS
_NETWORKS, _LOADERS = other_networks.NETWORKS, loaders.LOADERS
_ROWS = [*PLANS, *_CALLS, *stacks.STACKS, *fields.FIELDS, *_LOADERS, *FIRST_EPOCHS, *_NETWORKS]
_NAMES = [*(row.name for row in _ROWS), "import", MEMORY.name, "counts"]


def main() -> int:
    options = _options()
    found, absent = present(options.contenders)
    about = {**report.machine(), "rounds": options.rounds, "quick": options.quick}
    for name, reason in absent.items():
        _say(f"left out: {name} ({reason})")
    results: list[Result] = []
    counted: list[counts.Count] = []
    try:
        for plan in PLANS:
            if plan.name in options.only:
                results.append(_said(_in_process(plan, found, options.rounds, options.quick)))
        for calls in _CALLS:
            if calls.name in options.only:
                results.append(_said(single_calls.measured(calls, options.rounds, options.quick)))
        for stack in stacks.STACKS:
            if stack.name in options.only:
                results.append(_said(stacks.measured(stack, options.rounds, options.quick)))
        for field in fields.FIELDS:
            if field.name in options.only:
                results.append(_said(fields.measured(field, options.rounds, options.quick)))
        for loader in _LOADERS:
            if loader.name in options.only and loaders.is_there(loader):
                results.append(_said(loaders.measured(loader, min(options.rounds, 5), options.quick)))
            elif loader.name in options.only:
                absent[loader.name] = f"{loader.package} isn't installed"
        # Fresh processes: no progress, which costs nothing there, and no scan, which nobody would write for one epoch.
        names = [name for name in found if name not in ("treegy, progress", "scan")]
        for plan in FIRST_EPOCHS:
            if plan.name in options.only:
                results.append(_said(fresh.first_epochs(plan, names, options.rounds, options.quick)))
        for network in _NETWORKS:
            if network.name in options.only and other_networks.is_there(network):
                results += map(_said, other_networks.epochs(network, min(options.rounds, 3), options.quick))
            elif network.name in options.only:
                absent[network.name] = f"{network.package} isn't installed"
        if "import" in options.only:
            results.append(_said(fresh.imports(names, options.rounds)))
        if MEMORY.name in options.only:
            results.append(_said(fresh.memory(MEMORY, min(options.rounds, 3), options.quick)))
        if "counts" in options.only:
            for count in counts.counts(options.quick):
                _say(f"{count.name}: {count.value:.3g}")
                counted.append(count)
    except Differ as e:
        _say(f"not compared, since they don't compute the same. {e}")
        return 1
    text = report.markdown(results, counted, about, absent)
    print(text)
    if options.markdown is not None:
        report.write(options.markdown, text)
    if options.json is not None:
        options.json.write_text(json.dumps(report.as_json(results, counted, about, absent), indent=1), encoding="utf-8")
    return 0


def _in_process(plan: Plan, found: dict[str, type[Contender]], rounds: int, quick: bool) -> Result:
    work = plan.work(quick)
    with tempfile.TemporaryDirectory() as folder:
        if work.source == "memory map":
            work.save(Path(folder))
            work = Work.load(Path(folder), mapped=True)
        made, result = prepare(work, found)
        for name, figures in result.computed.items():
            _say(f"{plan.name}: {name} computes {', '.join(f'{f} {v:.5f}' for f, v in figures.items()) or 'the same'}")
        result.bounds = BOUNDS.get(plan.name, {})
        result.values = measure(made, rounds)
    return result


def _said(result: Result) -> Result:
    for name in result.values:
        _say(f"{result.name}: {name} {result.median(name):.4g} {result.unit}")
    for name, reason in result.missing.items():
        _say(f"{result.name}: {name}: {reason}")
    return result


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--rounds", type=int, help="how often each is measured; 7, or 2 with --quick")
    parser.add_argument("--only", default=",".join(_NAMES), help="workloads, with commas between")
    parser.add_argument("--contenders", default=";".join([*OURS, *OTHERS]), help="who takes part, with ; between")
    parser.add_argument("--quick", action="store_true", help="few examples: to see that all work, not how fast")
    parser.add_argument("--markdown", type=Path, help="where to write the tables, as in README.md")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    options = parser.parse_args()
    options.only = options.only.split(",")
    options.contenders = options.contenders.split(";")
    options.rounds = options.rounds or (2 if options.quick else 7)
    for name in options.only:
        if name not in _NAMES:
            parser.error(f"there is no workload {name!r}; there are {', '.join(_NAMES)}.")
    for name in options.contenders:
        if name not in [*OURS, *OTHERS]:
            parser.error(f"there is no contender {name!r}; there are {'; '.join([*OURS, *OTHERS])}.")
    return options


if __name__ == "__main__":
    sys.exit(main())
