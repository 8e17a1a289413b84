"""A client with a window of 2 GiB that stops reading, or that sends more than the window allows.

    flood.py <port> <user> down|up
"""

import sys
import time

import paramiko
from paramiko.common import cMSG_CHANNEL_DATA

PORT, USER, WAY = int(sys.argv[1]), sys.argv[2], sys.argv[3]

transport = paramiko.Transport(("127.0.0.1", PORT))
transport.start_client(timeout=20)
transport.auth_none(USER)
channel = transport.open_session(window_size=2**31 - 1, max_packet_size=2**15)
if WAY == "down":
    channel.exec_command("cat /dev/zero")
    channel.recv(1)
    print("going", flush=True)
    # Whoever runs this stops the process here.
    time.sleep(60)
else:
    channel.exec_command("sleep 60")
    print("going", flush=True)
    data = bytes(32000)
    while True:
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_DATA)
        message.add_int(channel.remote_chanid)
        message.add_string(data)
        transport._send_user_message(message)
