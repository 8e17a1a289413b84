"""One client of asyncssh's: reads what to do as JSON, prints what came of it as JSON."""

import asyncio
import json
import os
import sys
import warnings

warnings.simplefilter("ignore")
import asyncssh  # noqa: E402


async def files(connection, remote):
    content = os.urandom(1_500_000)
    async with connection.start_sftp_client() as sftp:
        await sftp.mkdir(remote)
        async with sftp.open(remote + "/a", "wb") as file:
            await file.write(content)
        async with sftp.open(remote + "/a", "rb") as file:
            back = await file.read()
        names = await sftp.listdir(remote)
    return [back == content, sorted(name for name in names if name not in (".", ".."))]


async def main():
    door = json.load(sys.stdin)
    key_file = door.get("keyFile")
    options = {
        "username": door["user"],
        "known_hosts": ([asyncssh.import_public_key(door["hostKey"])], [], []),
        "client_keys": [] if key_file is None else [key_file],
        "agent_path": None,
        "config": None,
        # New keys in the middle.
        "rekey_bytes": 1 << 20,
    }
    async with asyncssh.connect("127.0.0.1", door["port"], **options) as connection:
        data = os.urandom(3_000_000)
        ran = await connection.run("cat; echo over >&2; exit 5", input=data, encoding=None)
        killed = await connection.run("ulimit -c 0; kill -TERM $$")
        at_once = await asyncio.gather(*(connection.run(f"sleep .1; echo {n}; exit {n}") for n in range(5)))
        result = {
            "ran": [ran.exit_status, ran.stdout == data, ran.stderr.decode()],
            "killed": [killed.exit_signal[0] if killed.exit_signal else None, killed.exit_status],
            "atOnce": [[each.exit_status, each.stdout] for each in at_once],
            "files": await files(connection, door["remote"]),
        }
    json.dump(result, sys.stdout)


asyncio.run(main())
