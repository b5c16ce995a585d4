"""The part `growth`: what time and memory do as nodes and pending jobs grow, and plots of it."""
import os
import random
import statistics

from figures import Figure
from placing import compile_core
from plot import Plot
from simulated import QUEUES, simulate
from waiting import SHAPES, compile_queue

NODES = (1000, 10000, 100000)
PENDING = (1000, 10000, 100000, 1000000)


def write_swf(path, processors, jobs):
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"; MaxProcs: {processors}\n")
        for i, (submit, run, procs, limit) in enumerate(jobs):
            owner = (procs * 31 + limit // 60) % 100  # of a shape, so that there are 1,000 classes
            f.write(f"{i + 1} {submit} -1 {run} {procs} -1 -1 -1 {limit} -1 1 {owner} 1 -1 1 -1 -1 "
                    "-1\n")


def churn(nodes, rng):
    """Four jobs for each node of 4 cores, arriving so that about nine tenths are in use."""
    count, run = 4 * nodes, 10000
    rate = 0.9 * nodes * 4 / 2.5 / run
    at = 0.0
    for _ in range(count):
        at += rng.expovariate(rate)
        yield int(at), rng.randint(run // 2, run * 3 // 2), rng.randint(1, 4), 2 * run


def burst(count, rng):
    """Jobs of 1,000 shapes that are all submitted within a second."""
    shapes = [(rng.randint(1, 50), 60 * rng.randint(1, 20)) for _ in range(1000)]
    for _ in range(count):
        procs, limit = rng.choice(shapes)
        yield 0, rng.randint(1, limit), procs, limit


def equal_nodes(count, cores):
    """As `--nodes` takes them: a host list has at most 65,536 names."""
    return "; ".join(f"n{k}-[1-{min(50000, count - k)}] cores={cores}"
                     for k in range(0, count, 50000))


def growth(bench):
    """Time and memory as nodes and pending jobs grow, and plots of it."""
    compile_core(bench)
    compile_queue(bench)
    figures = core(bench)
    return figures + whole(bench)


def grown(part, name, sizes, unit, measure):
    """A figure for each size, beside the first, and the points of a line."""
    figures, points = [], []
    for size in sizes:
        figure = Figure(part, f"{size:,} {name}", unit, figures[0] if figures else None)
        measure(figure, size)
        figures.append(figure)
        points.append((size, statistics.median(figure.values)))
    return figures, points


def core(bench):
    """A placement, a pass and memory, in the core alone."""
    part = ("growth: the core alone, CPU time and heap, as nodes and pending jobs grow, beside the "
            "smallest size")
    nodes, pending = bench.size(NODES, NODES[:2]), bench.size(PENDING, PENDING[:3])
    passes = {}

    def measured(node_count, job_count):
        key = node_count, job_count
        if key not in passes:
            passes[key] = [bench.tool("queue", *key, SHAPES, 1, timeout=600)
                           for _ in range(bench.size(3, 1))]
        return passes[key]

    placed = {n: [bench.tool("core", "fill", n, 16, bench.size(100000, 10000))
                  for _ in range(bench.size(3, 1))] for n in nodes}

    def of_placed(make):
        return lambda figure, n: [figure.add(make(m)) for m in placed[n]]

    def by_nodes(make):
        return lambda figure, n: [figure.add(make(m)) for m in measured(n, PENDING[2])]

    def by_pending(make):
        return lambda figure, n: [figure.add(make(m)) for m in measured(NODES[1], n)]

    def freed(m):
        return m["freed_ms"] * 1000

    def idle(m):
        return m["idle_ms"] * 1000

    times = (("nodes: a one-core job is placed", nodes, of_placed(lambda m: 1e6 / m["per_s"])),
             (f"nodes, {PENDING[2]:,} pending: one is freed", nodes, by_nodes(freed)),
             (f"pending jobs, {NODES[1]:,} nodes: one is freed", pending, by_pending(freed)),
             (f"pending jobs, {NODES[1]:,} nodes: nothing has changed", pending, by_pending(idle)))
    memory = (("nodes: memory of one", nodes, of_placed(lambda m: m["node_bytes"])),
              ("pending jobs: memory of one", pending, by_pending(lambda m: m["job_bytes"])))
    figures = []
    for what, unit, axis, name in ((times, "us", "microseconds", "growth"),
                                   (memory, "bytes", "bytes", "growth-memory")):
        plot = Plot(f"Growth of the scheduler's core: {'time' if unit == 'us' else 'memory'}",
                    "nodes or pending jobs", axis)
        for line, sizes, measure in what:
            made, points = grown(part, line, sizes, unit, measure)
            figures += made
            plot.line(line, points)
        plot.write(os.path.join(bench.build, name + ".svg"))
    return figures


def whole(bench):
    """A job from submission to end, through `schedctl simulate`."""
    part = "growth: microseconds of a processor a job, submission to end, beside the smallest size"
    path, figures = os.path.join(bench.scratch, "growth.swf"), []
    for name, sizes, nodes_of, jobs_of in (
            ("nodes, nine tenths in use", NODES, lambda n: n, churn),
            ("jobs pending at once, 16 nodes", PENDING, lambda n: 16, burst)):

        def measure(figure, size, nodes_of=nodes_of, jobs_of=jobs_of):
            nodes, cores = nodes_of(size), 4 if jobs_of is churn else 64
            jobs = list(jobs_of(size, random.Random(1)))
            write_swf(path, nodes * cores, jobs)
            for _ in range(bench.size(3, 1) if size < 1000000 else 1):
                m = simulate(bench, "--trace", path, "--nodes", equal_nodes(nodes, cores),
                             "--policy", QUEUES[0], "--limits", "trace")
                figure.add(m["cpu_s"] * 1e6 / len(jobs))

        figures += grown(part, name, sizes[:2] if bench.quick else sizes, "us", measure)[0]
    os.remove(path)
    return figures
