"""Reports numbers of a running task to Muster, for `schedctl job metrics`, `jobs` and `run`.

    from muster_report import report
    report(phase="train", step=120, steps=500, progress=0.24, loss=loss)

Values are numbers, or anything that float() takes (a tensor of one element). Outside of a Muster
task nothing happens. A line is at most 4,096 bytes long.
"""
import json
import os
import stat


def report(phase=None, **numbers):
    """One line on the report channel.

    Raises OSError if that is closed or was not passed on (subprocess closes it without
    close_fds=False), ValueError or TypeError on bad values.
    """
    fd = os.environ.get("MUSTER_REPORT_FD")
    if not fd:
        return
    values = {} if phase is None else {"phase": str(phase)}
    values.update((name, v if isinstance(v, int) else float(v)) for name, v in numbers.items())
    line = json.dumps(values).encode() + b"\n"
    if len(line) > 4096:
        raise ValueError(f"a line of {len(line)} bytes; at most 4096 are taken")
    if not stat.S_ISFIFO(os.fstat(int(fd)).st_mode):
        raise OSError(f"descriptor {fd} is not the report channel any more")
    os.write(int(fd), line)
