#!/usr/bin/env python3
"""A million datagrams over sockets, each a valid one with one thing changed, beside handsets that must be served.

usage: hostile.py --wapbridge PROGRAM [--datagrams 1000000] [--rate 20000]

The datagrams come from a thousand addresses and go to both ports. Meanwhile `wapbridge post` asks again and again, as
handsets do that repeat what is lost. Fails if one of them is not answered with its own body, if the gateway panics or
ends, if it did not get nearly all datagrams, or if its memory grows from the first quarter to the end by 64 MiB.
"""
import argparse
import multiprocessing
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

sys.dont_write_bytecode = True
import memory

LARGE = bytes(3_000)


def said():
    """What handsets say: TIDs follow each other, so that many belong together."""
    uri = b"http://translated.example/post"
    get, post = memory.get(b"/hello"), memory.post(b"\x83", b"small")
    large = memory.post(b"\x83", LARGE)
    session = bytes.fromhex("9234")
    number = 0x4000

    def invoke(sdu, kind=0x0A, transaction_class=0x12):
        nonlocal number
        number = (number + 1) & 0x7FFF
        return bytes([kind, number >> 8, number & 0xFF, transaction_class]) + sdu

    yield invoke(b"\x01\x10\x00\x14" + b"\xa9Changed/1.0\0" + b"\x80\x80" * 3)
    yield bytes([0x18, number >> 8, number & 0xFF])
    yield invoke(get)
    yield bytes([0x1C, number >> 8, number & 0xFF])
    yield bytes([0x18, number >> 8, number & 0xFF])
    yield invoke(post)
    yield invoke(large[:1_400], 0x0C)
    yield bytes([0x2A, number >> 8, number & 0xFF, 1]) + large[1_400:]
    yield bytes([0x3C, number >> 8, number & 0xFF, 1, 1])
    yield bytes([0x21, number >> 8, number & 0xFF, 0xE8])
    yield invoke(b"\x09" + session + b"\x00")
    yield invoke(b"\x08" + session, transaction_class=0x10)
    yield invoke(b"\x05" + session, transaction_class=0x10)
    together = [invoke(get), bytes([0x18, number >> 8, number & 0xFF])]
    yield b"\0" + b"".join(bytes([0x80 | len(pdu) >> 8, len(pdu) & 0xFF]) + pdu for pdu in together)
    yield b"\x01\x40" + memory.uintvar(len(uri)) + uri


def changed(datagram):
    datagram = bytearray(datagram)
    what, at = random.randrange(9), random.randrange(len(datagram))
    front = random.randrange(min(len(datagram), 16))
    if what == 0:  # PDU type, or flags
        datagram[0] = datagram[0] & 0x87 | random.randrange(16) << 3
    elif what == 1:
        datagram[0] ^= 1 << random.randrange(3)
    elif what == 2:  # TID
        datagram[1:3] = random.randbytes(2)
    elif what == 3:  # a TPI that fits or does not
        datagram[0] |= 0x80
        datagram[4:4] = random.randbytes(random.randrange(1, 6))
    elif what == 4:
        datagram[front] = random.randrange(256)
    elif what == 5:  # a length beyond all bounds
        datagram[front : front + 1] = b"\x8f\xff\xff\xff\x7f"
    elif what == 6:
        del datagram[at:]
    elif what == 7:
        datagram += random.randbytes(random.randrange(600))
    else:
        datagram[at] ^= 1 << random.randrange(8)
    return bytes(datagram)


def flood(ports, datagrams, rate):
    sockets = []
    for number in range(1_000):
        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        own.bind((f"127.9.{number // 250}.{1 + number % 250}", 0))
        own.setblocking(False)
        sockets.append(own)
    began, sent = time.monotonic(), 0
    while sent < datagrams:
        own, port = random.choice(sockets), ports[random.random() < 0.1]
        for datagram in list(said())[random.randrange(6) :]:
            if random.random() < 0.5:
                datagram = changed(datagram)
            own.sendto(datagram, ("127.0.0.1", port))
            sent += 1
        ahead = sent / rate - (time.monotonic() - began)
        if ahead > 0.005:
            time.sleep(ahead)


def canary(arguments, gateway, over, answers):
    number = 0
    while not over.is_set():
        number += 1
        body = b"%d" % number
        command = [arguments.wapbridge, "post", "--quiet", "--gateway", f"127.0.0.1:{gateway}", "--timeout", "60"]
        command += ["--type", "text/plain", "--data", "-", "http://translated.example/post"]
        began = time.monotonic()
        done = subprocess.run(command, input=body, capture_output=True)
        answers.append((done.returncode == 0 and done.stdout == b"hello", time.monotonic() - began, done.stderr))
        time.sleep(0.1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--wapbridge", required=True)
    parser.add_argument("--datagrams", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=20_000)
    arguments = parser.parse_args()
    random.seed(1)
    with tempfile.TemporaryDirectory() as directory:
        memory.certificates(directory)
        kinds = (socket.SOCK_DGRAM, socket.SOCK_DGRAM, socket.SOCK_STREAM, socket.SOCK_STREAM)
        gateway, unit, admin, port = map(memory.free_port, kinds)
        with open(f"{directory}/wapbridge.toml", "w") as file:
            file.write(
                f"""
[listen]
connection_mode = "127.0.0.1:{gateway}"
connectionless = "127.0.0.1:{unit}"
[admin]
listen = "127.0.0.1:{admin}"
[log]
access = "off"
[[route]]
match = "http://translated.example/"
upstream = "https://localhost:{port}/"
[tls]
ca_file = "ca.pem"
"""
            )
        web = multiprocessing.Process(target=memory.origin, args=(port, directory), daemon=True)
        web.start()
        log = open(f"{directory}/log", "w")
        command = [arguments.wapbridge, "serve", "--config", f"{directory}/wapbridge.toml"]
        bridge = subprocess.Popen(command, stderr=log, env={**os.environ, "NO_COLOR": "1"})
        try:
            memory.started(bridge, port, log.name)
            verdict(arguments, bridge, (gateway, unit), admin, directory)
        finally:
            bridge.kill()
            bridge.wait()
            web.kill()


def counters(admin):
    # A shard shows its counters once a second, and they are collected once a second.
    time.sleep(3)
    text = urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=20).read().decode()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line[0] != "#"}


def verdict(arguments, bridge, ports, admin, directory):
    over, answers = threading.Event(), []
    served = threading.Thread(target=canary, args=(arguments, ports[0], over, answers))
    sender = multiprocessing.Process(target=flood, args=(ports, arguments.datagrams, arguments.rate), daemon=True)
    began = time.monotonic()
    # In this order: the sender would inherit the pipe of a POST, which then had no end.
    sender.start()
    served.start()
    resident = []
    while sender.is_alive():
        sender.join(1)
        resident.append(memory.resident(bridge.pid))
    seconds = time.monotonic() - began
    over.set()
    served.join()
    assert sender.exitcode == 0 and bridge.poll() is None, "the gateway or the sender ended"
    metrics = counters(admin)
    received = sum(value for name, value in metrics.items() if name == 'wapbridge_datagrams_total{direction="in"}')
    bad = [answer for answer in answers if not answer[0]]
    quarter, last = resident[len(resident) // 4], resident[-1]
    print(f"{arguments.datagrams} datagrams in {seconds:.0f} s, {received:.0f} received")
    print(f"{len(answers)} POSTs beside, {len(bad)} not served, the slowest in {max(a[1] for a in answers):.1f} s")
    print(f"{quarter / 2**20:.0f} MiB resident after a quarter, {last / 2**20:.0f} at the end")
    with open(f"{directory}/log") as file:
        panics = [line for line in file if re.search("panic", line)]
    assert not panics, panics
    assert not bad, bad[:3]
    assert len(answers) >= 10 and received >= 0.9 * arguments.datagrams
    assert last < quarter + (64 << 20)


if __name__ == "__main__":
    main()
