#!/usr/bin/env python3
"""Hostile handsets and a hostile origin, to see that the gateway stays within `memory`.

usage: memory.py --wapbridge PROGRAM [--seconds 60] [--memory 128MiB]

Starts an origin with TLS and a gateway. For so many seconds these go on at the same time:
- 984 handsets, eight of each address, ask for 350 kB and acknowledge nothing,
- 24 handsets post 0.9 MB of multipart, in parts with many fields of two octets: refused, or just not,
- 24 handsets post WBXML that is nearly six times as large in XML,
- 100 addresses begin a message of 0.5 MB and stop half-way,
- 48 handsets ask for replies that grow a thousand times when decoded, or to the largest that is allowed,
- 48 handsets ask for a reply that drips,
- a few hundred others a second connect, with headers of their own, and are not heard of again.
Meanwhile one handset asks for a short text, twice a second. Fails if resident memory exceeds `memory`, or if the
gateway stops answering that handset.
"""
import argparse
import asyncio
import gzip
import multiprocessing
import os
import random
import socket
import ssl
import subprocess
import sys
import tempfile
import time

LARGE = random.Random(1).randbytes(350_000)
BOMB = gzip.compress(bytes(10_000_000))
FITS = gzip.compress(bytes(340_000))


# --- the origin --------------------------------------------------------------------------------------------


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if length:
                await reader.readexactly(int(length[0].split(b":")[1]))
            path = head.split(b" ")[1]
            if path == b"/large":
                await answer(writer, LARGE)
            elif path == b"/bomb":
                await answer(writer, BOMB, b"Content-Encoding: gzip\r\n")
            elif path == b"/fits":
                await answer(writer, FITS, b"Content-Encoding: gzip\r\n")
            elif path == b"/drip":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 900000\r\n\r\n")
                for _ in range(600):
                    writer.write(b"x" * 1_500)
                    await writer.drain()
                    await asyncio.sleep(0.1)
            else:
                await answer(writer, b"hello")
    except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
        pass
    finally:
        writer.close()


async def answer(writer, body, fields=b""):
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n%sContent-Length: %d\r\n\r\n" % (fields, len(body))
    )
    writer.write(body)
    await writer.drain()


def origin(port, directory):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{directory}/origin.pem", f"{directory}/origin.key")

    async def run():
        server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=context, backlog=4_096)
        async with server:
            await server.serve_forever()

    asyncio.run(run())


# --- handsets ----------------------------------------------------------------------------------------------


def uintvar(number):
    octets = [number & 0x7F]
    while number := number >> 7:
        octets.append(number & 0x7F | 0x80)
    return bytes(reversed(octets))


class Phone(asyncio.DatagramProtocol):
    """One handset on a socket of its own: transactions of class 2, one after the other."""

    def __init__(self):
        self.tid = random.randrange(0x4000)
        self.heard = asyncio.Queue()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, _):
        self.heard.put_nowait(data)

    def error_received(self, _):
        pass

    @classmethod
    async def at(cls, address, gateway):
        loop = asyncio.get_running_loop()
        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        own.setblocking(False)
        own.bind((address, 0))
        own.connect(("127.0.0.1", gateway))
        return (await loop.create_datagram_endpoint(cls, sock=own))[1]

    def send(self, kind, rest=b""):
        self.transport.sendto(bytes([kind, self.tid >> 8, self.tid & 0xFF]) + rest)

    async def hear(self, seconds):
        """The kind and the rest of a PDU of the present transaction."""
        while True:
            octets = await asyncio.wait_for(self.heard.get(), seconds)
            if len(octets) < 3 or (octets[1] << 8 | octets[2]) & 0x7FFF != self.tid:
                continue
            kind, flags = octets[0] >> 3 & 0x0F, octets[0] & 0x07
            if kind == 3 and flags & 0x04:  # is this transaction new? It is.
                self.send(0x1C)
                continue
            return kind, octets[3:]

    async def invoke(self, sdu, seconds=10):
        """Sends a request, in groups if it is long. Returns the first packet of the result without acknowledging it."""
        self.tid = (self.tid + 1) & 0x7FFF
        if len(sdu) <= PACKET:
            self.send(0x8A, b"\x12" + MAXIMUM_GROUP + sdu)
        else:
            await self.send_groups(sdu, len(sdu))
        while True:
            kind, rest = await self.hear(seconds)
            if kind in (2, 4):
                return kind, rest

    async def send_groups(self, sdu, stop):
        packets = [sdu[at : at + PACKET] for at in range(0, len(sdu), PACKET)]
        assert len(packets) <= 256
        group = []
        for number, packet in enumerate(packets):
            last, ends_group = number == len(packets) - 1, number % GROUP == 0
            flags = 0x02 if last else 0x04 if ends_group else 0
            head = (0x88 | flags, b"\x12" + MAXIMUM_GROUP) if number == 0 else (0x28 | flags, bytes([number]))
            group.append((head[0], head[1] + packet))
            if not flags:
                continue
            await self.send_group(group, last)
            group = []
            if last or number * PACKET >= stop:
                return

    async def send_group(self, group, last):
        for _ in range(8):
            for kind, rest in group:
                self.send(kind, rest)
            if last:
                return
            try:
                while (await self.hear(4))[0] != 3:
                    pass
                return
            except asyncio.TimeoutError:
                pass
        raise asyncio.TimeoutError

    async def connect(self):
        # Any size of SDU, both ways.
        kind, rest = await self.invoke(b"\x01\x10\x06\x00\x02\x80\x00\x02\x81\x00")
        if kind == 2:
            self.send(0x18)
        return kind == 2 and rest[:1] == b"\x02"


def get(path):
    uri = b"http://translated.example" + path
    return b"\x40" + uintvar(len(uri)) + uri


def post(content_type, body):
    uri = b"http://translated.example/post"
    return b"\x60" + uintvar(len(uri)) + uintvar(len(content_type)) + uri + content_type + body


def multipart(octets, part):
    parts = octets // len(part)
    return post(b"\xa3", uintvar(parts) + parts * part)


def fields(count, octets):
    """0.9 MB in parts with so many fields of two octets, each `accept: */*` in MIME."""
    head = b"\x83" + count * b"\x80\x80"
    return multipart(900_000, uintvar(len(head)) + uintvar(octets) + head + octets * b"x")


def wbxml():
    table = b"0123456789\0"
    body = b"\x02\x9f\x53\x6a" + uintvar(len(table)) + table
    body += b"\x6d\x6b" + 40_000 * b"\x4f\x83\x00\x01" + b"\x01\x01"
    return post(b"application/vnd.syncml+wbxml\0", body)


PACKET, GROUP = 4_000, 15
FEW_FIELDS, MANY_FIELDS, WBXML = fields(75, 750), fields(450, 1), wbxml()
# Option TPI: Maximum Group. Without it a result has 64 kB at most.
MAXIMUM_GROUP = b"\x13\x04\xff\xff"


class Mix:
    def __init__(self, gateway):
        self.gateway = gateway
        self.addresses = 0
        self.counts = {}

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def address(self):
        self.addresses += 1
        return f"127.{1 + self.addresses // 62500 % 250}.{self.addresses // 250 % 250}.{1 + self.addresses % 250}"

    async def handset(self, name, address, act):
        """Connects, acts and begins again, for ever."""
        while True:
            phone = await Phone.at(address or self.address(), self.gateway)
            try:
                if await phone.connect():
                    self.count(f"{name} {await act(phone)}")
                else:
                    self.count(f"{name} not connected")
            except asyncio.TimeoutError:
                self.count(f"{name} unanswered")
            finally:
                phone.transport.close()
            await asyncio.sleep(random.random())

    async def asks(self, phone, sdu, stay):
        kind, rest = await phone.invoke(sdu, 130)
        await asyncio.sleep(stay)
        return "aborted" if kind == 4 else f"{status(rest[1])}"

    async def half(self, phone):
        phone.tid = (phone.tid + 1) & 0x7FFF
        await phone.send_groups(post(b"\x83", bytes(500_000)), 250_000)
        await asyncio.sleep(30)
        return "left"

    async def strangers(self):
        """Connects of addresses and ports that are not used again."""
        while True:
            for _ in range(30):
                agent = b"\xa9" + random.randbytes(300).hex().encode() + b"\0"
                head = b"\x01\x10\x00" + uintvar(len(agent)) + agent
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
                    own.bind((self.address(), 0))
                    own.sendto(b"\x0a\x00\x01\x12" + head, ("127.0.0.1", self.gateway))
                    own.sendto(b"\x18\x00\x01", ("127.0.0.1", self.gateway))
                self.count("strangers")
            await asyncio.sleep(0.1)

    async def canary(self):
        while True:
            phone = await Phone.at("127.0.0.2", self.gateway)
            try:
                if await phone.connect():
                    kind, rest = await phone.invoke(get(b"/hello"))
                    phone.send(0x18)
                    self.count("canary served" if kind == 2 and rest[1] == 0x20 else "canary refused")
                else:
                    self.count("canary refused")
            except asyncio.TimeoutError:
                self.count("canary unanswered")
            finally:
                phone.transport.close()
            await asyncio.sleep(0.5)

    async def run(self, seconds):
        def slow(phone):
            return self.asks(phone, get(b"/large"), 10)

        shared = [self.address() for _ in range(123)]
        tasks = [self.handset("350 kB", address, slow) for address in shared for _ in range(8)]
        for number in range(24):
            sdu = FEW_FIELDS if number % 2 else MANY_FIELDS
            name = "few fields" if number % 2 else "many fields"
            tasks.append(self.handset(name, None, lambda phone, sdu=sdu: self.asks(phone, sdu, 5)))
            tasks.append(self.handset("wbxml", None, lambda phone: self.asks(phone, WBXML, 5)))
        tasks += [self.handset("half", None, self.half) for _ in range(100)]
        for number in range(48):
            path = b"/fits" if number % 2 else b"/bomb"
            tasks.append(self.handset(path.decode(), None, lambda phone, path=path: self.asks(phone, get(path), 5)))
            tasks.append(self.handset("/drip", None, lambda phone: self.asks(phone, get(b"/drip"), 5)))
        tasks += [self.strangers(), self.canary()]
        running = [asyncio.create_task(task) for task in tasks]
        await asyncio.sleep(seconds)
        # Before Python 3.12 asyncio.wait_for loses a cancellation that comes together with its result.
        while running:
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=1)


def status(octet):
    return {0x20: 200, 0x44: 404, 0x4D: 413, 0x62: 502, 0x63: 503, 0x64: 504}.get(octet, f"0x{octet:02x}")


# --- the stage ---------------------------------------------------------------------------------------------


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def certificates(directory):
    curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split()
    for command in (
        ["req", "-x509", *curve, "-days", "2", "-subj", "/CN=peers authority", "-keyout", "ca.key", "-out", "ca.pem"],
        ["req", *curve, "-subj", "/CN=localhost", "-keyout", "origin.key", "-out", "origin.csr"],
        "x509 -req -in origin.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out origin.pem".split(),
    ):
        with open(f"{directory}/san", "w") as file:
            file.write("subjectAltName=DNS:localhost")
        subprocess.run(["openssl", *command], cwd=directory, check=True, stderr=subprocess.DEVNULL)


def octets(text):
    return int(text[:-3]) * {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[text[-3:]]


def resident(pid, field="VmRSS"):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(field))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--wapbridge", required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--memory", default="128MiB")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        certificates(directory)
        gateway, port = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
        with open(f"{directory}/wapbridge.toml", "w") as file:
            file.write(
                f"""
[listen]
connection_mode = "127.0.0.1:{gateway}"
[admin]
listen = []
[limits]
memory = "{arguments.memory}"
[log]
access = "off"
[[route]]
match = "http://translated.example/"
upstream = "https://localhost:{port}/"
encoding = "xml"
[tls]
ca_file = "ca.pem"
"""
            )
        web = multiprocessing.Process(target=origin, args=(port, directory), daemon=True)
        web.start()
        with open(f"{directory}/log", "w") as log:
            bridge = subprocess.Popen(
                [arguments.wapbridge, "serve", "--config", f"{directory}/wapbridge.toml"], stderr=log
            )
        try:
            started(bridge, port, f"{directory}/log")
            verdict(arguments, bridge, gateway, f"{directory}/log")
        finally:
            bridge.kill()
            bridge.wait()
            web.kill()


def started(bridge, port, log):
    """Waits for the gateway and the origin, a minute at most."""
    for _ in range(600):
        with open(log) as file, socket.socket() as probe:
            if " ready" in file.read() and probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if bridge.poll() is not None:
            break
        time.sleep(0.1)
    with open(log) as file:
        sys.exit("the gateway or the origin did not start:\n" + file.read())


def verdict(arguments, bridge, gateway, log):
    mix, limit, most = Mix(gateway), octets(arguments.memory), []
    idle = resident(bridge.pid)

    async def watch():
        began = time.monotonic()
        running = asyncio.create_task(mix.run(arguments.seconds))
        while not running.done():
            most.append(resident(bridge.pid))
            if len(most) % 50 == 0:
                print(f"{time.monotonic() - began:5.0f} s  {most[-1] / 2**20:6.1f} MiB", flush=True)
            await asyncio.sleep(0.2)

    try:
        asyncio.run(watch())
        peak = resident(bridge.pid, "VmHWM")
    except FileNotFoundError:
        with open(log) as file:
            sys.exit("the gateway is gone:\n" + file.read()[-2_000:])
    for what, count in sorted(mix.counts.items()):
        print(f"{count:8} {what}")
    served = mix.counts.get("canary served", 0)
    others = mix.counts.get("canary refused", 0) + mix.counts.get("canary unanswered", 0)
    print(f"memory {limit / 2**20:.0f} MiB: idle {idle / 2**20:.1f} MiB, peak {peak / 2**20:.1f} MiB")
    if peak > limit:
        sys.exit("resident memory exceeds `memory`")
    if served <= others:
        sys.exit(f"an ordinary handset was served {served} times and {others} times not")


if __name__ == "__main__":
    main()
