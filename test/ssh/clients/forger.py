"""Logs in with a key as nobody should, and says what came of it.

    forger.py <port> <way> <key A> <key B>
"""

import sys

import paramiko

PORT, WAY, KEY_A, KEY_B = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]


class Forged(paramiko.Ed25519Key):
    """Key A, whose signatures are not its own."""

    def sign_ssh_data(self, data, algorithm=None):
        if WAY == "other-key":
            return paramiko.Ed25519Key(filename=KEY_B).sign_ssh_data(data)
        if WAY == "other-session":
            return super().sign_ssh_data(b"\0\0\0\x20" + bytes(32) + data[36:])
        message = super().sign_ssh_data(data)
        if WAY == "changed":
            whole = bytearray(message.asbytes())
            whole[-1] ^= 1
            return paramiko.Message(bytes(whole))
        if WAY == "empty":
            return paramiko.Message(b"\0\0\0\x0bssh-ed25519\0\0\0\0")
        if WAY == "zeros":
            return paramiko.Message(b"\0\0\0\x0bssh-ed25519\0\0\0\x40" + bytes(64))
        return message


transport = paramiko.Transport(("127.0.0.1", PORT))
transport.start_client(timeout=20)
try:
    if WAY == "none":
        transport.auth_none("x")
    elif WAY == "password":
        transport.auth_password("x", "guess")
    else:
        transport.auth_publickey("x", Forged(filename=KEY_A))
    channel = transport.open_session(timeout=10)
    channel.exec_command("echo in")
    print(channel.recv(100).decode().strip())
except Exception as error:
    print(type(error).__name__)
