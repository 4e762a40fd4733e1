"""A quartermaster of a test's own, with simulated machines, on free ports of this host's loopback."""
import http.client
import json
import os
import signal
import subprocess
import sys
import time


class Server:
    def __init__(self, build, state):
        self.build = build
        self.state = os.path.join(state, "state")
        self.log = open(os.path.join(state, "server.log"), "w+")
        self.process = subprocess.Popen(
            [os.path.join(build, "bin/quartermaster"), "--state", self.state, "--machines",
             "simulated", "--listen-grpc", "127.0.0.1:0", "--listen-rest", "127.0.0.1:0"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        listening = os.path.join(self.state, "listening.json")
        until = time.monotonic() + 60
        while not os.path.exists(listening):
            if self.process.poll() is not None or time.monotonic() > until:
                self.log.seek(0)
                sys.exit("the server does not start: " + self.log.read()[-2000:])
            time.sleep(0.02)
        with open(listening) as file:
            ports = json.load(file)
        self.port, self.grpc = ports["rest"], ports["grpc"]
        self.token_file = os.path.join(self.state, "admin.token")
        with open(self.token_file) as file:
            self.token = file.read().strip()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def call(self, verb, path, body=None, token="", headers=None, stream=False):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = "Bearer " + token
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body)
        connection.request(verb, path, data, headers)
        response = connection.getresponse()
        if stream and response.status == 200:
            lines = iter(lambda: response.readline().decode(), "")
            text = next((line[6:] for line in lines if line.startswith("data: ")), "")
        else:
            text = response.read().decode()
        connection.close()
        return response.status, response.headers, text

    def frameworks(self, *words, check=True):
        """The command line, as the administrator."""
        done = subprocess.run([os.path.join(self.build, "bin/frameworks"), *words], text=True, timeout=60,
                              stdin=subprocess.DEVNULL, capture_output=True, env=self.environment())
        if check and done.returncode != 0:
            raise AssertionError(f"frameworks {' '.join(words)}: exit code {done.returncode}: "
                                 f"{(done.stdout + done.stderr)[-1500:]}")
        return done

    def environment(self):
        return {**os.environ, "FRAMEWORKS_SERVER": f"127.0.0.1:{self.grpc}",
                "FRAMEWORKS_TOKEN_FILE": self.token_file, "FRAMEWORKS_CA_FILE": os.path.join(self.state, "ca.pem")}
