#!/usr/bin/env python3
"""What is wrong is named, with what to do and the documented exit code; nothing is lost and nothing
is left running."""
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import BIN, Cluster, Tap, eventually, processes

tap = Tap()
NOT_TAKEN = 0


def refused(run, code, *words):
    """One message on standard error, nothing on standard output, the exit code, the words."""
    lines = [l for l in run.stderr.splitlines() if l.startswith("schedctl: ")]
    return (run.returncode == code and run.stdout == "" and len(lines) == 1 and
            all(w in run.stderr for w in words))


def says(run, code, name, *words):
    tap.ok(refused(run, code, *words), name, f"exit {run.returncode}\n{run.stdout}{run.stderr}"[:2000])


def job_files(c):
    def file(text):
        with open(c.file("job.yaml"), "w") as f:
            f.write(text)
        return c.ctl("submit", "job.yaml")
    says(file("argv: [echo]\ntassk: 3\n"), 2, "an unknown key: file, line, column, the nearest known",
         "job.yaml:2:1", '"tassk"', "tasks")
    says(file("argv: [echo]\nmemory: 3 GB\n"), 2, "a wrong unit", "job.yaml:2:9", "memory", "GiB")
    says(file("argv: [echo]\nmemory: 300\n"), 2, "no unit", "job.yaml:2:9", "MiB")
    says(file("argv: [echo]\ntime: soon\n"), 2, "a time that is none", "job.yaml:2:7", "soon")
    says(file("argv: [echo\n"), 2, "broken YAML", "job.yaml:")
    says(file(""), 2, "an empty file", "job.yaml")
    says(c.ctl("submit", "none.yaml"), 2, "a file that is not there", "none.yaml")


def programs(c):
    says(c.ctl("submit", "--", "no-such-program-here"), 2, "a program that does not exist",
         "no-such-program-here")
    with open(c.file("plain"), "w") as f:
        f.write("x")
    os.chmod(c.file("plain"), 0o644)
    says(c.ctl("submit", "--", "./plain"), 2, "one that is not executable", "./plain", "chmod")
    says(c.ctl("submit", "--", "/"), 2, "a directory", '"/"')
    says(c.ctl("submit"), 2, "no program at all", "schedctl submit")
    says(c.ctl("submit", "-n", "zwei", "--", "true"), 2, "a number that is none", "zwei")
    says(c.ctl("submit", "--memory", "5", "--", "true"), 2, "memory without a unit", "MiB")
    says(c.ctl("submit", "--tasks", "0", "--", "true"), 2, "no tasks", "0")
    says(c.ctl("submti", "--", "true"), 2, "a mistyped verb", '"submti"', "submit")
    says(c.ctl("submit", "--priorty", "3", "--", "true"), 2, "a mistyped flag", "priorty",
         "--priority")
    says(c.ctl("job", "show", "99"), 5, "a job that is not there", "99")
    says(c.ctl("node", "show", "n9"), 5, "a node that is not there", "n9")
    says(c.ctl("job", "show", "seven"), 2, "a job's number that is none", "seven")


def requests(c):
    says(c.ctl("submit", "-N", "3", "-n", "3", "-c", "2", "--", "true"), 4,
         "more nodes than there are", "needs 3 nodes with 2 cores; the cluster has 2")
    says(c.ctl("submit", "--memory", "900GiB", "--", "true"), 4, "more memory than a node has",
         "memory", "the cluster has 0")
    says(c.ctl("submit", "--gpus", "1", "--", "true"), 4, "a GPU where there is none", "1 GPU",
         "the cluster has 0")


def long_argument(c):
    # The kernel itself bounds one argument at 128 KiB: larger ones come in files.
    big = "x" * (100 << 20)
    with open(c.file("big.yaml"), "w") as f:
        f.write(f"argv: [echo, {big}]\n")
    says(c.ctl("submit", "big.yaml", timeout=60), 2, "an argument of 100 MiB in a job file",
         "big.yaml")
    run = c.ctl("submit", "--", "echo", *["y" * 100_000 for _ in range(19)])
    tap.ok(run.returncode == 0, "1.9 MB of arguments are taken", run.stderr[:500])
    c.wait(int(run.stdout or 0))
    tap.equal(len(c.ctl("logs", run.stdout.strip()).stdout), 19 * 100_001, "and arrive")
    try:
        status, answer = c.api("POST", "/v1/jobs", {"argv": ["echo", big]}, timeout=60)
        tap.ok(status == 413 and "error" in answer, "one of 100 MiB to the API: 413", answer)
    except (BrokenPipeError, ConnectionResetError):
        tap.ok(True, "one of 100 MiB to the API: the connection is closed")
    tap.equal(c.wait(c.submit("--", "true")), 0, "the scheduler goes on")


def directories():
    with tempfile.TemporaryDirectory(prefix="mt.", dir="/tmp") as tmp:
        up = lambda *words, **kw: subprocess.run(
            [os.path.join(BIN, "schedctl"), "cluster", "up", "--nodes", "1", "--cpus", "1", *words],
            capture_output=True, text=True, timeout=60, **kw)
        deep = os.path.join(tmp, "d" * 100)
        says(up("--dir", deep), 2, "a path too long for a socket", "too long", "107")
        tap.ok(not os.path.exists(deep), "which is not made")
        other = os.path.join(tmp, "other")
        os.mkdir(other)
        open(os.path.join(other, "thesis.tex"), "w").close()
        says(up("--dir", other), 2, "a directory with other things in it", other, "new directory")
        tap.equal(os.listdir(other), ["thesis.tex"], "which is not touched")
        closed = os.path.join(tmp, "closed")
        os.mkdir(closed)
        plain = os.path.join(tmp, "plain")
        open(plain, "w").close()
        says(up("--dir", plain), 2, "a file in the place of the directory", plain)
        run = subprocess.run([os.path.join(BIN, "schedctl"), "jobs", "--dir",
                              os.path.join(tmp, "none")], capture_output=True, text=True)
        says(run, 3, "a cluster that is not there", "none/scheduler.sock", "cluster up")
        run = subprocess.run([os.path.join(BIN, "schedctl"), "cluster", "down", "--dir",
                              os.path.join(tmp, "none")], capture_output=True, text=True)
        tap.ok(run.returncode == 2 and "none" in run.stderr, "cluster down of nothing", run.stderr)
        tap.equal(processes(tmp), [], "nothing runs")


def stale_and_used():
    with Cluster(nodes=1, cpus=1) as c:
        c.submit("--hold", "--", "true")
        c.kill_scheduler()
        c.kill_agent("n1")
        path = os.path.join(c.root, "scheduler.sock")
        tap.ok(stat.S_ISSOCK(os.stat(path).st_mode), "a socket is left behind by kill -9")
        run = c.ctl("cluster", "up", *c.up_flags, timeout=40)
        tap.equal(run.returncode, 0, "a stale directory is started again")
        tap.equal(len(c.jobs()), 1, "with what was in it")
        run = c.ctl("cluster", "up", *c.up_flags, timeout=40)
        tap.equal(run.returncode, 0, "up on what is up is no failure")
        run = c.ctl("cluster", "up", "--nodes", "2", "--cpus", "1", timeout=40)
        tap.ok(run.returncode in (0, 2), "up with other sizes", run.stderr)
        c.kill_scheduler()
        os.unlink(path)
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
            s.listen()
            run = subprocess.run([os.path.join(BIN, "muster-scheduler"), "--dir", c.root],
                                 capture_output=True, text=True, timeout=20)
            tap.ok(run.returncode != 0 and path in run.stderr, "a socket that another program uses",
                   f"{run.returncode} {run.stderr}")
            tap.ok(os.path.exists(path), "which is not taken away")


def mount(size, path):
    os.makedirs(path, exist_ok=True)
    return subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path],
                          capture_output=True).returncode == 0


def fill(path):
    with open(path, "wb", buffering=0) as f:
        try:
            while f.write(b"\0" * 4096) == 4096:
                pass
        except OSError:
            return


def full_disk():
    with tempfile.TemporaryDirectory(prefix="mt.", dir="/tmp") as tmp:
        if not mount("64m", tmp):
            tap.skip("a full disk", "a tmpfs cannot be mounted here")
            return
        try:
            c = Cluster(nodes=1, cpus=2, start=False)
            os.rmdir(c.dir)
            c.dir, c.root = tmp, os.path.join(tmp, "c")
            Cluster.roots[-1] = c.root
            c.up()
            job = c.submit("--", "sh", "-c", "while [ ! -e go ]; do sleep 0.05; done; echo done")
            eventually(lambda: c.state(job) == "running")
            named = c.submit("--request-id", "named", "--", "true")
            fill(c.file("fill"))
            taken = []
            for _ in range(20):
                run = c.ctl("submit", "--", "true")
                if run.returncode:
                    break
                taken.append(int(run.stdout))
            says(run, 4, "a full disk: no new job is taken", "disk", c.root, "16 MiB")
            tap.equal(c.submit("--request-id", "named", "--", "true"), named,
                      "a repeated request id gives its job all the same")
            tap.equal(c.wait(*taken), 0, "what was taken runs")
            tap.equal(c.state(job), "running", "what ran goes on")
            pid = c.scheduler_pid()
            tap.ok(pid, "the scheduler stays")
            os.unlink(c.file("fill"))
            open(c.file("go"), "w").close()
            tap.equal(c.wait(job), 0, "and ends well")
            tap.ok(eventually(lambda: c.ctl("submit", "--", "true").returncode == 0, 10, 0.2),
                   "with space again, jobs are taken")
            tap.equal(c.scheduler_pid(), pid, "by the same scheduler")
            c.down()
            tap.equal(c.left_over(), [], "nothing is left running")
        finally:
            subprocess.run(["umount", tmp], check=False)


def full_disk_of_a_node():
    """The scheduler's disk has room; the node's has none."""
    with Cluster(nodes=1, cpus=2) as c:
        c.down()
        nodes = os.path.join(c.root, "nodes")
        os.rename(nodes, nodes + ".away")
        if not mount("14m", nodes):
            tap.skip("a full disk of a node", "a tmpfs cannot be mounted here")
            return
        try:
            shutil.copytree(os.path.join(nodes + ".away", "n1"), os.path.join(nodes, "n1"),
                            ignore=shutil.ignore_patterns("*.sock"))
            c.up()
            job = c.submit("--", "sh", "-c", f"while [ ! -e {c.file('go')} ]; do sleep 0.05; done")
            eventually(lambda: c.state(job) == "running")
            fill(os.path.join(nodes, "fill"))
            refused = c.submit("--", "true")
            c.wait(refused, timeout=5)
            text = (c.job(refused).get("reason") or {}).get("text", "")
            tap.ok("n1" in text and "No space left" in text, "a node's full disk ends a new job at once",
                   text)
            c.kill_agent("n1")
            c.up()
            tap.ok(eventually(c.nodes_up), "the agent starts with its disk full")
            open(c.file("go"), "w").close()
            tap.equal(c.wait(job), 0, "and reports the end of what ran")
            os.unlink(os.path.join(nodes, "fill"))
            tap.equal(c.wait(c.submit("--", "true")), 0, "with space again, jobs run")
            c.down()
        finally:
            subprocess.run(["umount", nodes], check=False)


def small_disk():
    with tempfile.TemporaryDirectory(prefix="mt.", dir="/tmp") as tmp:
        if not mount("1m", tmp):
            tap.skip("a disk too small to begin", "a tmpfs cannot be mounted here")
            return
        try:
            root = os.path.join(tmp, "c")
            run = subprocess.run([os.path.join(BIN, "schedctl"), "cluster", "up", "--dir", root,
                                  "--nodes", "1", "--cpus", "1"], capture_output=True, text=True,
                                 timeout=60)
            tap.ok(run.returncode != 0 and "full" in run.stderr, "a disk too small to begin",
                   f"{run.returncode} {run.stderr}")
            subprocess.run([os.path.join(BIN, "schedctl"), "cluster", "down", "--dir", root],
                           capture_output=True, timeout=60)
            tap.equal(processes(root), [], "nothing is left running")
        finally:
            subprocess.run(["umount", tmp], check=False)


with Cluster(nodes=2, cpus=2) as cluster:
    job_files(cluster)
    programs(cluster)
    requests(cluster)
    tap.equal(len(cluster.jobs()), 0, "none of them made a job")
    long_argument(cluster)
directories()
stale_and_used()
full_disk()
full_disk_of_a_node()
small_disk()
tap.done()
