"""A real dockerd for the scripts: containers without bridges, images made of what is on this machine."""
import atexit
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from support import Process, fail, run, until


def missing():
    """Why there can be none here; empty: there can."""
    why = ""
    if os.geteuid() != 0:
        why = "dockerd needs root"
    for program in ("dockerd", "containerd", "runc", "docker", "busybox", "tar"):
        if not why and shutil.which(program) is None:
            why = f"{program} is not installed (scripts/setup)"
    # What every container begins with.
    if not why and subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True).returncode:
        why = "this machine gives no namespaces to containers"
    if why and os.environ.get("KANTE_DOCKER_MUST_WORK"):
        fail(why)
    return why


def skip_without():
    why = missing()
    if why:
        print("SKIPPED: " + why)
        sys.exit(77)


class Dockerd:
    def __init__(self):
        # Short: a socket's path has 107 bytes.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kante-dockerd-"))
        self.socket = self.folder / "docker.sock"
        self.starts = 0
        self.process = None
        self.ended = False
        atexit.register(self.end)

    def start(self):
        self.starts += 1
        for stale in ("pid", "exec/containerd/containerd.pid", "docker.sock"):
            (self.folder / stale).unlink(missing_ok=True)
        self.process = Process(
            ["dockerd", "--data-root", self.folder / "root", "--exec-root", self.folder / "exec",
             "-H", f"unix://{self.socket}", "--storage-driver=vfs", "--iptables=false", "--ip6tables=false",
             "--ip-forward=false", "--ip-masq=false", "--bridge=none", "--live-restore", "-p", self.folder / "pid"],
            f"dockerd-{self.starts}")
        until("dockerd", lambda: self.answers() or not self.process.alive())
        if not self.process.alive():
            fail("dockerd ended at once")
        return self

    def answers(self):
        return subprocess.run(["docker", "-H", f"unix://{self.socket}", "version"], capture_output=True).returncode == 0

    def docker(self, *words, exits=0):
        return run("docker", "-H", f"unix://{self.socket}", *words, exits=exits).stdout.strip()

    def kill(self):
        self.process.process.kill()
        self.process.wait()

    def image(self, name, *files):
        """Busybox, and those files in /bin."""
        root = pathlib.Path(tempfile.mkdtemp(prefix="image-", dir="."))
        for folder in ("bin", "tmp", "usr", "lib", "lib64", "etc"):
            (root / folder).mkdir()
        shutil.copy(shutil.which("busybox"), root / "bin" / "busybox")
        for applet in ("sh", "sleep", "cat", "echo", "true"):
            (root / "bin" / applet).symlink_to("busybox")
        for file in files:
            shutil.copy(file, root / "bin")
        run("tar", "-C", root, "-cf", f"{root}.tar", ".")
        self.docker("import", f"{root}.tar", name)

    def end(self):
        """And all of its containers."""
        if self.ended:
            return
        self.ended = True
        if not self.process.alive():
            self.start()
        for container in self.docker("ps", "-aq").split():
            self.docker("rm", "-fv", container)
        self.process.end()
        for mounted in ("root", "exec/netns/default"):
            subprocess.run(["umount", "-l", self.folder / mounted], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)
