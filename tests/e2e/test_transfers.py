"""Much at once: large, many, often, and unequal."""
import asyncio
import socket
import threading
import time

import pytest

import servers
from harness import SLOWNESS, forwards, stays_false, wait_for
from proxy import Proxy
from servers import Task, exchange, receive_stream, send_stream

pytestmark = pytest.mark.usefixtures("steady")

MIB = 1 << 20
GIB = (1 << 30) // SLOWNESS


@pytest.mark.time_limit(150)
def test_a_gigabyte_each_way_at_once(world, serve):
    """1 GiB goes each way at the same time on one connection; both checksums agree, and neither
    client nor agent held more than a small part of it in memory."""
    target = serve(servers.Target, lambda connection: exchange(connection, GIB, 1))
    _, agent, client = world.start_all(target.port)
    with client.dial(seconds=60) as connection:
        sent, size, received = exchange(connection, GIB, 2)
    assert (size, (received, GIB, sent)) == (GIB, target.outcome())
    for program in (client, agent):
        assert program.peak_memory_bytes() < 160 * MIB * SLOWNESS


async def talk(address, rounds, opened, go):
    """One connection: asks, waits until all are open, asks again, and ends cleanly."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        for number in range(rounds):
            text = b"round %d of %s\n" % (number, repr(writer.get_extra_info("sockname")).encode())
            writer.write(text)
            assert await reader.readexactly(len(text)) == text
            if number == 0:
                opened()
                await go.wait()
        writer.write_eof()
        assert await reader.read() == b""
    finally:
        writer.close()


@pytest.mark.time_limit(120)
def test_a_thousand_streams_open_at_once(world, echo):
    """1,000 connections are open at the same time and all of them answer; afterwards client and
    agent hold as few descriptors as before."""
    _, agent, client = world.start_all(echo.port)
    address = client.address()
    before = [(program, program.descriptors()) for program in (client, agent)]
    count = 1000
    seen = []

    async def all_of_them():
        go = asyncio.Event()
        waiting = count

        def opened():
            nonlocal waiting
            waiting -= 1
            if not waiting:
                seen.append(echo.open_connections())
                go.set()

        await asyncio.wait_for(
            asyncio.gather(*(talk(address, 3, opened, go) for _ in range(count))), 60 * SLOWNESS
        )

    asyncio.run(all_of_them())
    assert seen == [count]
    for program, descriptors in before:
        wait_for(
            lambda: program.descriptors() <= descriptors + 8,
            15,
            f"{program.name} closed its sockets",
        )


@pytest.mark.time_limit(90)
def test_two_hundred_connections_a_second(world, echo):
    """For 10 s, 200 new connections a second: none fails, and none waits for seconds."""
    client = world.start_all(echo.port)[2]
    address = client.address()
    rate, seconds = 200 // SLOWNESS, 10
    waits, failures = [], []

    async def one(number, start):
        await asyncio.sleep(start + number / rate - time.monotonic())
        begun = time.monotonic()
        try:
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"%d" % number)
            writer.write_eof()
            assert await reader.read() == b"%d" % number
            writer.close()
        except Exception as failure:
            failures.append((number, repr(failure)))
        waits.append(time.monotonic() - begun)

    async def all_of_them():
        start = time.monotonic()
        await asyncio.wait_for(
            asyncio.gather(*(one(n, start) for n in range(rate * seconds))), 60 * SLOWNESS
        )

    asyncio.run(all_of_them())
    assert failures == []
    assert len(waits) == rate * seconds
    assert max(waits) < 3 * SLOWNESS


def test_slow_reader_of_answers_beside_a_fast_one(world, serve):
    """An application that does not read holds back its own stream only: one beside it gets 96 MiB
    meanwhile, the slow one's target is stopped, memory stays bounded, and nothing is lost when it
    reads at last."""
    size = 96 * MIB
    done = []

    def source(connection):
        connection.recv(1)
        checksum = send_stream(connection, size, 3)
        done.append(checksum)
        return checksum

    target = serve(servers.Target, source)
    _, agent, client = world.start_all(target.port)
    with client.dial() as slow, client.dial() as fast:
        slow.sendall(b"s")
        assert slow.recv(1, socket.MSG_PEEK)  # it has begun
        fast.sendall(b"f")
        assert receive_stream(fast) == (size, target.outcome())
        assert len(done) == 1  # the slow one's target cannot have sent all
        if SLOWNESS == 1:
            assert max(p.peak_memory_bytes() for p in (client, agent)) < 96 * MIB
        assert receive_stream(slow) == (size, target.outcome())


def test_slow_target_beside_a_fast_one(world, serve):
    """A target that does not read stops its own sender only, and memory stays bounded; one beside it
    takes 96 MiB meanwhile."""
    size = 96 * MIB
    go = threading.Event()

    def reluctant(connection):
        go.wait(60)
        return receive_stream(connection)

    slow_target, fast_target = serve(servers.Target, reluctant), serve(
        servers.Target, receive_stream
    )
    _, agent, client = world.start_all(slow_target.port, fast_target.port)
    with client.dial(0) as slow, client.dial(1) as fast:
        slow_sending = Task(send_stream, slow, size, 4)
        checksum = send_stream(fast, size, 5)
        assert fast_target.outcome() == (size, checksum)
        stays_false(lambda: slow_sending.done, 1, "what the slow one does not read is all taken")
        if SLOWNESS == 1:
            assert max(p.peak_memory_bytes() for p in (client, agent)) < 96 * MIB
        go.set()
        assert slow_target.outcome(30) == (size, slow_sending.result(10))


def test_a_keystroke_beside_a_transfer(world, serve, echo):
    """While one stream transfers as fast as a link of 16 MiB a second can, small questions on another
    are answered quickly: the middle one within 300 ms, although the link would queue without end."""
    target = serve(servers.Target, receive_stream)
    world.start_relay()
    world.start_agent()
    link = serve(Proxy, world.relay_address, recording=False, bytes_per_s=16 * MIB // SLOWNESS)
    client = world.start_client(*forwards(target.port, echo.port), relay=link.address)
    with client.dial(0) as bulk, client.dial(1) as keys:
        sending = Task(send_stream, bulk, 80 * MIB // SLOWNESS, 6)
        wait_for(lambda: link.total() > 24 * MIB // SLOWNESS, 20, "the transfer is at full speed")
        waits = []
        while len(waits) < 200 and not sending.done:
            begun = time.monotonic()
            servers.ask(keys, b"k")
            waits.append(time.monotonic() - begun)
        checksum = sending.result(60)
        assert target.outcome()[1] == checksum
    assert len(waits) > 10
    assert sorted(waits)[len(waits) // 2] < 0.3 * SLOWNESS
