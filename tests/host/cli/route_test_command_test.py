"""kante route test, from outside: JSON alone on stdout, exit codes, the caret for people."""

import json
import os
import pty
import subprocess
import tempfile
import unittest

KANTE = os.environ["KANTE"]
MESSAGE = {"source": "/messages/modules/a/outputs/x", "properties": {"temp": "72"}, "system": {},
           "content_type": "application/json", "body": {"n": 3}}


def run(route, message, *words, text=None):
    return subprocess.run([KANTE, "route", "test", route, "--message", message, *words], capture_output=True,
                          text=True, input=text, timeout=60)


class RouteTestCommandTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = os.path.join(folder.name, "message.json")
        self.write(MESSAGE)

    def write(self, message):
        with open(self.file, "w", encoding="utf-8") as file:
            json.dump(message, file)

    def test_says_match_no_match_and_undefined(self):
        for where, expected, sinks in (("as_number(temp) > 70", "match", ["$upstream"]),
                                       ("$body.n = 4", "no match", []), ("absent = 'x'", "undefined", [])):
            done = run(f"FROM /messages/* WHERE {where} INTO $upstream", self.file, "--json")
            self.assertEqual(done.returncode, 0, done.stderr)
            answer = json.loads(done.stdout)
            self.assertEqual((answer["result"], answer["sinks"]), (expected, sinks))
            self.assertIn(where, answer["because"])
            self.assertEqual(done.stderr, "")

    def test_names_the_character_of_a_route_that_does_not_compile(self):
        done = run("FROM /mü/* WERE x", self.file, "--json")
        self.assertEqual(done.returncode, 1)
        answer = json.loads(done.stdout)
        self.assertEqual(answer["position"], 11)
        self.assertIn("found WERE", answer["error"])

    def test_draws_a_caret_for_people(self):
        done = run("FROM /mü/* WERE x", self.file)
        self.assertEqual(json.loads(done.stdout)["position"], 11)
        self.assertIn("FROM /mü/* WERE x\n           ^", done.stderr)

    def test_speaks_in_words_on_a_terminal(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        done = subprocess.run([KANTE, "route", "test", "FROM /* INTO $upstream", "--message", self.file],
                              stdout=theirs, timeout=60, check=False)
        os.close(theirs)
        self.assertEqual(done.returncode, 0)
        self.assertTrue(os.read(ours, 4096).decode().startswith("match"))

    def test_reads_the_message_from_stdin(self):
        done = run("FROM /* INTO $upstream", "-", text=json.dumps(MESSAGE))
        self.assertEqual(json.loads(done.stdout)["result"], "match")

    def test_names_what_is_wrong_with_the_message(self):
        self.write({**MESSAGE, "properties": {"temp": 72}})
        done = run("FROM /* INTO $upstream", self.file, "--json")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("message.json: /properties/temp: must be a text", done.stderr)
        done = run("FROM /* INTO $upstream", self.file + ".absent")
        self.assertEqual(done.returncode, 1)
        self.assertIn("message.json.absent", done.stderr)

    def test_is_misused_without_route_or_message(self):
        for words in (["route"], ["route", "test"], ["route", "test", "FROM /* INTO $upstream"]):
            done = subprocess.run([KANTE, *words], capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)


if __name__ == "__main__":
    unittest.main()
