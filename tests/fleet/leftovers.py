"""What an installation left on this host: nothing, if all is well."""
import os

from stack import run


def of(name, folder):
    left = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        ours = any(folder.encode() in word or word == name.encode() for word in words)
        if ours and b"tests/fleet/run" not in b" ".join(words):
            left.append(f"process {entry}: " + b" ".join(words).decode(errors="replace")[:120])
    namespaces = run(["ip", "netns", "list"], check=False).stdout.split()
    left += [f"namespace {word}" for word in namespaces if word == name or word.startswith(name + ".")]
    with open("/proc/self/mounts") as file:
        left += [f"mount {line.split()[1]}" for line in file if folder in line]
    for root, folders, _ in os.walk("/sys/fs/cgroup"):
        left += [f"cgroup {os.path.join(root, one)}" for one in folders if one == name or one.startswith((name + ".", name + "-"))]
    if os.path.exists(folder):
        left.append(f"folder {folder}: {os.listdir(folder)}")
    return left
