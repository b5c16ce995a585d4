"""What the parts measure with: the small C programs, and private clusters in a scratch directory."""
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))
import muster  # noqa: E402  (the system tests' private cluster)

TOP = muster.TOP
SCHEDCTL = muster.SCHEDCTL
TOOLS = {"sync": [], "spawn": [], "load": [], "gemm": ["-lopenblas"]}  # and what they are linked to
CONNECTIONS = 16
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


class Bench:
    def __init__(self, scratch, quick):
        self.quick = quick
        self.repetitions = 2 if quick else 5
        self.notes = {}  # what a part says of what it was measured with
        self.build = os.path.join(TOP, "build", "bench")
        os.makedirs(self.build, exist_ok=True)
        self.scratch = tempfile.mkdtemp(prefix="r.", dir=scratch or self.build)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        with signals_later():
            shutil.rmtree(self.scratch, ignore_errors=True)

    def size(self, full, quick):
        return quick if self.quick else full

    def compile(self):
        for name, libraries in TOOLS.items():
            source, program = os.path.join(HERE, name + ".c"), os.path.join(self.build, name)
            if not os.path.exists(program) or os.path.getmtime(program) < os.path.getmtime(source):
                subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra",
                                "-pthread", "-o", program, source, *libraries], check=True, timeout=120)
        self.compile_mpi("hello")

    def compile_mpi(self, name):
        subprocess.run(["mpicc", "-O2", "-o", os.path.join(self.build, name),
                        os.path.join(HERE, name + ".c")], check=True, timeout=120)

    def tool(self, name, *args, env=None, timeout=300):
        """Runs a C program of this directory; what it printed, decoded."""
        return json.loads(self.finish([os.path.join(self.build, name), *map(str, args)],
                                      env=env, timeout=timeout))

    def finish(self, command, env=None, timeout=300):
        """Runs a command with its children to the end, whatever happens; its stdout."""
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               stdin=subprocess.DEVNULL, start_new_session=True, cwd=self.scratch,
                               env=dict(os.environ, **(env or {})))
        try:
            out, errors = run.communicate(timeout=timeout)
        except BaseException:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            raise
        if run.returncode:
            raise RuntimeError(f"{' '.join(command)[:200]} ended with {run.returncode}: "
                               f"{errors.strip()[-500:]}")
        return out

    def syncs_per_s(self, *how):
        """Appending loop on the file system of the clusters."""
        return self.tool("sync", os.path.join(self.scratch, "sync"), self.size(1.0, 0.3), 4096,
                         *how)["per_s"]

    def cluster(self, nodes=2, cpus=2):
        return PrivateCluster(self, nodes, cpus)


@contextlib.contextmanager
def signals_later():
    """What would end the program waits until the body is done."""
    came = []
    before = {s: signal.signal(s, lambda number, _: came.append(number)) for s in SIGNALS}
    try:
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
        for number in came:
            os.kill(os.getpid(), number)


class PrivateCluster(muster.Cluster):
    """Ended with everything in it on leaving, interrupted or not."""

    def __init__(self, bench, nodes, cpus):
        self.bench = bench
        self.scheduler = None  # of restart_scheduler()
        self.dir = tempfile.mkdtemp(prefix="c", dir=bench.scratch)
        self.root = os.path.join(self.dir, "c")
        self.nodes = [f"n{i + 1}" for i in range(nodes)]
        self.cores = nodes * cpus
        self.up_flags = ["--nodes", str(nodes), "--cpus", str(cpus)]
        self.socket = os.path.join(self.root, "scheduler.sock")
        self.env = {"MUSTER_HOME": self.root}

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        with signals_later():
            try:
                self.down("--now")
            finally:
                self.clean_up(show=kind and issubclass(kind, Exception))

    def clean_up(self, show):
        for pid in self.left_over():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        if self.scheduler:
            self.scheduler.wait()
        if show:
            self.show_logs()
        shutil.rmtree(self.dir, ignore_errors=True)

    # ---- load ----

    def load(self, count, connections, **fields):
        """Submits `count` jobs over kept connections; each has its own arguments and request id."""
        body = {"argv": ["true", "@@@@@@@@"], "cwd": "/", "env": {"PATH": "/usr/bin:/bin"},
                "request_id": f"{self.batch()}-@@@@@@@@", **fields}
        return self.bench.tool("load", self.socket, connections, count, "POST", "/v1/jobs", 201,
                               json.dumps(body))

    def batch(self):
        self.batches = getattr(self, "batches", 0) + 1
        return self.batches

    def fill(self):
        """Every core gets a job that sleeps: what follows stays pending."""
        answer = self.api("POST", "/v1/jobs", {"argv": ["sleep", "3600"], "tasks": self.cores,
                                               "mpi": "none", "cwd": "/"})[1]
        self.need(lambda: self.state(answer["id"]) == "running", "the filling job runs")

    def need(self, predicate, what, seconds=60):
        value = muster.eventually(predicate, seconds)
        if not value:
            raise RuntimeError(f"not within {seconds} s: {what}")
        return value

    def ctl_out(self, *args):
        return self.bench.finish([SCHEDCTL, *args], env=self.env)

    def get_bytes(self, path):
        """The body of an answer as it came: decoding JSON is not what is measured."""
        c = muster.UnixConnection(self.socket, 60)
        try:
            c.request("GET", path)
            return c.getresponse().read()
        finally:
            c.close()

    # ---- the scheduler's process ----

    def memory(self):
        """Bytes: (resident, proportional)."""
        kib = {}
        with open(f"/proc/{self.scheduler_pid()}/smaps_rollup", encoding="utf-8") as f:
            for line in f:
                words = line.split()
                if words[0] in ("Rss:", "Pss:"):
                    kib[words[0]] = int(words[1])
        return kib["Rss:"] * 1024, kib["Pss:"] * 1024

    def wait_for_lock(self):
        """A killed process keeps its lock until its last thread is gone."""
        with open(os.path.join(self.root, "scheduler", "lock"), encoding="utf-8") as f:
            fcntl.flock(f, fcntl.LOCK_EX)

    def restart_scheduler(self):
        """Starts a killed scheduler as it was started before."""
        with open(os.path.join(self.root, "scheduler.log"), "ab") as log:
            self.log_before = log.tell()
            self.scheduler = subprocess.Popen(
                [os.path.join(muster.BIN, "muster-scheduler"), "--dir", self.root], stdout=log,
                stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, cwd="/")

    def nodes_heard(self):
        """Has every node come up since the restart? The table may still show the time before it."""
        with open(os.path.join(self.root, "scheduler.log"), encoding="utf-8") as log:
            log.seek(self.log_before)
            lines = log.read()
        return all(f"node {name} is up" in lines for name in self.nodes)
