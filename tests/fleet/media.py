"""A real stream: FFmpeg's test picture and tone, published over RTMP, played back as HLS."""
import json
import subprocess
import time

from stack import Failed, expect, run


def publish_command(where, url, seconds):
    return [*where, "ffmpeg", "-nostdin", "-loglevel", "error", "-re",
            "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25",
            "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100",
            "-t", str(seconds), "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency",
            "-g", "25", "-pix_fmt", "yuv420p", "-b:v", "400k", "-c:a", "aac", "-b:a", "64k",
            "-f", "flv", url]


class Publisher:
    """Publishes while the `with` block lasts."""

    def __init__(self, where, url, seconds=60):
        self.command = publish_command(where, url, seconds)

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(10)
        self.process.stderr.close()


def accepted(where, url):
    """True when the media server takes a stream of two seconds."""
    done = run(publish_command(where, url, 2), timeout=30, check=False)
    return done.returncode == 0


def play(where, url, limit=20):
    """Waits for the playlist, then decodes from it. Returns what FFprobe saw and the seconds it took."""
    begin = time.monotonic()
    while True:
        done = run([*where, "curl", "-fsS", "-m", "2", "-o", "/dev/null", url], check=False)
        if done.returncode == 0:
            break
        if time.monotonic() - begin > limit:
            raise Failed(f"{url}: no playlist within {limit} s: {done.stderr.strip()}")
        time.sleep(0.1)
    first = time.monotonic() - begin
    probe = run([*where, "ffprobe", "-v", "error", "-of", "json", "-count_frames",
                 "-read_intervals", "%+2", "-show_entries",
                 "stream=codec_name,codec_type,width,height,nb_read_frames", url], timeout=40)
    streams = {stream["codec_type"]: stream for stream in json.loads(probe.stdout)["streams"]}
    expect(streams.get("video", {}).get("codec_name") == "h264", f"no H.264 in {url}: {streams}")
    expect(streams.get("audio", {}).get("codec_name") == "aac", f"no AAC in {url}: {streams}")
    frames = int(streams["video"].get("nb_read_frames", 0))
    expect(frames >= 20, f"only {frames} frames could be decoded from {url}")
    return {"first_playlist_s": first, "frames": frames, "size":
            f"{streams['video']['width']}x{streams['video']['height']}"}
