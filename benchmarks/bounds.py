"""What treegy's time divided by another's may be at most, on two CPU cores. To be beaten, not met."""

BOUNDS: dict[str, dict[str, float]] = {
    "mlp": {"hand-written": 0.42, "scan": 1.05, "Keras": 0.65, "Keras, 32 steps": 0.80},
    "wide": {"hand-written": 0.97, "flat": 1.03, "Keras": 1.00, "Keras, 32 steps": 1.00},
    "deep": {"hand-written": 0.30, "scan": 1.20},
    "cnn": {"hand-written": 0.88, "flat": 1.08},
    "depthwise": {"flat": 0.50, "PyTorch": 1.10},
    "grouped": {"flat": 0.50, "PyTorch": 2.00},
    "conv32": {"PyTorch": 1.20},
    "conv32-4": {"PyTorch": 2.20},
    "conv32-32": {"PyTorch": 2.50},
    "generator": {"hand-written": 0.45, "Keras": 0.70, "Keras, 32 steps": 0.70},
    "evaluate": {"hand-written": 0.45},
    "predict": {"hand-written": 0.45},
    "first-epoch": {"hand-written": 1.00},
    "first-epoch-rest": {"hand-written": 1.00},
    "first-epoch-cnn": {"hand-written": 1.00},
    "import": {"hand-written": 1.20},
    "train-on-batch": {"hand-written": 0.90},
    "train-in-jit": {"hand-written": 1.05},
    "test-on-batch": {"hand-written": 1.00},
    "test-the-same": {"hand-written": 1.50},
    "predict-on-batch": {"hand-written": 0.90},
    "call": {"hand-written": 0.90},
    "fit-one": {"hand-written": 3.00},
    "evaluate-one": {"hand-written": 3.50},
    "predict-one": {"hand-written": 2.30},
    "network-first": {"hand-written": 1.00},
    "network": {"hand-written": 0.95},
    "stack-tiny": {"hand-written": 0.60},
    "stack-small": {"hand-written": 0.60},
    "stack-middle": {"hand-written": 1.05},
    "stack-mlp": {"hand-written": 1.05},
    "hook": {"hand-written": 0.55},
    "hook-reads": {"hand-written": 0.75},
}

# `fit` may take as much memory as the donating loop, and besides a copy of the parameters and the ring of buffers:
# three of at most 8 MB, or of 32 batches.
RING_BUFFERS, RING_BYTES, RING_STEPS = 3, 8_000_000, 32
