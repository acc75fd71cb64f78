"""The parts of the overload rig: the API as a client sees it, memory, a paced link, a broker, a receiver, a small disk."""
import http.client
import json
import pathlib
import re
import socket
import subprocess
import threading
import time

from support import Process, fail, free_port, until


class NoRoot(Exception):
    """A scenario needs what this user may not do."""


class Api:
    """The gateway's API socket."""

    def __init__(self, path):
        self.path = str(path)

    def ask(self, verb, target, body=None):
        connection = http.client.HTTPConnection("localhost", timeout=120)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(120)
        connection.sock.connect(self.path)
        connection.request(verb, target, body=body)
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        if reply.status >= 300:
            fail(f"{verb} {target}: {reply.status} {text}")
        return text

    def text(self, target):
        return self.ask("GET", target)

    def method(self, module, name, arguments=None):
        # A burst takes longer than a method's usual deadline when the machine is busy.
        answer = json.loads(self.ask("POST", f"/v1/methods/module/{module}/{name}?timeout_ms=60000",
                                     json.dumps(arguments or {})))
        return answer.get("payload", answer)


def dropped(metrics):
    """kante_dropped_total by reason, without what is 0."""
    out = {}
    for labels, value in re.findall(r"^kante_dropped_total\{(.*)\} (\S+)$", metrics, re.M):
        reason = re.search(r'reason="([^"]*)"', labels).group(1)
        out[reason] = out.get(reason, 0) + int(float(value))
    return {k: v for k, v in sorted(out.items()) if v}


def memory_bound_kb(store_bytes, runners):
    """docs/operations.md, Memory under overload: what may be held at the same time, at most."""
    idle = 14 << 20        # code, heaps, three modules
    mailbox = 2 * (8 << 20)  # Store::kMailboxBytes twice: one group is being committed while the next gathers
    resident = 2 * store_bytes + (8 << 20)  # the whole map, should every page of it be in use
    flight = 2 * (4 << 20)   # Forwarder::kInFlightBytesMax, and the library's copy
    apart = runners * (2 << 20)  # a process and two rings for each module in the sandbox
    return (idle + mailbox + resident + flight + apart) >> 10


class Memory:
    """PSS of a process and its children, once a second."""

    def __init__(self, pid):
        self.pid, self.samples, self.over = pid, [], threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _pids(self):
        children = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]

    def _watch(self):
        while not self.over.wait(1):
            try:
                total = 0
                for pid in self._pids():
                    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
                    total += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))
                self.samples.append(total)
            except (OSError, AttributeError):
                pass

    def stop(self):
        self.over.set()
        self.thread.join()

    def figures(self):
        s = self.samples or [0]
        tenth = max(1, len(s) // 10)
        return {"samples": len(s), "max": max(s), "first_tenth": sum(s[:tenth]) // tenth,
                "last_tenth": sum(s[-tenth:]) // tenth}


class Pacer:
    """A TCP proxy that lets so many bytes a second towards the broker, or none at all."""

    def __init__(self, to_port):
        self.to_port, self.rate, self.cut_off = to_port, None, False
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(16)
        self.port = self.listener.getsockname()[1]
        self.open_sockets = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def limit(self, bytes_per_s):
        self.rate = bytes_per_s

    def open(self):
        self.rate, self.cut_off = None, False

    def cut(self):
        """Nobody is there any more: connections end, new ones are closed at once."""
        self.cut_off = True
        self._end_all()

    def close(self):
        self.listener.close()
        self._end_all()

    def _end_all(self):
        for each in list(self.open_sockets):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if self.cut_off:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.to_port))
            except OSError:
                near.close()
                continue
            # Small buffers, or they would hold seconds of a slow link.
            near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
            self.open_sockets |= {near, far}
            threading.Thread(target=self._pump, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, False), daemon=True).start()

    def _pump(self, source, target, paced):
        try:
            while data := source.recv(4096 if paced else 65_536):
                if paced and self.rate:
                    time.sleep(len(data) / self.rate)
                target.sendall(data)
        except OSError:
            pass
        for each in (source, target):
            self.open_sockets.discard(each)
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class PlainBroker:
    """mosquitto, without TLS, on this machine only."""

    def __init__(self, name):
        self.port = free_port()
        self.log = pathlib.Path.cwd() / f"{name}-mosquitto.log"
        self.config = pathlib.Path.cwd() / f"{name}-mosquitto.conf"
        self.config.write_text(f"user root\nlistener {self.port} 127.0.0.1\nallow_anonymous true\n"
                               "max_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true\n")

    def start(self):
        self.process = Process(["mosquitto", "-c", self.config], self.log)
        until("mosquitto", lambda: " running" in self.log.read_text(errors="replace"))
        return self


class Receiver:
    """mosquitto_sub through a pipe: which numbers of the gateway and which numbers of the flood came."""

    def __init__(self, broker, topic):
        self.seen, self.flood, self.twice, self.disorder, self.highest = set(), set(), 0, 0, 0
        self.process = subprocess.Popen(
            ["mosquitto_sub", "-V", "mqttv5", "-h", "127.0.0.1", "-p", str(broker.port), "-t", topic, "-q", "1", "-i",
             "receiver", "-F", "%P|%p"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        # Its subscription is there when a message of our own comes back.
        until("the receiver", lambda: self._probe(broker, topic))

    def _probe(self, broker, topic):
        subprocess.run(["mosquitto_pub", "-V", "mqttv5", "-h", "127.0.0.1", "-p", str(broker.port), "-t",
                        topic.replace("#", "probe"), "-m", "hello"], check=False)
        return self.ready

    ready = False

    def _read(self):
        for line in self.process.stdout:
            number = re.search(r"kante-seq:(\d+)", line)
            if not number:
                self.ready = True
                continue
            number = int(number.group(1))
            if number in self.seen:
                self.twice += 1
                continue
            self.disorder += number < self.highest
            self.highest = max(self.highest, number)
            self.seen.add(number)
            self.flood.add(int(line.rsplit("|", 1)[1].split(":", 1)[0]))

    def distinct(self):
        return len(self.flood)

    def last(self):
        return self.highest

    def missing(self, last):
        return sum(1 for number in range(1, last + 1) if number not in self.seen)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.thread.join()


class FullDisk:
    """A small tmpfs as data_dir, filled to its last byte by a file of somebody else."""

    def __init__(self, folder, megabytes):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "kante-overload",
                               str(self.folder)], capture_output=True, text=True)
        if made.returncode != 0:
            raise NoRoot("a tmpfs cannot be mounted here: " + made.stderr.strip())

    def fill(self):
        with open(self.folder / "somebody-elses", "wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass

    def free(self):
        (self.folder / "somebody-elses").unlink(missing_ok=True)

    def remove(self):
        subprocess.run(["umount", "-l", str(self.folder)], check=False)
