"""Prints its port, then one JSON line for each request that http.server reads."""
import itertools
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

numbers = itertools.count()
printing = threading.Lock()


class Recorder(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.number = next(numbers)

    def record(self):
        body, complete = self.read_body()
        line = json.dumps({
            "connection": self.number,
            "method": self.command,
            "target": self.requestline.split()[1],
            "fields": self.headers.items(),
            "body": body.decode("latin-1"),
            "complete": complete,
        })
        with printing:
            print(line, flush=True)
        if not complete:
            self.close_connection = True
            return
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + (b"" if self.command == "HEAD" else b"ok"))

    def read_body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            return self.read_chunks()
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(min(length, 1 << 20))
        return body, len(body) == length

    def read_chunks(self):
        body = b""
        while True:
            line = self.rfile.readline()
            if not line.endswith(b"\r\n"):
                return body, False
            size = int(line, 16)
            chunk = self.rfile.read(min(size, 1 << 20) + 2)
            if not chunk.endswith(b"\r\n") or len(chunk) != size + 2:
                return body + chunk, False
            body += chunk[:-2]
            if size == 0:
                return body, True

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.record
        raise AttributeError(name)

    def log_message(self, *_):
        pass


ThreadingHTTPServer.daemon_threads = True
ThreadingHTTPServer.request_queue_size = 128
server = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
print(server.server_port, flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    sys.exit(0)
