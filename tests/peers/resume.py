#!/usr/bin/env python3
"""A handset in raw octets: connects, asks, suspends, resumes from another port, asks again.

usage: resume.py --gateway PORT

Fails unless the session's headers and its right to ask survive the move, and the old port has lost both.
"""
import argparse
import socket


class Phone:
    def __init__(self, gateway):
        self.tid = 0
        self.gateway = ("127.0.0.1", gateway)
        self.move()

    def move(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(5)
        self.socket.connect(self.gateway)

    def invoke(self, transaction_class, sdu):
        self.tid += 1
        head = bytes([0x0E, self.tid >> 8, self.tid & 0xFF, 0x10 | transaction_class])
        self.socket.send(head + sdu)

    def ask(self, sdu):
        """The SDU of the Result, or the reason of the Abort."""
        self.invoke(2, sdu)
        while True:
            octets = self.socket.recv(65536)
            tid = (octets[1] << 8 | octets[2]) & 0x7FFF
            kind, tve = octets[0] >> 3 & 0x0F, octets[0] & 0x04
            if tid != self.tid:
                continue
            if kind == 3 and tve:  # is this transaction new? It is.
                self.socket.send(bytes([0x1C, tid >> 8, tid & 0xFF]))
            elif kind == 2:
                self.socket.send(bytes([0x18, tid >> 8, tid & 0xFF]))
                return octets[3:]
            elif kind == 4:
                return octets[3]


def get(path):
    uri = b"http://sync.example.com" + path
    return bytes([0x40, len(uri)]) + uri


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gateway", type=int, required=True)
    phone = Phone(parser.parse_args().gateway)

    # Protocol options: session resume. User-Agent: "scripted".
    agent = b"\xa9scripted\0"
    reply = phone.ask(bytes([0x01, 0x10, 3, len(agent), 0x02, 0x82, 0x20]) + agent)
    assert reply[0] == 0x02, reply
    end = 1 + next(at for at, octet in enumerate(reply[1:]) if octet < 0x80)
    session = reply[1 : end + 1]
    assert phone.ask(get(b"/agent"))[:2] == b"\x04\x20"

    phone.invoke(0, b"\x08" + session)
    assert phone.ask(get(b"/agent")) == 0xE2, "a method of a sleeping session: Abort SUSPEND"
    old = phone.socket
    phone.move()
    assert phone.ask(b"\x09" + session + b"\x00")[:2] == b"\x04\x20", "resumed"
    reply = phone.ask(get(b"/agent"))
    assert reply.endswith(b"scripted"), reply
    moved, phone.socket = phone.socket, old
    assert phone.ask(get(b"/agent")) == 0xE1, "nobody is at the old port: Abort DISCONNECT"
    phone.socket = moved
    phone.invoke(0, b"\x05" + session)
    print("suspended on one port, resumed on another")


if __name__ == "__main__":
    main()
