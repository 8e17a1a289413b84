"""One client of paramiko's: reads what to do as JSON, prints what came of it as JSON."""

import base64
import hashlib
import json
import os
import sys
import time

import paramiko


def connect(door):
    host_key = paramiko.Ed25519Key(data=base64.b64decode(door["hostKey"].split()[1]))
    transport = paramiko.Transport(("127.0.0.1", door["port"]))
    transport.connect(hostkey=host_key)
    if door.get("keyFile") is None:
        transport.auth_none(door["user"])
    else:
        transport.auth_publickey(door["user"], paramiko.Ed25519Key(filename=door["keyFile"]))
    return transport


def read_all(channel, read):
    parts = []
    while True:
        part = read(65536)
        if not part:
            return b"".join(parts)
        parts.append(part)


def run(transport, command, data=b""):
    channel = transport.open_session()
    channel.exec_command(command)
    channel.sendall(data)
    channel.shutdown_write()
    out = read_all(channel, channel.recv)
    err = read_all(channel, channel.recv_stderr)
    return [channel.recv_exit_status(), out, err.decode("latin1")]


def files(transport, remote):
    sftp = paramiko.SFTPClient.from_transport(transport)
    content = os.urandom(1_500_000)
    sftp.mkdir(remote)
    with sftp.open(remote + "/a", "wb") as file:
        file.write(content)
    sftp.rename(remote + "/a", remote + "/b")
    with sftp.open(remote + "/b", "rb") as file:
        file.prefetch()
        back = file.read()
    names = sftp.listdir(remote)
    sftp.close()
    return [back == content, names]


def main():
    door = json.load(sys.stdin)
    transport = connect(door)
    data = os.urandom(2_000_000)
    status, out, err = run(transport, "cat; echo over >&2; exit 5", data)
    tty = transport.open_session()
    tty.get_pty(term="vt220", width=91, height=31)
    tty.exec_command("stty size; echo $TERM")
    said = read_all(tty, tty.recv).decode()
    # In the middle of an exchange of keys paramiko waits for itself when the far side closes a channel.
    while not tty.closed:
        time.sleep(0.01)
    time.sleep(0.5)
    transport.renegotiate_keys()
    again = run(transport, "echo with new keys")
    result = {
        "ran": [status, hashlib.sha256(out).digest() == hashlib.sha256(data).digest(), err],
        "terminal": said.split(),
        "again": [again[0], again[1].decode()],
        "files": files(transport, door["remote"]),
    }
    transport.close()
    json.dump(result, sys.stdout)


main()
