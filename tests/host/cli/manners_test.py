"""How every command behaves: what it prints has to arrive, and what it is given wrongly is named."""

import fcntl
import json
import os
import pathlib
import pty
import signal
import socket
import stat
import subprocess
import tempfile
import unittest

KANTE = os.environ["KANTE"]
BUNDLE = pathlib.Path(os.environ["KANTE_MODULES"]) / "simulated-sensor.kmod"
KEYS = pathlib.Path(os.environ["KANTE_DEV_KEYS"])


def kante(*words, **more):
    more.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([KANTE, *words], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True, check=False, **more)


def opened_by(pid):
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:  # It was closed meanwhile.
            pass
    return found


class Stdout(unittest.TestCase):
    def test_a_full_disk_is_a_failure(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            for words in (["--help"], ["bundle", "inspect", BUNDLE], ["check", "--json"]):
                done = kante(*words, stdout=full)
                self.assertEqual(done.returncode, 1, words)
                self.assertIn("No space left on device", done.stderr)

    def test_a_closed_one_is_a_failure(self):
        done = kante("bundle", "inspect", BUNDLE, preexec_fn=lambda: os.close(1))
        self.assertEqual(done.returncode, 1)
        self.assertIn("standard output", done.stderr)

    def test_no_file_takes_the_place_of_a_closed_descriptor(self):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "gateway.toml"
            config.write_text('[gateway]\nid = "e"\ndata_dir = "data"\n[trust]\nsigners = []\n'
                              '[api]\nsocket = "api.sock"\nhttp = ""\ngroup = ""\n')
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
                supervisor.bind(f"{folder}/notify.sock")
                supervisor.settimeout(60)
                with subprocess.Popen(["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', KANTE, "run",
                                       "--no-keeper", "--config", config],
                                      env={**os.environ, "NOTIFY_SOCKET": f"{folder}/notify.sock"}) as host:
                    while b"READY=1" not in (said := supervisor.recv(4096)):
                        pass
                    self.assertIn(b"STATUS=gateway e runs", said)
                    for fd in range(3):
                        self.assertEqual(os.readlink(f"/proc/{host.pid}/fd/{fd}"), "/dev/null")
                    host.terminate()
                    self.assertEqual(host.wait(60), 0)


class Outputs(unittest.TestCase):
    def test_what_is_no_file_is_not_replaced(self):
        with tempfile.TemporaryDirectory() as folder:
            pipe = os.path.join(folder, "pipe")
            os.mkfifo(pipe)
            link = os.path.join(folder, "link")
            os.symlink("/dev/null", link)
            for out in (pipe, link):
                kind = stat.S_IFMT(os.lstat(out).st_mode)
                for words in (["support-bundle", "--socket", "none"],
                              ["bundle", "delta", BUNDLE, BUNDLE],
                              ["deploy", "sign", "-", "--gateway", "e", "--key",
                               KEYS / "deployer.key", "--cert", KEYS / "deployer.pem"]):
                    done = kante(*words, "-o", out, cwd=folder)
                    self.assertEqual(done.returncode, 2, (words, done.stderr))
                    self.assertIn("no regular file", done.stderr)
                    self.assertEqual(stat.S_IFMT(os.lstat(out).st_mode), kind)
            self.assertEqual(sorted(os.listdir(folder)), ["link", "pipe"])


class Inputs(unittest.TestCase):
    READERS = (["bundle", "verify", "--trust", KEYS / "signer.pem"], ["bundle", "inspect"],
               ["module", "check", "--trust", KEYS / "signer.pem"])

    def test_what_is_no_file_is_not_waited_for(self):
        with tempfile.TemporaryDirectory() as folder:
            pipe = os.path.join(folder, "pipe")
            os.mkfifo(pipe)
            for words in self.READERS:
                for path in (pipe, folder, "/dev/zero"):
                    done = kante(*words, path, timeout=60)
                    self.assertEqual(done.returncode, 1, words)
                    self.assertIn(f": {path}: is not a regular file\n", done.stderr)

    def test_a_bundle_that_is_none_is_told_as_that(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkfifo(os.path.join(folder, "pipe"))
            document = os.path.join(folder, "d.json")
            for bundle in ("pipe", "/dev/zero", "."):
                with open(document, "w", encoding="ascii") as out:
                    json.dump({"schema": "kante.deployment/1", "id": "d", "version": 1,
                               "modules": {"m": {"bundle": bundle}}}, out)
                done = kante("deploy", "sign", document, "--key", KEYS / "deployer.key", "--cert",
                             KEYS / "deployer.pem", "--gateway", "e", "-o", f"{folder}/d.kdoc", timeout=60)
                self.assertEqual(done.returncode, 1)
                self.assertRegex(done.stderr, f"{document}: /modules/m/bundle: [^:]*: is not a regular file\n")

    def test_standard_input_has_an_end(self):
        with open("/dev/zero", encoding="ascii") as zeros:
            for words, most in ((["deploy", "sign", "-", "--gateway", "e", "-o", "/nowhere/x", "--key",
                                  KEYS / "deployer.key", "--cert", KEYS / "deployer.pem"], 4194304),
                                (["deploy", "apply", "-", "--socket", "/nowhere"], 4259896)):
                done = subprocess.run([KANTE, *words], stdin=zeros, capture_output=True, text=True,
                                      check=False, timeout=60)
                self.assertEqual(done.returncode, 1)
                self.assertIn(f"standard input: longer than {most} bytes", done.stderr)

    def test_what_signs_is_not_taken_for_the_document(self):
        done = kante("deploy", "sign", "/dev/stdin", "--gateway", "e", "-o", "/nowhere/x", "--key", "/nowhere",
                     "--cert", KEYS / "deployer.pem", "--kind", "desired", "--name", "module/m", "--json")
        self.assertNotIn("/dev/stdin: /nowhere", done.stderr)


class Run(unittest.TestCase):
    def test_a_start_that_is_refused_is_json_where_the_log_is(self):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "gateway.toml"
            for text in ("[gateway]\n", '[gateway]\nid = "e"\ndata_dir = "/dev/null"\n[trust]\nsigners = []\n'):
                config.write_text(text)
                for more in ([], ["--no-keeper"]):
                    done = kante("run", "--config", config, "--log", "json", *more)
                    self.assertEqual(done.returncode, 1)
                    lines = [json.loads(line) for line in done.stderr.splitlines()]
                    self.assertEqual([(line["level"], line["who"]) for line in lines], [("error", "host")])

    def test_the_keeper_says_it_as_the_host_does(self):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "gateway.toml"
            config.write_text('[gateway]\nid = "e"\ndata_dir = "data"\n[trust]\nsigners = []\n'
                              '[api]\nsocket = "api.sock"\nhttp = ""\ngroup = ""\n')
            with subprocess.Popen([KANTE, "run", "--config", config, "--log", "json"], text=True,
                                  stderr=subprocess.PIPE) as keeper:
                said = []
                while not any(line["text"] == "gateway e runs" for line in said):
                    said.append(json.loads(keeper.stderr.readline()))
                os.kill(int((pathlib.Path(folder) / "data" / "lock").read_text()), 9)
                line = json.loads(keeper.stderr.readline())
                keeper.terminate()
                self.assertEqual((line["who"], line["text"]),
                                 ("keeper", "the host ended by SIGKILL; it is started again"))
                for rest in keeper.stderr:
                    json.loads(rest)
                self.assertEqual(keeper.wait(60), 0)

    def test_a_signal_during_the_start_stops_it_in_order(self):
        with tempfile.TemporaryDirectory() as folder:
            data = pathlib.Path(folder).resolve() / "data"
            data.mkdir()
            config = pathlib.Path(folder) / "gateway.toml"
            config.write_text(f'[gateway]\nid = "e"\ndata_dir = "{data}"\n[trust]\nsigners = []\n'
                              '[api]\nsocket = "api.sock"\nhttp = ""\ngroup = ""\n')
            with open(data / "lock", "w", encoding="ascii") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # So it waits, and stays in its start.
                for number in (signal.SIGTERM, signal.SIGINT):
                    with subprocess.Popen([KANTE, "run", "--no-keeper", "--config", config]) as host:
                        while str(data / "lock") not in opened_by(host.pid):
                            self.assertIsNone(host.poll())
                        host.send_signal(number)
                        self.assertEqual(host.wait(60), 0)

    def test_a_password_in_an_address_is_not_repeated(self):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "gateway.toml"
            config.write_text('[gateway]\nid = "e"\n[uplink]\nkind = "mqtt"\nurl = "mqtts://u:SECRET@b:8883"\n')
            for words in (["run", "--config", config], ["check", "--config", config],
                          ["fleet", "status", "--broker", "mqtts://u:SECRET@b:8883"]):
                done = kante(*words)
                self.assertEqual(done.returncode, 1)
                self.assertNotIn("SECRET", done.stdout + done.stderr)

    def test_the_hint_is_about_what_is_wrong(self):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "gateway.toml"
            for text, hint in (("a=" + "[" * 100, "mend that line"), ("a=", "mend that line"),
                               (None, "name with --config a file that can be read")):
                config.unlink(missing_ok=True)
                if text is not None:
                    config.write_text(text)
                shown = json.loads(kante("check", "--json", "--config", config).stdout)["checks"][0]
                self.assertEqual((shown["name"], shown["hint"]), ("config", hint), shown)

    def test_a_password_is_not_waited_for(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkfifo(f"{folder}/pipe")
            config = pathlib.Path(folder) / "gateway.toml"
            config.write_text('[gateway]\nid = "e"\ndata_dir = "data"\n[trust]\nsigners = []\n'
                              '[api]\nsocket = "api.sock"\nhttp = ""\ngroup = ""\n[uplink]\nkind = "mqtt"\n'
                              'url = "mqtt://127.0.0.1:1"\nusername = "u"\npassword_file = "pipe"\n')
            done = kante("run", "--no-keeper", "--config", config, timeout=60)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"[uplink] password_file: {folder}/pipe: is not a regular file", done.stderr)
            self.assertRegex(kante("check", "--config", config).stdout,
                             f"fail  password .*{folder}/pipe: is not a regular file")

    def test_a_check_fails_for_what_a_start_is_refused_for(self):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "gateway.toml"
            for section, key in (("trust", "deployers"), ("trust", "roots"), ("fetch", "ca")):
                value = '"/nowhere.pem"' if key == "ca" else '["/nowhere.pem"]'
                config.write_text(f'[gateway]\nid = "e"\ndata_dir = "data"\n[api]\nsocket = "api.sock"\n'
                                  f'[{section}]\n{key} = {value}\n')
                done = kante("check", "--config", config)
                self.assertEqual(done.returncode, 1)
                self.assertRegex(done.stdout, "fail .*/nowhere.pem: No such file or directory")


class Waiting(unittest.TestCase):
    def said(self, verb, document, *more):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "document.json"
            file.write_text(json.dumps(document))
            return kante("deploy", verb, file, "--socket", "/nowhere", *more).stderr

    def test_a_long_one_is_announced(self):
        section = {"gateway": {"log": {"level": "debug"}}}
        for verb in ("apply", "patch"):
            self.assertIn("is watched for 120 s", self.said(verb, section))
            self.assertIn("is watched for 7 s", self.said(verb, {**section, "health": {"window_s": 7}}))
            self.assertNotIn("watched", self.said(verb, {**section, "health": {"window_s": 0}}))
            self.assertNotIn("watched", self.said(verb, section, "--no-wait"))
            self.assertNotIn("watched", self.said(verb, {"modules": {}}))


class Misuse(unittest.TestCase):
    def test_a_command_that_is_not_there_is_named(self):
        for words, text in ((["statsu"], 'kante: there is no command "statsu"; did you mean "status"?'),
                            (["module", "lsit"], 'kante module: there is no command "lsit"; did you mean "list"?'),
                            (["xyzzyxyzzy"], 'kante: there is no command "xyzzyxyzzy"\n'),
                            ([], "A subcommand is required"),
                            (["module"], "A subcommand is required")):
            done = kante(*words)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(text, done.stderr)

    def test_a_time_that_is_none_is_misuse(self):
        self.assertEqual(kante("demo", "--for", "soon").returncode, 2)

    def test_a_property_without_a_name_is_misuse(self):
        for wrong in ("bad", "=bad"):
            done = kante("send", "device/d1", "{}", "--property", wrong)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(f"{wrong} is no NAME=VALUE", done.stderr)

    def test_a_fleet_command_names_its_own_options(self):
        for more, text in (([], "--ca: "), (["--ca", "x", "--client-cert", "y"], "--client-cert, --client-key: ")):
            done = kante("fleet", "status", "--broker", "mqtts://localhost", *more)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(f"kante fleet status: {text}", done.stderr)

    def test_a_missing_file_is_named_once(self):
        for words in (["deploy", "apply", "/nowhere"], ["bundle", "inspect", "/nowhere"],
                      ["bundle", "verify", __file__, "--trust", "/nowhere"],
                      ["deploy", "verify", "/nowhere", "--trust", KEYS / "deployer.pem"],
                      ["deploy", "inspect", "/nowhere"],
                      ["module", "check", "/nowhere", "--trust", KEYS / "signer.pem"]):
            done = kante(*words)
            self.assertEqual((done.returncode, done.stderr.count("/nowhere")), (1, 1), done.stderr)
            self.assertNotIn(__file__, done.stderr)


class Check(unittest.TestCase):
    def failed(self, text):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "gateway.toml"
            config.write_text(f'[gateway]\nid = "e"\n{text}')
            done = kante("check", "--config", config, "--socket", "/nowhere", "--json")
            self.assertEqual(done.returncode, 1, text)
            return [one["name"] for one in json.loads(done.stdout)["checks"] if one["verdict"] == "fail"]

    def test_what_the_host_would_not_start_with_is_found(self):
        signer = f'signers = ["{KEYS}/signer.pem"]\n'
        for key in ("deployers", "roots", "revoked"):
            self.assertEqual(self.failed(f'[trust]\n{signer}{key} = ["/nowhere.pem"]\n'), [key])
        hub = f'[hub.tls]\ncert = "{KEYS}/signer.pem"\nkey = "{KEYS}/deployer.key"\n'
        self.assertEqual(self.failed(f"[trust]\n{signer}{hub}"), ["hub-key"])


class Journal(unittest.TestCase):
    def first_line(self, journal):
        with tempfile.TemporaryFile() as stderr:
            facts = os.fstat(stderr.fileno())
            subprocess.run([KANTE, "status", "--socket", "/nowhere"], stderr=stderr, check=False,
                           env={**os.environ, "JOURNAL_STREAM": journal(facts)})
            stderr.seek(0)
            return stderr.read().decode()

    def test_a_line_has_its_priority_in_systemds_journal_alone(self):
        self.assertTrue(self.first_line(lambda s: f"{s.st_dev}:{s.st_ino}").startswith("<3>kante status: "))
        self.assertTrue(self.first_line(lambda s: f"{s.st_dev}:{s.st_ino + 1}").startswith("kante status: "))


class Colour(unittest.TestCase):
    def errors(self, **more):
        terminal, there = pty.openpty()
        subprocess.run([KANTE, "status", "--socket", "/nowhere"], stderr=there, check=False,
                       env={**os.environ, "TERM": "xterm", **more})
        os.close(there)
        said = os.read(terminal, 4096).decode()
        os.close(terminal)
        self.assertIn("no host at /nowhere", said)
        return said

    def test_errors_have_it_on_a_terminal_only_where_it_is_wanted(self):
        self.assertIn("\x1b[31m", self.errors(NO_COLOR=""))
        self.assertNotIn("\x1b", self.errors(NO_COLOR="1"))


if __name__ == "__main__":
    unittest.main()
