"""A private cluster for system tests: real processes in a temporary directory, bounded waits, TAP.

    from muster import Cluster, Tap
    tap = Tap()
    with Cluster(nodes=2, cpus=2) as c:
        job = c.submit("--", "true")
        tap.ok(c.wait(job) == 0, "a job completes")
    tap.done()
"""
import fcntl
import glob
import http.client
import json
import os
import pty
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.join(TOP, "build", os.environ.get("MODE", "release"))
SCHEDCTL = os.path.join(BIN, "schedctl")


class Tap:
    """Counts and prints; done() prints the plan and exits."""

    def __init__(self):
        self.count = self.failed = 0

    def ok(self, condition, name, detail=""):
        self.count += 1
        if not condition:
            self.failed += 1
        print(f"{'ok' if condition else 'not ok'} {self.count} - {name}", flush=True)
        if not condition and detail:
            for line in str(detail).splitlines()[:60]:
                print(f"#   {line}", flush=True)
        return bool(condition)

    def equal(self, got, want, name):
        return self.ok(got == want, name, f"got  {got!r}\nwant {want!r}")

    def skip(self, name, why):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {why}", flush=True)

    def done(self):
        print(f"1..{self.count}", flush=True)
        sys.exit(1 if self.failed else 0)


def eventually(predicate, seconds=10.0, every=0.02):
    """The predicate's first true value, or its last false one when the time is over."""
    end = time.monotonic() + seconds
    while True:
        value = predicate()
        if value or time.monotonic() > end:
            return value
        select_pause(every)


def select_pause(seconds):
    import select
    select.select([], [], [], seconds)


def alive(pid):
    """Is the process there and not a zombie with all its threads?"""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            ended = f.read().rsplit(")", 1)[1].split()[0] in "ZX"
        return not ended or len(os.listdir(f"/proc/{pid}/task")) > 1
    except OSError:
        return False


def processes(*words):
    """Pids whose command line holds all words."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/cmdline", "rb") as f:
                line = f.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if line and all(w in line for w in words) and int(name) != os.getpid():
            found.append(int(name))
    return sorted(found)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=10):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Cluster:
    roots = []

    def __init__(self, nodes=2, cpus=2, memory=None, start=True, flags=()):
        self.dir = tempfile.mkdtemp(prefix="mt.", dir="/tmp")
        os.chmod(self.dir, 0o755)
        self.root = os.path.join(self.dir, "c")
        Cluster.roots.append(self.root)
        self.nodes = [f"n{i + 1}" for i in range(nodes)]
        self.up_flags = ["--nodes", str(nodes), "--cpus", str(cpus), *flags]
        if memory:
            self.up_flags += ["--memory", memory]
        if start:
            self.up()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.down()
        left = self.left_over()
        if left:
            print(f"# left over: {left}", flush=True)
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
        if kind:
            self.show_logs()
        shutil.rmtree(self.dir, ignore_errors=True)

    def show_logs(self):
        for name in sorted(os.listdir(self.root)) if os.path.isdir(self.root) else []:
            if name.endswith(".log"):
                with open(os.path.join(self.root, name), errors="replace") as f:
                    for line in f.read().splitlines()[-25:]:
                        print(f"# {name}: {line}", flush=True)

    # ---- processes ----

    def up(self):
        run = self.ctl("cluster", "up", *self.up_flags, timeout=40)
        if run.returncode:
            raise RuntimeError(f"cluster up: {run.stderr}")

    def start_scheduler(self):
        """The scheduler alone, without waiting for the nodes."""
        with open(os.path.join(self.root, "scheduler.log"), "ab") as log:
            subprocess.Popen([os.path.join(BIN, "muster-scheduler"), "--dir", self.root], stdout=log,
                             stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        if not eventually(self.answers, 20, 0.005):
            raise RuntimeError("the scheduler does not answer")

    def answers(self):
        try:
            return self.api("GET", "/v1/cluster")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def down(self, *flags):
        return self.ctl("cluster", "down", *flags, timeout=60)

    def left_over(self):
        return processes(self.root)

    def pid_of(self, lock):
        try:
            with open(os.path.join(self.root, lock), encoding="utf-8") as f:
                pid = int(f.read().split()[0])
        except (OSError, ValueError, IndexError):
            return 0
        return pid if alive(pid) else 0

    def scheduler_pid(self):
        return self.pid_of("scheduler/lock")

    def agent_pid(self, node):
        return self.pid_of(f"nodes/{node}/lock")

    def shepherd_pids(self, node=""):
        """Shepherds that hold an attempt (not zygotes)."""
        return [p for p in processes("muster-shepherd", self.root)
                if not processes_is_zygote(p) and (not node or f" {node} " in cmdline(p))]

    def kill(self, pid, sig=signal.SIGKILL):
        if pid <= 0:
            raise RuntimeError("there is no such process to signal")
        os.kill(pid, sig)
        if sig == signal.SIGKILL:
            eventually(lambda: not alive(pid), 5)

    def kill_scheduler(self):
        self.kill(self.scheduler_pid())

    def kill_agent(self, node):
        self.kill(self.agent_pid(node))

    # ---- commands ----

    def ctl(self, *args, timeout=30, input=None, env=None):
        full = dict(os.environ, MUSTER_HOME=self.root, **(env or {}))
        return subprocess.run([SCHEDCTL, *args], capture_output=True, text=True, timeout=timeout,
                              input=input, env=full, cwd=self.dir)

    def submit(self, *args):
        run = self.ctl("submit", *args)
        if run.returncode:
            raise RuntimeError(f"submit {args}: {run.stderr}")
        return int(run.stdout)

    def wait(self, *jobs, timeout=30):
        return self.ctl("job", "wait", "--timeout", f"{timeout}s", *map(str, jobs),
                        timeout=timeout + 10).returncode

    def api(self, method, path, body=None, timeout=10):
        c = UnixConnection(os.path.join(self.root, "scheduler.sock"), timeout)
        try:
            data = None if body is None else body if isinstance(body, bytes) else json.dumps(body)
            c.request(method, path, data)
            r = c.getresponse()
            text = r.read()
            return r.status, json.loads(text) if text[:1] in (b"{", b"[") else text
        finally:
            c.close()

    def job(self, number):
        return self.api("GET", f"/v1/jobs/{number}")[1]

    def state(self, number):
        return self.job(number).get("state")

    def jobs(self):
        return self.api("GET", "/v1/jobs")[1]["jobs"]

    def node(self, name):
        return self.api("GET", f"/v1/nodes/{name}")[1]

    def sql(self, query):
        """What the database says, a row a line."""
        return subprocess.run(["sqlite3", "-readonly",
                               os.path.join(self.root, "scheduler", "muster.db"), query],
                              capture_output=True, text=True, check=True).stdout

    def file(self, name):
        return os.path.join(self.dir, name)

    def read(self, name):
        try:
            with open(self.file(name), encoding="utf-8") as f:
                return f.read()
        except OSError:
            return ""

    def nodes_up(self):
        try:
            listed = self.api("GET", "/v1/nodes")[1]["nodes"]
        except OSError:
            return False
        return len([n for n in listed if n["state"] == "up"]) == len(self.nodes)

    def groups(self):
        """What stands in the machine's cgroups for this cluster, called before it goes down."""
        base = f"/sys/fs/cgroup/**/muster/{self.api('GET', '/v1/cluster')[1]['cluster_id']}"
        return lambda: [p for p in glob.glob(base + "/**", recursive=True) if os.path.isdir(p)]

    def all_free(self):
        """Nothing is given out any more."""
        return all(n["cores_used"] == 0 for n in self.api("GET", "/v1/nodes")[1]["nodes"])

    def never_over(self):
        """Recounts what was given out from the event table."""
        held = {}
        for line in self.sql("select kind, node, cores from event order by id").splitlines():
            kind, node, cores = line.split("|")
            members = {(node, i) for part in cores.split(",") if part
                       for i in range(int(part.split("-")[0]), int(part.split("-")[-1]) + 1)}
            for m in members:
                if kind == "job_placed":
                    if held.get(m):
                        return False
                    held[m] = True
                elif kind == "part_ended":
                    held[m] = False
        return bool(held)


def on_terminal(argv, env, seconds=30, columns=100, steps=()):
    """What a program writes to a terminal of so many columns, until it ends. A step is a word, and
    what to call when it has come."""
    steps = list(steps)
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe(argv[0], argv, env)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    out, end = b"", time.monotonic() + seconds
    while time.monotonic() < end:
        if not select.select([fd], [], [], 0.5)[0]:
            continue
        try:
            piece = os.read(fd, 65536)
        except OSError:
            piece = b""
        if not piece:
            break
        out += piece
        while steps and steps[0][0] in out.decode(errors="replace"):
            steps.pop(0)[1]()
    os.close(fd)
    os.waitpid(pid, 0)
    return out.decode(errors="replace")


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def processes_is_zygote(pid):
    return "--zygote" in cmdline(pid)


def compile_mpi(c):
    """mpi.c as a program of this cluster's directory."""
    program = c.file("mpi")
    subprocess.run(["mpicc", "-O1", "-w", "-o", program,
                    os.path.join(TOP, "tests", "system", "mpi.c")], check=True, timeout=120)
    return program


def mpi_files(c):
    """What the cluster's jobs have left in /dev/shm and /tmp."""
    return [p for uid in c.sql("select printf('%016x', uid) from job").split()
            for p in glob.glob(f"/dev/shm/muster-{uid}.*") + glob.glob(f"/tmp/muster-*/{uid}.*")]
