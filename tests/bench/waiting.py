"""The part `waiting`: passes over a long queue on a full cluster, in the core alone."""
import os
import subprocess

from bench import HERE
from figures import Figure
from placing import LIBRARIES, TOP

SHAPES = 1000


def compile_queue(bench):
    subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-I", TOP, "-o",
                    os.path.join(bench.build, "queue"), os.path.join(HERE, "queue.c"), *LIBRARIES],
                   check=True, timeout=120)


def waiting(bench):
    """Passes over a long queue: nothing changed, one node freed; memory of a pending job."""
    compile_queue(bench)
    nodes = bench.size(10000, 1000)
    part = (f"waiting: the core alone on {nodes} full nodes, jobs of {SHAPES} shapes that do not fit, "
            "CPU time, beside a plain loop over what each job asks for")
    figures = []
    for pending in bench.size((100000, 1000000), (10000, 100000)):
        figures += passes(bench, part, nodes, pending, 1)
    return figures + passes(bench, part, nodes, bench.size(100000, 10000), 100)


def passes(bench, part, nodes, pending, reservations):
    name = f"{pending:,} pending, {reservations} reservation{'s' if reservations > 1 else ''}"
    sweep = Figure(part, f"{name}: a loop over them", "ms")
    made = {"idle_ms": Figure(part, f"{name}: nothing has changed", "ms", sweep),
            "freed_ms": Figure(part, f"{name}: one node is freed", "ms", sweep),
            "first_ms": Figure(part, f"{name}: the first pass", "ms", sweep),
            "submit_us": Figure(part, f"{name}: a submission", "us"),
            "job_bytes": Figure(part, f"{name}: memory of a pending job", "bytes")}
    for _ in range(bench.repetitions):
        m = bench.tool("queue", nodes, pending, SHAPES, reservations, timeout=600)
        sweep.add(m["sweep_ms"])
        for key, figure in made.items():
            figure.add(m[key])
    return [sweep, *made.values()]
