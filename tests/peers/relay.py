#!/usr/bin/env python3
"""Relays UDP between clients and a gateway and records both ways as a pcap file.

usage: relay.py --listen PORT --gateway PORT --pcap FILE

Recording at a relay needs no capture rights. The capture shows the gateway's port as 9201, so that
dissectors know the protocol. Ends on SIGTERM.
"""
import argparse
import selectors
import signal
import socket
import struct
import sys
import time

ASSIGNED = 9201


def packet(source, destination, payload):
    (source_ip, source_port), (destination_ip, destination_port) = source, destination
    udp = struct.pack("!HHHH", source_port, destination_port, 8 + len(payload), 0) + payload
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, source_ip, destination_ip)
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return header[:10] + struct.pack("!H", 0xFFFF & ~total) + header[12:] + udp


class Capture:
    def __init__(self, path):
        self.file = open(path, "wb")
        self.file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))  # link type RAW

    def add(self, source, destination, payload):
        data = packet(source, destination, payload)
        now = time.time()
        self.file.write(struct.pack("<IIII", int(now), int(now % 1 * 1e6), len(data), len(data)) + data)
        self.file.flush()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--gateway", type=int, required=True)
    parser.add_argument("--pcap", required=True)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    capture = Capture(arguments.pcap)
    gateway_end = (bytes([127, 0, 0, 1]), ASSIGNED)
    front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    front.bind(("127.0.0.1", arguments.listen))
    selector = selectors.DefaultSelector()
    selector.register(front, selectors.EVENT_READ, None)
    backs = {}
    print("listening", flush=True)
    while True:
        for key, _ in selector.select():
            try:
                payload, sender = key.fileobj.recvfrom(65536)
            except ConnectionRefusedError:
                continue
            if key.data is None:
                if sender not in backs:
                    back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                    back.connect(("127.0.0.1", arguments.gateway))
                    selector.register(back, selectors.EVENT_READ, sender)
                    backs[sender] = back
                capture.add((bytes([127, 0, 0, 2]), sender[1]), gateway_end, payload)
                backs[sender].send(payload)
            else:
                capture.add(gateway_end, (bytes([127, 0, 0, 2]), key.data[1]), payload)
                front.sendto(payload, key.data)


if __name__ == "__main__":
    main()
