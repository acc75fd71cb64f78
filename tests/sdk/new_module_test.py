"""The way of an author: new_module_test.py BUILD_DIR

Installs the SDK below a temporary prefix, makes a project with `kante module new`, builds and tests it out
of the tree against that prefix alone, packs and signs it, and verifies the bundle.
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

BUILD = os.path.abspath(sys.argv[1])


class NewModule(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.prefix = os.path.join(cls.folder.name, "prefix")
        cls.environment = {**os.environ, "XDG_CONFIG_HOME": os.path.join(cls.folder.name, "config"),
                           "PKG_CONFIG_PATH": os.path.join(cls.prefix, "lib/pkgconfig")}
        cls.run_command("cmake", "--install", BUILD, "--prefix", cls.prefix)
        cls.kante = os.path.join(cls.prefix, "bin/kante")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def run_command(cls, *command, cwd=None, expect=0):
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd or cls.folder.name,
                              env=cls.environment)
        if done.returncode != expect:
            raise AssertionError("%s ended with %d:\n%s%s" % (command, done.returncode, done.stdout, done.stderr))
        return done

    def test_1_from_nothing_to_a_verified_bundle(self):
        self.run_command(self.kante, "key", "init")
        self.run_command(self.kante, "module", "new", "hall-counter", "--id", "com.example.hall-counter")
        project = os.path.join(self.folder.name, "hall-counter")
        self.assertEqual(sorted(os.listdir(project)), sorted([
            ".gitignore", "CMakeLists.txt", "README.md", "hall-counter.cc", "hall-counter_test.cc", "manifest.json"]))
        self.run_command("cmake", "-B", "build", "-DCMAKE_BUILD_TYPE=Release", cwd=project)
        self.run_command("cmake", "--build", "build", cwd=project)
        self.run_command("ctest", "--test-dir", "build", "--output-on-failure", cwd=project)
        bundle = os.path.join(project, "build/hall-counter.kmod")
        trust = os.path.join(self.environment["XDG_CONFIG_HOME"], "kante/keys/signer.pem")
        self.run_command(self.kante, "bundle", "verify", bundle, "--trust", trust)
        seen = json.loads(self.run_command(self.kante, "bundle", "inspect", "--json", bundle).stdout)
        self.assertIn("com.example.hall-counter", json.dumps(seen))
        symbols = self.run_command("nm", "-D", "--defined-only", os.path.join(project, "build/hall-counter.so"))
        self.assertEqual(symbols.stdout.split()[2:], ["kante_module_entry"])

    def test_2_nothing_in_the_project_points_into_the_source_tree(self):
        for root, folders, files in os.walk(os.path.join(self.prefix, "lib/cmake")):
            for name in files:
                with open(os.path.join(root, name), encoding="utf-8") as file:
                    self.assertNotIn(BUILD, file.read(), name)

    def test_3_pkg_config_names_the_headers(self):
        flags = self.run_command("pkg-config", "--cflags", "kante").stdout.strip()
        source = os.path.join(self.folder.name, "one.cc")
        with open(source, "w", encoding="utf-8") as file:
            file.write("#include <kante/module.hpp>\n")
        self.run_command("g++", "-std=c++20", "-fsyntax-only", *flags.split(), source)

    def test_4_refuses_what_cannot_be_a_module(self):
        for name in ("../x", "-x", "a b", "", "x" * 65, "test", "install"):
            done = subprocess.run([self.kante, "module", "new", "--dir", "never", "--", name], capture_output=True,
                                  text=True, cwd=self.folder.name, check=False)
            self.assertNotEqual(done.returncode, 0, name)
        self.assertFalse(os.path.exists(os.path.join(self.folder.name, "never")))
        self.run_command(self.kante, "module", "new", "x", "--id", "no id", expect=1)
        self.run_command(self.kante, "module", "new", "twice")
        again = self.run_command(self.kante, "module", "new", "twice", expect=1)
        self.assertIn("is not overwritten", again.stderr)

    def test_5_a_module_may_be_called_module(self):
        self.run_command(self.kante, "module", "new", "module")
        source = os.path.join(self.folder.name, "module/module.cc")
        self.run_command("g++", "-std=c++20", "-fsyntax-only", "-I", os.path.join(self.prefix, "include"), source)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
