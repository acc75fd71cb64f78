"""A real dockerd or Podman for the scripts: containers without bridges, images made of what is on this machine.

With KANTE_E2E_ENGINE=podman in the environment it is Podman.
"""
import atexit
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from support import Process, fail, run, until

IS_PODMAN = os.environ.get("KANTE_E2E_ENGINE") == "podman"
# Debian's Podman brings much with it, so scripts/setup leaves it out, and it may always be missing.
PROGRAMS = ("podman", "conmon", "runc") if IS_PODMAN else ("dockerd", "containerd", "runc")


def missing():
    """Why there can be none here; empty: there can."""
    why = ""
    if os.geteuid() != 0:
        why = f"{PROGRAMS[0]} needs root"
    for program in (*PROGRAMS, "docker", "busybox", "tar"):
        if not why and shutil.which(program) is None:
            why = f"{program} is not installed" + ("" if IS_PODMAN else " (scripts/setup)")
    # What every container begins with.
    if not why and subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True).returncode:
        why = "this machine gives no namespaces to containers"
    return why


def skip_without(more=""):
    """`more`: why something else that is needed is missing."""
    why = missing() or more
    may_be_missing = IS_PODMAN and shutil.which("podman") is None
    if why and os.environ.get("KANTE_DOCKER_MUST_WORK") and not may_be_missing:
        fail(why)
    if why:
        print("SKIPPED: " + why)
        sys.exit(77)


class Engine:
    def __init__(self):
        # Short: a socket's path has 107 bytes.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kante-engine-"))
        self.socket = self.folder / "docker.sock"
        self.starts = 0
        self.process = None
        self.ended = False
        atexit.register(self.end)

    def start(self):
        self.starts += 1
        self.process = self._begin()
        until("the engine", lambda: self.answers() or not self.process.alive())
        if not self.process.alive():
            fail("the engine ended at once")
        return self

    def answers(self):
        return subprocess.run(["docker", "-H", f"unix://{self.socket}", "version"], capture_output=True).returncode == 0

    def docker(self, *words, exits=0, login=None):
        """`login`: a folder of the command's configuration."""
        login = ["--config", login] if login else []
        return run("docker", *login, "-H", f"unix://{self.socket}", *words, exits=exits).stdout.strip()

    def kill(self):
        self.process.process.kill()
        self.process.wait()

    def image(self, name, *files, filler=0):
        """Busybox, those files in /bin, and so many bytes that do not compress."""
        root = pathlib.Path(tempfile.mkdtemp(prefix="image-", dir="."))
        for folder in ("bin", "tmp", "usr", "lib", "lib64", "etc"):
            (root / folder).mkdir()
        shutil.copy(shutil.which("busybox"), root / "bin" / "busybox")
        for applet in ("sh", "sleep", "cat", "echo", "true"):
            (root / "bin" / applet).symlink_to("busybox")
        for file in files:
            shutil.copy(file, root / "bin")
        if filler:
            (root / "etc" / "filler").write_bytes(os.urandom(filler))
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
        for mounted in self.mounts:
            subprocess.run(["umount", "-l", self.folder / mounted], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)


class Dockerd(Engine):
    mounts = ("root", "exec/netns/default")

    def _begin(self):
        for stale in ("pid", "exec/containerd/containerd.pid", "docker.sock"):
            (self.folder / stale).unlink(missing_ok=True)
        return Process(
            ["dockerd", "--data-root", self.folder / "root", "--exec-root", self.folder / "exec",
             "-H", f"unix://{self.socket}", "--storage-driver=vfs", "--iptables=false", "--ip6tables=false",
             "--ip-forward=false", "--ip-masq=false", "--bridge=none", "--live-restore", "-p", self.folder / "pid"],
            f"dockerd-{self.starts}")


class Podman(Engine):
    """Its containers need no daemon: they run on whatever becomes of the service."""
    mounts = ("root/vfs", "root")

    def _begin(self):
        self.socket.unlink(missing_ok=True)
        config = self.folder / "containers.conf"
        # Its own limits may be beyond what this machine lets anybody raise.
        config.write_text(f"""[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
tmp_dir = "{self.folder}/tmp"
static_dir = "{self.folder}/static"
volume_path = "{self.folder}/volumes"
""")
        registries = self.folder / "registries.conf"
        registries.write_text('[[registry]]\nlocation = "127.0.0.1"\ninsecure = true\n')
        os.environ.update(CONTAINERS_CONF=str(config), CONTAINERS_REGISTRIES_CONF=str(registries))
        return Process(["podman", "--root", self.folder / "root", "--runroot", self.folder / "run", "--storage-driver=vfs",
                        "--cgroup-manager=cgroupfs", "--log-level=info", "system", "service", "--time=0",
                        f"unix://{self.socket}"], f"podman-{self.starts}")


def engine():
    return Podman() if IS_PODMAN else Dockerd()
