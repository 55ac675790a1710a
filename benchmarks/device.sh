#!/usr/bin/env bash
# On a machine with an accelerator: the tests that are about devices, and the benchmark with a table of its own, in under
# eight minutes. The JAX, Equinox and Optax that the machine has are used; what is missing comes from the wheels in
# $WHEELS, where there are some, and by pip otherwise. Results are written into the folder that is given, or $OUT.
set -euo pipefail
cd "$(dirname "$0")/.."
results=${1:-${OUT:-device-results}}
mkdir -p "$results"
export PYTHONPATH=$PWD/src

missing=()
for package in jax equinox optax jaxtyping numpy rich pytest hypothesis xdist; do
    if ! python3 -c "import $package" 2>/dev/null; then
        missing+=("${package/#xdist/pytest-xdist}")
    fi
done
if [ "${#missing[@]}" -gt 0 ]; then
    if [ -n "${WHEELS:-}" ]; then
        python3 -m pip install --no-index --find-links "$WHEELS" "${missing[@]}"
    else
        python3 -m pip install "${missing[@]}"
    fi
fi

python3 -c "import jax; print(jax.__version__, jax.devices())"
# What fails here is told, and the benchmark runs all the same.
timeout 180 python3 -m pytest -q -n 0 -m "not slow and not once" tests/data/test_device_placement.py \
    tests/steps/test_single_steps.py tests/loop/test_batch_hooks.py tests/loop/test_compiled_programs.py \
    2>&1 | tail -n 40 | tee "$results/tests.txt" || true
timeout 270 python3 benchmarks/run.py --rounds 3 \
    --only mlp,wide,deep,cnn,depthwise,evaluate,predict,train-on-batch,predict-on-batch,hook,first-epoch \
    --contenders "treegy;hand-written;flat;scan" --markdown "$results/device.md" --json "$results/device.json"
