#!/usr/bin/env python3
"""What tasks report: from any program, through everything that may be away meanwhile, to people."""
import csv
import glob
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import BIN, TOP, Cluster, Tap, eventually, on_terminal, processes

REPORT = os.path.join(BIN, "muster-report")
MODULE = os.path.join(TOP, "agent", "report")
tap = Tap()


def alone(*args, env=None, input=None):
    return subprocess.run([REPORT, *args], capture_output=True, text=True, input=input, timeout=10,
                          env=dict(os.environ, **(env or {})))


def metrics(c, job, query=""):
    return c.api("GET", f"/v1/jobs/{job}/metrics{query}")[1]


def values(c, job, task=0):
    return [s["values"] for s in metrics(c, job)["samples"] if s["task"] == task]


def newest(c, job):
    return (c.job(job).get("metrics") or {}).get("values", {})


# ---- the program alone ----

run = alone("loss=1")
tap.equal((run.returncode, run.stdout + run.stderr), (0, ""), "outside of a task it does nothing")
for args, word in ((["loss"], "NAME=VALUE"), (["loss=abc"], "not a number"), (["=1"], "NAME=VALUE"),
                   (["a" * 64 + "=1"], "63 bytes"), (["phase="], "63 bytes"),
                   (["progress=5"], "0 to 1"), ([f"n{i}=1" for i in range(900)], "4096")):
    run = alone(*args, env={"MUSTER_REPORT_FD": "1"})
    tap.ok(run.returncode == 2 and word in run.stderr and run.stdout == "",
           f"muster-report {args[0][:9]}: refused with the reason", run)
run = alone("phase=x y", "loss=nan", "step=1e3", 'q"uote=0.1', env={"MUSTER_REPORT_FD": "1"})
tap.equal(json.loads(run.stdout),
          {"phase": "x y", "loss": None, "step": 1000, 'q"uote': 0.1}, "what it writes is JSON")
run = alone("a=1", env={"MUSTER_REPORT_FD": "77"})
tap.ok(run.returncode == 1 and "channel" in run.stderr, "a channel that is closed: exit 1", run)
for word in ("x", "-7", "99999999999"):
    run = alone("a=1", env={"MUSTER_REPORT_FD": word})
    tap.ok(run.returncode == 1 and "MUSTER_REPORT_FD" in run.stderr and not run.stdout,
           f"a channel named \"{word}\": exit 1", run)
with tempfile.TemporaryFile() as own:
    run = subprocess.run([REPORT, "a=1"], pass_fds=[own.fileno()], capture_output=True, text=True,
                         env=dict(os.environ, MUSTER_REPORT_FD=str(own.fileno())))
    tap.ok(run.returncode == 1 and "pass it on" in run.stderr and own.read() == b"",
           "a file that has the channel's number is not written to", run)
    run = subprocess.run([sys.executable, "-c", "import muster_report as m\nm.report(a=1)"],
                         pass_fds=[own.fileno()], capture_output=True, text=True,
                         env=dict(os.environ, MUSTER_REPORT_FD=str(own.fileno()), PYTHONPATH=MODULE))
    tap.ok("OSError" in run.stderr and own.read() == b"", "nor by the Python module", run)
end, broken = os.pipe()
os.close(end)
run = subprocess.run([REPORT, "a=1"], pass_fds=[broken], capture_output=True, text=True,
                     env=dict(os.environ, MUSTER_REPORT_FD=str(broken)))
tap.ok(run.returncode == 1 and "Broken pipe" in run.stderr, "nobody reads the channel: exit 1", run)
run = alone("-", env={"MUSTER_REPORT_FD": "1"}, input='{"a":1}\n{"a":2}')
tap.equal(run.stdout, '{"a":1}\n{"a":2}\n', "lines of standard input are passed on")

with Cluster(nodes=2, cpus=2) as c:
    # ---- from every program ----
    job = c.submit("-n", "2", "-N", "2", "--", "sh", "-c",
                   f"{REPORT} phase=train step=1 steps=2 progress=0.5 loss=$((RANK + 3)).5; "
                   "sleep 0.3; echo '{\"step\":2,\"loss\":NaN,\"note\":\"x\"}' "
                   ">&$MUSTER_REPORT_FD; echo junk >&$MUSTER_REPORT_FD")
    tap.equal(c.wait(job), 0, "a job that reports")
    answer = metrics(c, job)
    tap.equal([(s["task"], s["refused"]) for s in answer["series"]], [(0, 1), (1, 1)],
              "every task has its series, and its refused line")
    tap.ok("not JSON" in answer["series"][0]["refusal"], "with the reason")
    for rank in (0, 1):
        got = {}
        for v in values(c, job, rank):
            got.update(v)
        tap.equal(got, {"phase": "train", "step": 2, "steps": 2, "progress": 0.5, "loss": None},
                  f"all that task {rank} said is there when the job has ended")
    run = c.ctl("job", "metrics", str(job))
    tap.ok(run.returncode == 0 and "loss" in run.stdout and "nan" in run.stdout
           and "refused lines: 1" in run.stderr, "the table, and what was refused", run)
    tap.ok("1 more report" in run.stdout and "4.5" not in run.stdout, "of one task", run)
    run = c.ctl("job", "metrics", str(job), "--all")
    tap.equal([line.split()[:3] for line in run.stdout.splitlines() if " loss " in line[:12]],
              [["0", "loss", "3.5"], ["1", "loss", "4.5"]], "or of all")
    rows = list(csv.DictReader(io.StringIO(c.ctl("job", "metrics", str(job), "-o", "csv").stdout)))
    tap.ok(sorted(r["task"] for r in rows if r["loss"] in ("3.5", "4.5")) == ["0", "1"]
           and any(r["loss"] == "nan" for r in rows), "as CSV", rows)
    tap.equal(json.loads(c.ctl("job", "metrics", str(job), "-o", "json").stdout), answer, "as JSON")
    run = c.ctl("job", "metrics", str(job), "--task", "1", "-f", "-o", "json")
    tap.equal([json.loads(x)["values"] for x in run.stdout.splitlines()], values(c, job, 1),
              "following a job that has ended gives all, and ends")
    script = c.file("report.py")
    with open(script, "w", encoding="utf-8") as f:
        f.write("from muster_report import report\nreport('eval', accuracy=0.75, n=3)\n"
                "report(loss=float('nan'))\ntry:\n  report(x='word')\nexcept ValueError:\n"
                "  report(refused_word=1)\n")
    job = c.submit("--env", f"PYTHONPATH={MODULE}", "--", sys.executable, script)
    tap.equal(c.wait(job), 0, "a Python program reports")
    tap.equal(newest(c, job), {"phase": "eval", "accuracy": 0.75, "n": 3, "loss": None,
                               "refused_word": 1}, "with its module")

    # ---- bad questions ----
    for args, code, word in ((["99"], 5, "no job"), (["1", "--task", "7"], 2, "no task 7"),
                             (["1", "--attempt", "2"], 2, "no attempt 2"),
                             (["1", "-o", "xml"], 2, "csv, json or table"),
                             (["1", "--task", "x"], 2, "--task")):
        run = c.ctl("job", "metrics", *args)
        tap.ok(run.returncode == code and word in run.stderr,
               f"job metrics {' '.join(args)}: code {code}, \"{word}\"", run)
    run = c.ctl("jobs", "-o", "csv")
    tap.equal(run.returncode, 2, "CSV is for metrics only")
    job = c.submit("--array", "0-1", "--", "true")
    tap.ok("Name an element" in c.ctl("job", "metrics", str(job)).stderr, "an array has none itself")
    job = c.submit("--", "true")
    c.wait(job)
    tap.ok("nothing was reported" in c.ctl("job", "metrics", str(job)).stdout
           and c.job(job)["metrics"] is None, "a job that says nothing")

    # ---- while it runs ----
    job = c.submit("--", "sh", "-c", f"{REPORT} phase=warm step=3 progress=0.25 loss=9.5; "
                   f"while [ ! -e {c.file('go')} ]; do sleep 0.05; done; {REPORT} loss=8.5")
    tap.ok(eventually(lambda: newest(c, job).get("loss") == 9.5), "a running job shows it")
    shown = c.ctl("jobs").stdout
    tap.ok("25 %" in shown and "[##......]" in shown and "loss 9.5" in shown,
           "jobs has a bar and the values", shown)
    tap.ok("25 %  warm  step 3  loss 9.5" in c.ctl("job", "show", str(job)).stdout, "so has job show")
    follow = subprocess.Popen([os.path.join(BIN, "schedctl"), "job", "metrics", str(job), "-f"],
                              stdout=subprocess.PIPE, text=True,
                              env=dict(os.environ, MUSTER_HOME=c.root))
    tap.ok("loss 9.5" in follow.stdout.readline(), "following begins with what there is")

    # ---- the scheduler is away when the job ends ----
    c.kill_scheduler()
    open(c.file("go"), "w", encoding="utf-8").close()
    eventually(lambda: not processes("while [ ! -e", c.file("go")))
    c.start_scheduler()
    tap.equal(c.wait(job), 0, "the job ended while the scheduler was away")
    tap.equal(newest(c, job).get("loss"), 8.5, "what it said last is there all the same")
    out, _ = follow.communicate(timeout=20)
    tap.ok("loss 8.5" in out and follow.returncode == 0, "and the follower sees it and ends", out)

    # ---- the agent is away ----
    job = c.submit("--", "sh", "-c", f"{REPORT} a=1; "
                   f"while [ ! -e {c.file('go2')} ]; do sleep 0.05; done")
    eventually(lambda: newest(c, job).get("a") == 1)
    c.kill_agent(c.job(job)["nodes"])
    task = processes("while [ ! -e", c.file("go2"))[0]
    with open(f"/proc/{task}/fd/3", "w", encoding="utf-8") as f:
        f.write('{"a":2}\n{"b":3}\n')
    c.up()
    tap.ok(eventually(lambda: newest(c, job).get("a") == 2 and newest(c, job).get("b") == 3, 20),
           "what was said while the agent was away comes when it is back", newest(c, job))
    open(c.file("go2"), "w", encoding="utf-8").close()
    tap.equal(c.wait(job), 0, "and the job ends well")

    # ---- what was said before the end is in the answers after it ----
    other = sqlite3.connect(os.path.join(c.root, "scheduler", "metrics.db"), isolation_level=None,
                            check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")  # nothing is written meanwhile
    job = c.submit("--", REPORT, "last=7")
    tap.equal(c.wait(job), 0, "a job that ends while its report cannot be written")
    threading.Timer(0.3, lambda: other.execute("ROLLBACK")).start()
    tap.equal(newest(c, job), {"last": 7}, "the question waits for it")

    # ---- the file is damaged while it is written ----
    job = c.submit("--", "sh", "-c", f"i=0; while [ ! -e {c.file('go3')} ]; do i=$((i+1)); "
                   "echo \"{\\\"i\\\":$i}\" >&3; sleep 0.2; done")
    eventually(lambda: newest(c, job))
    path = os.path.join(c.root, "scheduler", "metrics.db")
    for name in (path, path + "-wal"):
        with open(name, "r+b") as f:
            f.write(b"x" * os.path.getsize(name))
    tap.ok(eventually(lambda: metrics(c, job).get("samples") and os.path.exists(path + ".damaged")),
           "it is put aside when a question finds that, and made anew", os.listdir(c.root))
    open(c.file("go3"), "w", encoding="utf-8").close()
    tap.equal(c.wait(job), 0, "the job does not notice")

    # ---- the agent stands still, and dies, with what was said last ----
    job = c.submit("--", "sh", "-c", f"{REPORT} a=1; "
                   f"while [ ! -e {c.file('go-on')} ]; do sleep 0.05; done; "
                   f"{REPORT} a=2 progress=1; touch {c.file('two')}")
    eventually(lambda: newest(c, job).get("a") == 1)
    agent = c.agent_pid(c.job(job)["nodes"])
    c.kill(agent, signal.SIGSTOP)
    open(c.file("go-on"), "w", encoding="utf-8").close()
    eventually(lambda: os.path.exists(c.file("two")))
    ends = os.path.join(c.root, "nodes", "*", "run", "*", c.job(job)["job_uid"] + "*.end")
    tap.ok(eventually(lambda: glob.glob(ends)), "the shepherd has told it all and the end")
    c.kill(agent)
    c.up()
    tap.equal(c.wait(job), 0, "a job that ended while its agent stood still")
    tap.equal((newest(c, job).get("a"), newest(c, job).get("progress")), (2, 1),
              "its last words come with its end")

    # ---- floods ----
    job = c.submit("--", "sh", "-c", "timeout 2 sh -c 'yes \"{\\\"n\\\":1}\" >&3'; echo over; "
                   f"{REPORT} done=1")
    tap.equal(c.wait(job, timeout=30), 0, "a task that floods its channel")
    answer = metrics(c, job)
    tap.ok(answer["series"][0]["seen"] < 60, "few samples are made of it", answer["series"])
    tap.equal(newest(c, job).get("done"), 1, "and what comes after the flood is there")
    script = c.file("names.py")
    with open(script, "w", encoding="utf-8") as f:
        f.write("import json, os, time\nend = time.monotonic() + 2\n"
                "lines = [json.dumps({f'{k}{i}': 1 for i in range(40)}) + '\\n' for k in 'ab']\n"
                "while time.monotonic() < end:\n  for x in lines: os.write(3, x.encode())\n")
    job = c.submit("--", sys.executable, script)
    tap.equal(c.wait(job), 0, "a flood of more names than a sample has")
    answer = metrics(c, job)
    tap.ok(answer["series"][0]["seen"] < 60, "makes no more samples", answer["series"])
    for end in ("", "; exec 3>&-; sleep 0.3"):
        job = c.submit("--", "sh", "-c", "printf '{\"c\":1}' >&3" + end)
        tap.equal((c.wait(job), newest(c, job)), (0, {"c": 1}), "the last line needs no newline")
    job = c.submit("--", "sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x >&3; echo >&3; "
                   "echo '{\"a\":1' >&3; printf '{\"c\":1' >&3; exec 3>&-; sleep 0.3")
    tap.equal(c.wait(job), 0, "a line without an end, half a line, a closed channel")
    series = metrics(c, job)["series"][0]
    tap.ok(series["refused"] == 3 and series["newest"] == {}, "are refused and counted", series)

    # ---- a terminal ----
    text = on_terminal([os.path.join(BIN, "schedctl"), "run", "--", "sh", "-c",
                        f"{REPORT} phase=train progress=0.5 loss=1.25; echo out; "
                        f"while [ ! -e {c.file('go4')} ]; do sleep 0.05; done; echo end"],
                       dict(os.environ, MUSTER_HOME=c.root),
                       steps=[("50 %", lambda: open(c.file("go4"), "w", encoding="utf-8").close())])
    tap.ok("[##########..........]  50 %  train  loss 1.25" in text, "run draws a bar", repr(text))
    tap.ok(text.endswith("\r\x1b[Kend\r\n") or text.endswith("end\r\n"),
           "and wipes it before output", repr(text))
    text = on_terminal([os.path.join(BIN, "schedctl"), "run", "--on-lost", "requeue:10s", "--", "sh",
                        "-c", "if [ $MUSTER_ATTEMPT_NUMBER = 1 ]; then printf part; sleep 100; fi; "
                        f"{REPORT} progress=0.7; "
                        f"while [ ! -e {c.file('go5')} ]; do sleep 0.05; done"],
                       dict(os.environ, MUSTER_HOME=c.root),
                       steps=[("part", lambda: [c.kill(p) for p in c.shepherd_pids()]),
                              ("70 %", lambda: open(c.file("go5"), "w", encoding="utf-8").close())])
    tap.ok("part" in text and "attempt 2 begins" in text and " 70 %" in text,
           "and goes on after a line that was not ended and a new attempt", repr(text))
    run = c.ctl("run", "--", "sh", "-c", f"{REPORT} progress=0.5; echo out; sleep 1.5")
    tap.equal((run.stdout, run.stderr), ("out\n", ""), "without a terminal there is none")
tap.equal([p for root in Cluster.roots for p in processes(root)], [], "no process is left")
tap.done()
