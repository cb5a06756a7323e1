"""Pushes in short messages, beside those that Kannel made: the same content, told by libwbxml.

    sms_content.py extract SUBMIT_SM DIRECTORY   one file for each of Kannel's pushes: content, and its media type
    sms_content.py compare SUBMIT_SM SMSC_LOG    the pushes of the log carry the same, in as many parts, to the same port

SUBMIT_SM has the submissions of Kannel's PPG, SMSC_LOG what smsc.py printed of ours.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

TYPES = {0x2E: "text/vnd.wap.si", 0x30: "text/vnd.wap.sl"}


def kannel(path):
    for line in open(path):
        if match := re.match(r"submit \S+ ton 1 esm 0x43 dcs 0x4 pid 0 ([0-9a-f]+)", line):
            yield bytes.fromhex(match.group(1))


def ours(path):
    for line in open(path):
        if line.startswith("{"):
            message = json.loads(line)
            assert message["data_coding"] == 4 and message["ton"] == 1, message
            yield bytes.fromhex(message["user_data"])


def joined(messages):
    """The datagrams: port of destination, number of parts, octets."""
    waiting = {}
    for user_data in messages:
        header, rest = user_data[1 : 1 + user_data[0]], user_data[1 + user_data[0] :]
        reference, total, number, port = None, 1, 1, None
        while header:
            kind, data = header[0], header[2 : 2 + header[1]]
            header = header[2 + len(data) :]
            if kind == 0x00:
                reference, total, number = data[0], data[1], data[2]
            elif kind == 0x05:
                port = int.from_bytes(data[:2], "big")
        parts = waiting.setdefault((reference, total, port), {})
        parts[number] = rest
        if len(parts) == total:
            yield port, total, b"".join(parts[number] for number in sorted(parts))
            del waiting[(reference, total, port)]
    assert not waiting, f"parts are missing: {waiting}"


def content(datagram):
    """The media type, and the content: XML for a document, octets for anything else."""
    assert datagram[1] == 0x06, "no Push"
    length, at = 0, 2
    while True:
        length, at = length << 7 | datagram[at] & 0x7F, at + 1
        if not datagram[at - 1] & 0x80:
            break
    headers, body = datagram[at : at + length], datagram[at + length :]
    kind = TYPES.get(headers[0] & 0x7F) if headers[0] & 0x80 else None
    if kind is None:
        return "octets", body
    with tempfile.TemporaryDirectory() as work:
        source, target = Path(work, "in.wbxml"), Path(work, "out.xml")
        source.write_bytes(body)
        subprocess.run(["wbxml2xml", "-o", target, source], check=True, capture_output=True)
        return kind, target.read_bytes()


def pushes(messages):
    return [(port, parts, *content(datagram)) for port, parts, datagram in joined(messages)]


def extract(source, directory):
    known = []
    for _, _, kind, body in pushes(kannel(source)):
        if kind != "octets" and (kind, body) not in known:
            known.append((kind, body))
            name = Path(directory, f"{len(known)}.{kind.rsplit('.', 1)[1]}")
            name.write_bytes(body)
            print(name, kind)


def compare(source, log):
    theirs = {push for push in pushes(kannel(source)) if push[2] != "octets"}
    mine = {push for push in pushes(ours(log)) if push[2] != "octets"}
    missing = theirs - mine
    for push in missing:
        print("MISSING", push)
    print(f"{len(theirs)} pushes of Kannel's, {len(theirs) - len(missing)} of them as ours")
    return 1 if missing or not theirs else 0


command, first, second = sys.argv[1:]
sys.exit({"extract": extract, "compare": compare}[command](first, second))
