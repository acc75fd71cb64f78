"""kante key and kante bundle, from outside: files, exit codes, output, and other people's tools."""

import hashlib
import json
import os
import platform
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import unittest

KANTE = os.environ["KANTE"]
SAMPLES = os.environ["KANTE_ELF_SAMPLES"]
ARCH = {"x86_64": "amd64", "aarch64": "arm64", "riscv64": "riscv64"}.get(platform.machine(), "armhf")
MANIFEST = {"schema": "kante.module/1", "id": "com.example.test", "version": "1.2.3", "abi": "1.0",
            "outputs": ["out"]}


def run(*words, **options):
    return subprocess.run([KANTE, *words], capture_output=True, text=True, timeout=120, **options)


def openssl(*words, **options):
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60, **options)


class BundleCommandTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="kante-cli-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.keys = self.path("keys")
        self.assertEqual(run("key", "init", "--dir", self.keys).returncode, 0)
        self.key, self.certificate = self.path("keys/signer.key"), self.path("keys/signer.pem")

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, data):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def folder(self, sample="good", **members):
        self.write("in/manifest.json", json.dumps({**MANIFEST, **members}).encode())
        with open(os.path.join(SAMPLES, sample + ".so"), "rb") as library:
            self.write(f"in/lib/{ARCH}/module.so", library.read())
        return self.path("in")

    def pack(self, out="out.kmod", **members):
        packed = run("bundle", "pack", self.folder(**members), "-o", self.path(out),
                     "--key", self.key, "--cert", self.certificate)
        self.assertEqual(packed.returncode, 0, packed.stderr)
        return self.path(out)

    def test_key_init_keeps_the_key_secret_and_never_overwrites(self):
        self.assertEqual(stat.S_IMODE(os.stat(self.key).st_mode), 0o600)
        before = open(self.key).read()
        again = run("key", "init", "--dir", self.keys)
        self.assertEqual(again.returncode, 1)
        self.assertIn("is not overwritten", again.stderr)
        self.assertEqual(open(self.key).read(), before)
        other = run("key", "init", "--for", "documents", "--dir", self.keys)
        self.assertEqual(other.returncode, 0)
        self.assertEqual(other.stdout.split(), [self.path("keys/deployer.key"), self.path("keys/deployer.pem")])

    def test_misuse_is_exit_code_2(self):
        for words in (["key"], ["key", "init", "--for", "cakes"], ["bundle"], ["bundle", "pack"],
                      ["bundle", "verify", "x.kmod"], ["bundle", "inspect"]):
            self.assertEqual(run(*words).returncode, 2, words)
        for words in (["key", "init"], ["bundle", "pack"], ["bundle", "verify"], ["bundle", "inspect"]):
            self.assertEqual(run(*words, "--help").returncode, 0, words)

    def test_what_was_packed_verifies(self):
        bundle = self.pack()
        verified = run("bundle", "verify", bundle, "--trust", self.certificate)
        self.assertEqual(verified.returncode, 0, verified.stderr)
        self.assertIn("good", verified.stdout)
        as_json = json.loads(run("bundle", "verify", bundle, "--trust", self.certificate, "--json").stdout)
        self.assertTrue(as_json["valid"])
        self.assertEqual(as_json["manifest"]["outputs"], ["out"])

    def test_a_stranger_is_refused_in_words_and_in_json(self):
        bundle = self.pack()
        run("key", "init", "--dir", self.path("other"))
        refused = run("bundle", "verify", bundle, "--trust", self.path("other/signer.pem"), "--json")
        self.assertEqual(refused.returncode, 1)
        self.assertEqual(json.loads(refused.stdout)["code"], "untrusted")
        self.assertIn("not trusted", refused.stderr)

    def test_a_permission_that_nobody_knows_is_named_when_it_is_packed(self):
        packed = run("bundle", "pack", self.folder(permissions={"mehods": ["module/a/reset"]}), "-o",
                     self.path("p.kmod"), "--key", self.key, "--cert", self.certificate)
        self.assertEqual(packed.returncode, 0, packed.stderr)
        self.assertIn("/permissions/mehods is no permission", packed.stderr)

    def test_inspect_says_whether_it_believes(self):
        bundle = self.pack()
        for trust, verified in (([], False), (["--trust", self.certificate], True)):
            shown = run("bundle", "inspect", bundle, *trust)
            self.assertEqual(shown.returncode, 0)
            self.assertIn("com.example.test 1.2.3", shown.stdout)
            self.assertIn("verified     yes" if verified else "verified     NO", shown.stdout)
            self.assertEqual(json.loads(run("bundle", "inspect", bundle, "--json", *trust).stdout)["verified"], verified)
        broken = self.write("broken.kmod", open(bundle, "rb").read()[:-1])
        self.assertEqual(run("bundle", "inspect", broken).returncode, 1)

    def test_a_library_that_nobody_would_load_is_refused_with_its_remedy(self):
        folder = self.folder(sample="executable_stack")
        packed = run("bundle", "pack", folder, "-o", self.path("o.kmod"), "--key", self.key, "--cert", self.certificate)
        self.assertEqual(packed.returncode, 1)
        self.assertIn("noexecstack", packed.stderr)
        self.assertFalse(os.path.exists(self.path("o.kmod")))

    def test_a_bundle_signed_by_openssl_under_a_ca_is_good(self):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=factory CA",
                "-keyout", self.path("ca.key"), "-out", self.path("ca.pem"))
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=builder",
                "-keyout", self.path("b.key"), "-out", self.path("b.csr"))
        for usage, code in (("codeSigning", 0), ("serverAuth", 1)):
            extensions = self.write("ext", f"extendedKeyUsage={usage}\n".encode())
            openssl("x509", "-req", "-in", self.path("b.csr"), "-CA", self.path("ca.pem"), "-CAkey",
                    self.path("ca.key"), "-CAcreateserial", "-days", "10", "-extfile", extensions,
                    "-out", self.path("b.pem"))
            packed = open(self.pack(), "rb").read()
            signature_bytes, _, payload_bytes = struct.unpack_from("<IIQ", packed, 8)
            payload = self.write("payload", packed[56 + signature_bytes:])
            self.assertEqual(os.path.getsize(payload), payload_bytes)
            openssl("cms", "-sign", "-binary", "-in", payload, "-signer", self.path("b.pem"),
                    "-inkey", self.path("b.key"), "-outform", "DER", "-out", self.path("sig"))
            signature = open(self.path("sig"), "rb").read()
            bundle = self.write("foreign.kmod", b"KANTEKM1" + struct.pack("<IIQ", len(signature), 0, payload_bytes) +
                                hashlib.sha256(signature).digest() + signature + packed[56 + signature_bytes:])
            verified = run("bundle", "verify", bundle, "--trust", self.path("ca.pem"))
            self.assertEqual(verified.returncode, code, verified.stderr)

    def test_openssl_verifies_our_signature(self):
        packed = open(self.pack(), "rb").read()
        signature_bytes, = struct.unpack_from("<I", packed, 8)
        signature = self.write("sig", packed[56:56 + signature_bytes])
        payload = self.write("payload", packed[56 + signature_bytes:])
        openssl("cms", "-verify", "-binary", "-inform", "DER", "-in", signature, "-content", payload,
                "-CAfile", self.certificate, "-purpose", "any", "-partial_chain", "-out", os.devnull)

    @unittest.skipIf(os.environ.get("KANTE_SANITIZE"), "sanitizers have a memory of their own")
    def test_memory_stays_small_whatever_the_size(self):
        def peak(bundle):
            command = [KANTE, "bundle", "verify", bundle, "--trust", self.certificate]
            code = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=2);"
                    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
            return int(subprocess.run([sys.executable, "-c", code, *command], check=True, timeout=120,
                                      capture_output=True, text=True).stdout)
        small = peak(self.pack("small.kmod"))
        self.write("in/data/model.bin", os.urandom(72 << 20))
        large = self.pack("large.kmod")
        self.assertGreater(os.path.getsize(large), 70 << 20)
        self.assertLess(peak(large) - small, 16 << 10)


if __name__ == "__main__":
    unittest.main()
