"""Debian's Prometheus with a configuration and folder of its own, taking its targets by HTTP SD."""
import json
import os
import shutil
import socket
import subprocess
import time

CONFIG = """
global: {scrape_interval: %(interval)s, scrape_timeout: 2s}
scrape_configs:
  - job_name: fleet
    http_sd_configs:
      - url: %(url)s
        refresh_interval: 5s
        authorization: {type: Bearer, credentials_file: %(token)s}
    relabel_configs:
      - {action: labelmap, regex: __meta_frameworks_(node|cluster|region|tier|service)}
"""
# Run where Prometheus runs: asks it, and prints what it answers.
ASK = "import sys,urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())"


class Prometheus:
    """`where`: words that run a program in another network namespace."""

    def __init__(self, folder, url, token_file, interval="2s", where=(), port=0):
        self.where = list(where)
        self.folder = os.path.join(folder, "prometheus")
        os.makedirs(self.folder)
        self.config = os.path.join(self.folder, "prometheus.yml")
        with open(self.config, "w") as file:
            file.write(CONFIG % {"url": json.dumps(url), "token": json.dumps(token_file), "interval": interval})
        self.port = port or self.free_port()
        self.log = open(os.path.join(self.folder, "log"), "w+")
        self.process = None

    @staticmethod
    def free_port():
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            return one.getsockname()[1]

    def __enter__(self):
        checked = subprocess.run(["promtool", "check", "config", self.config], text=True, capture_output=True,
                                 stdin=subprocess.DEVNULL, timeout=60)
        if checked.returncode != 0:
            raise AssertionError(f"promtool: {checked.stdout}{checked.stderr}")
        self.process = subprocess.Popen(
            [*self.where, "prometheus", f"--config.file={self.config}",
             f"--storage.tsdb.path={os.path.join(self.folder, 'data')}", f"--web.listen-address=127.0.0.1:{self.port}"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, path):
        """The `data` of its API's answer; None while it does not answer."""
        if self.process.poll() is not None:
            raise AssertionError(f"prometheus ended: {self.tail()}")
        done = subprocess.run([*self.where, "/usr/bin/python3", "-c", ASK, f"http://127.0.0.1:{self.port}{path}"],
                              text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=30)
        return json.loads(done.stdout)["data"] if done.returncode == 0 else None

    def tail(self):
        """The end of its log."""
        self.log.seek(0)
        return self.log.read()[-1500:]

    def targets(self):
        return (self.ask("/api/v1/targets?state=active") or {}).get("activeTargets", [])

    def wait_for(self, count, healthy, limit):
        """Until it has so many targets, all scraped well if wanted; the targets as they were last."""
        until, targets = time.monotonic() + limit, []
        while time.monotonic() < until:
            targets = self.targets()
            if len(targets) >= count and (not healthy or all(target["health"] == "up" for target in targets)):
                break
            time.sleep(0.5)
        return targets
