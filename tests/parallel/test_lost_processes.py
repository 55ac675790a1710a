"""What JAX says of a process that is gone becomes one sentence. The texts are those of JAX and its collectives."""

from pathlib import Path
from typing import Any

import jax
import pytest

import treegy as tg
from helpers import X, Y, make_model

pytestmark = pytest.mark.standard_promotion


class Failing:
    """Gives a batch, and fails as a collective does."""

    def __init__(self, text: str):
        self.text = text

    def __iter__(self) -> Any:
        yield X, Y
        raise jax.errors.JaxRuntimeError(self.text)


def fail(text: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    backup = tg.callbacks.BackupAndRestore(place, save_freq=1)
    mesh = jax.sharding.Mesh(jax.local_devices()[:1], ("data",))
    make_model().distributed(tg.parallel.DataParallel(mesh)).fit(Failing(text), callbacks=backup, verbose=0)


@pytest.mark.parametrize(
    "text",
    [
        "UNKNOWN: Gloo AllReduce failed: [external/gloo/gloo/transport/tcp/pair.cc:538] Read error: Connection reset",
        "UNAVAILABLE: Task 1 heartbeat timeout. This indicates that the remote task has failed\nand a page more of it",
        "INTERNAL: NCCL operation failed: remote process exited or there was a network error",
    ],
)
def test_a_process_that_is_gone(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(tg.ProcessError, match="another process of this run is gone") as caught:
        fail(text, tmp_path, monkeypatch)
    assert text.partition("\n")[0] in str(caught.value) and "\n" not in str(caught.value)
    told = f"The backup of step 1 in '{tmp_path}' is whole: the same script resumes from it."
    assert told in caught.value.__notes__


def test_other_errors_stay_what_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE_EXHAUSTED"):
        fail("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes.", tmp_path, monkeypatch)


def test_in_one_process_nobody_is_gone(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(jax.errors.JaxRuntimeError, match="heartbeat"):
        make_model().fit(Failing("UNAVAILABLE: heartbeat timeout"), verbose=0)
