#!/usr/bin/env python3
"""HTTPS in front of a plain HTTP server on loopback, with a request log and with faults on order.

usage: front.py --port PORT [--cert FILE --key FILE] --server PORT --request-log FILE --fault FILE
                [--public URI --own URI]

Without a certificate it speaks plain HTTP itself. With --own the server calls itself by that address wherever it would
use the public one. SyncEvolution's knows the address that its client uses, and no other; it writes it as an inline
string, which has no length, in WBXML too.

Every POST adds a line `PATH CONTENT-TYPE OCTETS SHA1 FAULT` to the request log before it is passed on. While the
fault file says `stall N SECONDS` or `drop N`, the Nth POST from then on is passed on, and its answer is given
that much later, or not at all; then the file is removed.
"""
import argparse
import hashlib
import http.client
import os
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.fault() if self.command == "POST" else []
        if self.command == "POST":
            with self.server.lock, open(self.server.request_log, "a") as request_log:
                digest = hashlib.sha1(body).hexdigest()
                path = self.path.split("?")[0]
                kind = self.headers.get("Content-Type", "-").split(";")[0]
                request_log.write("%s %s %d %s %s\n" % (path, kind, len(body), digest, (fault or ["-"])[0]))
        server = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=120)
        headers = {n: v for n, v in self.headers.items() if n.lower() not in HOP}
        server.request(self.command, self.path, body, headers)
        answer = server.getresponse()
        data = answer.read()
        if self.server.own:
            data = data.replace(self.server.public.encode(), self.server.own.encode())
        if fault[:1] == ["drop"]:
            self.close_connection = True
            return
        if fault[:1] == ["stall"]:
            time.sleep(float(fault[2]))
        try:
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = pass_on

    def fault(self):
        with self.server.lock:
            try:
                with open(self.server.fault) as file:
                    order = file.read().split()
            except FileNotFoundError:
                return []
            left = int(order[1]) - 1
            if left > 0:
                order[1] = str(left)
                with open(self.server.fault, "w") as file:
                    file.write(" ".join(order))
                return []
            os.remove(self.server.fault)
            return order

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a gateway that gives up closes its connection


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--server", type=int, required=True)
    parser.add_argument("--request-log", required=True)
    parser.add_argument("--fault", required=True)
    parser.add_argument("--public", default="")
    parser.add_argument("--own", default="")
    arguments = parser.parse_args()
    server = Server(("127.0.0.1", arguments.port), Handler)
    server.behind, server.request_log, server.fault = arguments.server, arguments.request_log, arguments.fault
    server.public, server.own = arguments.public, arguments.own
    server.lock = threading.Lock()
    if arguments.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.cert, arguments.key)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print("listening", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
