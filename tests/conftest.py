"""What every test gets: one thread, no network, real data by name."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

# Before torch, numpy or a hub client is imported, and inherited by every subprocess that a test starts.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test reach this machine only; subprocesses such as `uv lock` are not concerned."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guard(original: Callable[..., Any]) -> Callable[..., Any]:
        def checked(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(str(address[0])):
                raise RuntimeError(f"a test tried to reach {address[0]!r}; tests use the loopback interface only")
            return original(self, address)

        return checked

    monkeypatch.setattr(socket.socket, "connect", guard(connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guard(connect_ex))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:  # a name that needs a resolver is not this machine
        return False


@pytest.fixture(scope="session")
def asset() -> Callable[[str], Path]:
    """The directory of a fetched asset; absent, the test is skipped here and fails in CI."""
    from quartet_shared.assets import asset_path
    from quartet_shared.errors import DataError

    def find(name: str) -> Path:
        try:
            return asset_path(name)
        except DataError as err:
            pytest.skip(str(err))

    return find


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a graphics card where there is none."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI only a missing graphics card excuses a test."""
    report = yield
    return report if item.get_closest_marker("gpu") else _no_skip_in_ci(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole module, such as one with `importorskip`."""
    report = yield
    return _no_skip_in_ci(report)


def _no_skip_in_ci(report: Any) -> Any:
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"not to be skipped in CI: {reason}"
    return report
