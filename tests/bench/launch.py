"""Start a command from a small process and report, on the last line of standard error, what it used."""

import json
import os
import subprocess
import sys
import time

started = time.perf_counter()
child = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(child.pid, 0)
facts = {
    "wall": time.perf_counter() - started,
    "cpu": usage.ru_utime + usage.ru_stime,
    "memory": usage.ru_maxrss,
}
sys.stderr.write("\n@bench " + json.dumps(facts))
sys.exit(os.waitstatus_to_exitcode(status))
