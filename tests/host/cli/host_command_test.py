"""The commands that talk to a running host, against a real one with two modules in it."""

import http.client
import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import tempfile
import time
import unittest

KANTE = os.environ["KANTE"]
MODULES = pathlib.Path(os.environ["KANTE_MODULES"])
KEYS = pathlib.Path(os.environ["KANTE_DEV_KEYS"])
SANITIZED = os.environ.get("KANTE_SANITIZE", "") != ""
PATIENCE_S = 60


def until(condition, what):
    """Waits for what must come; the deadline is generous because machines are slow."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come within {PATIENCE_S} s")


class Host:
    """One `kante run` in a directory of its own."""

    def __init__(self, folder, deployment=None, more=""):
        self.folder = pathlib.Path(folder)
        self.socket = self.folder / "api.sock"
        self.config = self.folder / "gateway.toml"
        self.config.write_text(
            f'[gateway]\nid = "edge-1"\ndata_dir = "{self.folder}/data"\n'
            f'[trust]\nsigners = ["{KEYS}/signer.pem"]\n'
            f'[api]\nsocket = "{self.socket}"\nhttp = ""\n[hub.mqtt]\nlisten = []\ntls_listen = []\n'
            f'[store]\nmax_bytes = 16777216\n{more}')
        self.arguments = [KANTE, "run", "--config", self.config]
        if deployment is not None:
            file = self.folder / "first.json"
            file.write_text(json.dumps(deployment))
            self.arguments += ["--deployment", file]
        self.process = None
        self.log = None

    def start(self):
        notify = self.folder / "notify.sock"
        notify.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
            supervisor.bind(str(notify))
            supervisor.settimeout(PATIENCE_S)
            self.log = open(self.folder / "run.log", "ab")
            self.process = subprocess.Popen(self.arguments, stderr=self.log,
                                            env={**os.environ, "NOTIFY_SOCKET": str(notify)})
            assert supervisor.recv(1000).startswith(b"READY=1\n")
        return self

    def pid(self):
        """The host's own; `process` is its keeper."""
        return int((self.folder / "data" / "lock").read_text())

    def stop(self, number=signal.SIGTERM):
        if self.process is None:
            return None
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self.process = None
        self.log.close()
        return code

    def run(self, *words, **options):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KANTE_")}
        environment["KANTE_SOCKET"] = str(self.socket)
        return subprocess.run([KANTE, *words], capture_output=True, text=True, env=environment,
                              timeout=PATIENCE_S, cwd=self.folder, check=False, **options)

    def json(self, *words):
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def deployment(version, period_ms=50, **more):
    return {"schema": "kante.deployment/1", "id": "line-4", "version": version, "modules": {
        "sensor": {"bundle": str(MODULES / "simulated-sensor.kmod"), "placement": "in-process",
                   "config": {"period_ms": period_ms}},
        "filter": {"bundle": str(MODULES / "threshold-filter.kmod"), "placement": "in-process"}},
        "routes": {"in": 'FROM /messages/modules/sensor/outputs/* INTO '
                         'BrokeredEndpoint("/modules/filter/inputs/in")'}, **more}


class WithHost(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="kante-cli-")
        self.addCleanup(folder.cleanup)
        self.host = Host(folder.name, deployment(1)).start()
        self.addCleanup(self.host.stop, signal.SIGKILL)

    def write(self, name, document):
        file = self.host.folder / name
        file.write_text(json.dumps(document))
        return file


class LookingAtAHost(WithHost):
    def test_status_has_the_shape_of_the_contract(self):
        status = self.host.json("status")
        for key in ("gateway", "version", "uptime_s", "deployment", "modules", "uplink", "store",
                    "sandbox", "dropped"):
            self.assertIn(key, status)
        self.assertEqual(status["gateway"], "edge-1")
        self.assertEqual({k: status["deployment"][k] for k in ("id", "version", "state", "reason")},
                         {"id": "line-4", "version": 1, "state": "committed", "reason": None})
        self.assertEqual([m["name"] for m in status["modules"]], ["filter", "sensor"])
        for module in status["modules"]:
            self.assertLessEqual({"name", "id", "version", "placement", "state", "restarts", "pid",
                                  "override", "last_exit", "started"}, set(module))
            self.assertEqual(module["state"], "running")
        self.assertLessEqual({"kind", "state", "epoch", "seq", "backlog_messages", "backlog_bytes"},
                             set(status["uplink"]))
        self.assertLessEqual({"bytes", "max_bytes"}, set(status["store"]))
        self.assertLessEqual({"trusted", "floor", "reason", "synchronised"}, set(status["clock"]))
        self.assertTrue(status["clock"]["trusted"])
        self.assertLessEqual({"tier", "limits"}, set(status["sandbox"]))
        self.assertEqual(set(status["dropped"]), {"ttl", "overflow", "stalled", "store_full", "budget",
                                                  "denied", "no_route", "loop", "quarantine", "ended"})

    def test_status_for_people_fits_a_screen_and_has_no_colour_in_a_pipe(self):
        done = self.host.run("status")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        lines = done.stdout.splitlines()
        self.assertLess(len(lines), 24)
        self.assertTrue(all(len(line) <= 100 for line in lines))
        self.assertNotIn("\x1b", done.stdout)
        self.assertRegex(lines[0], r"^edge-1  kante \d+\.\d+\.\d+, up ")
        self.assertIn("deployment  line-4 version 1, committed", done.stdout)

    def test_messages_flow_and_are_counted_everywhere(self):
        until(lambda: self.host.json("route", "list")[0]["messages"] > 2, "messages on the route")
        filtered = self.host.json("module", "list")[0]
        self.assertGreater(filtered["messages_in"], 0)
        top = self.host.json("top")
        self.assertGreater(top["modules"][1]["out_per_s"], 0)
        self.assertIn("MODULE", self.host.run("top").stdout)

    def test_metrics_are_prometheus_text_each_family_once(self):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.host.socket))
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        self.assertTrue(answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        text = answer.read().decode()
        connection.close()
        families, current = {}, None
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, current, kind = line.split(" ")
                self.assertNotIn(current, families)
                families[current] = kind
            elif not line.startswith("#"):
                name, value = line.split("{")[0].split(" ")[0], line.rsplit(" ", 1)[1]
                self.assertTrue(name.startswith(current), line)
                float(value)
        self.assertLessEqual({"kante_messages_total", "kante_uplink_connected", "kante_queue_messages",
                              "kante_module_restarts_total", "kante_callback_seconds", "kante_module_seals_total",
                              "process_open_fds", "process_cpu_seconds_total"}, set(families))

    def test_events_are_kept_and_followed(self):
        kinds = [event["kind"] for event in self.host.json("events")]
        self.assertIn("module.started", kinds)
        self.assertIn("deployment.committed", kinds)
        with subprocess.Popen([KANTE, "events", "-f", "--json", "--socket", self.host.socket],
                              stdout=subprocess.PIPE, text=True) as follower:
            json.loads(follower.stdout.readline())
            self.host.run("module", "restart", "sensor")
            self.host.run("deploy", "apply", str(self.write("d2.json", deployment(2, 70))))
            for line in follower.stdout:
                event = json.loads(line)
                if event["kind"] == "deployment.committed" and event["fields"]["version"] == "2":
                    break
            follower.terminate()

    def test_logs_are_of_one_module_and_followed(self):
        lines = [json.loads(line) for line in
                 self.host.run("module", "logs", "sensor", "--json").stdout.splitlines()]
        self.assertTrue(lines and all(line["who"] == "module/sensor" for line in lines))
        with subprocess.Popen([KANTE, "module", "logs", "sensor", "-f", "--socket", self.host.socket],
                              stdout=subprocess.PIPE, text=True) as follower:
            follower.stdout.readline()
            self.host.run("module", "restart", "sensor")
            self.assertTrue(follower.stdout.readline())
            follower.terminate()
        self.assertEqual(self.host.run("module", "logs", "nobody").returncode, 1)


class ChangingAHost(WithHost):
    def test_a_document_is_applied_once_and_only_upwards(self):
        second = str(self.write("d2.json", deployment(2, 70)))
        dry = self.host.run("deploy", "apply", second, "--dry-run")
        self.assertEqual(dry.returncode, 0, dry.stderr)
        self.assertIn("would be applied", dry.stderr)
        self.assertEqual(self.host.json("status")["deployment"]["version"], 1)
        self.assertEqual(self.host.json("deploy", "apply", second)["result"], "committed")
        self.assertEqual(self.host.json("deploy", "apply", second)["result"], "unchanged")
        back = self.host.run("deploy", "apply", str(self.write("d1.json", deployment(1))))
        self.assertEqual(back.returncode, 1)
        self.assertIn("/version", back.stderr)
        shown = self.host.json("deploy", "show")
        self.assertEqual(shown["version"], 2)
        self.assertTrue(shown["modules"]["sensor"]["bundle"].startswith("sha256:"))

    def test_a_refused_document_names_the_place_and_changes_nothing(self):
        for wrong, pointer in (
                (deployment(2, routes={"in": "FROM nowhere"}), "/routes/in"),
                (deployment(2, colour="red"), "/colour"),
                ({**deployment(2), "modules": {"x": {"bundle": "missing.kmod"}}}, "/modules/x/bundle")):
            done = self.host.run("deploy", "apply", str(self.write("wrong.json", wrong)))
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(pointer, done.stderr)
        self.assertEqual(self.host.json("status")["deployment"]["version"], 1)
        self.assertTrue(all(m["state"] == "running" for m in self.host.json("module", "list")))

    def test_history_rollback_and_patch(self):
        self.host.json("deploy", "apply", str(self.write("d2.json", deployment(2, 70))))
        back = self.host.json("deploy", "rollback")
        self.assertEqual((back["id"], back["version"]), ("line-4", 1))
        history = self.host.json("deploy", "history")
        self.assertEqual([entry["n"] for entry in history], [3, 2, 1])
        self.assertEqual(history[0]["changed"], ["/modules/sensor/config/period_ms"])
        self.assertTrue(history[0]["who"].startswith("operator/"))
        for key in ("n", "id", "version", "who", "when", "state", "changed"):
            self.assertIn(key, history[0])
        merge = self.write("p.json", {"modules": {"filter": None}, "routes": None})
        self.assertEqual(self.host.json("deploy", "patch", str(merge))["result"], "committed")
        self.assertEqual([m["name"] for m in self.host.json("module", "list")], ["sensor"])
        self.assertEqual(self.host.run("deploy", "rollback", "99").returncode, 1)

    def test_modules_obey(self):
        self.assertEqual(self.host.run("module", "stop", "sensor").returncode, 0)
        self.assertEqual(self.host.json("module", "list")[1]["state"], "stopped")
        self.assertEqual(self.host.run("module", "start", "sensor").returncode, 0)
        self.assertEqual(self.host.run("module", "restart", "sensor").returncode, 0)
        self.assertEqual(self.host.json("module", "list")[1]["state"], "running")
        self.assertEqual(self.host.run("module", "stop", "nobody").returncode, 1)

    def test_twins_and_methods(self):
        twin = self.host.json("twin", "patch", "module/filter", '{"threshold": 30}')
        self.assertEqual(twin["desired"]["threshold"], 30)
        self.assertEqual(self.host.json("twin", "get", "module/filter")["desired"], twin["desired"])
        self.assertEqual(self.host.run("twin", "get", "module/nobody").returncode, 1)
        self.assertEqual(self.host.run("twin", "patch", "module/filter", "[1]").returncode, 1)
        answer = self.host.run("invoke", "module/sensor", "reset", "--json")
        self.assertEqual(json.loads(answer.stdout)["status"], 200)
        self.assertEqual(answer.returncode, 0)
        missing = self.host.run("invoke", "module/sensor", "no-such-method", "--json")
        self.assertEqual(missing.returncode, 1)
        self.assertGreaterEqual(json.loads(missing.stdout)["status"], 300)
        self.assertEqual(self.host.run("invoke", "module/nobody", "reset").returncode, 1)

    def test_an_unsigned_bundle_is_refused(self):
        bundle = self.host.folder / "bad.kmod"
        bytes_ = bytearray((MODULES / "simulated-sensor.kmod").read_bytes())
        bytes_[-1] ^= 1
        bundle.write_bytes(bytes_)
        document = deployment(2)
        document["modules"]["sensor"]["bundle"] = "bad.kmod"
        done = self.host.run("deploy", "apply", str(self.write("d2.json", document)))
        self.assertEqual(done.returncode, 1)
        self.assertIn("/modules/sensor/bundle", done.stderr)


class RunningAHost(WithHost):
    def test_what_is_deployed_survives_a_restart(self):
        self.host.json("deploy", "apply", str(self.write("d2.json", deployment(2, 70))))
        self.assertEqual(self.host.stop(), 0)
        self.assertFalse(self.host.socket.exists())
        self.host.start()  # With version 1 on the command line, which is older.
        self.assertEqual(self.host.json("status")["deployment"]["version"], 2)
        self.assertEqual(self.host.stop(signal.SIGKILL), -signal.SIGKILL)
        self.host.start()
        self.assertEqual(self.host.json("status")["deployment"]["version"], 2)
        self.assertTrue(all(m["state"] == "running" for m in self.host.json("module", "list")))
        self.assertNotIn("crash.attributed", [e["kind"] for e in self.host.json("events")])

    def test_a_second_host_names_the_first(self):
        started = time.monotonic()
        second = subprocess.run([KANTE, "run", "--config", self.host.config], capture_output=True,
                                text=True, timeout=PATIENCE_S, check=False)
        self.assertEqual(second.returncode, 1)
        self.assertGreaterEqual(time.monotonic() - started, 4.9)
        self.assertIn(str(self.host.pid()), second.stderr)

    def test_files_are_private_and_memory_is_not_for_debuggers(self):
        self.assertEqual(stat.S_IMODE(self.host.socket.stat().st_mode), 0o660)
        data = self.host.folder / "data"
        self.assertEqual(stat.S_IMODE(data.stat().st_mode), 0o700)
        for file in data.iterdir():
            self.assertEqual(stat.S_IMODE(file.stat().st_mode) & 0o077, 0, file)
        if not SANITIZED:
            self.assertEqual(pathlib.Path(f"/proc/{self.host.pid()}/environ").stat().st_uid, 0)

    def test_requeue_says_what_cannot_be_put_back(self):
        done = self.host.run("queue", "requeue", "quarantine", "0" * 32)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"quarantine holds no message {'0' * 32}", done.stderr)
        done = self.host.run("queue", "requeue", "upstream", "0" * 32)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("only messages in quarantine", done.stderr)

    def test_hangup_changes_nothing_and_interrupt_stops(self):
        self.host.process.send_signal(signal.SIGHUP)
        self.assertEqual(self.host.json("status")["gateway"], "edge-1")
        self.assertEqual(self.host.stop(signal.SIGINT), 0)


class WithoutAHost(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="kante-cli-")
        self.addCleanup(folder.cleanup)
        self.host = Host(folder.name)

    def test_every_command_that_needs_one_says_so(self):
        for words in (("status",), ("top",), ("events",), ("module", "list"), ("deploy", "show"),
                      ("route", "list"), ("queue", "list"), ("twin", "get", "module/x"),
                      ("invoke", "module/x", "y")):
            done = self.host.run(*words)
            self.assertEqual((done.returncode, done.stdout), (1, ""), words)
            self.assertEqual(done.stderr, f"kante {' '.join(words[:2 if len(words) > 1 and words[0] not in ('invoke',) else 1])}: "
                                          f"no host at {self.host.socket}\n")

    def test_misuse_is_2(self):
        for words in ((), ("module",), ("status", "--no-such"), ("deploy", "apply"), ("invoke", "x"),
                      ("deploy", "patch", "f", "--type", "xml"), ("no-such-command",)):
            done = self.host.run(*words)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)

    def test_help_is_there_for_all(self):
        for words in ((), ("run",), ("check",), ("status",), ("deploy", "apply"), ("queue", "inspect")):
            done = self.host.run(*words, "--help")
            self.assertEqual(done.returncode, 0)
            self.assertIn("Usage", done.stdout)

    def test_the_socket_is_found_in_the_configuration(self):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KANTE_")}
        done = subprocess.run([KANTE, "status", "--config", self.host.config], capture_output=True,
                              text=True, env=environment, check=False)
        self.assertEqual(done.stderr, f"kante status: no host at {self.host.socket}\n")

    def test_check_finds_what_is_wrong_and_hints(self):
        (self.host.folder / "data").mkdir(mode=0o700)
        good = self.host.run("check", "--config", str(self.host.config), "--json")
        report = json.loads(good.stdout)
        self.assertEqual(good.returncode, 0, good.stdout)
        self.assertLessEqual({"config", "clock", "signers", "data-dir", "disk", "broker", "kernel", "memfd",
                              "landlock", "seccomp", "user-ns", "cgroup", "sandbox", "open-files", "api"},
                             {check["name"] for check in report["checks"]})
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        self.host.config.write_text(
            self.host.config.read_text().replace(str(KEYS / "signer.pem"), "/missing.pem") +
            f'[uplink]\nkind = "mqtt"\nurl = "mqtt://127.0.0.1:{port}"\n')
        bad = self.host.run("check", "--config", str(self.host.config), "--json")
        self.assertEqual(bad.returncode, 1)
        failed = {c["name"]: c for c in json.loads(bad.stdout)["checks"] if c["verdict"] == "fail"}
        self.assertEqual(set(failed), {"signers", "broker"})
        self.assertTrue(all(check["hint"] for check in failed.values()))
        self.assertIn("Connection refused", failed["broker"]["text"])

    def test_check_names_broken_stores(self):
        (self.host.folder / "data").mkdir(mode=0o700)
        (self.host.folder / "data" / "store.broken-1").mkdir()
        report = json.loads(self.host.run("check", "--config", str(self.host.config), "--json").stdout)
        said = {c["name"]: c for c in report["checks"]}["store"]
        self.assertEqual(said["verdict"], "warn")
        self.assertIn("store.broken-1", said["text"])

    def test_check_shakes_hands_with_the_broker(self):
        folder = self.host.folder
        (folder / "data").mkdir(mode=0o700)

        def openssl(*words):
            subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

        new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90")
        for name in ("ca", "stranger"):
            openssl("req", "-x509", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")
        (folder / "ext").write_text("subjectAltName=IP:127.0.0.1")
        for name in ("broker", "edge-1"):
            openssl("req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
            openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                    "-CAcreateserial", "-days", "90", "-extfile", "ext", "-out", f"{name}.pem")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (folder / "mosquitto.conf").write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nrequire_certificate true\nuser root\n"
            f"cafile {folder}/ca.pem\ncertfile {folder}/broker.pem\nkeyfile {folder}/broker.key\n")
        broker = subprocess.Popen(["mosquitto", "-c", folder / "mosquitto.conf"], stderr=subprocess.DEVNULL,
                                  env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})
        self.addCleanup(broker.wait)
        self.addCleanup(broker.terminate)

        def answers():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(answers, "the broker")
        text = self.host.config.read_text()
        for ca, identity, verdict, words in (("ca", "edge-1", "ok", "TLSv1"),
                                             ("stranger", "edge-1", "fail", "its certificate is not good"),
                                             ("ca", "stranger", "fail", "does not take this gateway's")):
            self.host.config.write_text(
                f'{text}[uplink]\nkind = "mqtt"\nurl = "mqtts://127.0.0.1:{port}"\nca = "{folder}/{ca}.pem"\n'
                f'cert = "{folder}/{identity}.pem"\nkey = "{folder}/{identity}.key"\n')
            done = self.host.run("check", "--config", str(self.host.config), "--json")
            found = [c for c in json.loads(done.stdout)["checks"] if c["name"] == "broker"][0]
            self.assertEqual(found["verdict"], verdict, found)
            self.assertIn(words, found["text"])

    def test_a_start_that_fails_says_why(self):
        text = self.host.config.read_text()
        for wrong, why in ((text.replace("[store]", "[store]\nsinc = 1"), "sinc"),
                           (text.replace(str(KEYS / "signer.pem"), "/missing.pem"), "/missing.pem"),
                           (text.replace(str(self.host.folder / "data"), "/proc/nothing"), "data_dir"),
                           (text.replace(str(self.host.socket), "/" + "x" * 200), "socket")):
            self.host.config.write_text(wrong)
            done = self.host.run("run", "--config", str(self.host.config))
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(why, done.stderr)
            self.assertTrue(done.stderr.splitlines()[-1].startswith("kante run: "), done.stderr)


if __name__ == "__main__":
    unittest.main()
