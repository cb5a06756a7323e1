#!/usr/bin/env python3
"""Strangers at a secure port: how much they are sent, and what their handshakes may cost.

usage: wtls_abuse.py WAPBRIDGE DIRECTORY

Runs in a network namespace whose loopback has 192.0.2.0/24 (public addresses, which have to prove that they receive) and
10.9.0.0/16. The gateway's certificates are long: a chain of three. Fails if an address that has proved nothing is ever
sent more than three times its octets (headers of IP and UDP counted), if it is not answered at all, if handshakes beyond
key_operations are neither refused with an alert nor counted, or if a flood of ClientHellos from one region keeps the
handshakes of another from their end.
"""
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request

from wtls import ALERT, CCS, CLIENT_KEY, HANDSHAKE, RSA, RSA_ANON, plain, split

GATEWAY = ("192.0.2.1", 9203)
HEADERS = 28
OPERATIONS = 20  # a second
HANDSHAKES = 1_000
FLOODED = 20  # handshakes of a handset during the flood
DECRYPT_ERROR = 51
IP_PKTINFO = 8


def openssl(directory, *words):
    subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)


def certificates(directory):
    """A chain of three, as X.509: what an amplifier would like."""
    openssl(directory, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "root.key", "-out", "root.pem",
            "-subj", "/O=An authority with a long name/CN=Root")
    with open(os.path.join(directory, "ca.cnf"), "w") as file:
        file.write("basicConstraints=critical,CA:TRUE\n")
    above, chain = "root", []
    for name in ("one", "two", "leaf"):
        openssl(directory, "genrsa", "-traditional", "-out", name + ".key", "2048")
        openssl(directory, "req", "-new", "-key", name + ".key", "-out", name + ".csr", "-subj", "/O=Test/CN=" + name)
        extensions = [] if name == "leaf" else ["-extfile", "ca.cnf"]
        openssl(directory, "x509", "-req", "-in", name + ".csr", "-CA", above + ".pem", "-CAkey", above + ".key",
                "-CAcreateserial", "-out", name + ".pem", *extensions)
        chain.insert(0, name)
        above = name
    with open(os.path.join(directory, "chain.pem"), "w") as file:
        for name in chain:
            with open(os.path.join(directory, name + ".pem")) as one:
                file.write(one.read())


def client_hello(exchange):
    body = b"\x01" + struct.pack("!I", int(time.time())) + os.urandom(12) + b"\0"
    body += b"\0\x03" + bytes([exchange, 0, 0]) + b"\0\0" + b"\x02\x03\x03" + b"\x01\0" + b"\x02\x07"
    return plain(HANDSHAKE, 0, struct.pack("!BH", 1, len(body)) + body)


class Stranger:
    def __init__(self, address):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.socket.connect(GATEWAY)
        self.sent = self.heard = 0

    def ask(self, datagram, wait=0.05):
        """What comes within this time."""
        self.socket.send(datagram)
        self.sent += len(datagram) + HEADERS
        answers, until = [], time.monotonic() + wait
        while (left := until - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                answers.append(self.socket.recv(65536))
            except TimeoutError:
                break
            self.heard += len(answers[-1]) + HEADERS
        return answers


def amplification():
    """A certificate chain of some 2.5 kB for a ClientHello of 42 octets."""
    worst = 0
    for address, exchange in (("192.0.2.2", RSA), ("192.0.2.3", RSA_ANON)):
        stranger, longest = Stranger(address), 0
        for _ in range(4):
            hello = client_hello(exchange)
            for _ in range(40):
                for answer in stranger.ask(hello):
                    longest = max(longest, len(answer))
                worst = max(worst, stranger.heard / stranger.sent)
        print("%s: %d octets sent, %d heard, %.2f times; the longest answer has %d octets"
              % (address, stranger.sent, stranger.heard, stranger.heard / stranger.sent, longest))
        assert longest > 100, "not answered"
    garbage = Stranger("192.0.2.4")
    for number in range(100):
        garbage.ask(struct.pack("!BHH", 0xE4, number, 40) + os.urandom(40), wait=0.002)
    print("records without a connection: %.2f times" % (garbage.heard / garbage.sent))
    assert worst <= 3.0, "%.2f times" % worst
    assert garbage.heard <= garbage.sent, "more than was asked"


def key_operations(pid):
    """Handshakes of many addresses, each with a flight that costs the gateway its private key."""
    ticks = os.sysconf("SC_CLK_TCK")
    cpu = lambda: sum(int(word) for word in open("/proc/%d/stat" % pid).read().rsplit(") ")[1].split()[11:13]) / ticks
    began, cpu_began = time.monotonic(), cpu()
    refused = answered = 0
    number = 0
    while time.monotonic() - began < 5:
        number += 1
        stranger = Stranger("10.9.%d.%d" % (number >> 8, number & 0xFF))
        for answer in stranger.ask(client_hello(RSA_ANON), wait=0.01):
            (_, kind, _, fragment) = split(answer)[0]
            if kind & 0x0F == ALERT:
                refused += 1
                continue
            answered += 1
            exchange = struct.pack("!BHH", CLIENT_KEY, 258, 256) + b"\x01" + os.urandom(255)
            finished = struct.pack("!BHH", 0xE0 | HANDSHAKE, 0, 40) + os.urandom(40)
            stranger.ask(plain(HANDSHAKE, 1, exchange) + plain(CCS, 2, b"\x01") + finished, wait=0.002)
    seconds, spent = time.monotonic() - began, cpu() - cpu_began
    print("%d handshakes in %.1f s: %d answered, %d refused with an alert; %.0f ms of CPU a second"
          % (number, seconds, answered, refused, spent / seconds * 1000))
    return refused


def flood(began, ended):
    """ClientHellos of 10.9.0.0/16, an address each: all places are taken anew in half a second. Returns their number."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind(("0.0.0.0", 0))
    number = 0
    while not ended.is_set():
        number += 1
        source = bytes([10, 9, number % 250, 1 + number // 250 % 250])
        information = (socket.IPPROTO_IP, IP_PKTINFO, struct.pack("=I4s4s", 0, source, bytes(4)))
        one.sendmsg([client_hello(RSA_ANON)], [information], 0, GATEWAY)
        if number % (HANDSHAKES // 50) == 0:
            time.sleep(0.01)
        if number == HANDSHAKES * 2:
            began.set()
    return number


def handshakes_beside_a_flood():
    """Handshakes of 127.0.0.0/16 whose client takes a second for its flight, while the flood goes on."""
    began, ended, sent = threading.Event(), threading.Event(), []
    flooding = threading.Thread(target=lambda: sent.append(flood(began, ended)))
    start = time.monotonic()
    flooding.start()
    began.wait()
    kept = repeated = 0
    for number in range(FLOODED):
        handset = Stranger("127.0.0.%d" % (number + 2))
        hello = client_hello(RSA_ANON)
        for attempt in range(4):
            if handset.ask(hello, wait=0.3):
                break
            repeated += 1
        time.sleep(1)
        # A flight that is wrong: the gateway says so if it still knows the handshake, else that there is no connection.
        finished = struct.pack("!BHH", 0xE0 | HANDSHAKE, 0, 40) + os.urandom(40)
        exchange = struct.pack("!BHH", CLIENT_KEY, 258, 256) + b"\x01" + os.urandom(255)
        answers = handset.ask(plain(HANDSHAKE, 1, exchange) + plain(CCS, 2, b"\x01") + finished, wait=0.5)
        descriptions = [split(answer)[0][3][1] for answer in answers]
        kept += descriptions == [DECRYPT_ERROR]
    ended.set()
    flooding.join()
    print("%d of %d handshakes of another region were kept beside %.0f ClientHellos a second; %d repetitions"
          % (kept, FLOODED, sent[0] / (time.monotonic() - start), repeated))
    assert kept == FLOODED, kept


def metrics(directory):
    # A shard shows its counters once a second, and they are collected once a second.
    time.sleep(3)
    with urllib.request.urlopen("http://127.0.0.1:9280/metrics") as answer:
        text = answer.read().decode()
    lines = [line for line in text.splitlines() if line.startswith("wapbridge_wtls_")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def main():
    wapbridge, directory = sys.argv[1:]
    certificates(directory)
    with open(os.path.join(directory, "wapbridge.toml"), "w") as file:
        file.write('[listen]\nconnection_mode = []\nsecure_connection_mode = "%s:%d"\n' % GATEWAY)
        file.write('[admin]\nlisten = "127.0.0.1:9280"\n')
        file.write('[wtls]\nkey = "leaf.key"\ncertificate = "chain.pem"\nkey_operations = %d\nmax_handshakes = %d\n'
                   % (OPERATIONS, HANDSHAKES))
        file.write('[[route]]\nmatch = "http://a.example/"\nupstream = "https://localhost:1/"\n')
    log = open(os.path.join(directory, "gateway.log"), "wb")
    command = [wapbridge, "serve", "--config", os.path.join(directory, "wapbridge.toml")]
    gateway = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(600):
            if b" ready" in open(log.name, "rb").read():
                break
            assert gateway.poll() is None, open(log.name).read()
            time.sleep(0.1)
        amplification()
        before = metrics(directory)
        assert before['wapbridge_wtls_unsent_total{reason="unproved_address"}'] > 0, before
        refused = key_operations(gateway.pid)
        after = metrics(directory)
        name = 'wapbridge_wtls_handshakes_total{result="key_operations"}'
        counted = after[name] - before[name]
        print("%d refusals counted" % counted)
        assert refused > 0 and counted >= refused, "refused %d, counted %d" % (refused, counted)
        # What the key operations took is worked off.
        time.sleep(5)
        handshakes_beside_a_flood()
        name = 'wapbridge_wtls_handshakes_total{result="refused"}'
        assert metrics(directory)[name] > 0, "the flood found room for all"
    finally:
        gateway.kill()
        gateway.wait()


if __name__ == "__main__":
    main()
