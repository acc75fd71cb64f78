"""A place on the web with bundles: HTTPS with ranges, and links that break when a script wants them to."""
import http.server
import re
import socketserver
import ssl
import threading


class Depot(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Serves `files`; cuts each answer after `cut_after` bytes while that is set, and counts what it sent of each."""
    daemon_threads = True

    def __init__(self, tls):
        super().__init__(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.path("server.pem"), tls.path("server.key"))
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.files, self.seen, self.cut_after, self.hold, self.sent = {}, [], None, None, {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, name):
        return f"https://localhost:{self.server_port}/{name}"

    def ranges(self, name):
        return [begin for path, begin in self.seen if path == name]

    def handle_error(self, request, address):
        pass  # Clients that hang up.


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *words):
        pass

    def do_GET(self):
        depot = self.server
        name = self.path.split("?")[0].lstrip("/")
        asked = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        begin = int(asked[1]) if asked else 0
        depot.seen.append((name, begin))
        body = depot.files.get(name)
        if body is None:
            return self.send_error(404)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - begin))
        self.end_headers()
        end = len(body) if depot.cut_after is None else min(begin + depot.cut_after, len(body))
        depot.sent[name] = depot.sent.get(name, 0) + end - begin
        self.wfile.write(body[begin:end])
        self.wfile.flush()
        if depot.hold:
            depot.hold.wait(60)
        if end < len(body):
            self.connection.close()
