"""kante deploy sign, verify and inspect, from outside: files, exit codes, output."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

KANTE = os.environ["KANTE"]
MODULES = os.environ["KANTE_MODULES"]
DEPLOYMENT = {"schema": "kante.deployment/1", "id": "line-4", "version": 3, "modules": {}}


def run(*words, **options):
    return subprocess.run([KANTE, *words], capture_output=True, text=True, timeout=120, **options)


class DocumentCommandTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="kante-cli-")
        self.addCleanup(shutil.rmtree, self.dir)
        made = run("key", "init", "--for", "documents", "--dir", self.dir)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.key, self.certificate = self.path("deployer.key"), self.path("deployer.pem")

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, content):
        with open(self.path(name), "w") as file:
            file.write(content if isinstance(content, str) else json.dumps(content))
        return self.path(name)

    def sign(self, content, *more, out="out.kdoc", target=("--gateway", "edge-1")):
        return run("deploy", "sign", self.write("in.json", content), "--key", self.key, "--cert", self.certificate,
                   *target, *more, "-o", self.path(out), "--json")

    def signed(self, content, *more, **options):
        made = self.sign(content, *more, **options)
        self.assertEqual(made.returncode, 0, made.stderr)
        return json.loads(made.stdout)

    def refused(self, content, *more, code=1, **options):
        made = self.sign(content, *more, **options)
        self.assertEqual(made.returncode, code, made.stderr)
        self.assertFalse(os.path.exists(self.path("out.kdoc")))
        return made.stderr

    def verify(self, name="out.kdoc", trust=None):
        return run("deploy", "verify", self.path(name), "--trust", trust or self.certificate, "--json")

    def test_a_deployment_is_signed_and_verified(self):
        before = int(time.time() * 1000)
        made = self.signed(DEPLOYMENT, "--not-after", "30d")
        self.assertEqual((made["kind"], made["target"]), ("deployment", {"gateway": "edge-1"}))
        self.assertGreaterEqual(made["counter"], before)
        verified = self.verify()
        self.assertEqual(verified.returncode, 0, verified.stderr)
        said = json.loads(verified.stdout)
        self.assertEqual((said["valid"], said["content"], said["digest"]), (True, DEPLOYMENT, made["digest"]))
        self.assertIn("(documents)", said["signer"]["subject"])
        with open(self.path("out.kdoc"), "rb") as file:
            self.assertEqual(file.read(8), b"KANTEDC1")
        seen = run("deploy", "inspect", self.path("out.kdoc"))
        self.assertEqual((seen.returncode, json.loads(seen.stdout)["verified"]), (0, False))
        self.assertIn("not verified", seen.stderr)

    def test_what_it_is_follows_from_the_content_or_is_said(self):
        self.assertEqual(self.signed([], "--base", "3", target=("--tag", "site=muc"))["kind"], "json-patch")
        layer = {"schema": "kante.layer/1", "priority": 5, "content": {}}
        made = self.signed(layer, "--name", "munich", "--counter", "7")
        self.assertEqual((made["kind"], made["name"], made["counter"]), ("layer", "munich", 7))
        self.assertEqual(self.signed("null", "--kind", "layer", "--name", "munich")["kind"], "layer")
        made = self.signed("5", "--kind", "command", "--name", "module/filter/reset")
        self.assertIn("not_after", made)

    def test_bundles_are_named_by_their_digests(self):
        shutil.copy(os.path.join(MODULES, "simulated-sensor.kmod"), self.path("sensor.kmod"))
        digest = json.loads(run("bundle", "inspect", self.path("sensor.kmod"), "--json").stdout)["digest"]
        self.signed({**DEPLOYMENT, "modules": {"x": {"bundle": "sensor.kmod"}}})
        self.assertEqual(json.loads(self.verify().stdout)["content"]["modules"]["x"]["bundle"], digest)

    def test_what_no_gateway_would_take_is_not_signed(self):
        self.assertIn("/modules/x/bundle: none.kmod", self.refused({**DEPLOYMENT, "modules": {"x": {"bundle": "none.kmod"}}}))
        self.assertIn("/version", self.refused({**DEPLOYMENT, "version": 0}))
        self.assertIn("give --kind", self.refused({}))
        self.assertIn("/base: missing", self.refused({}, "--kind", "merge-patch"))
        self.assertIn("/name: a layer has one", self.refused({"schema": "kante.layer/1", "content": {}}))
        self.assertIn("--not-after", self.refused(DEPLOYMENT, "--not-after", "soon"))
        self.refused(DEPLOYMENT, code=2, target=())
        self.refused(DEPLOYMENT, code=2, target=("--gateway", "a", "--tag", "b"))
        self.refused(DEPLOYMENT, "--kind", "wish", code=2)

    def test_bad_ones_are_refused_with_why(self):
        self.signed(DEPLOYMENT, "--not-after", "2026-01-01T00:00:00Z")
        self.assertEqual(json.loads(self.verify().stdout)["code"], "expired")
        self.signed(DEPLOYMENT)
        other = self.path("other")
        run("key", "init", "--for", "documents", "--dir", other)
        stranger = self.verify(trust=os.path.join(other, "deployer.pem"))
        self.assertEqual((stranger.returncode, json.loads(stranger.stdout)["code"]), (1, "untrusted"))
        with open(self.path("out.kdoc"), "r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"]")
        tampered = self.verify()
        self.assertEqual(tampered.returncode, 1)
        self.assertIn("does not cover this payload", tampered.stderr)
        seen = run("deploy", "inspect", self.write("text", "hello"))
        self.assertEqual(seen.returncode, 1)
        self.assertIn("not a document", seen.stderr)

    def test_a_key_for_bundles_signs_no_document(self):
        run("key", "init", "--dir", self.dir)
        self.key, self.certificate = self.path("signer.key"), self.path("signer.pem")
        self.assertIn("documentSigning", self.refused(DEPLOYMENT))


if __name__ == "__main__":
    unittest.main()
