"""What the end-to-end scripts share: a gateway, a broker with TLS, a receiver, and waiting on events.

Only the standard library; every wait is for something, with a deadline; everything started is ended.
"""
import atexit
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

BIN = pathlib.Path(os.environ["KANTE_BIN"])
MODULES = pathlib.Path(os.environ["KANTE_MODULES"])
DEV_KEYS = pathlib.Path(os.environ["KANTE_DEV_KEYS"])
SOURCE = pathlib.Path(os.environ["KANTE_SOURCE_DIR"])
KANTE = str(BIN / "kante")
DEADLINE_S = 60
_running = []


def show(text):
    print(text, flush=True)


def fail(text):
    print("FAILED: " + text, file=sys.stderr, flush=True)
    for process in _running:
        log = getattr(process, "log_path", None)
        if log and log.exists():
            print(f"--- {log} (end)\n{log.read_text(errors='replace')[-4000:]}", file=sys.stderr)
    sys.exit(1)


def check(condition, text):
    if not condition:
        fail(text)
    show("ok   " + text)


def until(what, condition, deadline_s=DEADLINE_S):
    """Calls condition() until it answers something true, and returns that."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            fail(f"waited {deadline_s} s for {what}")
        time.sleep(0.02)


def free_port():
    """A port that nobody listens on, below those that the kernel gives to connections by itself: whoever
    starts there again later must not find that somebody's connection has taken it meanwhile."""
    lowest = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(min(10000, lowest // 2), lowest)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def run(*words, **options):
    """Runs a command to its end; stdout as text.  Fails the script on another exit code than expected."""
    expected = options.pop("exits", 0)
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=300, **options)
    if expected is not None and done.returncode != expected:
        fail(f"{' '.join(str(w) for w in words)}\nexit {done.returncode}, expected {expected}\n"
             f"{done.stdout}\n{done.stderr}")
    return done


class Process:
    def __init__(self, words, log):
        self.log_path = pathlib.Path(log)
        self.process = subprocess.Popen([str(w) for w in words], stdout=open(log, "ab"), stderr=subprocess.STDOUT,
                                        stdin=subprocess.DEVNULL)
        self.pid = self.process.pid
        _running.append(self)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, deadline_s=DEADLINE_S):
        try:
            return self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            fail(f"process {self.pid} did not end within {deadline_s} s")

    def alive(self):
        return self.process.poll() is None

    def end(self):
        if self.alive():
            self.signal(signal.SIGTERM)
            return self.wait()
        return self.process.returncode


@atexit.register
def _end_all():
    for process in _running:
        if process.alive():
            process.process.kill()
            process.process.wait()


class Gateway:
    """`kante run` in this folder, with its own API socket."""

    def __init__(self, identity="edge-1", uplink="", signers=(), kante=KANTE):
        self.kante = kante  # Another one than that of the build, where that matters.
        self.folder = pathlib.Path.cwd() / identity
        self.folder.mkdir(exist_ok=True)
        self.config = self.folder / "gateway.toml"
        self.socket = self.folder / "api.sock"
        self.starts = 0
        self.config.write_text(
            f'[gateway]\nid = "{identity}"\ndata_dir = "{self.folder}/data"\n'
            f'[trust]\nsigners = {json.dumps([str(DEV_KEYS / "signer.pem"), *map(str, signers)])}\n'
            f'[api]\nsocket = "{self.socket}"\nhttp = ""\n{uplink}')

    def start(self, *more):
        self.starts += 1
        self.process = Process([self.kante, "run", "--config", self.config, *more],
                               self.folder / f"log-{self.starts}")
        until("the API of the gateway", lambda: self._answers() or not self.process.alive())
        if not self.process.alive():
            fail("the gateway ended at once")
        return self

    def _answers(self):
        if not self.socket.exists():
            return False
        return subprocess.run([KANTE, "status", "--json", "--socket", self.socket],
                              capture_output=True).returncode == 0

    def host_pid(self):
        """The host's own process; `process` is its keeper."""
        return int((self.folder / "data" / "lock").read_text())

    def command(self, *words, exits=0):
        return run(KANTE, *words, "--socket", self.socket, exits=exits)

    def json(self, *words, exits=0):
        return json.loads(self.command(*words, "--json", exits=exits).stdout)

    def status(self):
        return self.json("status")

    def module(self, name):
        return next((m for m in self.status()["modules"] if m["name"] == name), None)

    def deploy(self, document, exits=0):
        path = self.folder / f"deployment-{document['version']}.json"
        path.write_text(json.dumps(document, indent=1))
        return self.command("deploy", "apply", path, exits=exits)

    def log(self):
        return self.process.log_path.read_text(errors="replace")

    def stop(self):
        code = self.process.end()
        check(code == 0, "the gateway stops in order")


MACHINE = {"files": {"read": ["/proc", "/sys"], "space": ["/"]}}  # What system-monitor is granted.


def shipped(name, **more):
    """A module of ours, in the sandbox unless `placement` says otherwise."""
    grants = {"grants": MACHINE} if name == "system-monitor" else {}
    return {"bundle": str(MODULES / f"{name}.kmod"), **grants, **more}


ARCH = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
SHARED = ["-fPIC", "-shared", "-Wl,--version-script=module.map", "-Wl,-z,now", "-Wl,-z,relro", "-Wl,-z,noexecstack"]
CPP = ["g++", "-std=c++20", "-fPIC", "-fvisibility=hidden", "-fno-gnu-unique", f"-I{SOURCE}/sdk/include"]


def _pack(name, folder, **manifest):
    (folder / "manifest.json").write_text(json.dumps({
        "schema": "kante.module/1", "id": f"dev.kante.{name}", "version": "1.0.0", "abi": "1.0", "kind": "module",
        "lib": {ARCH: f"lib/{ARCH}/module.so"}, "inputs": [], "outputs": [], "methods": [], "permissions": {}, **manifest}))
    bundle = pathlib.Path(f"{folder}.kmod").resolve()
    run(KANTE, "bundle", "pack", folder, "-o", bundle, "--key", DEV_KEYS / "signer.key", "--cert",
        DEV_KEYS / "signer.pem")
    return str(bundle)


def _folder(name):
    folder = pathlib.Path(name)
    (folder / "lib" / ARCH).mkdir(parents=True)
    pathlib.Path("module.map").write_text("{ global: kante_module_entry; local: *; };\n")
    return folder


def pack_module(name, source, **lists):
    """Compiles one file against the SDK and packs it as dev.kante.NAME; lists: inputs, outputs, methods."""
    folder = _folder(name)
    code = pathlib.Path(f"{name}.cc")
    code.write_text(source)
    run(*CPP, "-O1", *SHARED, code, "-o", folder / "lib" / ARCH / "module.so")
    return _pack(name, folder, **lists)


def pack_builds(name, source, builds, **lists):
    """Another library each: `kBuild` in it is its number, and what is large is compiled once."""
    pathlib.Path(f"{name}.cc").write_text(
        'extern "C" __attribute__((visibility("hidden"))) const int kBuild;\n' + source)
    run(*CPP, "-O0", "-c", f"{name}.cc")
    bundles = []
    for build in builds:
        folder = _folder(f"{name}-{build}")
        pathlib.Path("build.c").write_text(f'__attribute__((visibility("hidden"))) const int kBuild = {build};\n')
        run("gcc", *SHARED, f"{name}.o", "build.c", "-lstdc++", "-o", folder / "lib" / ARCH / "module.so")
        bundles.append(_pack(name, folder, **lists))
    return bundles


def into(module, port="in"):
    return f'INTO BrokeredEndpoint("/modules/{module}/inputs/{port}")'


class Tls:
    """A CA, a server certificate for localhost and a client certificate, made with openssl."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()
        self.folder.mkdir(exist_ok=True)
        self._make("ca", "/CN=Test CA", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n")
        self._make("server", "/CN=localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
        self._make("client", "/CN=edge-1", "extendedKeyUsage=clientAuth\n")

    def path(self, name):
        return self.folder / name

    def _make(self, name, subject, extensions):
        ext = self.path(f"{name}.ext")
        ext.write_text(extensions)
        key, request, cert = self.path(f"{name}.key"), self.path(f"{name}.csr"), self.path(f"{name}.pem")
        run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", key, "-out", request, "-subj", subject)
        signed_by = ["-signkey", key] if name == "ca" else ["-CA", self.path("ca.pem"), "-CAkey",
                                                             self.path("ca.key"), "-CAcreateserial"]
        run("openssl", "x509", "-req", "-in", request, "-days", "2", "-extfile", ext, "-out", cert, *signed_by)


class Broker:
    """A real mosquitto with TLS and client certificates, on a port that stays the same over restarts."""

    def __init__(self, tls):
        self.tls = tls
        self.port = free_port()
        self.config = pathlib.Path.cwd() / "mosquitto.conf"
        self.config.write_text(
            f"user root\nlistener {self.port} 127.0.0.1\ncafile {tls.path('ca.pem')}\n"
            f"certfile {tls.path('server.pem')}\nkeyfile {tls.path('server.key')}\n"
            "require_certificate true\nuse_identity_as_username true\nallow_anonymous true\n"
            "max_queued_messages 0\nmax_inflight_messages 0\n"
            # Sessions survive its restart, or what comes before a receiver is back would be nobody's.
            f"persistence true\npersistence_location {pathlib.Path.cwd()}/\nlog_type all\n")
        self.log = pathlib.Path.cwd() / "mosquitto.log"

    def start(self):
        # Its log, not a trial connection: one that breaks off in the TLS handshake may keep others waiting.
        started = self._runs()
        self.process = Process(["mosquitto", "-c", self.config], self.log)
        until("mosquitto", lambda: self._runs() > started)
        return self

    def _runs(self):
        return self.log.read_text(errors="replace").count(" running") if self.log.exists() else 0

    def stop(self):
        self.process.end()

    def uplink(self, **more):
        lines = {"kind": "mqtt", "url": f"mqtts://localhost:{self.port}", "ca": self.tls.path("ca.pem"),
                 "cert": self.tls.path("client.pem"), "key": self.tls.path("client.key"), **more}
        return "[uplink]\n" + "".join(f'{k} = "{v}"\n' for k, v in lines.items())

    def arguments(self):
        return ["-V", "mqttv5", "-h", "localhost", "-p", str(self.port), "--cafile", self.tls.path("ca.pem"), "--cert",
                self.tls.path("client.pem"), "--key", self.tls.path("client.key")]


class Receiver:
    """mosquitto_sub with a session of its own that survives the broker's absence; a line a message."""

    def __init__(self, broker, topic, name):
        self.path = pathlib.Path.cwd() / f"{name}.jsonl"
        self.path.touch()
        self.broker = broker
        self.words = ["mosquitto_sub", *broker.arguments(), "-t", topic, "-q", "1", "-i", name, "-c", "-x", "3600",
                      "-F", "%j"]
        self._start()

    def _start(self):
        seen = self._subscribed()
        self.process = Process(self.words, self.path)
        self.process.log_path = pathlib.Path("/nonexistent")
        until("the receiver", lambda: self._subscribed() > seen)

    def _subscribed(self):
        return self.broker.log.read_text(errors="replace").count(f"Sending SUBACK to {self.words[-6]}")

    def restart(self):
        """At once, instead of when its own back-off is over; the broker kept its session."""
        self.process.process.kill()
        self.process.process.wait()
        self._start()

    def messages(self):
        out = []
        for line in self.path.read_text(errors="replace").splitlines():
            if line.startswith("{"):
                try:
                    out.append(json.loads(line))
                except ValueError:
                    pass  # The last line, half written.
        return out

    @staticmethod
    def properties(message):
        given = message.get("properties", {}).get("user-properties", {})
        if isinstance(given, dict):
            return given
        return {k: v for pair in given for k, v in pair.items()}


def numbers(messages):
    """kante-seq of all telemetry, in order of arrival, by epoch."""
    by_epoch = {}
    for message in messages:
        properties = Receiver.properties(message)
        if "kante-seq" in properties:
            by_epoch.setdefault(properties["kante-epoch"], []).append(int(properties["kante-seq"]))
    return by_epoch
