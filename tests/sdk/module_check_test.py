"""`kante module check` finds the fault of a module: module_check_test.py KANTE SOURCE_DIR"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

KANTE, SOURCE = (os.path.abspath(path) for path in sys.argv[1:3])
MANIFEST = {"schema": "kante.module/1", "id": "dev.kante.test.bad", "version": "1.0.0", "abi": "1.0", "kind": "module",
            "inputs": ["in"], "outputs": [], "methods": [], "permissions": {}}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf", "riscv64": "riscv64"}


class ModuleCheck(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.keys = os.path.join(cls.folder.name, "keys")
        subprocess.run([KANTE, "key", "init", "--dir", cls.keys], check=True, capture_output=True)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def bundle(self, fault):
        stage = os.path.join(self.folder.name, fault or "good")
        library = os.path.join(stage, "lib", ARCHITECTURES[os.uname().machine], "module.so")
        os.makedirs(os.path.dirname(library))
        subprocess.run(["gcc", "-std=gnu11", "-shared", "-fPIC", "-fvisibility=hidden", "-D" + (fault or "FAULT_NONE"),
                        "-I", os.path.join(SOURCE, "sdk/include"), "-Wl,-z,now,-z,relro,-z,noexecstack",
                        "-Wl,--version-script=" + os.path.join(SOURCE, "sdk/cmake/module.map"),
                        os.path.join(SOURCE, "tests/sdk/modules/bad_module.c"), "-o", library], check=True)
        with open(os.path.join(stage, "manifest.json"), "w", encoding="utf-8") as file:
            json.dump(MANIFEST, file)
        out = stage + ".kmod"
        subprocess.run([KANTE, "bundle", "pack", stage, "-o", out, "--key", os.path.join(self.keys, "signer.key"),
                        "--cert", os.path.join(self.keys, "signer.pem")], check=True, capture_output=True)
        return out

    def check(self, bundle, *options):
        return subprocess.run([KANTE, "module", "check", bundle, "--json", "--trust",
                               os.path.join(self.keys, "signer.pem"), *options], capture_output=True, text=True,
                              check=False)

    def test_a_good_module_passes(self):
        done = self.check(self.bundle(""))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(json.loads(done.stdout)["passed"])

    def test_every_fault_is_found_where_it_is(self):
        for fault, check, text in (
                ("FAULT_CRASHES", "takes any message", "killed by Aborted"),
                ("FAULT_EXITS", "takes any message", "exit code 3"),
                ("FAULT_LEAKS", "takes any message", "leaked 1 reference(s)"),
                ("FAULT_PENDING", "takes any message", "no input of a durable route"),
                ("FAULT_NEVER_DRAINS", "drains", "drained() was not called"),
                ("FAULT_ACCEPTS_ALL", "declines unknown events", "was answered OK"),
                ("FAULT_REFUSES", "begins with its configuration", "refuses its configuration"),
                ("FAULT_OTHER_VERSION", "repeats its manifest", "its version is 9.9.9")):
            with self.subTest(fault=fault):
                done = self.check(self.bundle(fault))
                self.assertEqual(done.returncode, 1)
                failed = {one["check"]: one["text"] for one in json.loads(done.stdout)["checks"] if not one["passed"]}
                self.assertIn(check, failed)
                self.assertIn(text, failed[check])

    def test_a_configuration_that_is_no_json_is_no_fault_of_the_module(self):
        done = self.check(self.bundle("FAULT_ELSEWHERE"), "--config", __file__)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn(f"{__file__}: line 1", done.stderr)

    def test_a_bundle_of_a_stranger_is_not_run(self):
        other = os.path.join(self.folder.name, "other")
        subprocess.run([KANTE, "key", "init", "--dir", other], check=True, capture_output=True)
        done = subprocess.run([KANTE, "module", "check", self.bundle("FAULT_NONE"), "--trust",
                               os.path.join(other, "signer.pem")], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("trust", done.stderr)
        self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
