"""Fixtures: a world for each test, servers that are closed with it, a time limit, and the logs of
what failed."""
import os
import random
import signal
from pathlib import Path

import pytest

import harness
import servers


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "time_limit(seconds): how long the test may take at most (default 60)"
    )
    config.addinivalue_line(
        "markers", "soak: takes minutes, and runs only when asked for (make soak, pytest -m soak)"
    )
    if not Path(harness.SPX).exists():
        pytest.exit(f"{harness.SPX} is not there: run make, or name the binary in SPX", 2)
    harness.raise_descriptor_limit()


def pytest_report_header():
    checks = ", built with sanitizers" if harness.SLOWNESS > 1 else ""
    return f"spx: {harness.SPX}{checks}"


def pytest_sessionstart():
    """A run that is told to end ends like one that is interrupted: what it started is stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A shell ignores it for what runs in its background; the programs under test must not inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config, items):
    """Leaves out the long tests unless marks were chosen."""
    if config.getoption("markexpr"):
        return
    long = [item for item in items if item.get_closest_marker("soak")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the last lines of its programs' logs."""
    report = (yield).get_result()
    world = getattr(item, "world", None)
    if report.failed and world:
        report.sections += [(f"log {name}", text) for name, text in world.tails()]


@pytest.fixture(autouse=True)
def time_limit(request):
    """Ends a test that hangs, wherever it waits."""
    marker = request.node.get_closest_marker("time_limit")
    seconds = (marker.args[0] if marker else 60) * harness.SLOWNESS

    def too_late(number, frame):
        raise harness.Late(f"the test took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def world(request, tmp_path, time_limit):
    made = harness.World(tmp_path)
    request.node.world = made
    yield made
    made.stop_all()


@pytest.fixture
def serve(world):
    """Starts a server of servers.py or proxy.py that is closed when the test ends, before the
    programs are."""
    started = []

    def start(kind, *arguments, **options):
        server = kind(*arguments, **options)
        started.append(server)
        return server

    yield start
    for server in reversed(started):
        server.close()


@pytest.fixture
def steady(world, serve):
    """For tests in which nothing breaks a link: no client's session had to be carried on over another
    circuit, which would hide what broke the first."""
    yield
    for program in world.programs:
        if isinstance(program, harness.Client):
            assert not program.lines(r"circuit lost|nothing is acknowledged"), program.tail()


@pytest.fixture
def dice():
    """Random numbers whose seed a failed test shows."""
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    print(f"SEED={seed} in the environment makes the same random numbers again")
    return random.Random(seed)


@pytest.fixture
def echo(serve):
    """A TCP server that sends back what it gets."""
    return serve(servers.EchoServer)
