"""A server that shares no code with OpenSSH: runs commands, serves files. Prints its port.

    asyncssh_server.py <host key file> <authorized keys file>
"""

import asyncio
import signal
import sys
import warnings

warnings.simplefilter("ignore")
import asyncssh  # noqa: E402


async def copy(source, target):
    while data := await source.read(65536):
        target.write(data)
        await target.drain()


async def feed(process, shell):
    try:
        await copy(process.stdin, shell.stdin)
        shell.stdin.close()
    except (BrokenPipeError, ConnectionResetError):
        pass  # it reads no more input


async def run(process):
    # Not `process.redirect`: it still copies when the status has closed the channel.
    shell = await asyncio.create_subprocess_shell(
        process.command or "exec sh",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    feeding = asyncio.create_task(feed(process, shell))
    await asyncio.gather(copy(shell.stdout, process.stdout), copy(shell.stderr, process.stderr))
    status = await shell.wait()
    feeding.cancel()
    if status < 0:
        process.exit_with_signal(signal.Signals(-status).name[3:])
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
