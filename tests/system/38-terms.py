#!/usr/bin/env python3
"""Jobs that wait for others, for times and at an array's limit; deadlines; changes; and a scheduler
that is killed between the end of a job and the start of the one that waits for it."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import Cluster, Tap, eventually, processes

tap = Tap()


def refused(c, *args):
    r = c.ctl(*args)
    return r.stderr.strip() if r.returncode else "not refused"


with Cluster(nodes=1, cpus=2) as c:
    # The first job ends while no scheduler is there: the next one is told of it.
    first = c.submit("--", "sh", "-c", f"while [ ! -e {c.file('go')} ]; do sleep 0.05; done")
    second = c.submit("--dependency", f"afterok:{first}", "--", "true")
    third = c.submit("--dependency", f"afternotok:{first}", "--", "true")
    tap.ok(eventually(lambda: c.state(first) == "running"), "the first job runs")
    tap.ok("to complete" in c.ctl("job", "why", str(second)).stdout, "why names what it waits for")
    c.kill_scheduler()
    open(c.file("go"), "w").close()
    tap.ok(eventually(lambda: not processes(c.file("go"))), "it ends while no scheduler is there")
    c.start_scheduler()
    tap.ok(eventually(lambda: c.state(second) == "completed", 30), "the second runs after a crash")
    tap.ok(eventually(lambda: "can never start" in c.ctl("job", "why", str(third)).stdout),
           "the third can never start, and it is told")

    # Killed at once when the end is durable.
    a = c.submit("--", "sleep", "0.3")
    b = c.submit("--dependency", f"afterok:{a}", "--begin", "+1s", "--", "true")
    tap.ok(eventually(lambda: c.state(a) == "completed"), "its end is durable")
    c.kill_scheduler()
    c.start_scheduler()
    tap.ok(eventually(lambda: c.state(b) == "completed", 30), "what it waited for is not asked again")

    tap.ok("there is no job 999" in refused(c, "submit", "--dependency", "afterok:999", "--", "true"),
           "an unknown job is refused")
    tap.ok("could never start" in refused(c, "submit", "--dependency", f"afternotok:{a}", "--", "true"),
           "what can never hold is refused")
    tap.ok("would wait for itself" in refused(c, "job", "set", str(third), f"dependency=after:{third}"),
           "a circle is refused")
    tap.equal(c.ctl("job", "set", str(third), f"dependency=afterany:{a}").returncode, 0, "a change")
    tap.ok(eventually(lambda: c.state(third) == "completed"), "it starts when it is changed")

    stopped = c.submit("--deadline", "+1s", "--", "sleep", "60")
    tap.ok(eventually(lambda: c.state(stopped) == "timed_out", 20), "a deadline stops a job")
    tap.equal(c.job(stopped)["reason"]["code"], "deadline", "and is its reason")

    array = c.submit("--array", "0-3%1", "-c", "1", "--", "sleep", "0.2")
    most = 0
    while c.state(array) in ("pending", "running"):
        most = max(most, c.job(array)["array"]["live"])
    tap.equal(most, 1, "an array keeps its limit")
tap.done()
