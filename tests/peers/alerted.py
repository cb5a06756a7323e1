"""A phone that is alerted: the notification starts a real SyncEvolution client, whose messages go through an HTTP proxy,
or over OBEX by PyOBEX.

    alerted.py --bearer udp --listen 127.0.0.1:2948 --proxy 127.0.0.1:PORT
    alerted.py --bearer smpp --messages FILE --proxy 127.0.0.1:PORT
    alerted.py --bearer file --messages FILE --obex 127.0.0.1:PORT

FILE has the lines that smsc.py prints, or the notification. Runs with /usr/bin/python3 inside dbus-run-session, beside
syncevo-dbus-server.
"""

import argparse
import http.client
import json
import socket
import sys
import time

import dbus
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

PATIENCE = 60


def from_udp(address):
    host, port = address.rsplit(":", 1)
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.bind((host, int(port)))
    listening.settimeout(PATIENCE)
    print("waiting", flush=True)
    return listening.recv(65535)


def from_smpp(path):
    """The datagram of the short messages, joined by their concatenation elements."""
    print("waiting", flush=True)
    parts = {}
    deadline = time.time() + PATIENCE
    while time.time() < deadline:
        for line in open(path):
            if not line.startswith("{"):
                continue
            octets = bytes.fromhex(json.loads(line)["user_data"])
            header, rest = octets[1:1 + octets[0]], octets[1 + octets[0]:]
            number, total = 1, 1
            while header:
                kind, length, data = header[0], header[1], header[2:2 + header[1]]
                header = header[2 + length:]
                if kind == 0x00:
                    total, number = data[1], data[2]
                if kind == 0x05:
                    assert data[:2] == (2948).to_bytes(2, "big"), "another port than 2948"
            parts[number] = rest
            if len(parts) == total:
                return b"".join(parts[number] for number in sorted(parts))
        time.sleep(0.1)
    sys.exit("no short message came")


def notification(datagram):
    """The body of a connectionless push of application/vnd.syncml.ds.notification."""
    assert datagram[1] == 0x06, "no Push"
    length, at = 0, 2
    while True:
        length, at = length << 7 | datagram[at] & 0x7F, at + 1
        if not datagram[at - 1] & 0x80:
            break
    headers = datagram[at:at + length]
    print("push headers", headers.hex(), flush=True)
    assert headers[0] == 0xCE or b"application/vnd.syncml.ds.notification" in headers, "another content type"
    assert bytes([0xAF, 0x85]) in headers, "another application than 5"
    return datagram[at + length:]


class Http:
    """A proxy, asked over a connection for each message."""

    def __init__(self, address):
        self.address = address

    def exchange(self, uri, octets, media):
        host, port = self.address.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        connection.request("POST", uri, octets, {"Content-Type": media})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read()

    def end(self):
        pass


class Obex:
    """One OBEX session for all messages, each a put and a get, in packets as small as a phone's."""

    PACKET = 1024

    def __init__(self, address):
        from PyOBEX import client, headers, responses

        self.headers, self.responses = headers, responses
        host, port = address.rsplit(":", 1)
        self.client = client.SyncMLClient(host, int(port))
        self.client.max_packet_length = self.PACKET
        self.client.set_socket(socket.create_connection((host, int(port)), timeout=PATIENCE))
        self.succeeds("CONNECT", self.client.connect())
        self.client.remote_info.max_packet_length = self.PACKET

    def exchange(self, _uri, octets, media):
        kind = [self.headers.Type(media.encode() + b"\0")]
        self.succeeds("PUT", self.client.put("", octets, kind))
        got = self.client.get(header_list=kind)
        assert isinstance(got, tuple), f"GET: {got}"
        kinds = [header.decode() for header in got[0] if isinstance(header, self.headers.Type)]
        assert len(kinds) == 1, f"GET: the types {kinds}"
        return 200, kinds[0].rstrip(b"\0").decode(), got[1]

    def end(self):
        self.succeeds("DISCONNECT", self.client.disconnect())

    def succeeds(self, what, response):
        success = (self.responses.Success, self.responses.ConnectSuccess)
        assert isinstance(response, success), f"{what}: {response} {response.code:#x}"


class Phone:
    def __init__(self, carrier):
        self.carrier = carrier
        self.loop = GLib.MainLoop()
        self.status = 1
        self.messages = 0

    def run(self, octets):
        bus = dbus.SessionBus()
        server = dbus.Interface(
            bus.get_object("org.syncevolution", "/org/syncevolution/Server"), "org.syncevolution.Server")
        peer = {"description": "phone", "id": "alerted", "transport": "push", "transport_description": "WAP push"}
        path = server.Connect(peer, False, "")
        self.connection = dbus.Interface(bus.get_object("org.syncevolution", path), "org.syncevolution.Connection")
        self.connection.connect_to_signal("Reply", self.reply)
        self.connection.connect_to_signal("Abort", self.loop.quit)
        self.process(octets, "application/vnd.syncml.ds.notification")
        GLib.timeout_add_seconds(PATIENCE, self.loop.quit)
        self.loop.run()
        return self.status

    def process(self, octets, media):
        self.connection.Process(
            dbus.ByteArray(octets), media, reply_handler=lambda: None, error_handler=self.failed)

    def failed(self, error):
        print("refused:", error, flush=True)
        self.loop.quit()

    def reply(self, body, media, meta, final, _session):
        body = bytes(body)
        try:
            if not body:
                self.carrier.end()
                print("over" if final else "ended", flush=True)
                self.status = 0 if final else 1
                self.connection.Close(True, "")
                GLib.timeout_add(500, self.loop.quit)
                return
            status, answered, octets = self.carrier.exchange(str(meta["URL"]), body, str(media))
        except (AssertionError, OSError) as error:
            self.failed(error)
            return
        self.messages += 1
        print(f"message {self.messages}: {len(body)} octets, status {status}, {len(octets)} octets", flush=True)
        self.process(octets, answered.split(";")[0])


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--bearer", choices=["udp", "smpp", "file"], required=True)
    arguments.add_argument("--listen", default="127.0.0.1:2948")
    arguments.add_argument("--messages")
    carrier = arguments.add_mutually_exclusive_group(required=True)
    carrier.add_argument("--proxy")
    carrier.add_argument("--obex")
    arguments = arguments.parse_args()
    if arguments.bearer == "file":
        with open(arguments.messages, "rb") as file:
            octets = file.read()
    else:
        datagram = from_udp(arguments.listen) if arguments.bearer == "udp" else from_smpp(arguments.messages)
        octets = notification(datagram)
    DBusGMainLoop(set_as_default=True)
    carrier = Http(arguments.proxy) if arguments.proxy else Obex(arguments.obex)
    sys.exit(Phone(carrier).run(octets))


main()
