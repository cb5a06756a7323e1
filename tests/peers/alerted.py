"""A phone that is alerted: the notification starts a real SyncEvolution client, whose messages go through an HTTP proxy.

    alerted.py --bearer udp --listen 127.0.0.1:2948 --proxy 127.0.0.1:PORT
    alerted.py --bearer smpp --messages FILE --proxy 127.0.0.1:PORT

FILE has the lines that smsc.py prints. Runs with /usr/bin/python3 inside dbus-run-session, beside syncevo-dbus-server.
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


class Phone:
    def __init__(self, proxy):
        self.proxy = proxy
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
        if not body:
            print("over" if final else "ended", flush=True)
            self.status = 0 if final else 1
            self.connection.Close(True, "")
            GLib.timeout_add(500, self.loop.quit)
            return
        host, port = self.proxy.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        connection.request("POST", str(meta["URL"]), body, {"Content-Type": str(media)})
        answer = connection.getresponse()
        octets = answer.read()
        self.messages += 1
        print(f"message {self.messages}: {len(body)} octets, HTTP {answer.status}, {len(octets)} octets", flush=True)
        self.process(octets, answer.getheader("Content-Type").split(";")[0])


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--bearer", choices=["udp", "smpp"], required=True)
    arguments.add_argument("--listen", default="127.0.0.1:2948")
    arguments.add_argument("--messages")
    arguments.add_argument("--proxy", required=True)
    arguments = arguments.parse_args()
    datagram = from_udp(arguments.listen) if arguments.bearer == "udp" else from_smpp(arguments.messages)
    DBusGMainLoop(set_as_default=True)
    sys.exit(Phone(arguments.proxy).run(notification(datagram)))


main()
