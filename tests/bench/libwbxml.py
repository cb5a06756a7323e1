#!/usr/bin/env python3
"""libwbxml on the same messages as `cargo bench --bench wbxml`, in one process, so that the two compare."""

import ctypes
import ctypes.util
import pathlib
import sys
import time

FILES = {
    "1 kB": "s12-wbxml-err-04-unknown-database/03-resp.wbxml",
    "7 kB DevInf": "s12-wbxml-md5-02-two-way/01-req.wbxml",
    "32 kB": "s12-wbxml-mid-01-slow/02-req.wbxml",
}

name = ctypes.util.find_library("wbxml2")
if name is None:
    sys.exit("SKIPPED: libwbxml2 is not installed")
lib = ctypes.CDLL(name)
libc = ctypes.CDLL(None)
libc.free.argtypes = [ctypes.c_void_p]


def converter(direction):
    """A function from octets to octets."""
    prefix = f"wbxml_conv_{direction}_"
    conv = ctypes.c_void_p()
    getattr(lib, prefix + "create")(ctypes.byref(conv))
    run = getattr(lib, prefix + "run")
    run.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32, ctypes.POINTER(ctypes.c_void_p),
                    ctypes.POINTER(ctypes.c_uint32)]

    def convert(octets):
        out, length = ctypes.c_void_p(), ctypes.c_uint32()
        error = run(conv, octets, len(octets), ctypes.byref(out), ctypes.byref(length))
        if error != 0:
            raise RuntimeError(f"libwbxml error {error}")
        result = ctypes.string_at(out, length.value)
        libc.free(out)
        return result

    return convert


def measure(run, octets):
    """Nanoseconds for one run, the best of many short rounds."""
    best = float("inf")
    for _ in range(300):
        begin, runs = time.perf_counter_ns(), 0
        while time.perf_counter_ns() - begin < 1_000_000:
            run(octets)
            runs += 1
        best = min(best, (time.perf_counter_ns() - begin) / runs)
    return best


sessions = pathlib.Path(__file__).resolve().parents[2] / "fixtures" / "syncml-sessions"
to_xml, to_wbxml = converter("wbxml2xml"), converter("xml2wbxml")
print(f"{'message':<14}{'libwbxml':<16}{'ns':>10}{'MB/s of WBXML':>14}")
for label, file in FILES.items():
    wbxml = (sessions / file).read_bytes()
    # It writes the end of a section into a section, and cannot read that back.
    xml = to_xml(wbxml).replace(b"]]> done", b"]]]]><![CDATA[> done")
    for what, run, octets in (("WBXML to XML", to_xml, wbxml), ("XML to WBXML", to_wbxml, xml)):
        try:
            ns = measure(run, octets)
        except RuntimeError as error:
            print(f"{label:<14}{what:<16}{str(error):>24}")
            continue
        print(f"{label:<14}{what:<16}{ns:>10.0f}{len(wbxml) * 1000 / ns:>14.0f}")
