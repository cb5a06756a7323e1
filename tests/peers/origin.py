#!/usr/bin/env python3
"""An HTTPS origin that plays recorded SyncML sessions and keeps a request log.

usage: origin.py --port PORT --cert FILE --key FILE --corpus DIR --request-log FILE

POST /SESSION/NN must carry the octets of DIR/SESSION/NN-req.*; the answer is NN-resp.*. Every POST adds a
line `SESSION/NN ok|wrong` to the request log. GET /hello is a short text, GET /large 20,000 octets.
GET /agent says who asked, GET or POST /echo gives back what it brought.
"""
import argparse
import glob
import os
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self, status, media_type, body):
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/hello":
            self.answer(200, "text/vnd.wap.wml", b"<wml><card><p>hello</p></card></wml>")
        elif self.path == "/echo":
            self.answer(200, "text/plain", b"nothing")
        elif self.path == "/agent":
            self.answer(200, "text/plain", self.headers.get("User-Agent", "").encode())
        elif self.path == "/large":
            self.answer(200, "application/octet-stream", bytes(i * 7 % 251 for i in range(20000)))
        else:
            self.answer(404, "text/plain", b"not here\n")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.split("?")[0] == "/echo":
            self.answer(200, "text/plain", body)
            return
        message = self.path.split("?")[0].strip("/")
        requests = [p for p in glob.glob(os.path.join(self.server.corpus, message + "-req.*")) if not p.endswith(".txt")]
        right = False
        if requests:
            kind = requests[0].rsplit(".", 1)[1]
            with open(requests[0], "rb") as file:
                right = file.read() == body and self.headers.get("Content-Type") == "application/vnd.syncml+" + kind
        with open(self.server.request_log, "a") as file:
            file.write("%s %s\n" % (message, "ok" if right else "wrong"))
        if not right:
            self.answer(404, "text/plain", b"not the recorded message\n")
            return
        with open(os.path.join(self.server.corpus, message + "-resp." + kind), "rb") as file:
            self.answer(200, "application/vnd.syncml+" + kind, file.read())

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--cert", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--request-log", required=True)
    arguments = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", arguments.port), Handler)
    server.corpus, server.request_log = arguments.corpus, arguments.request_log
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(arguments.cert, arguments.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print("listening", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
