"""What a run ran on, and with: versions and hardware."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import jax

_PACKAGES = ("treegy", "jax", "jaxlib", "equinox", "optax", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that training depends on, of those that are installed."""
    found = {"Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from its source
            module = sys.modules.get(name)
            if hasattr(module, "__version__"):
                found[name] = str(getattr(module, "__version__"))  # noqa: B009
    return found


def hardware() -> dict[str, str]:
    """Return the machine of this process, and the devices that JAX has there."""
    kinds: dict[str, int] = {}
    for device in jax.devices():
        name = device.device_kind if device.device_kind != device.platform else device.platform.upper()
        kinds[name] = kinds.get(name, 0) + 1
    devices = ", ".join(f"{n} × {kind}" for kind, n in kinds.items())
    processors = f"{os.cpu_count()} × {_processor()}"
    return {"Devices": devices, "Processors": processors, "System": f"{platform.system()} {platform.release()}"}


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine()
