#!/usr/bin/env python3
"""`make install` below a prefix: what lies there runs from there, MPI jobs too."""
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import TOP, Tap, processes

tap = Tap()
HELLO = """
#include <mpi.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    int rank, size;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    printf("%d/%d\\n", rank, size);
    MPI_Finalize();
}
"""


def make(*words):
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MODE")}
    return subprocess.run(["make", "-C", TOP, *words], capture_output=True, text=True, env=env)


def read(path):
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except OSError as e:
        return str(e)


def files(tmp):
    run = make("install", f"DESTDIR={tmp}", "PREFIX=/opt/muster")
    tap.equal(run.returncode, 0, "make install")
    top = os.path.join(tmp, "opt/muster")
    tap.equal(sorted(os.listdir(os.path.join(tmp))), ["opt"], "everything lies below the prefix")
    for page, word in (("man1/schedctl.1", "job wait"), ("man1/muster-ml.1", "samples"),
                       ("man8/muster-scheduler.8", "SIGTERM"), ("man8/muster-agent.8", "SIGUSR1")):
        text = read(os.path.join(top, "share/man", page))
        tap.ok(text.startswith(".TH ") and word in text, f"the manual has {page}", text[:200])
    for unit in ("muster-agent", "muster-scheduler"):
        text = read(os.path.join(top, "lib/systemd/system", unit + ".service"))
        tap.ok(f"ExecStart=/opt/muster/bin/{unit} " in text, f"the unit of {unit} starts it", text)
    return os.path.join(top, "bin")


def runs(tmp, bin_dir):
    home = os.path.join(tmp, "c")
    env = {"PATH": bin_dir + ":" + os.environ["PATH"], "HOME": tmp, "MUSTER_HOME": home}
    ctl = lambda *words: subprocess.run(["schedctl", *words], capture_output=True, text=True,
                                        env=env, cwd=tmp, timeout=60)
    hello = os.path.join(tmp, "hello")
    with open(hello + ".c", "w", encoding="utf-8") as f:
        f.write(HELLO)
    subprocess.run(["mpicc", "-w", "-o", hello, hello + ".c"], check=True)
    try:
        run = ctl("cluster", "up", "--nodes", "2", "--cpus", "1")
        tap.equal(run.returncode, 0, "a cluster of installed programs comes up")
        run = ctl("run", "-n", "2", "-N", "2", "--", hello)
        tap.equal((run.returncode, sorted(run.stdout.split())), (0, ["0/2", "1/2"]),
                  "and runs an MPI job")
    finally:
        ctl("cluster", "down", "--now")
    tap.equal(processes(home), [], "no process is left")


with tempfile.TemporaryDirectory(prefix="mt.", dir="/tmp") as directory:
    programs = files(directory)
    if shutil.which("mpicc"):
        runs(directory, programs)
    else:
        tap.skip("an installed cluster", "there is no mpicc")
tap.done()
