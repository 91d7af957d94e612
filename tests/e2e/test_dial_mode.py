"""Dial mode: the relay calls an agent that only listens."""
import re

import pytest

from harness import LOOPBACK, NO_AGENT, endpoint, forwards, free_port, spx
from servers import Target, ask

pytestmark = pytest.mark.usefixtures("steady")


class DialSite:
    """A relay that dials its agent."""

    def __init__(self, world):
        self.world = world
        self.address = endpoint(LOOPBACK, free_port())
        self.relay = world.start_relay(agents={"lab-1": {"Dial": f"tcp:{self.address}"}})

    def start_agent(self, **config):
        agent = self.world.start_agent(online=False, relay="", listen=self.address, **config)
        agent.expect(rf"listening on {re.escape(self.address)}")
        return agent


@pytest.fixture
def site(world):
    return DialSite(world)


def test_relay_dials_its_agent(world, site, echo):
    """Each CONNECT makes the relay dial the agent; the three logs name the same circuit."""
    agent = site.start_agent()
    for _ in range(2):
        client = world.start_client(*forwards(echo.port))
        circuit = client.connected()
        site.relay.expect(
            rf"circuit {circuit}: user alice to agent lab-1, dialling (tcp:)?{re.escape(site.address)}"
        )
        site.relay.expect(rf"circuit {circuit}: joined")
        agent.expect(rf"circuit {circuit}: accepted user alice")
        with client.dial() as connection:
            assert ask(connection, b"hello" * 10000) == b"hello" * 10000


def test_agent_out_of_reach(world, site):
    """Nobody listens at the agent's address: the client ends at once with exit code 6, and says which
    address could not be reached and why."""
    failed = world.run_pipe(code=NO_AGENT, seconds=10)
    assert "the relay cannot connect to agent lab-1: " in failed.stderr
    assert f"{site.address}: connection refused" in failed.stderr


def test_something_else_at_the_agents_address(world, serve):
    """An SSH server answers where the relay dials: the client is told."""
    server = serve(Target, lambda connection: (connection.sendall(b"SSH-2.0-x\r\n"), connection.recv(999)))
    world.start_relay(agents={"lab-1": {"Dial": f"tcp:{endpoint(LOOPBACK, server.port)}"}})
    failed = world.run_pipe(code=NO_AGENT, seconds=10)
    assert "an SSH server listens there, not an spx agent" in failed.stderr


def test_agent_takes_only_its_own_relays(world, site):
    """An agent that does not have this relay's key gives it no circuit."""
    agent = site.start_agent(relay_key="other-relay")
    failed = world.run_pipe(code=NO_AGENT, seconds=10)
    assert "this agent does not know the relay's key" in failed.stderr
    assert not agent.lines(r"accepted user")
    assert not site.relay.lines(r"circuit \S+: joined")


def test_agent_that_listens_and_calls_home(world, echo):
    """An agent may listen and call home at the same time; as long as it is online it is not
    dialled."""
    address = endpoint(LOOPBACK, free_port())
    relay = world.start_relay(agents={"lab-1": {"Dial": f"tcp:{address}"}})
    agent = world.start_agent(listen=address)
    agent.expect(rf"listening on {re.escape(address)}")
    client = world.start_client(*forwards(echo.port))
    relay.expect(rf"circuit {client.connected()}: user alice to agent lab-1, over a (connection|new)")


def test_agent_that_neither_listens_nor_calls(world):
    """Without an address of its relay and without one of its own an agent could never be reached:
    an error."""
    conf = world.agent_conf(relay="")
    assert str(conf) in spx("agent", "-c", conf, "--check", code=3).stderr


def test_dialled_agent_does_not_come_online(world, site, echo):
    """An agent in dial mode is listed as one that is dialled, also while it carries a circuit: a hop
    that was dialled is not taken for a control hop."""
    site.start_agent()
    with world.start_client(*forwards(echo.port)).dial() as connection:
        assert ask(connection, b"hello") == b"hello"
        assert re.search(r"^lab-1 +dialled ", world.list_agents(), re.MULTILINE)
    assert not site.relay.lines(r"agent lab-1 online")
