#!/usr/bin/env python3
"""`schedctl simulate` from the command line: figures, files, policies side by side, bad input, an
interrupt. No scheduler runs."""
import csv
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
import xml.dom.minidom

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import SCHEDCTL, Tap

tap = Tap()
SCRATCH = tempfile.TemporaryDirectory()
ENV = dict(os.environ, MUSTER_HOME=os.path.join(SCRATCH.name, "none"), LC_ALL="C.UTF-8")
# a on one processor, b on both, c on one: c waits for b, which waits for a.
THREE = "".join(f"{n} {at} -1 {run} {procs} " + "-1 " * 12 + "-1\n"
                for n, at, run, procs in ((1, 0, 10, 1), (2, 1, 20, 2), (3, 2, 5, 1)))


def file(name, text):
    path = os.path.join(SCRATCH.name, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def simulate(*args):
    return subprocess.run([SCHEDCTL, "simulate", *args], env=ENV, text=True, timeout=60,
                          capture_output=True, stdin=subprocess.DEVNULL, check=False)


def figures():
    three = file("three.swf", "; MaxProcs: 2\n" + THREE)
    run = simulate("--trace", three, "-o", "json")
    m = json.loads(run.stdout)
    tap.equal((run.returncode, run.stderr, m["format"], m["nodes"], m["jobs_completed"]),
              (0, "", "swf", 1, 3), "three jobs on the processors of the trace")
    tap.equal((m["wait_s"]["p50"], m["wait_s"]["max"], m["completion_s"]["mean"],
               m["bounded_slowdown"]["max"], m["core_utilisation_pct"], m["gpu_allocation_pct"]),
              (9, 28, 24, 3.3, 78.5714, None), "their figures are those computed by hand")
    run = simulate("--trace", three, "--nodes", "n[1-2] cores=1 gpus=1")
    tap.ok(run.returncode == 0 and "78.57 %" in run.stdout and "bounded slowdown" in run.stdout,
           "a table for people", run.stdout)
    run = simulate("--trace", three, "--compare", "fcfs,default", "-o", "json")
    both = json.loads(run.stdout)
    tap.ok([m["policy"] for m in both] == ["fcfs", "default"] and both[0]["wait_s"]["max"] == 28,
           "two policies side by side", run.stdout)
    run = simulate("--trace", three, "--compare", "fcfs,default")
    tap.ok(run.returncode == 0 and "MEAN WAIT" in run.stdout and "\nfcfs " in run.stdout,
           "their table", run.stdout)


def files():
    three = file("three.swf", "; MaxProcs: 2\n" + THREE)
    jobs, picture = os.path.join(SCRATCH.name, "jobs.csv"), os.path.join(SCRATCH.name, "o.svg")
    run = simulate("--trace", three, "--csv", jobs, "--svg", picture)
    tap.equal((run.returncode, run.stderr), (0, ""), "files are written")
    with open(jobs, newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    tap.equal([(r["job"], r["start_s"], r["end_s"], r["state"]) for r in rows],
              [("1", "0", "10", "completed"), ("2", "10", "30", "completed"),
               ("3", "30", "35", "completed")], "a line a job")
    svg = xml.dom.minidom.parse(picture)
    words = [t.firstChild.data for t in svg.getElementsByTagName("text")]
    tap.ok("three.swf" in words and "n1" in words and "seconds since the first submission" in words,
           "a picture that is XML and names the trace, the node and the axis", words)


def arrivals():
    pods = file("pods.csv", "name,cpu_milli,memory_mib,num_gpu,gpu_milli\n"
                "a,1000,1,1,1000\nb,1000,1,2,1000\n")
    nodes = file("nodes.csv", "sn,cpu_milli,memory_mib,gpu,model\nx,64000,262144,8,A\n")
    runs = [simulate("--trace", pods, "--nodes", nodes, "--arrive", "1.3", "--seed", "42", "-o",
                     "json") for _ in range(2)]
    first, again = (json.loads(r.stdout) for r in runs)
    tap.ok(first["tasks_placed"] + first["tasks_dropped"] == first["tasks_arrived"] and
           first["tasks_dropped"] >= 1 and first["gpu_allocation_pct"] > 80 and
           first["wall_s"] >= 0, "tasks arrive until 130 % are asked for", first)
    for m in (first, again):
        del m["wall_s"], m["cpu_s"]
    tap.equal(first, again, "the same seed gives the same")


def refused(name, run, *words):
    lines = [l for l in run.stderr.splitlines() if l.startswith("schedctl: ")]
    tap.ok(run.returncode == 2 and run.stdout == "" and len(lines) == 1 and
           all(w in run.stderr for w in words), name,
           f"exit {run.returncode}\n{run.stdout}{run.stderr}")


def bad_input():
    three = file("three.swf", "; MaxProcs: 2\n" + THREE)
    refused("no trace", simulate(), "--trace FILE")
    refused("a file that is not there", simulate("--trace", "/none"), "/none", "--trace")
    refused("a directory", simulate("--trace", "/"), '"/"')
    refused("a file of another kind", simulate("--trace", file("x", "hello\n")),
            "is of no known format", "timestamp,duration,num_gpus")
    refused("an empty file", simulate("--trace", file("x", "")), "is empty")
    refused("no cluster in the trace", simulate("--trace", file("x", THREE)), "--nodes")
    refused("nodes that are none", simulate("--trace", three, "--nodes", "n1 cores=many"), "cores",
            "many")
    refused("a node twice", simulate("--trace", three, "--nodes", file("y", "n1 cores=1\nn1 cores=1\n")),
            "n1 twice")
    refused("a policy that does not exist", simulate("--trace", three, "--policy", "lifo"), "lifo",
            "fcfs")
    refused("a number that is none", simulate("--trace", three, "--load", "much"), "--load", "1.3")
    refused("nothing to arrive", simulate("--trace", three, "--arrive", "1.3"), "GPU")
    refused("two ways at once", simulate("--trace", three, "--policy", "fcfs", "--compare", "fcfs"),
            "not both")
    pods = file("pods.csv", "name,cpu_milli,memory_mib,num_gpu\na,1000,1,1\n")
    refused("a list without times", simulate("--trace", pods, "--nodes", "n1 cores=1 gpus=1"),
            "--arrive")
    run = simulate("--trace", three, "--svg", os.path.join(SCRATCH.name, "no", "x.svg"))
    tap.ok(run.returncode == 1 and run.stdout == "" and "cannot write" in run.stderr,
           "a picture that cannot be written", run.stderr)
    run = simulate("--trace", file("some.swf", THREE + "4 x\n5\n" + THREE), "--nodes",
                   "n1 cores=2", "-o", "json")
    tap.ok(run.returncode == 0 and json.loads(run.stdout)["lines_unreadable"] == 2 and
           json.loads(run.stdout)["jobs_completed"] == 6 and 'some.swf:4:3: the submit time "x"' in
           run.stderr and "2 lines of the trace" in run.stderr,
           "lines that cannot be read are named, counted and left out", run.stdout + run.stderr)


def interrupt():
    """Ctrl-C on a terminal while the bar is shown."""
    many = file("many.swf", "; MaxProcs: 64\n" + "".join(
        f"{i} {i} -1 100000 {1 + i % 7} " + "-1 " * 12 + "-1\n" for i in range(400000)))
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(SCHEDCTL, [SCHEDCTL, "simulate", "--trace", many, "--faults", "300s"], ENV)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    out, end, sent = b"", time.monotonic() + 60, False
    while time.monotonic() < end and select.select([fd], [], [], 60)[0]:
        try:
            piece = os.read(fd, 65536)
        except OSError:
            break
        out += piece
        if b"% simulated" in out and not sent:
            os.write(fd, b"\x03")
            sent = True
    status = os.waitpid(pid, 0)[1]
    text = out.decode(errors="replace")
    tap.ok(sent and os.waitstatus_to_exitcode(status) == 1 and "interrupted" in text and
           "still waiting" in text, "an interrupt ends it with what there is so far", text[-1500:])


figures()
files()
arrivals()
bad_input()
interrupt()
SCRATCH.cleanup()
tap.done()
