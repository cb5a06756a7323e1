"""Who sends datagrams in a soak: handsets in connection mode and without sessions, and strangers with nonsense."""
import random, socket, struct, time


class Handsets:
    """Handsets of our own, none of whose requests has the URI of another."""

    def __init__(self, soak):
        self.soak, self.over = soak, soak.over

    def pace(self, began):
        self.over.wait(max(0, began + self.soak.pause - time.time()))

    def in_sessions(self, number):
        chance = random.Random(number)
        count, address = 0, in_session(number)
        while not self.over.is_set():
            air = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            air.bind((address, 0))
            air.connect(("127.0.0.1", self.soak.air))
            tid = chance.randrange(1, 0x3FFF)
            reply = self.transact(air, tid, b"\x01\x10\x00\x00", True)
            if not reply or reply[0] != 2:
                self.soak.fault("a Connect was answered %s" % reply)
                continue
            session = variable(reply[1:])
            for _ in range(chance.randrange(1, 60)):
                if self.over.is_set():
                    break
                began, count, tid = time.time(), count + 1, tid + 1
                uri = "http://soak.example/c/%d/%d" % (number, count)
                get = chance.random() < 0.2
                if get:
                    request = b"\x40" + bytes([len(uri)]) + uri.encode()
                else:
                    request = b"\x60" + bytes([len(uri), 1]) + uri.encode() + b"\x83" + chance.randbytes(chance.randrange(1, 900))
                if len(self.soak.seen) < 500:
                    self.soak.seen.append(b"\x0a\x00\x01\x12" + request)
                reply = self.transact(air, tid, request, chance.random() > 0.02)
                self.soak.note(uri, address, "GET" if get else "POST", status(reply), began)
                self.pace(began)
            if chance.random() < 0.5:
                # Class 0, with Disconnect: there is no answer. The others leave silently.
                air.send(struct.pack(">BHB", 0x0A, tid + 1, 0x10) + b"\x05" + session)
                self.soak.counts["sessions disconnected"] += 1
            air.close()

    def transact(self, air, tid, request, polite):
        """One transaction of class 2; the reply. Who is not polite never acknowledges it."""
        invoke = struct.pack(">BHB", 0x0A, tid, 0x12) + request
        air.send(invoke)
        until, again = time.time() + 20, 0
        while time.time() < until:
            air.settimeout(2)
            try:
                heard = air.recv(65536)
            except socket.timeout:
                if again < 4:
                    again += 1
                    air.send(b"\x0b" + invoke[1:])
                continue
            except OSError:
                return None
            for pdu in parts(heard):
                if len(pdu) < 3 or struct.unpack(">H", pdu[1:3])[0] & 0x7FFF != tid:
                    continue
                kind = pdu[0] >> 3 & 15
                if kind == 2:
                    if polite:
                        air.send(struct.pack(">BH", 0x18, tid))
                    return pdu[3:]
                if kind == 3:
                    again = 4  # it has the request
                    if pdu[0] & 4:
                        air.send(struct.pack(">BH", 0x1C, tid))
                if kind == 4:
                    return b"abort %d" % pdu[3]
        return None

    def without_session(self, number):
        chance = random.Random(1000 + number)
        count, address = 0, without_session(number)
        air = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        air.bind((address, 0))
        air.connect(("127.0.0.1", self.soak.unit))
        while not self.over.is_set():
            began, count = time.time(), count + 1
            uri = "http://soak.example/u/%d/%d" % (number, count)
            request = bytes([count % 256]) + b"\x60" + bytes([len(uri), 1]) + uri.encode() + b"\x83" + chance.randbytes(chance.randrange(1, 900))
            what = self.ask(air, request)
            self.soak.note(uri, address, "POST", what, began)
            self.pace(began)
        air.close()

    def ask(self, air, request):
        """One request without a session. A POST that is repeated within 10 s gets the same answer."""
        for _ in range(4):
            air.send(request)
            until = time.time() + 2.4
            while (rest := until - time.time()) > 0:
                air.settimeout(rest)
                try:
                    heard = air.recv(65536)
                except OSError:
                    break
                if heard[0] == request[0]:
                    return status(heard[1:])
        return None


def in_session(number):
    return "127.1.0.%d" % (number + 1)


def without_session(number):
    return "127.2.0.%d" % (number + 1)


def is_handset(address):
    return address.startswith(("127.1.", "127.2."))


class Strangers:
    """Nonsense from everywhere: random octets, what handsets send cut short or altered, and floods."""

    PAUSE, EACH = 0.01, 5
    FLOOD_EVERY, FLOOD = 10, 2000

    def __init__(self, soak):
        self.soak, self.chance = soak, random.Random(3)
        self.sockets = [self.somebody() for _ in range(50)]

    def somebody(self):
        """A socket of an address hardly used before: 127.8 is denied half of the time, 127.3 may use RADIUS."""
        air = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        network = self.chance.choice(("8", "9", "9", "9", "3.77"))
        while True:
            rest = [str(self.chance.randrange(1, 255)) for _ in range(3 - len(network.split(".")))]
            try:
                air.bind((".".join(["127", network] + rest), 0))
                return air
            except OSError:
                continue

    def run(self):
        flood = time.time() + self.FLOOD_EVERY
        while not self.soak.over.wait(self.PAUSE):
            for _ in range(self.EACH):
                self.send(self.altered())
            # Somebody else from now on.
            place = self.chance.randrange(len(self.sockets))
            self.sockets[place].close()
            self.sockets[place] = self.somebody()
            if time.time() > flood:
                flood = time.time() + self.FLOOD_EVERY
                self.flood()
        for air in self.sockets:
            air.close()

    def send(self, octets, port=None):
        soak = self.soak
        try:
            self.chance.choice(self.sockets).sendto(octets, ("127.0.0.1", port or self.chance.choice((soak.air, soak.unit, soak.radius))))
            soak.counts["hostile datagrams"] += 1
        except OSError:
            soak.counts["hostile datagrams the kernel refused"] += 1

    def altered(self):
        seen = bytearray(self.chance.choice(self.soak.seen))
        kind = self.chance.randrange(8)
        if kind == 0:
            return self.chance.randbytes(self.chance.choice((0, 1, 3, 20, 1500, 9000, 60000)))
        if kind < 4:
            del seen[self.chance.randrange(len(seen)):]
            return seen
        for _ in range(self.chance.randrange(1, 8)):
            seen[self.chance.randrange(len(seen))] = self.chance.randrange(256)
        return seen

    def flood(self):
        """Sessions nobody ever uses, messages that never become whole, and requests of nobody; as fast as they can be sent."""
        self.soak.counts["floods"] += 1
        fresh = [self.somebody() for _ in range(200)]
        self.sockets, kept = fresh, self.sockets
        for _ in range(self.FLOOD):
            tid, kind = self.chance.randrange(1, 0x7FFF), self.chance.randrange(5)
            if kind < 2:
                self.send(struct.pack(">BHB", 0x0A, tid, 0x12) + b"\x01\x10\x00\x00", self.soak.air)
            elif kind == 2:
                self.send(struct.pack(">BHB", 0x08, tid, 0x12) + bytes(1200), self.soak.air)
            elif kind == 3:
                self.send(struct.pack(">BHB", 0x0A, tid, 0x12) + b"\x40\x15http://other.example/", self.soak.air)
            else:
                self.send(bytes([tid & 255]) + b"\x40\x15http://other.example/", self.soak.unit)
        self.sockets = kept
        for air in fresh:
            air.close()


def status(reply):
    """The HTTP status of a Reply, what else it is, or None."""
    if reply is None:
        return None
    if reply[:1] != b"\x04" or len(reply) < 2:
        return reply[:10].decode("latin-1") if reply.startswith(b"abort") else "nonsense"
    code = reply[1]
    return {2: 200, 3: 300, 4: 400}.get(code >> 4, 500) + (code & 15)


def variable(octets):
    """The octets of the integer of variable length that is first."""
    length = next(at for at, octet in enumerate(octets) if octet < 0x80) + 1
    return octets[:length]


def parts(datagram):
    if datagram[:1] != b"\x00":
        return [datagram]
    found, at = [], 1
    while at < len(datagram):
        size = datagram[at]
        at += 1
        if size & 0x80:
            size = (size & 0x7F) << 8 | datagram[at]
            at += 1
        found.append(datagram[at:at + size])
        at += size
    return found
