#!/usr/bin/env python3
"""A WTLS client written from WAP-261 alone: it shares no code, and no author's reading, with the gateway.

usage: wtls.py --connection-mode PORT --connectionless PORT [--certificate PEM] [--pcap FILE] [--seed N]

For every suite and every key refresh from 0 to 7: a full handshake (RSA_anon, or RSA with the gateway's certificate),
then requests, while one datagram in five is lost each way, one in five is sent twice, one in ten comes again later and
one in five is overtaken. Then an abbreviated handshake from another port, alerts in clear text that must end nothing,
a damaged record, a stranger's record, and the closing alert. Fails at the first thing that is not as the specification
says. DES comes from the package cryptography; RC5, the records and the key schedule are here.
"""
import argparse
import hashlib
import hmac
import os
import random
import socket
import struct
import sys
import time

from relay import Capture

try:
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
except ImportError:  # before version 43
    from cryptography.hazmat.primitives.ciphers.algorithms import TripleDES
from cryptography import x509
from cryptography.hazmat.primitives.ciphers import Cipher, modes

CCS, ALERT, HANDSHAKE, DATA = 1, 2, 3, 4
SERVER_HELLO, CERTIFICATE, SERVER_KEY, HELLO_DONE, CLIENT_KEY, FINISHED = 2, 11, 12, 14, 16, 20
RSA_ANON, RSA = 5, 8
WARNING, CRITICAL, FATAL = 1, 2, 3
CLOSE, NO_CONNECTION, UNEXPECTED, BAD_MAC, DUPLICATE_FINISHED = 0, 5, 10, 20, 57
RETRY = 0.15  # seconds; loopback is fast


# --- ciphers ---------------------------------------------------------------------------------------------


class Rc5:
    """RC5-32/rounds/16 (RFC 2040)."""

    def __init__(self, key, rounds):
        words = [int.from_bytes(key[at : at + 4], "little") for at in range(0, 16, 4)]
        table = [(0xB7E15163 + at * 0x9E3779B9) & 0xFFFFFFFF for at in range(2 * rounds + 2)]
        a = b = i = j = 0
        for _ in range(3 * max(len(table), 4)):
            a = table[i] = rol(table[i] + a + b, 3)
            b = words[j] = rol(words[j] + a + b, a + b)
            i, j = (i + 1) % len(table), (j + 1) % 4
        self.table = table

    def encrypt(self, block):
        a, b = struct.unpack("<II", block)
        a, b = a + self.table[0] & 0xFFFFFFFF, b + self.table[1] & 0xFFFFFFFF
        for at in range(2, len(self.table), 2):
            a = rol(a ^ b, b) + self.table[at] & 0xFFFFFFFF
            b = rol(b ^ a, a) + self.table[at + 1] & 0xFFFFFFFF
        return struct.pack("<II", a, b)

    def decrypt(self, block):
        a, b = struct.unpack("<II", block)
        for at in range(len(self.table) - 2, 0, -2):
            b = rol(b - self.table[at + 1], -a % 32) ^ a
            a = rol(a - self.table[at], -b % 32) ^ b
        return struct.pack("<II", a - self.table[0] & 0xFFFFFFFF, b - self.table[1] & 0xFFFFFFFF)


def rol(word, bits):
    word, bits = word & 0xFFFFFFFF, bits % 32
    return (word << bits | word >> (32 - bits)) & 0xFFFFFFFF


class Des:
    """DES as a triple DES with one key, and triple DES."""

    def __init__(self, key):
        self.cipher = Cipher(TripleDES(key * (24 // len(key))), modes.ECB())

    def encrypt(self, block):
        return self.cipher.encryptor().update(block)

    def decrypt(self, block):
        return self.cipher.decryptor().update(block)


def xor(one, other):
    return bytes(a ^ b for a, b in zip(one, other))


class Suite:
    """A bulk cipher (table 5) and a MAC (table 6)."""

    # number: octets of key material, exportable, from the final key to the cipher
    BULKS = {
        1: ("RC5_CBC_40", 5, True, 16, lambda key: Rc5(key, 12)),
        2: ("RC5_CBC_56", 7, True, 16, lambda key: Rc5(key, 12)),
        3: ("RC5_CBC", 16, False, 16, lambda key: Rc5(key, 16)),
        4: ("DES_CBC_40", 5, True, 8, Des),
        5: ("DES_CBC", 8, False, 8, Des),
        6: ("3DES_CBC_EDE", 24, False, 24, Des),
    }
    MACS = {1: ("SHA_40", "sha1", 5), 2: ("SHA_80", "sha1", 10), 3: ("SHA", "sha1", 20), 6: ("MD5_80", "md5", 10), 7: ("MD5", "md5", 16)}

    def __init__(self, bulk, mac):
        self.numbers = (bulk, mac)
        bulk_name, self.material, self.exportable, self.key_size, self.cipher = self.BULKS[bulk]
        mac_name, self.hash, self.mac_size = self.MACS[mac]
        self.name = "%s/%s" % (bulk_name, mac_name)

    def digest(self, octets):
        return hashlib.new(self.hash, octets).digest()

    def prf(self, secret, label, seed, size):
        """11.3.2: P_hash with one hash."""
        seed, out = label + seed, b""
        a = seed
        while len(out) < size:
            a = hmac.new(secret, a, self.hash).digest()
            out += hmac.new(secret, a + seed, self.hash).digest()
        return out[:size]


# --- records ---------------------------------------------------------------------------------------------


def split(datagram):
    """The records of a datagram: (octets, record_type, sequence, fragment)."""
    records = []
    while datagram:
        kind, sequence = datagram[0], int.from_bytes(datagram[1:3], "big")
        assert kind & 0x40 and not kind & 0x10, "record type %02x" % kind
        head, end = 3, len(datagram)
        if kind & 0x80:
            head, end = 5, 5 + int.from_bytes(datagram[3:5], "big")
        assert end <= len(datagram), "a record longer than its datagram"
        records.append((datagram[:end], kind, sequence, datagram[head:end]))
        datagram = datagram[end:]
    return records


def plain(kind, sequence, content):
    return struct.pack("!BHH", 0xC0 | kind, sequence, len(content)) + content


def checksum(record):
    """10.2: the octets in fours, XORed."""
    total = bytes(4)
    for at in range(0, len(record), 4):
        total = xor(total, record[at : at + 4].ljust(4, b"\0"))
    return total


class Direction:
    """The keys of one direction, made anew at every refresh point (11.2)."""

    def __init__(self, suite, master, who, client_random, server_random, refresh):
        self.suite, self.master, self.who, self.refresh = suite, master, who, refresh
        self.client_random, self.server_random = client_random, server_random
        self.blocks = {}

    def block(self, sequence):
        point = sequence >> self.refresh << self.refresh
        if point not in self.blocks:
            self.blocks[point] = self.make(point)
        return self.blocks[point]

    def make(self, point):
        suite, number = self.suite, struct.pack("!H", point)
        key_of_mac = 20 if suite.hash == "sha1" else 16
        size = key_of_mac + suite.material + (0 if suite.exportable else 8)
        seed = number + self.server_random + self.client_random
        octets = suite.prf(self.master, self.who + b" expansion", seed, size)
        mac, key, iv = octets[:key_of_mac], octets[key_of_mac : key_of_mac + suite.material], octets[key_of_mac + suite.material :]
        if suite.exportable:
            randoms = self.client_random + self.server_random
            key = suite.prf(key, self.who + b" write key", randoms, suite.key_size)
            iv = suite.prf(b"", self.who + b" write IV", number + randoms, 8)
        return mac, suite.cipher(key), iv

    def mac(self, secret, kind, sequence, content):
        head = struct.pack("!HBH", sequence, kind, len(content))
        return hmac.new(secret, head + content, self.suite.hash).digest()[: self.suite.mac_size]

    def seal(self, content_type, sequence, content, with_length, extra):
        secret, cipher, iv = self.block(sequence)
        kind = (0xE0 if with_length else 0x60) | content_type
        octets = content + self.mac(secret, kind, sequence, content)
        padding = 7 - len(octets) % 8 + 8 * extra
        octets += bytes([padding]) * (padding + 1)
        chain, out = xor(iv, struct.pack("!H", sequence) * 4), b""
        for at in range(0, len(octets), 8):
            chain = cipher.encrypt(xor(octets[at : at + 8], chain))
            out += chain
        head = struct.pack("!BH", kind, sequence)
        return head + (struct.pack("!H", len(out)) if with_length else b"") + out

    def open(self, kind, sequence, fragment):
        secret, cipher, iv = self.block(sequence)
        chain, octets = xor(iv, struct.pack("!H", sequence) * 4), b""
        assert fragment and len(fragment) % 8 == 0, "not whole blocks"
        for at in range(0, len(fragment), 8):
            block = fragment[at : at + 8]
            octets += xor(cipher.decrypt(block), chain)
            chain = block
        padding = octets[-1]
        assert octets.endswith(bytes([padding]) * (padding + 1)), "padding"
        content = octets[: -1 - padding - self.suite.mac_size]
        mac = octets[len(content) : -1 - padding]
        assert mac == self.mac(secret, kind, sequence, content), "the MAC of record %d" % sequence
        return content


# --- the air ---------------------------------------------------------------------------------------------


class Air:
    """A socket that loses, doubles, repeats and reorders."""

    capture = None
    counts = {"sent": 0, "lost": 0, "doubled": 0, "repeated": 0, "overtaken": 0}

    def __init__(self, port, assigned, is_bad=True):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))
        self.assigned, self.is_bad = assigned, is_bad
        self.own = self.socket.getsockname()[1]
        self.history, self.late = [], None

    def note(self, kind):
        self.counts[kind] += 1

    def send(self, datagram):
        self.history = (self.history + [datagram])[-50:]
        if not self.is_bad:
            return self.put(datagram)
        if RANDOM.random() < 0.2:
            return self.note("lost")
        if self.late is None and RANDOM.random() < 0.2:
            self.late = datagram
            return self.note("overtaken")
        self.put(datagram)
        if RANDOM.random() < 0.2:
            self.note("doubled")
            self.put(datagram)
        if RANDOM.random() < 0.1:
            self.note("repeated")
            self.put(RANDOM.choice(self.history))
        self.flush()

    def flush(self):
        if self.late is not None:
            late, self.late = self.late, None
            self.put(late)

    def put(self, datagram):
        self.note("sent")
        if self.capture:
            self.capture.add((bytes([127, 0, 0, 2]), self.own), (bytes([127, 0, 0, 1]), self.assigned), datagram)
        try:
            self.socket.send(datagram)
        except ConnectionRefusedError:
            sys.exit("nothing listens at the gateway's port")

    def receive(self, until):
        """The next datagram before this moment, or nothing."""
        while True:
            left = until - time.monotonic()
            if left <= 0:
                self.flush()
                return None
            self.socket.settimeout(left)
            try:
                datagram = self.socket.recv(65536)
            except TimeoutError:
                continue
            if self.capture:
                self.capture.add((bytes([127, 0, 0, 1]), self.assigned), (bytes([127, 0, 0, 2]), self.own), datagram)
            if self.is_bad and RANDOM.random() < 0.2:
                self.note("lost")
                continue
            return datagram


# --- the client ------------------------------------------------------------------------------------------


class Client:
    def __init__(self, air, suite, exchange, refresh, session=None, certificate=None):
        self.air, self.suite, self.exchange, self.refresh = air, suite, exchange, refresh
        self.resumed, self.certificate = session, certificate
        self.sequence, self.seen, self.alerts = 0, set(), []
        self.last_received, self.last_flight = b"", None
        self.write = self.read = None
        self.handshake()

    # Handshakes (10.4): the client repeats its flight until the answer is whole.

    def handshake(self):
        self.random = struct.pack("!I", int(time.time())) + os.urandom(12)
        session_id = self.resumed[0] if self.resumed else b""
        key_id = bytes([self.exchange, 0, 0])
        body = b"\x01" + self.random + bytes([len(session_id)]) + session_id
        body += struct.pack("!H", len(key_id)) + key_id + b"\0\0"
        body += bytes([2, *self.suite.numbers]) + b"\x01\x00" + b"\x02" + bytes([self.refresh])
        hello = self.message(1, body)
        self.transcript = hello
        flight = self.plain(HANDSHAKE, hello)
        if self.resumed:
            self.abbreviated(flight)
        else:
            self.full(flight)

    @staticmethod
    def message(number, body):
        return struct.pack("!BH", number, len(body)) + body

    def plain(self, kind, content):
        self.sequence += 1
        return plain(kind, self.sequence - 1, content)

    def exchange_flights(self, flight, read):
        """Sends a flight until `read` makes something of a datagram."""
        for _ in range(100):
            self.air.send(flight)
            until = time.monotonic() + RETRY
            while datagram := self.air.receive(until):
                found = read(split(datagram))
                if found is not None:
                    return found
        sys.exit("%s, refresh %d: no answer to a flight" % (self.suite.name, self.refresh))

    def full(self, flight):
        def server_flight(records):
            messages = []
            for _, kind, _, fragment in records:
                if kind & 0x0F == ALERT:
                    sys.exit("refused: %s" % fragment.hex())
                if kind & 0x2F != HANDSHAKE:
                    return None
                while fragment:
                    size = 3 + int.from_bytes(fragment[1:3], "big")
                    messages.append(fragment[:size])
                    fragment = fragment[size:]
            complete = messages and messages[0][0] == SERVER_HELLO and messages[-1][0] == HELLO_DONE
            return (messages, records[-1][0]) if complete else None

        messages, self.last_received = self.exchange_flights(flight, server_flight)
        self.transcript += b"".join(messages)
        self.on_server_hello(messages[0][3:])
        kinds = [message[0] for message in messages]
        if self.exchange == RSA_ANON:
            assert kinds == [SERVER_HELLO, SERVER_KEY, HELLO_DONE], kinds
            body = messages[1][3:]
            assert body[0] == 0, "parameters"
            public = body[1:]
            size = int.from_bytes(public[:2], "big")
            exponent, modulus = public[2 : 2 + size], public[4 + size :]
            assert len(modulus) == int.from_bytes(public[2 + size : 4 + size], "big")
        else:
            assert kinds == [SERVER_HELLO, CERTIFICATE, HELLO_DONE], kinds
            der = self.x509(messages[1][3:])
            assert der == self.certificate, "not the gateway's certificate"
            numbers = x509.load_der_x509_certificate(der).public_key().public_numbers()
            exponent = numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8, "big")
            modulus = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
        public = struct.pack("!H", len(exponent)) + exponent + struct.pack("!H", len(modulus)) + modulus
        secret = b"\x01" + os.urandom(19)
        size = len(modulus.lstrip(b"\0"))
        filler = bytes(RANDOM.randrange(1, 256) for _ in range(size - 3 - len(secret)))
        padded = int.from_bytes(b"\0\x02" + filler + b"\0" + secret, "big")
        ciphered = pow(padded, int.from_bytes(exponent, "big"), int.from_bytes(modulus, "big")).to_bytes(size, "big")
        key_exchange = self.message(CLIENT_KEY, struct.pack("!H", size) + ciphered)
        self.master = self.suite.prf(secret + public, b"master secret", self.random + self.server_random, 20)
        self.transcript += key_exchange
        self.begin_keys()
        flight = self.plain(HANDSHAKE, key_exchange) + self.plain(CCS, b"\x01") + self.finished(b"client")

        def server_finished(records):
            for at, (octets, kind, sequence, fragment) in enumerate(records):
                if kind & 0x0F == ALERT:
                    sys.exit("refused: %s" % fragment.hex())
                if kind & 0x2F == 0x20 | HANDSHAKE and sequence == 0 and at and records[at - 1][1] & 0x0F == CCS:
                    self.check_finished(octets, kind, sequence, fragment)
                    return True
            return None

        self.exchange_flights(flight, server_finished)

    def abbreviated(self, flight):
        def server_flight(records):
            if len(records) != 3:
                return None
            hello, ccs, finished = records
            if (hello[1] & 0x2F, ccs[1] & 0x2F, finished[1] & 0x2F) != (HANDSHAKE, CCS, 0x20 | HANDSHAKE):
                return None
            return records

        hello, _, finished = self.exchange_flights(flight, server_flight)
        assert hello[3][0] == SERVER_HELLO and len(hello[3]) == 3 + int.from_bytes(hello[3][1:3], "big")
        self.transcript += hello[3]
        self.on_server_hello(hello[3][3:])
        assert self.session_id == self.resumed[0], "the session is another one"
        self.master = self.resumed[1]
        self.begin_keys()
        self.check_finished(*finished)
        # Repeated before user data, until user data comes from the gateway (10.4).
        self.last_flight = self.plain(CCS, b"\x01") + self.finished(b"client")
        self.air.send(self.last_flight)

    def on_server_hello(self, body):
        assert body[0] == 1, "version %d" % body[0]
        self.server_random = body[1:17]
        size = body[17]
        self.session_id = body[18 : 18 + size]
        key_id, bulk, mac, compression, mode, refresh = body[18 + size :]
        assert key_id == 1 or self.resumed and key_id == 0, "key exchange %d" % key_id
        assert (bulk, mac) == self.suite.numbers and compression == 0 and mode == 2, body.hex()
        assert refresh <= self.refresh, "keys change less often than asked for"
        self.agreed = refresh

    def x509(self, body):
        assert int.from_bytes(body[:2], "big") == len(body) - 2 and body[2] == 2, "not one X.509 certificate"
        assert int.from_bytes(body[3:5], "big") == len(body) - 5
        return body[5:]

    def begin_keys(self):
        keys = lambda who: Direction(self.suite, self.master, who, self.random, self.server_random, self.agreed)
        self.write, self.read = keys(b"client"), keys(b"server")

    def verify_data(self, who):
        return self.suite.prf(self.master, who + b" finished", self.suite.digest(self.transcript), 12)

    def finished(self, who):
        message = self.message(FINISHED, self.verify_data(who))
        self.transcript += message
        self.next = 1
        return self.write.seal(HANDSHAKE, 0, message, True, 0)

    def check_finished(self, octets, kind, sequence, fragment):
        content = self.read.open(kind, sequence, fragment)
        expected = self.message(FINISHED, self.verify_data(b"server"))
        assert content == expected, "the gateway's Finished"
        self.transcript += content
        self.seen, self.last_received = {0}, octets

    # User data.

    def seal(self, kind, content):
        self.next += 1
        extra = RANDOM.randrange(0, 4)
        return self.write.seal(kind, self.next - 1, content, RANDOM.random() < 0.5, extra)

    def send(self, content, note=None):
        record = self.seal(DATA, content)
        if self.last_flight and RANDOM.random() < 0.8:
            record = self.last_flight + record
        self.air.send(record)

    def receive(self, until):
        """The next datagram inside a record; duplicates are dropped, alerts are kept."""
        while datagram := self.air.receive(until):
            for octets, kind, sequence, fragment in split(datagram):
                if not kind & 0x20:
                    if kind & 0x0F == ALERT:
                        self.alerts.append((False, sequence, fragment))
                    continue
                if sequence in self.seen:
                    continue
                content = self.read.open(kind, sequence, fragment)
                self.seen.add(sequence)
                self.last_received = octets
                if kind & 0x0F == ALERT:
                    if content[1] == DUPLICATE_FINISHED:
                        self.last_flight = None
                    self.alerts.append((True, sequence, content))
                elif kind & 0x0F == DATA:
                    self.last_flight = None
                    return content
        return None

    def alert(self, wanted, again):
        """The alert with this description, which `again` provokes: the gateway sends few of them."""
        for _ in range(4):
            again()
            until = time.monotonic() + 1.5
            while time.monotonic() < until:
                for alert in self.alerts:
                    if alert[2][1] == wanted:
                        return alert
                self.receive(min(until, time.monotonic() + 0.1))
        sys.exit("no alert %d, but %s" % (wanted, self.alerts))


# --- what is asked for -----------------------------------------------------------------------------------


class Wtp:
    """Connection-mode WSP over WTP, as far as a request needs it."""

    def __init__(self, client):
        self.client, self.tid = client, RANDOM.randrange(0x3000)

    def ask(self, sdu):
        self.tid += 1
        head = struct.pack("!BHB", 0x0E, self.tid, 0x12)
        invoke, again = head + sdu, struct.pack("!BHB", 0x0F, self.tid, 0x12) + sdu
        for _ in range(200):
            self.client.send(invoke)
            invoke = again
            until = time.monotonic() + RETRY
            while datagram := self.client.receive(until):
                for pdu in self.pdus(datagram):
                    result = self.heard(pdu)
                    if result is not None:
                        return result
        sys.exit("%s: no Result" % self.client.suite.name)


    @staticmethod
    def pdus(datagram):
        """Several PDUs in a datagram begin with a zero; each has its length before it (WTP 8.5)."""
        if datagram[0] != 0:
            return [datagram]
        pdus, rest = [], datagram[1:]
        while rest:
            size, head = (rest[0], 1) if rest[0] < 0x80 else (int.from_bytes(rest[:2], "big") & 0x7FFF, 2)
            pdus.append(rest[head : head + size])
            rest = rest[head + size :]
        return pdus

    def heard(self, pdu):
        """The SDU of the Result of the transaction under way."""
        kind, tid = pdu[0] >> 3 & 0x0F, int.from_bytes(pdu[1:3], "big") & 0x7FFF
        if kind == 2:
            # Also for an earlier Result, whose Ack was lost.
            self.client.send(struct.pack("!BH", 0x18, tid))
            return pdu[3:] if tid == self.tid else None
        if kind == 3 and pdu[0] & 0x04 and tid == self.tid:
            self.client.send(struct.pack("!BH", 0x1C, tid))
        if kind == 4 and tid == self.tid:
            sys.exit("aborted: %s" % pdu.hex())
        return None


def post(body):
    uri = b"http://sync.example.com/echo"
    return bytes([0x60, len(uri), 1]) + uri + b"\x83" + body


def posts(client, count):
    """A session with requests, each answered with what it brought."""
    wtp = Wtp(client)
    reply = wtp.ask(bytes([0x01, 0x10, 0, 0]))
    assert reply[0] == 0x02, "no ConnectReply but %s" % reply.hex()
    for number in range(count):
        body = b"%s refresh %d post %d" % (client.suite.name.encode(), client.refresh, number)
        reply = wtp.ask(post(body))
        assert reply[:2] == b"\x04\x20" and reply.endswith(body), reply
    return client


def get(client):
    """One datagram each way."""
    uri = b"http://sync.example.com/hello"
    for number in range(200):
        request = bytes([number + 1, 0x40, len(uri)]) + uri
        client.send(request)
        until = time.monotonic() + 2 * RETRY
        while reply := client.receive(until):
            assert reply[1:3] == b"\x04\x20" and b"hello" in reply, reply
            return
    sys.exit("%s: no reply without a session" % client.suite.name)


def close(client):
    """10.2: the closing alert names the record received last, and is answered in kind."""
    client.air.is_bad = False

    def again():
        # Anew each time: the gateway knows only its last records.
        body = bytes([CRITICAL, CLOSE]) + checksum(client.last_received)
        client.air.send(client.seal(ALERT, body))

    genuine, _, alert = client.alert(CLOSE, again)
    assert genuine and alert[0] == CRITICAL, alert


def abuse(client):
    """A connection survives alerts and records that anybody can forge (B.4)."""
    client.air.is_bad = False
    for kind in (CLOSE, UNEXPECTED, NO_CONNECTION):
        client.air.send(plain(ALERT, 0xFFFF, bytes([FATAL, kind]) + bytes(4)))
    client.air.send(plain(DATA, 7, b"in clear text"))
    damaged = bytearray(client.seal(DATA, b"damaged"))
    damaged[-1] ^= 1
    genuine, _, alert = client.alert(BAD_MAC, lambda: client.air.send(bytes(damaged)))
    assert not genuine and alert[0] == WARNING and alert[2:] == checksum(bytes(damaged)), alert
    # The oldest record of the connection comes again, many times: nothing happens.
    old = client.air.history[0]
    for _ in range(5):
        client.air.send(old)


def stranger(port):
    """User data of a connection that the gateway does not know is answered with no_connection."""
    air = Air(port, 9203, is_bad=False)
    record = struct.pack("!BHH", 0xE4, 9, 40) + os.urandom(40)
    air.send(record)
    answer = air.receive(time.monotonic() + 3)
    assert answer, "a stranger is not answered"
    assert len(answer) <= len(record), "longer than the question"
    ((_, kind, sequence, fragment),) = split(answer)
    assert kind & 0x2F == ALERT and sequence == 0xFFFF, answer.hex()
    assert fragment[0] in (CRITICAL, FATAL) and fragment[1] == NO_CONNECTION, answer.hex()
    assert fragment[2:] == checksum(record), "the checksum"


def main():
    global RANDOM
    parser = argparse.ArgumentParser()
    parser.add_argument("--connection-mode", type=int, required=True)
    parser.add_argument("--connectionless", type=int, required=True)
    parser.add_argument("--certificate")
    parser.add_argument("--pcap")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--posts", type=int, default=6)
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else int.from_bytes(os.urandom(4), "big")
    RANDOM = random.Random(seed)
    print("seed %d" % seed)
    Air.capture = Capture(arguments.pcap) if arguments.pcap else None
    certificate = None
    if arguments.certificate:
        with open(arguments.certificate, "rb") as file:
            from cryptography.hazmat.primitives.serialization import Encoding

            certificate = x509.load_pem_x509_certificate(file.read()).public_bytes(Encoding.DER)
    handshakes = requests = 0
    for bulk, mac in ((3, 3), (2, 3), (1, 2), (5, 3), (6, 7), (3, 6), (4, 1)):
        suite = Suite(bulk, mac)
        for refresh in range(8):
            exchange = RSA if certificate and refresh % 2 else RSA_ANON
            air = Air(arguments.connection_mode, 9203)
            client = posts(Client(air, suite, exchange, refresh, certificate=certificate), arguments.posts)
            session = client.session_id, client.master
            # Another port, another connection, the same session.
            other = Client(Air(arguments.connectionless, 9202), suite, exchange, refresh, session=session)
            get(other)
            if refresh == 0:
                abuse(client)
                posts(client, 1)
                requests += 1
            close(client)
            handshakes += 2
            requests += arguments.posts
        print("%-18s refresh 0 to 7: full and abbreviated handshakes, requests, closed" % suite.name)
    stranger(arguments.connection_mode)
    print("on the air: %s" % Air.counts)
    print("%d handshakes, %d POSTs" % (handshakes, requests))


if __name__ == "__main__":
    main()
