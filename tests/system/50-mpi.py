#!/usr/bin/env python3
"""MPI programs launched by the shepherds, on one, two and four nodes: mpi.c does the checks."""
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import BIN, Cluster, Tap, compile_mpi, eventually, mpi_files, processes

tap = Tap()
if not shutil.which("mpicc"):
    print("1..0 # SKIP there is no mpicc")
    sys.exit(0)


def lines(size):
    return sorted(f"{r}/{size} reduce ring split shared put file" for r in range(size))


def said(run):
    return sorted(run.stdout.splitlines())


def two_at_once(c, mpi):
    """Both on the same two nodes; each ends only when it has seen the other."""
    place = c.file("meet")
    os.mkdir(place)
    c.ctl("node", "drain", "n3", "--reason", "test")
    c.ctl("node", "drain", "n4", "--reason", "test")
    jobs = [c.submit("-n", "2", "-N", "2", "--time", "30s", "--", mpi, "meet", place, "2")
            for _ in range(2)]
    tap.equal(c.wait(*jobs), 0, "two MPI jobs at once on the same two nodes")
    tap.equal([sorted(c.ctl("logs", "-a", str(j)).stdout.splitlines()) for j in jobs],
              [["0/2 met", "1/2 met"]] * 2, "and neither takes the other's messages")
    c.ctl("node", "resume", "n3")
    c.ctl("node", "resume", "n4")


def agents_restart(c, mpi):
    """Fences wait for a rank that is late while the agents that carry them die and come back."""
    place = c.file("late")
    os.mkdir(place)
    there = lambda name: os.path.exists(os.path.join(place, name))
    job = c.submit("-n", "4", "-N", "2", "--time", "60s", "--", mpi, "late", place, "3")
    tap.ok(eventually(lambda: there("waits")), "rank 0 is late for MPI_Init")
    nodes = [p["node"] for p in c.job(job)["placements"]]
    for when, victim in (("init", nodes[1]), ("finalize", nodes[0])):
        c.kill_agent(victim)
        c.up()
        open(os.path.join(place, when), "w").close()
        if when == "init":
            tap.ok(eventually(lambda: there("worked")), "MPI_Init ends though an agent was killed")
    tap.equal(c.wait(job), 0, "and so does MPI_Finalize")
    tap.equal(sorted(c.ctl("logs", "-a", str(job)).stdout.splitlines()),
              [f"{r}/4 late" for r in range(4)], "with the right results throughout")


def lost_words(c, mpi):
    """What a node has to say last is said although an agent on the way is away just then."""
    place = c.file("lost")
    os.mkdir(place)
    there = lambda name: os.path.exists(os.path.join(place, name))
    touch = lambda name: open(os.path.join(place, name), "w").close()
    touch("init")
    job = c.submit("-n", "4", "-N", "2", "--time", "60s", "--", mpi, "late", place, "0")
    tap.ok(eventually(lambda: there("worked")), "all but rank 0 are in MPI_Finalize")
    c.kill_agent(c.job(job)["placements"][1]["node"])
    touch("finalize")
    eventually(lambda: len(c.job(job)["placements"]) < 2, 1)
    c.up()
    tap.equal(c.wait(job), 0, "the word that lets MPI_Finalize end is not lost")
    for away in (0, 1):
        job = c.submit("-n", "3", "-N", "3", "--grace", "1s", "--time", "60s", "--", mpi, "leave", place)
        tap.ok(eventually(lambda: there("waits")), "rank 1 does not call MPI_Init")
        c.kill_agent(c.job(job)["placements"][away]["node"])
        touch("go")
        eventually(lambda: len(processes(mpi)) < 3)
        c.up()
        c.wait(job)
        tap.equal((c.job(job)["reason"] or {}).get("code"), "mpi_not_initialised",
                  f"nor is the one that it never will, with the agent of rank {away} away")
        for name in ("waits", "go"):
            os.unlink(os.path.join(place, name))


def shepherd_lost(c, mpi):
    """The nodes of a machine clear up behind themselves alone."""
    place = c.file("alone")
    os.mkdir(place)
    job = c.submit("-n", "4", "-N", "2", "--grace", "1s", "--time", "60s", "--", mpi, "late", place, "0")
    tap.ok(eventually(lambda: os.path.exists(os.path.join(place, "waits"))), "ranks wait in MPI_Init")
    c.kill(c.shepherd_pids(c.job(job)["placements"][1]["node"])[0])
    c.wait(job)
    tap.equal((c.job(job)["reason"]["code"], processes(mpi)), ("shepherd_lost", []),
              "a shepherd that is killed is the reason, not what that does to the others")


with Cluster(nodes=4, cpus=2) as c:
    mpi = compile_mpi(c)
    for nodes, tasks in ((1, 2), (2, 2), (2, 4), (4, 4), (4, 8)):
        run = c.ctl("run", "-n", str(tasks), "-N", str(nodes), "--time", "60s", "--", mpi, "good",
                    str(tasks // nodes), c.file(f"file.{tasks}"), timeout=90)
        tap.equal((run.returncode, said(run)), (0, lines(tasks)),
                  f"{tasks} tasks on {nodes} nodes: reduce, ring, split, windows, file")
    two_at_once(c, mpi)
    agents_restart(c, mpi)
    lost_words(c, mpi)
    shepherd_lost(c, mpi)
    tap.equal(mpi_files(c), [], "nothing is left in /dev/shm nor in /tmp")

    data = "/usr/share/datasets/fashion-mnist"
    if os.path.isdir(data):
        run = c.ctl("run", "-n", "2", "-N", "2", "--", os.path.join(BIN, "muster-ml"), "train",
                    "--epochs", "1", timeout=120)
        last = run.stdout.strip().splitlines()[-1:] or [""]
        accuracy = float(last[0].split()[2]) if last[0].startswith("test accuracy") else 0
        tap.ok(run.returncode == 0 and accuracy >= 82,
               "2 tasks on 2 nodes train Fashion-MNIST to at least 82 %", run.stdout + run.stderr)
        losses = []
        for tasks in (1, 2):
            run = c.ctl("run", "-n", str(tasks), "-N", str(tasks), "--mpi", "pmix", "--",
                        os.path.join(BIN, "muster-ml"), "train", "--steps", "50", "--log", "json",
                        timeout=120)
            losses.append([float(x.split('"loss":')[1].rstrip("}")) for x in run.stdout.splitlines()
                           if x.startswith('{"step"')])
        worst = max((abs(a - b) / a for a, b in zip(*losses)), default=1)
        tap.ok(len(losses[0]) == len(losses[1]) == 50 and worst < 1e-4,
               f"1 and 2 tasks follow the same loss for 50 steps ({worst:.1e})", losses)
    else:
        tap.skip("training", "dataset-fashion-mnist is not installed")

    # A gang of which one node cannot prepare.
    blocked = os.path.join(c.root, "nodes", "n3", "spool")
    os.rename(blocked, blocked + ".away")
    with open(blocked, "w", encoding="utf-8"):
        pass
    c.ctl("node", "drain", "n4", "--reason", "test")
    job = c.submit("-n", "3", "-N", "3", "--", "sh", "-c", f"echo ran >> {c.file('ran')}")
    c.wait(job)
    shown = c.job(job)
    tap.ok(shown["state"] == "failed" and "n3" in shown["reason"]["text"],
           "one preparation fails: the reason names the node", shown["reason"])
    tap.equal(c.read("ran"), "", "and nothing ran")
    os.unlink(blocked)
    os.rename(blocked + ".away", blocked)
tap.equal([p for root in Cluster.roots for p in processes(root)], [], "no process is left")
tap.done()
