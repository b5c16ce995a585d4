"""The core alone: placements a second, and what a node and a placed job take of memory."""
import os
import subprocess

from bench import HERE, TOP
from figures import Figure

LIBRARIES = [os.path.join(TOP, "build", "release", f"lib{name}.a")
             for name in ("scheduler_core", "common")]


def compile_core(bench):
    subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-I", TOP, "-o",
                    os.path.join(bench.build, "core"), os.path.join(HERE, "core.c"), *LIBRARIES],
                   check=True, timeout=120)


def placing(bench):
    """Jobs submitted, placed and ended in the core alone, all rows and facts made."""
    part = "placing: the core alone, one thread, CPU time, beside a bare loop over free cores"
    compile_core(bench)
    nodes, churn = bench.size(10000, 1000), bench.size(200000, 20000)
    scan = Figure(part, f"first fit by a loop over {nodes} numbers", "/s")
    one = Figure(part, f"one-core jobs on {nodes} nodes of 64 cores: filled", "/s", scan)
    again = Figure(part, "and then one for each that ends", "/s", scan)
    gangs = Figure(part, f"gangs of 8 nodes x 8 GPUs on {nodes} nodes, racks and spines", "/s", scan)
    node = Figure(part, "a node", "bytes")
    job = Figure(part, "a placed job with its placement", "bytes")
    for _ in range(bench.repetitions):
        scan.add(bench.tool("core", "scan", nodes, 64, churn)["per_s"])
        filled = bench.tool("core", "fill", nodes, 64, churn)
        one.add(filled["fill_per_s"])
        again.add(filled["churn_per_s"])
        gangs.add(bench.tool("core", "gangs", nodes, bench.size(10000, 1000))["per_s"])
        node.add(filled["node_bytes"])
        job.add(filled["job_bytes"])
    growth = [placed(bench, part, count) for count in bench.size((1000, 100000), (100,))]
    return [scan, one, again, gangs, node, job, *growth]


def placed(bench, part, nodes):
    """The same on fewer and on more nodes."""
    figure = Figure(part, f"one-core jobs on {nodes} nodes of 16 cores, filled and churned", "/s")
    for _ in range(bench.repetitions):
        figure.add(bench.tool("core", "fill", nodes, 16, bench.size(100000, 10000))["per_s"])
    return figure
