"""RADIUS accounting of a soak: sessions come, change, move to others and end, at a steady rate, while handsets post.

What was reported and when is kept, so that each record's subscriber can be judged afterwards.
"""
import bisect, collections, hashlib, random, socket, struct, time

SECRET = b"soak"
CLIENT = "127.3.0.1"  # the access server
RATE = 40  # reports a second
OTHERS = 2000  # sessions of handsets that send nothing, held at most

START, STOP, INTERIM = 1, 2, 3
NOBODY = (None, None)


class Accounting:
    """An access server. `addresses` are those of handsets that send something."""

    def __init__(self, port, addresses, counts, fault, over):
        self.port, self.counts, self.fault, self.over = port, counts, fault, over
        self.addresses = list(addresses)
        self.reports = {address: [] for address in addresses}  # (sent, answered, (msisdn, network)), oldest first
        self.chance = random.Random(2)
        self.names = 0

    def run(self):
        self.air = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.air.bind((CLIENT, 0))
        self.air.connect(("127.0.0.1", self.port))
        self.air.settimeout(1)
        live, others, late, number = {}, collections.deque(), collections.deque(), 0
        due = time.time()
        while not self.over.is_set():
            if self.chance.random() < 0.15:
                self.handset(self.chance.choice(self.addresses), live, late)
            elif late and self.chance.random() < 0.2:
                # The Stop of a session whose address has another subscriber by now changes nothing.
                session, address = late.popleft()
                self.report(STOP, session, address, None, None)
            elif len(others) < OTHERS:
                number += 1
                address = "10.%d.%d.%d" % (number >> 16 & 255, number >> 8 & 255, number & 255)
                others.append((self.start(address), address))
            else:
                self.report(STOP, *others.popleft(), None, None)
            due = max(due + 1 / RATE, time.time() - 1)
            self.over.wait(max(0, due - time.time()))
        self.air.close()

    def handset(self, address, live, late):
        """What happens next to one that sends something."""
        here, what = live.get(address), self.chance.random()
        if here is None:
            live[address] = (self.start(address), self.reports[address][-1][2][0])
        elif what < 0.4:
            session, msisdn = here
            self.report(INTERIM, session, address, msisdn, self.network())
        elif what < 0.7:
            late.append((here[0], address))
            live[address] = (self.start(address), self.reports[address][-1][2][0])
        else:
            self.report(STOP, here[0], address, None, None)
            del live[address]

    def start(self, address):
        self.names += 1
        session = "s%d" % self.names
        self.report(START, session, address, "49%010d" % self.chance.randrange(10**10), self.network())
        return session

    def network(self):
        return self.chance.choice(("26201", "26202", "20801", "310410"))

    def report(self, status, session, address, msisdn, network):
        fields = [(40, struct.pack(">I", status)), (44, session.encode()), (32, b"soak-ggsn"), (8, socket.inet_aton(address))]
        if msisdn:
            fields.append((31, msisdn.encode()))
        if network:
            fields.append((26, struct.pack(">IBB", 10415, 18, 2 + len(network)) + network.encode()))
        attributes = b"".join(bytes([kind, len(value) + 2]) + value for kind, value in fields)
        head = struct.pack(">BBH", 4, self.counts["RADIUS reports"] % 256, 20 + len(attributes))
        sent = time.time()
        self.counts["RADIUS reports"] += 1
        self.counts["RADIUS " + {START: "Starts", STOP: "Stops", INTERIM: "Interim-Updates"}[status]] += 1
        if not self.ask(head + hashlib.md5(head + bytes(16) + attributes + SECRET).digest() + attributes):
            self.fault("a RADIUS report was never answered")
        # The late Stop of one whose address went to another changes nothing, and is not noted.
        noted = self.reports.get(address)
        if noted is not None and not (status == STOP and noted and noted[-1][3] != session):
            noted.append((sent, time.time(), (msisdn, network), session))

    def ask(self, packet):
        """Repeats a report until it is answered, rightly signed."""
        for _ in range(10):
            self.air.send(packet)
            self.counts["RADIUS packets sent"] += 1
            until = time.time() + 1
            while time.time() < until:
                try:
                    answer = self.air.recv(4096)
                except OSError:
                    break
                if answer[1] != packet[1]:
                    continue
                signed = hashlib.md5(answer[:4] + packet[4:20] + answer[20:] + SECRET).digest()
                if answer[0] != 5 or answer[4:20] != signed:
                    self.fault("a RADIUS answer is wrongly signed")
                return True
        return False

    def possible(self, address, began, ended):
        """Who may have had the address: one (msisdn, network) if nothing was reported meanwhile."""
        reports = self.reports[address]
        # A report that was answered is in force; and reports are one after the other.
        settled = bisect.bisect_left(reports, began, key=lambda report: report[1])
        found = {reports[settled - 1][2] if settled else NOBODY}
        for sent, _, who, _ in reports[settled:]:
            if sent > ended:
                break
            found.add(who)
        return found
