"""A server that shares no code with OpenSSH: runs commands, serves files. Prints its port.

    asyncssh_server.py <host key file> <authorized keys file>
"""

import asyncio
import sys
import warnings

warnings.simplefilter("ignore")
import asyncssh  # noqa: E402


async def run(process):
    command = process.command
    shell = await asyncio.create_subprocess_shell(
        command or "exec sh",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await process.redirect(stdin=shell.stdin, stdout=shell.stdout, stderr=shell.stderr)
    status = await shell.wait()
    await process.stdout.drain()
    if status < 0:
        process.exit_with_signal(-status)
    else:
        process.exit(status)


async def main():
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[sys.argv[1]],
        authorized_client_keys=sys.argv[2],
        process_factory=run,
        sftp_factory=True,
        allow_scp=True,
        encoding=None,
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.wait_closed()


asyncio.run(main())
