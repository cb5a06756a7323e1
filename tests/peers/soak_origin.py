"""The origin of a soak: python3 soak_origin.py PORT DIRECTORY. Keeps a request log: one line per request, written before its
answer, with whom the gateway says it is from."""
import os, ssl, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        told = self.headers.get("X-MSISDN", "-"), self.headers.get("X-Visited", "-")
        os.write(request_log, ("%s %s %s %s\n" % (self.command, self.path, *told)).encode())
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body) + 2))
        self.end_headers()
        self.wfile.write(b"ok" + body)

    do_POST = do_GET

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256

    def handle_error(self, *_):
        pass


port, directory = int(sys.argv[1]), sys.argv[2]
request_log = os.open(directory + "/requests.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
server = Server(("127.0.0.1", port), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(directory + "/origin.pem", directory + "/origin.key")
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
