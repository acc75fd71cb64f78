"""A real registry for images on this machine, with a login; and a way to it that can be held up."""
import base64
import json
import pathlib
import secrets
import shutil
import socket
import threading
import urllib.request

from support import Process, free_port, run, until


MANIFESTS = ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json")


class Registry:
    """Debian's docker-registry. Engines take what is on 127.0.0.0/8 over plain HTTP."""

    def __init__(self, username="line", password=None):
        self.username = username
        self.password = password or secrets.token_urlsafe(18)
        self.port = free_port()
        self.server = f"127.0.0.1:{self.port}"
        self.folder = pathlib.Path("registry").resolve()
        self.folder.mkdir()
        # bcrypt is all that it takes, and what perl has from the C library.
        salt = "$2y$05$" + "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(21)) + "u"
        hashed = run("perl", "-e", "print crypt($ARGV[0], $ARGV[1])", "--", self.password, salt).stdout
        (self.folder / "htpasswd").write_text(f"{username}:{hashed}\n")
        (self.folder / "config.yml").write_text(json.dumps({
            "version": "0.1", "storage": {"filesystem": {"rootdirectory": str(self.folder / "images")}},
            "http": {"addr": self.server}, "log": {"level": "info"},
            "auth": {"htpasswd": {"realm": "kante", "path": str(self.folder / "htpasswd")}}}))
        self.process = None

    def start(self):
        self.process = Process(["docker-registry", "serve", self.folder / "config.yml"], self.folder / "log")
        until("the registry", self._listens)
        return self

    def _listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        self.process.end()

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def _manifest(self, name, tag, **more):
        known = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        headers = {"Authorization": f"Basic {known}", **more.pop("headers", {"Accept": ", ".join(MANIFESTS)})}
        asked = urllib.request.Request(f"http://{self.server}/v2/{name}/manifests/{tag}", headers=headers, **more)
        with urllib.request.urlopen(asked) as answer:
            return answer.read(), answer.headers

    def move(self, name, tag, of):
        """From now on that tag means what `of` does; the digest of that."""
        manifest, headers = self._manifest(name, of)
        self._manifest(name, tag, method="PUT", data=manifest, headers={"Content-Type": headers["Content-Type"]})
        return headers["Docker-Content-Digest"]

    def login(self, *servers):
        """A folder for the docker command that knows the password."""
        folder = self.folder / "client"
        folder.mkdir(exist_ok=True)
        known = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        (folder / "config.json").write_text(json.dumps(
            {"auths": {server: {"auth": known} for server in (self.server, *servers)}}))
        return folder


class Door:
    """Another port of the registry, behind which answers stop when `hold()` bytes of one were let through."""

    def __init__(self, port):
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.server = f"127.0.0.1:{self.port}"
        self._held_at = None
        self._open = threading.Event()
        self._open.set()
        self.held = threading.Event()  # Somebody waits behind it.
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self, after):
        self._held_at = after
        self.held.clear()
        self._open.clear()

    def open(self):
        self._open.set()

    def _accept(self):
        while True:
            client, _ = self._listener.accept()
            try:
                there = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                client.close()
                continue
            threading.Thread(target=self._pump, args=(client, there, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(there, client, True), daemon=True).start()

    def _pump(self, source, sink, is_answer):
        passed = 0
        try:
            while piece := source.recv(16384):
                passed += len(piece)
                if is_answer and self._held_at is not None and passed > self._held_at and not self._open.is_set():
                    self.held.set()
                    self._open.wait()
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def missing():
    """Why there can be none here; empty: there can."""
    return next((f"{program} is not installed (scripts/setup)" for program in ("docker-registry", "perl")
                 if shutil.which(program) is None), "")
