"""The fixtures of the end-to-end tests, with a second binary: the release before."""
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import fixtures  # noqa: E402
import harness  # noqa: E402
from fixtures import *  # noqa: E402, F401, F403

OLD = str(Path(os.environ.get("SPX_OLD", "spx of the release before")).absolute())


def pytest_configure(config):
    fixtures.pytest_configure(config)
    if not Path(OLD).exists():
        pytest.exit(f"{OLD} is not there: run make test-mixed, or name the binary in SPX_OLD", 2)


def pytest_report_header():
    old = harness.run(OLD, "--version").stdout.splitlines()[0]
    return [fixtures.pytest_report_header(), f"the release before: {OLD}, {old}"]


@pytest.fixture
def old():
    """The program of the release before."""
    return OLD
