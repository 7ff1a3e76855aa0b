"""A private PostgreSQL server for one measurement, and what programs cost beside it: wall time, CPU, memory."""

import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

SETTINGS = {
    "shared_buffers": "1GB",
    "maintenance_work_mem": "512MB",
    "max_wal_size": "8GB",
    # Nothing of an earlier round is to be tidied up in a later one.
    "autovacuum": "off",
}
TICKS = os.sysconf("SC_CLK_TCK")


def programs():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: float(path.split("/")[4]))
    initdb = shutil.which("initdb") or (found[-1] if found else None)
    if initdb is None:
        raise SystemExit("PostgreSQL's programs (initdb, postgres) are not here\nhint: bash tests/run installs them")
    return Path(initdb).parent


def bytes_read(pid):
    """The bytes that a process which has ended read from files, or None where the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/io").read_text().split()[1])
    except OSError:
        return None


class Server:
    """Ends with the `with` block; its folder goes with it."""

    def __enter__(self):
        self.bin = programs()
        self.folder = Path(tempfile.mkdtemp(prefix="pipeline-bench-"))
        self.become = []
        if os.getuid() == 0:
            user = next(u for u in ("postgres", "nobody") if any(p.pw_name == u for p in pwd.getpwall()))
            entry = pwd.getpwnam(user)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
            self.become = ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", "--"]
        self.folder.chmod(0o755)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        data = self.folder / "data"
        subprocess.run(
            [*self.become, self.bin / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--locale=C.UTF-8"],
            check=True, stdout=subprocess.DEVNULL, cwd="/",
        )
        settings = [part for key, value in SETTINGS.items() for part in ("-c", f"{key}={value}")]
        self.process = subprocess.Popen(
            [*self.become, self.bin / "postgres", "-D", data, "-p", str(self.port), "-k", self.folder,
             "-c", "listen_addresses=127.0.0.1", *settings],
            stdout=open(self.folder / "log", "w"), stderr=subprocess.STDOUT, cwd="/",
        )  # fmt: skip
        self.env = {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "postgres"}
        for name in ("DATABASE_URL", "PGDATABASE", "PGPASSWORD", "PGOPTIONS", "PGSERVICE"):
            self.env.pop(name, None)
        for _ in range(200):
            if subprocess.run(["psql", "-qc", "select 1", "postgres"], env=self.env, capture_output=True).returncode == 0:
                return self
            time.sleep(0.05)
        raise SystemExit(f"the server does not start: {self.folder}/log")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            # It recovers first from a crash, such as by a full disk.
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def sql(self, database, *statements):
        """Runs statements in one session; the rows of the last one, as lists of texts."""
        commands = [part for statement in statements for part in ("-c", statement)]
        done = subprocess.run(
            ["psql", "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", *commands, database],
            env={**self.env, "PGOPTIONS": "-c client_min_messages=warning"}, capture_output=True, text=True,
        )
        if done.returncode != 0:
            raise SystemExit(done.stderr)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def create(self, database):
        self.sql("postgres", f"drop database if exists {database}", f"create database {database}")

    def cpu(self):
        """Seconds of all server processes that have ended."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[13]) + int(fields[14])) / TICKS

    def measure(self, command, **env):
        """Runs a program over an idle server: wall seconds, own and the server's CPU seconds, bytes read, peak bytes, stdout."""
        self.sql("postgres", "checkpoint")
        time.sleep(0.3)
        server = self.cpu()
        output = self.folder / "out"
        with open(output, "w") as out, open(self.folder / "err", "w") as err:
            begun = time.monotonic()
            process = subprocess.Popen(command, stdout=out, stderr=err, env={**self.env, **env})
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            read = bytes_read(process.pid)
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"{command} failed:\n{(self.folder / 'err').read_text()}")
        time.sleep(0.3)
        return {
            "wall": wall,
            "cpu": usage.ru_utime + usage.ru_stime,
            "server_cpu": self.cpu() - server,
            "read": read,
            "peak": usage.ru_maxrss * 1024,
            "stdout": output.read_text(),
        }
