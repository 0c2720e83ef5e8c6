"""One demo and one service for all end-to-end tests of a run, each a real process with a data folder of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.cds_processes import DemoRun, Served, run_demo_once, served


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    """The first start of a demo."""
    return run_demo_once(tmp_path_factory.mktemp("demo") / "demo-data")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running `cds serve`; tests bring patients of their own."""
    with served(tmp_path_factory.mktemp("serve")) as running:
        yield running
