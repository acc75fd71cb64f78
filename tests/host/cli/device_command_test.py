"""kante device and kante identity, against a real host."""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import signal
import ssl
import subprocess
import tempfile
import time
import unittest
import urllib.parse

from host_command_test import Host

KEYS = pathlib.Path(os.environ["KANTE_DEV_KEYS"])


class Devices(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="kante-device-")
        self.addCleanup(folder.cleanup)
        self.host = Host(folder.name).start()
        self.addCleanup(self.host.stop, signal.SIGKILL)

    def fails(self, *words):
        done = self.host.run("device", *words)
        self.assertEqual((done.returncode, done.stdout), (1, ""), words)
        return done.stderr

    def test_add_prints_a_connection_string_and_nothing_else(self):
        done = self.host.run("device", "add", "car-7")
        self.assertEqual(done.returncode, 0, done.stderr)
        parts = dict(part.split("=", 1) for part in done.stdout.strip().split(";"))
        self.assertEqual(list(parts), ["HostName", "DeviceId", "SharedAccessKey"])
        self.assertEqual((parts["HostName"], parts["DeviceId"]), ("edge-1.local", "car-7"))
        self.assertEqual(len(base64.b64decode(parts["SharedAccessKey"])), 32)
        module = self.host.run("device", "add", "car-7/module/m").stdout
        self.assertIn(";DeviceId=car-7;ModuleId=m;SharedAccessKey=", module)
        self.assertIn("device/car-7 is registered already", self.fails("add", "car-7"))

    def test_a_token_is_what_an_sdk_would_make(self):
        key = self.host.json("device", "add", "car-7")["authentication"]["symmetricKey"]["primaryKey"]
        done = self.host.run("device", "sas", "car-7", "--ttl", "60")
        word, fields = done.stdout.strip().split(" ", 1)
        self.assertEqual(word, "SharedAccessSignature")
        fields = dict(field.split("=", 1) for field in fields.split("&"))
        self.assertEqual(fields["sr"], "edge-1.local%2Fdevices%2Fcar-7")
        signed = hmac.new(base64.b64decode(key), f'{fields["sr"]}\n{fields["se"]}'.encode(), hashlib.sha256)
        self.assertEqual(base64.b64decode(urllib.parse.unquote(fields["sig"])), signed.digest())
        self.assertAlmostEqual(int(fields["se"]), time.time() + 60, delta=50)
        self.assertEqual(self.host.run("device", "token", "car-7").returncode, 0)

    def test_devices_are_there_after_a_start_and_no_key_is_on_disk(self):
        key = self.host.json("device", "add", "car-7")["authentication"]["symmetricKey"]["primaryKey"]
        self.host.run("device", "disable", "car-7")
        self.assertEqual(self.host.stop(), 0)
        raw = base64.b64decode(key)
        for file in (self.host.folder / "data").rglob("*"):
            if file.is_file():
                content = file.read_bytes()
                self.assertNotIn(raw, content, file)
                self.assertNotIn(key.encode(), content, file)
        self.assertNotIn(key, (self.host.folder / "run.log").read_text())
        seal = self.host.folder / "data" / "identity" / "seal.key"
        self.assertEqual(seal.stat().st_mode & 0o777, 0o600)
        self.host.start()
        shown = self.host.json("device", "show", "car-7", "--keys")
        self.assertEqual(shown["authentication"]["symmetricKey"]["primaryKey"], key)
        self.assertEqual(shown["status"], "disabled")

    def test_another_seal_key_is_told_and_heals_by_new_registrations(self):
        self.host.run("device", "add", "car-7")
        self.host.stop()
        (self.host.folder / "data" / "identity" / "seal.key").write_bytes(os.urandom(32))
        self.host.start()
        self.assertIn("1 registrations cannot be read", (self.host.folder / "run.log").read_text())
        self.assertEqual(self.host.json("device", "list"), [])
        self.assertIn("remove it and add it again", self.fails("rotate", "car-7"))
        self.assertEqual(self.host.run("device", "add", "car-7").returncode, 0)

    def test_list_show_and_remove(self):
        for name in ("b", "a", "a/module/m", "gateway/plant"):
            self.assertEqual(self.host.run("device", "add", name).returncode, 0)
        self.assertEqual([d["principal"] for d in self.host.json("device", "list")],
                         ["device/a", "device/a/module/m", "device/b", "gateway/plant"])
        lines = self.host.run("device", "list").stdout.splitlines()
        self.assertEqual(len(lines), 5)
        self.assertTrue(lines[1].startswith("device/a "))
        shown = self.host.run("device", "show", "a").stdout
        self.assertNotIn("SharedAccessKey", shown)
        self.assertEqual(self.host.run("device", "remove", "a").returncode, 0)
        self.assertEqual([d["principal"] for d in self.host.json("device", "list")],
                         ["device/b", "gateway/plant"])
        self.assertIn("device/a is not registered", self.fails("show", "a"))

    def test_certificates_by_file_thumbprint_and_authority(self):
        pem = (KEYS / "signer.pem").read_text()
        thumbprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
        device = self.host.json("device", "add", "a", "--x509", str(KEYS / "signer.pem"))
        self.assertEqual(device["authentication"],
                         {"type": "selfSigned",
                          "x509Thumbprint": {"primaryThumbprint": thumbprint, "secondaryThumbprint": None}})
        self.assertEqual(device["connection_string"], "HostName=edge-1.local;DeviceId=a;x509=true")
        device = self.host.json("device", "add", "b", "--x509", thumbprint.upper(), "--x509-secondary", "ab" * 20)
        self.assertEqual(device["authentication"]["x509Thumbprint"]["secondaryThumbprint"], "ab" * 20)
        device = self.host.json("device", "add", "c", "--ca")
        self.assertEqual(device["authentication"], {"type": "certificateAuthority"})
        self.assertIn("neither a thumbprint", self.fails("add", "d", "--x509", "none.pem"))
        self.assertIn("no certificate in PEM", self.fails("add", "d", "--x509", str(KEYS / "signer.key")))
        self.assertEqual(self.host.run("device", "add", "d", "--sas", "--ca").returncode, 2)

    def test_rotation_keeps_the_old_key_as_the_secondary_one(self):
        def keys(*words):
            return self.host.json("device", *words)["authentication"]["symmetricKey"]
        first = keys("add", "a")
        second = keys("rotate", "a")
        self.assertEqual(second["secondaryKey"], first["primaryKey"])
        self.assertNotEqual(second["primaryKey"], first["primaryKey"])
        third = keys("rotate", "a", "--which", "both", "--end-sessions")
        self.assertFalse(set(third.values()) & (set(first.values()) | set(second.values())))
        events = self.host.json("events", "-n", "1")
        self.assertIn("its sessions end", json.dumps(events))

    def test_metrics_count_devices_and_refusals(self):
        self.host.run("device", "add", "car-7")
        text = subprocess.run(["curl", "-s", "--unix-socket", str(self.host.socket), "http://localhost/metrics"],
                              capture_output=True, text=True, check=True).stdout
        self.assertIn("\nkante_devices 1\n", text)
        self.assertIn('kante_authentication_refused_total{reason="signature"} 0', text)

    def test_grants_are_shown_explained_and_changed(self):
        self.host.run("device", "add", "car-7", "--grant", "publish:factory/{id}/#")
        explained = self.host.run("device", "grants", "car-7", "--explain", "factory/car-7/temp")
        self.assertEqual(explained.returncode, 0)
        self.assertIn("publish factory/car-7/temp is allowed by publish:factory/{id}/#", explained.stdout)
        self.assertIn("subscribe factory/car-7/temp is denied", explained.stdout)
        self.assertEqual(self.host.run("device", "grants", "car-7", "--explain", "other").returncode, 1)
        as_json = self.host.json("device", "grants", "car-7", "--explain", "devices/car-7/#")
        self.assertEqual([(one["action"], one["allowed"]) for one in as_json],
                         [("subscribe", True)])
        changed = self.host.json("device", "grants", "car-7", "--add", "method:module/a/*", "--remove", "default")
        self.assertEqual(changed["grants"], ["publish:factory/{id}/#", "method:module/a/*"])
        shown = self.host.run("device", "grants", "car-7").stdout.split()
        self.assertEqual(shown, changed["grants"])
        self.assertEqual(self.host.json("device", "grants", "car-7", "--set", "default")["grants"], ["default"])
        self.assertIn('has no grant "publish:x"', self.fails("grants", "car-7", "--remove", "publish:x"))
        self.assertIn("did you mean publish:?", self.fails("grants", "car-7", "--add", "publsh:x"))
        bare = self.host.json("device", "add", "bare", "--no-default-grants")
        self.assertEqual(bare["grants"], [])

    def test_a_twin_can_be_set_before_the_device_connects_and_goes_with_it(self):
        self.host.run("device", "add", "car-7")
        self.assertEqual(self.host.run("twin", "patch", "device/car-7", '{"max":5}').returncode, 0)
        self.host.run("device", "remove", "car-7")
        self.assertEqual(self.host.run("twin", "get", "device/car-7").returncode, 1)
        self.host.run("device", "add", "car-7")
        self.assertEqual(self.host.json("twin", "get", "device/car-7")["desired"], {"$version": 0})

    def test_identity_shows_the_ca_that_clients_trust(self):
        pem = self.host.run("identity", "show", "--ca").stdout
        self.assertTrue(ssl.create_default_context(cadata=pem).get_ca_certs())
        self.assertEqual((self.host.folder / "data" / "identity" / "ca.pem").read_text(), pem)
        own = self.host.json("identity", "show")
        self.assertEqual((own["gateway"], own["hostname"]), ("edge-1", "edge-1.local"))
        self.assertEqual(own["ca"]["pem"], pem)
        self.assertIn("edge-1.local", self.host.run("identity", "show").stdout)
        described = subprocess.run(["openssl", "x509", "-noout", "-text"], input=pem, capture_output=True,
                                   text=True, check=True).stdout
        self.assertIn("CA:TRUE, pathlen:0", described)
        self.host.stop()
        self.host.start()
        self.assertEqual(self.host.run("identity", "show", "--ca").stdout, pem)


if __name__ == "__main__":
    unittest.main()
