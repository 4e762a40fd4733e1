#!/usr/bin/python3
"""Hands a port of one network namespace's loopback to a port of another's.

  relay.py serve SOCKET PORT    where PORT is served: waits for a listening socket, and relays what it accepts
  relay.py listen SOCKET PORT   where PORT shall be reached: listens, and hands that over

Sockets stay in the namespace in which they were made, whoever holds them.
"""
import socket
import sys
import threading


def pipe(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(path, port):
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.bind(path)
        waiting.listen()
        giver, _ = waiting.accept()
        _, handles, _, _ = socket.recv_fds(giver, 1, 1)
    listener = socket.socket(fileno=handles[0])
    while True:
        near, _ = listener.accept()
        far = socket.create_connection(("127.0.0.1", port))
        for ends in ((near, far), (far, near)):
            threading.Thread(target=pipe, args=ends, daemon=True).start()


def listen(path, port):
    listener = socket.create_server(("127.0.0.1", port))
    with socket.socket(socket.AF_UNIX) as taker:
        taker.connect(path)
        socket.send_fds(taker, [b"x"], [listener.fileno()])


if __name__ == "__main__":
    {"serve": serve, "listen": listen}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
