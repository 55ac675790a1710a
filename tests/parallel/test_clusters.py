"""Jobs of several processes that JAX hasn't been told of."""

import warnings

import pytest

import treegy as tg
from treegy._sharding import _cluster


@pytest.fixture(autouse=True)
def _not_told(monkeypatch: pytest.MonkeyPatch):
    _cluster._tell.cache_clear()
    for name in _cluster._COUNTS:
        monkeypatch.delenv(name, raising=False)
    yield
    _cluster._tell.cache_clear()


@pytest.mark.parametrize(
    ("name", "who"),
    [("SLURM_NTASKS", "Slurm"), ("SLURM_STEP_NUM_TASKS", "Slurm"), ("OMPI_COMM_WORLD_SIZE", "Open MPI")],
)
def test_a_cluster_is_told_of_once(name: str, who: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, "8")
    with pytest.warns(UserWarning, match=rf"{who} has started 8 processes \({name}=8\).*jax.distributed.initialize"):
        tg.parallel.DataParallel()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tg.parallel.FSDP()


@pytest.mark.parametrize(
    "env", [{}, {"SLURM_NTASKS": "1"}, {"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "1"}, {"SLURM_NTASKS": "2(x3)"}]
)
def test_one_process_is_nothing_to_talk_about(env: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tg.parallel.DataParallel()
