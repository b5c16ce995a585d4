#!/usr/bin/env python3
"""Several users on one scheduler: jobs run as their owners, nobody touches or reads what is
another's, operators' commands are the operator's; and a user's own cluster without privileges."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import SCHEDCTL, Cluster, Tap, eventually

tap = Tap()
ANN, BEN = 65534, 12345  # one with a name, one without


def as_user(uid, c, *args, program=SCHEDCTL):
    return subprocess.run([program, *args], capture_output=True, text=True, timeout=60, cwd="/",
                          env=dict(os.environ, MUSTER_HOME=c.root, HOME="/"), user=uid, group=uid,
                          extra_groups=[])


def denied(run, name, *words):
    tap.ok(run.returncode == 4 and run.stdout == "" and all(w in run.stderr for w in words), name,
           f"exit {run.returncode}\n{run.stdout}{run.stderr}")


def jobs_are_their_owners(c):
    for uid in (ANN, BEN):
        run = as_user(uid, c, "run", "--", "sh", "-c", "echo $(id -u) $(id -g) $(id -G)")
        tap.equal(run.stdout, f"{uid} {uid} {uid}\n", f"a job of user {uid} runs as {uid}")
        groups = as_user(uid, c, "run", "--memory", "64MiB", "--", "cat", "/proc/self/cgroup").stdout
        wanted = 3 if os.path.isdir("/sys/fs/cgroup/memory/muster") else 1
        if os.path.isdir("/sys/fs/cgroup/memory/muster") or os.path.isdir("/sys/fs/cgroup/muster"):
            tap.ok(groups.count("/muster/") >= wanted, "in its cgroups", groups)
        else:
            tap.skip("in its cgroups", "there are none here")
    secret = as_user(ANN, c, "submit", "--env", "SECRET=hush", "--", "sh", "-c", "echo mine")
    job = secret.stdout.strip()
    c.wait(int(job))
    tap.equal(as_user(ANN, c, "logs", job).stdout, "mine\n", "its owner reads its output")
    denied(as_user(BEN, c, "logs", job), "another does not", "another user")
    tap.equal(c.ctl("logs", job).stdout, "mine\n", "the operator does")
    held = as_user(ANN, c, "submit", "--hold", "--", "true").stdout.strip()
    for verb in ("release", "cancel", "hold"):
        denied(as_user(BEN, c, "job", verb, held), f"{verb} of another's job", "another user")
    tap.equal(as_user(ANN, c, "job", "cancel", held).returncode, 0, "its owner may")
    first = as_user(ANN, c, "submit", "--request-id", "same", "--", "true").stdout
    tap.ok(as_user(BEN, c, "submit", "--request-id", "same", "--", "true").stdout != first,
           "request ids of two users do not meet")


def files_are_not_read(c):
    found = as_user(BEN, c, "-r", "-l", "hush", c.root, program="grep").stdout
    tap.equal(found, "", "no file shows another's environment")


def output_is_only_output(c):
    """The directory of its output is the task's own; the agent reads there as root."""
    secret = c.file("number")
    with open(secret, "w", opener=lambda p, flags: os.open(p, flags, 0o600), encoding="utf-8") as f:
        f.write("4711")
    own = f"cd {c.root}/nodes/n1/spool/$(echo $MUSTER_ATTEMPT | cut -d- -f2).$MUSTER_ATTEMPT_NUMBER"
    for what in ("mkfifo 0.out", f"ln -s {secret} 0.out", "echo mine > 0.out; mkfifo 0.out.dropped",
                 f"echo mine > 0.out; ln -s {secret} 0.out.dropped"):
        job = as_user(ANN, c, "submit", "--", "sh", "-c", f"{own} && rm 0.out && {what}").stdout.strip()
        tap.equal(c.wait(int(job)), 0, f"a task does this to its output: {what.replace(secret, 'FILE')}")
        run = as_user(ANN, c, "logs", job)
        said = run.stdout + run.stderr
        tap.ok("4711" not in said and ("mine" in said or "not a file" in said), "no more is read", said)
    tap.ok(c.nodes_up(), "and the agent does not wait for it")


def operators(c):
    for words in (("node", "drain", "n1", "--reason", "x"), ("node", "resume", "n1"),
                  ("node", "fence", "n1", "--reason", "x"), ("recover", "--accept")):
        denied(as_user(BEN, c, *words), f"{' '.join(words[:2])} by a user", "operator")
    tap.equal(c.node("n1")["state"], "up", "nothing was done")


def own_cluster():
    top = Cluster(nodes=2, cpus=1, start=False)
    os.chown(top.dir, BEN, BEN)
    with top:
        up = as_user(BEN, top, "cluster", "up", *top.up_flags)
        tap.equal(up.returncode, 0, "an ordinary user brings up a cluster: " + up.stderr)
        run = as_user(BEN, top, "run", "-n", "2", "-N", "2", "--mpi", "none", "--", "id", "-u")
        tap.equal(run.stdout, f"{BEN}\n{BEN}\n", "and runs a job on it")
        job = as_user(BEN, top, "submit", "--", "sleep", "100").stdout.strip()
        eventually(lambda: top.state(int(job)) == "running")
        tap.equal(as_user(BEN, top, "doctor").returncode, 0, "the doctor finds nothing")
        tap.ok(as_user(ANN, top, "jobs").returncode != 0, "others have no way in")
        tap.equal(as_user(BEN, top, "cluster", "down", "--now").returncode, 0, "and down it goes")
        tap.equal(top.left_over(), [], "nothing is left")


if os.geteuid():
    tap.skip("several users", "only root becomes others")
    tap.done()
with Cluster(nodes=1, cpus=2, start=False) as cluster:
    os.mkdir(cluster.root, 0o755)
    cluster.up()
    jobs_are_their_owners(cluster)
    files_are_not_read(cluster)
    output_is_only_output(cluster)
    operators(cluster)
own_cluster()
tap.done()
