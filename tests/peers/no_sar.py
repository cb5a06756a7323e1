#!/usr/bin/env python3
"""A handset without segmentation: asks for one large reply and takes it in one datagram.

usage: no_sar.py GATEWAY PORT URI OCTETS

Its Invokes have GTR and TTR set, which says that it cannot re-assemble (WTP 8.2.2). The reply has to come as
one Result whatever its size; IP may cut the datagram. Fails unless the reply's body has OCTETS octets.
"""
import socket
import struct
import sys

RESULT, ACK, ABORT = 2, 3, 4


def invoke(tid, sdu):
    return struct.pack("!BHB", 1 << 3 | 0b110, tid, 0b10) + sdu


def ask(handset, tid, sdu):
    """Sends an Invoke and returns the Result's SDU, proving its TID where asked to."""
    handset.send(invoke(tid, sdu))
    for _ in range(20):
        datagram = handset.recv(65536)
        kind, (answered,) = datagram[0] >> 3 & 0xF, struct.unpack("!H", datagram[1:3])
        assert answered == tid | 0x8000, datagram[:4].hex()
        if kind == ACK and datagram[0] & 0b100:
            handset.send(struct.pack("!BH", ACK << 3 | 0b100, tid))
        elif kind == RESULT:
            assert datagram[0] & 0b010, "the Result is cut, and this handset cannot put it together"
            handset.send(struct.pack("!BH", ACK << 3, tid))
            return datagram[3:]
        elif kind == ABORT:
            sys.exit("aborted: %s" % datagram.hex())
    sys.exit("no result")


def main():
    gateway, port, uri, octets = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode(), int(sys.argv[4])
    handset = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    handset.settimeout(20)
    handset.connect((gateway, port))
    # Connect, version 1.0; Client-SDU-Size 0: replies of any size.
    connect_reply = ask(handset, 1, bytes([0x01, 0x10, 3, 0, 2, 0x80, 0]))
    assert connect_reply[0] == 0x02, connect_reply.hex()
    reply = ask(handset, 2, bytes([0x40, len(uri)]) + uri)
    assert reply[0] == 0x04 and reply[1] == 0x20, reply[:8].hex()
    assert len(reply) >= octets, "%d octets" % len(reply)
    assert reply[-octets:] == bytes(i * 7 % 251 for i in range(octets))
    print("%d octets in one datagram" % len(reply))


if __name__ == "__main__":
    main()
