import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSource } from '../../credential/source.ts';
import { SidecarError } from '../../error.ts';
import { Grant } from '../../policy/request.ts';
import { exec } from './index.ts';

const never = new AbortController().signal;
const NODE = process.execPath;

type Options = Parameters<typeof exec.open>[0];

async function print(script: string, options: Options = {}): Promise<string> {
  const { secret } = await exec.open({ command: [NODE, '-e', script], ...options }).fetch('', never);
  return secret.expose((bytes) => bytes.toString());
}

async function errorOf(promise: Promise<unknown>): Promise<SidecarError> {
  const thrown = await promise.then(() => undefined).catch((error: unknown) => error);
  if (thrown instanceof SidecarError) return thrown;
  throw new Error('expected a SidecarError', { cause: thrown });
}

describe('what a command prints', () => {
  it('is the value, less one newline at its end', async () => {
    expect(await print('process.stdout.write("token\\n")')).toBe('token');
    expect(await print('process.stdout.write("token\\r\\n")')).toBe('token');
    expect(await print('process.stdout.write(" a\\nb\\n\\n")')).toBe(' a\nb\n');
  });

  it('is fetched by the plain provider with the whole command as id', async () => {
    const { secret, retained } = await exec.open({}).fetch('printf "%s" "a  b"', never);
    expect(secret.expose((bytes) => bytes.toString())).toBe('a  b');
    expect(retained).not.toBe(true);
  });

  it('is asked for with the id as one argument, whatever a shell would make of it', async () => {
    const id = '$(touch x); `y` "z" {} \' * \\';
    const { secret } = await exec.open({ command: ['printf', '%s'] }).fetch(id, never);
    expect(secret.expose((bytes) => bytes.toString())).toBe(id);
  });

  it('may be as long as the limit and no byte longer', async () => {
    expect(await print('process.stdout.write("x".repeat(1024))', { outputBytes: '1KiB' })).toHaveLength(1024);
    const error = await errorOf(print('process.stdout.write("x".repeat(1025))', { outputBytes: 1024 }));
    expect(error.code).toBe('credential-unavailable');
    expect(error.detail).toContain('1024 bytes');
  });

  it('may not be nothing, since that would be sent as an empty credential', async () => {
    expect((await errorOf(print(''))).code).toBe('credential-missing');
    expect((await errorOf(print('console.log()'))).code).toBe('credential-missing');
  });
});

describe('the surroundings of a command', () => {
  beforeEach(() => {
    process.env['SECRETLESS_TEST_PASSED'] = 'yes';
    process.env['SECRETLESS_TEST_KEPT'] = 'canary';
  });
  afterEach(() => {
    delete process.env['SECRETLESS_TEST_PASSED'];
    delete process.env['SECRETLESS_TEST_KEPT'];
  });

  it('hold PATH, HOME, LANG, TMPDIR and the named variables alone', async () => {
    const allowed = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'SECRETLESS_TEST_PASSED'];
    const shown = await print('process.stdout.write(JSON.stringify(process.env))', {
      environment: ['SECRETLESS_TEST_PASSED', 'SECRETLESS_TEST_UNSET'],
    });
    const names = Object.keys(JSON.parse(shown) as object).filter((name) => !name.startsWith('__CF'));
    expect(names.filter((name) => !allowed.includes(name))).toEqual([]);
    expect(names).toContain('SECRETLESS_TEST_PASSED');
  });

  it('have an empty stdin, so that a tool which asks ends', async () => {
    expect(await print('process.stdin.resume().on("end", () => console.log("ended"))')).toBe('ended');
  });
});

/** A script that complains of `text` and ends with 3, and whose own text shares nothing with it. */
function complaining(text: string): string {
  const hex = Buffer.from(text).toString('hex');
  return `process.stderr.write(Buffer.from("${hex}", "hex")); process.exitCode = 3`;
}

describe('a command that fails', () => {
  it('says its exit code and the beginning of its complaint on one line', async () => {
    const text = `not\u0007 logged\nin ${'x'.repeat(500)}`;
    const error = await errorOf(print(complaining(text)));
    expect(error.code).toBe('credential-unavailable');
    expect(error.detail).toMatch(/^the tool ended with code 3: not logged in x+$/);
    expect(error.detail!.length).toBeLessThan(240);
  });

  it('never says a complaint that repeats what was printed, whole or in part', async () => {
    for (const complaint of ['got canary-5f1c9e', '{"token":"canary-5f1c9e"}', 'x'.repeat(190) + 'canary-5f1c9e']) {
      for (const printed of ['canary-5f1c9e', '{"token": "canary-5f1c9e"}']) {
        const script = `console.log(${JSON.stringify(printed)}); console.error(${JSON.stringify(complaint)}); process.exitCode = 1`;
        const error = await errorOf(print(script));
        expect(inspect(error, { depth: null })).not.toContain('canary');
        expect(error.detail).toContain('left out');
      }
    }
  });

  it('never says a complaint that shares six characters in a row with an argument', async () => {
    const said = async (complaint: string, id: string) =>
      (await errorOf(exec.open({ command: [NODE, '-e', complaining(complaint)] }).fetch(id, never))).detail;
    expect(await said('cannot log in with canary-5f1c9e', 'canary-5f1c9e')).toContain('left out');
    expect(await said('bad password "anary-5"', 'canary-5f1c9e')).toContain('left out');
    expect(await said('bad password: can\nary-5', 'canary-5f1c9e')).toContain('left out');
    expect(await said(`${'x'.repeat(197)}canary-5f1c9e`, 'canary-5f1c9e')).toContain('left out');
    expect(await said('bad password: canar', 'canary-5f1c9e')).toContain('bad password: canar');
  });

  it('never says a complaint that shares six characters in a row with a variable it was given', async () => {
    process.env['SECRETLESS_TEST_TOKEN'] = 'canary-5f1c9e';
    try {
      const options = { environment: ['SECRETLESS_TEST_TOKEN'] };
      expect((await errorOf(print(complaining('no such token: canary-5'), options))).detail).toContain('left out');
    } finally {
      delete process.env['SECRETLESS_TEST_TOKEN'];
    }
  });

  it('is told apart when a signal ended it', async () => {
    expect((await errorOf(print('process.kill(process.pid, "SIGTERM")'))).detail).toContain('signal');
  });

  it('is a missing tool where there is no such program', async () => {
    const error = await errorOf(exec.open({}).fetch('no-such-tool-at-all token', never));
    expect(error.code).toBe('provider-tool-missing');
    expect(error.detail).toContain('no-such-tool-at-all');
  });

  it('is unavailable where the file is no program', async () => {
    expect((await errorOf(exec.open({}).fetch('/etc/passwd', never))).code).toBe('credential-unavailable');
  });

  it('does not put an assignment in the place of the program in the error', async () => {
    const error = await errorOf(exec.open({}).fetch('PASSWORD=canary-5f1c9e tool', never));
    expect(inspect(error, { depth: null })).not.toContain('canary');
  });

  it('does not put an argument in the error', async () => {
    const error = await errorOf(exec.open({ command: ['no-such-tool', '--key', 'canary-5f1c9e'] }).fetch('x', never));
    expect(inspect(error, { depth: null })).not.toContain('canary');
  });
});

describe('ending a command', () => {
  let folder: string;
  let server: Server;
  let path: string;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'exec-provider-'));
    path = join(folder, 's');
    server = createServer().listen(path);
    await once(server, 'listening');
  });
  afterEach(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });

  /** A shell whose child holds a connection to the test: it closes when the child dies, and not before. */
  function commandWithChild(): string[] {
    const child = `require("net").connect(${JSON.stringify(path)}).on("connect", () => console.log("begun")); setInterval(() => 0, 1000)`;
    return ['sh', '-c', `"$0" -e '${child}' & wait`, NODE];
  }

  it('an abort ends it at once, with all that it started', async () => {
    const abort = new AbortController();
    const fetching = exec.open({ command: commandWithChild() }).fetch('', abort.signal);
    const [connection] = (await once(server, 'connection')) as [Socket];
    const closed = once(connection.resume(), 'close');
    const reason = new Error('gone');
    abort.abort(reason);
    await expect(fetching).rejects.toBe(reason);
    await closed;
  });

  it('its timeout ends it, with all that it started', async () => {
    const fetching = errorOf(exec.open({ command: commandWithChild(), timeout: '1500ms' }).fetch('', never));
    const [connection] = (await once(server, 'connection')) as [Socket];
    const closed = once(connection.resume(), 'close');
    expect((await fetching).code).toBe('credential-timeout');
    await closed;
  });

  it('too much output ends it', async () => {
    const script = 'setInterval(() => process.stdout.write("x".repeat(65536)), 0)';
    expect((await errorOf(print(script, { outputBytes: 1024 }))).code).toBe('credential-unavailable');
  });

  it('a process that it leaves behind does not keep the value back', async () => {
    const child = `require("net").connect(${JSON.stringify(path)}).on("close", () => process.exit()); setInterval(() => 0, 1000)`;
    const connected = once(server, 'connection') as Promise<[Socket]>;
    const command = ['sh', '-c', `"$0" -e '${child}' & echo token`, NODE];
    const { secret } = await exec.open({ command }).fetch('', never);
    expect(secret.expose((bytes) => bytes.toString())).toBe('token');
    const [connection] = await connected;
    connection.destroy(); // which ends the process
  });

  it('a signal that has aborted starts nothing', async () => {
    await expect(
      exec.open({}).fetch(`touch ${join(folder, 'x')}`, AbortSignal.abort(new Error('gone'))),
    ).rejects.toThrow('gone');
  });
});

describe('an id', () => {
  it('is a command for the plain provider and anything for a named one', () => {
    expect(exec.checkId!('gh auth token')).toBeUndefined();
    expect(exec.checkId!('gh "auth')).toContain('not closed');
    expect(exec.checkId!('gh | cat')).toContain('no shell');
    expect(exec.checkId!("it's | mine", { command: ['op', 'read'] })).toBeUndefined();
  });

  it('may be named in an error up to its first word, and not at all for a named store', () => {
    const nameable = (id: string, options: Options = {}) => exec.open(options).nameableId!(id);
    expect(nameable('false --password canary')).toBe('false');
    expect(nameable('"/opt/a b/tool" canary')).toBe('/opt/a b/tool');
    expect(nameable('PASSWORD=canary tool')).toBeUndefined();
    expect(nameable('tool "canary')).toBeUndefined();
    expect(nameable('canary', { command: ['op', 'read'] })).toBeUndefined();
  });

  it.each<[string, Options]>([
    ['false --password canary-5f1c9e', {}],
    ['no-such-tool --password canary-5f1c9e', {}],
    ['tool | canary-5f1c9e', {}],
    ['canary-5f1c9e', { command: ['false'] }],
  ])('%j of %j is in no error of the source that leases it', async (id, options) => {
    const source = openSource({
      service: 'api',
      references: { password: { from: 'tool', get: id } },
      store: () => exec.open(options),
      cacheSeconds: 0,
      timeoutSeconds: 5,
    });
    const principal = { agent: 'agent', attested: 'listener' } as const;
    const grant = Grant.issue({ service: 'api', connector: 'http', principal, facts: {} }, undefined);
    const error = await errorOf(source.lease(grant, never));
    expect(inspect(error, { depth: null })).not.toContain('canary');
    expect(error.detail).toContain('credential "password" (provider "tool"');
    await source.close();
  });
});
