import { describe, expect, test } from 'vitest';
import { SidecarError } from '../error.ts';
import { parseHost } from '../http/authority.ts';
import { openGuard, type GuardMode, type GuardOptions } from './guard.ts';
import { openGuardedDialer } from './guarded-dialer.ts';

const signal = new AbortController().signal;

/** A resolver that has these answers for any name, one after the other, and counts. */
function resolver(...answers: (readonly string[])[]) {
  const asked: string[] = [];
  const lookup = async (host: string) => {
    asked.push(host);
    return answers[Math.min(asked.length, answers.length) - 1]!.map((address) => ({ address }));
  };
  return { asked, lookup };
}

function guardWith(options: Partial<GuardOptions> = {}) {
  return openGuard({ deny: [], reach: [], resolve: {}, ...options });
}

/** What is dialled for a host as somebody wrote it, and the code that it ends with. */
async function dialled(
  written: string,
  options: Partial<GuardOptions> & { mode?: GuardMode; guarded?: boolean } = {},
): Promise<{ dials: string[]; code: string }> {
  const { mode = 'passed', guarded = true, ...rest } = options;
  const dials: string[] = [];
  const guard = guardWith(rest);
  const off = { ...guard, addresses: async (host: string) => (await rest.lookup!(host)).map(({ address }) => address) };
  const dialer = openGuardedDialer({
    guard: guarded ? guard : off,
    mode,
    connectSeconds: 5,
    connect: async ({ host }) => {
      dials.push(host);
      throw new SidecarError('upstream-unreachable');
    },
  });
  const dial = async (): Promise<unknown> => dialer.dial(guarded ? parseHost(written) : written, 443, signal);
  const code = await dial().then(
    () => 'connected',
    (error: unknown) => (error instanceof SidecarError ? error.code : String(error)),
  );
  return { dials, code };
}

/** Literals and what resolvers make of them: as text that somebody sends, and the address it would lead to. */
const WRITTEN: readonly (readonly [string, string])[] = [
  ['127.0.0.1', '127.0.0.1'],
  ['127.0.0.53', '127.0.0.53'],
  ['127.1', '127.0.0.1'],
  ['127.0.1', '127.0.0.1'],
  ['2130706433', '127.0.0.1'],
  ['0x7f000001', '127.0.0.1'],
  ['0x7f.0.0.1', '127.0.0.1'],
  ['0x7f.1', '127.0.0.1'],
  ['0177.0.0.1', '127.0.0.1'],
  ['017700000001', '127.0.0.1'],
  ['127.0.0.01', '127.0.0.1'],
  ['127.000.000.001', '127.0.0.1'],
  ['127.0.0.0x1', '127.0.0.1'],
  ['127.0.0.1.', '127.0.0.1'],
  ['0', '0.0.0.0'],
  ['0.0.0.0', '0.0.0.0'],
  ['0.0.0.1', '0.0.0.1'],
  ['[::]', '::'],
  ['[::1]', '::1'],
  ['[0:0:0:0:0:0:0:1]', '::1'],
  ['[0000:0000:0000:0000:0000:0000:0000:0001]', '::1'],
  ['[::ffff:127.0.0.1]', '127.0.0.1'],
  ['[::ffff:7f00:1]', '127.0.0.1'],
  ['[0:0:0:0:0:FFFF:7F00:0001]', '127.0.0.1'],
  ['[::127.0.0.1]', '127.0.0.1'],
  ['[::ffff:0:127.0.0.1]', '127.0.0.1'],
  ['[64:ff9b::127.0.0.1]', '127.0.0.1'],
  ['[64:ff9b:1::127.0.0.1]', '127.0.0.1'],
  ['[2002:7f00:1::]', '127.0.0.1'],
  ['[2001:0:4136:e378:8000:63bf:80ff:fffe]', '127.0.0.1'],
  ['[2606:4700::5efe:127.0.0.1]', '127.0.0.1'],
  ['[::1%lo]', '::1'],
  ['[fe80::1%25eth0]', 'fe80::1'],
  ['[fe80::1%eth0]', 'fe80::1'],
  ['[fe80::1]', 'fe80::1'],
  ['::1', '::1'],
  ['169.254.169.254', '169.254.169.254'],
  ['2852039166', '169.254.169.254'],
  ['0xa9fea9fe', '169.254.169.254'],
  ['0xa9.0xfe.0xa9.0xfe', '169.254.169.254'],
  ['0251.0376.0251.0376', '169.254.169.254'],
  ['169.254.43518', '169.254.169.254'],
  ['169.16689662', '169.254.169.254'],
  ['425.510.425.510', '169.254.169.254'],
  ['[::ffff:169.254.169.254]', '169.254.169.254'],
  ['[::ffff:a9fe:a9fe]', '169.254.169.254'],
  ['[64:ff9b::a9fe:a9fe]', '169.254.169.254'],
  ['[2002:a9fe:a9fe::1]', '169.254.169.254'],
  ['[fd00:ec2::254]', 'fd00:ec2::254'],
  ['[fd20:ce::254]', 'fd20:ce::254'],
  ['100.100.100.200', '100.100.100.200'],
  ['168.63.129.16', '168.63.129.16'],
  ['169.254.170.2', '169.254.170.2'],
  ['192.0.0.192', '192.0.0.192'],
  ['10.0.0.1', '10.0.0.1'],
  ['10.1', '10.0.0.1'],
  ['012.1.2.3', '10.1.2.3'],
  ['172.16.0.1', '172.16.0.1'],
  ['192.168.0.1', '192.168.0.1'],
  ['192.168.257', '192.168.1.1'],
  ['100.64.0.1', '100.64.0.1'],
  ['[fd00::1]', 'fd00::1'],
  ['[fc00::1]', 'fc00::1'],
  ['[fec0::1]', 'fec0::1'],
  ['224.0.0.1', '224.0.0.1'],
  ['[ff02::1]', 'ff02::1'],
  ['255.255.255.255', '255.255.255.255'],
  ['240.0.0.1', '240.0.0.1'],
  ['127。0。0。1', '127.0.0.1'],
  ['127．0．0．1', '127.0.0.1'],
  ['１２７.0.0.1', '127.0.0.1'],
  ['①②⑦.⓪.⓪.①', '127.0.0.1'],
  ['𝟏𝟐𝟕.𝟎.𝟎.𝟏', '127.0.0.1'],
  ['١٢٧.٠.٠.١', '127.0.0.1'],
  ['ⓛocalhost', '127.0.0.1'],
  ['ｌｏｃａｌｈｏｓｔ', '127.0.0.1'],
  ['localhoſt', '127.0.0.1'],
  ['localhost', '127.0.0.1'],
  ['LOCALHOST', '127.0.0.1'],
  ['app.localhost', '127.0.0.1'],
  ['localhost.', '127.0.0.1'],
  ['xn--localhost-', '127.0.0.1'],
  ['localhost\0.example.com', '127.0.0.1'],
  ['127.0.0.1%2eexample.com', '127.0.0.1'],
  ['user@127.0.0.1', '127.0.0.1'],
  ['127.0.0.1#.example.com', '127.0.0.1'],
  ['127.0.0.1\\.example.com', '127.0.0.1'],
];

/** Names, and what the resolver says. */
const NAMES: readonly (readonly [string, readonly string[]])[] = [
  ['metadata.google.internal', ['169.254.169.254']],
  ['metadata', ['169.254.169.254']],
  ['instance-data.ec2.internal', ['169.254.169.254']],
  ['xn--lcalhost-8tb', ['127.0.0.1']],
  ['localtest.me', ['127.0.0.1']],
  ['127.0.0.1.nip.io', ['127.0.0.1']],
  ['spoofed.burpcollaborator.net', ['::1']],
  ['mapped.example', ['::ffff:169.254.169.254']],
  ['nat64.example', ['64:ff9b::a00:1']],
  ['zone.example', ['fe80::1%eth0']],
  ['odd.example', ['127.1']],
  ['empty.example', ['']],
  ['good-then-bad.example', ['93.184.216.34', '10.0.0.1']],
  ['bad-then-good.example', ['10.0.0.1', '93.184.216.34']],
  ['six-and-four.example', ['2606:4700::1', '192.168.1.1']],
  ['many.example', Array.from({ length: 65 }, (_, at) => `93.184.216.${at}`)],
];

describe('of hosts that an agent chose', () => {
  test('there are more than 80 forms', () => {
    expect(WRITTEN.length + NAMES.length).toBeGreaterThan(80);
  });

  test.each(WRITTEN)('%j is never dialled, and never asked a resolver for', async (written, address) => {
    const { asked, lookup } = resolver([address]);
    const { dials, code } = await dialled(written, { lookup });
    expect(dials).toEqual([]);
    expect(asked).toEqual([]);
    expect(['address-refused', 'request-malformed']).toContain(code);
  });

  test.each(WRITTEN)('%j would be dialled if nobody looked', async (written, address) => {
    expect((await dialled(written, { lookup: resolver([address]).lookup, guarded: false })).dials).toEqual([address]);
  });

  test.each(NAMES)('%s is not dialled', async (name, addresses) => {
    const { asked, lookup } = resolver(addresses);
    expect(await dialled(name, { lookup })).toEqual({ dials: [], code: 'address-refused' });
    expect(asked).toEqual([name]);
    expect((await dialled(name, { lookup, guarded: false })).dials.length).toBeGreaterThan(0);
  });

  test('what is public is dialled, at every address it has', async () => {
    const { lookup } = resolver(['93.184.216.34', '2606:4700::1']);
    expect((await dialled('example.com', { lookup })).dials).toEqual(['93.184.216.34', '2606:4700::1']);
    expect((await dialled('8.8.8.8')).dials).toEqual(['8.8.8.8']);
    expect((await dialled('[2606:4700:0::1]')).dials).toEqual(['2606:4700::1']);
  });

  test('a name is asked for once: a second answer is never heard of', async () => {
    const { asked, lookup } = resolver(['93.184.216.34'], ['169.254.169.254']);
    expect((await dialled('rebind.example', { lookup })).dials).toEqual(['93.184.216.34']);
    expect(asked).toEqual(['rebind.example']);
  });
});

describe('of the target of a service', () => {
  const service = (written: string, ...addresses: string[]) =>
    dialled(written, { mode: 'service', lookup: resolver(addresses).lookup });

  test('literals are dialled as they are written', async () => {
    for (const address of ['127.0.0.1', '10.0.0.1', '169.254.169.254', '::1', '::ffff:7f00:1']) {
      const written = address.includes(':') ? `[${address}]` : address;
      expect((await service(written)).dials).toEqual([address]);
    }
  });

  test('localhost and names under it lead to this machine, and nowhere worse', async () => {
    expect((await service('localhost', '::1', '127.0.0.1')).dials).toEqual(['::1', '127.0.0.1']);
    expect((await service('app.localhost', '127.0.0.1')).dials).toEqual(['127.0.0.1']);
    expect(await service('localhost', '169.254.169.254')).toEqual({ dials: [], code: 'address-refused' });
  });

  test.each(['10.0.0.1', '172.16.0.1', '192.168.0.1', '100.64.0.1', 'fd00::1', '93.184.216.34'])(
    'a name may lead to %s',
    async (address) => {
      expect((await service('db.internal', address)).dials).toEqual([address]);
    },
  );

  test.each([
    '127.0.0.1',
    '::1',
    '::ffff:127.0.0.1',
    '169.254.1.1',
    'fe80::1',
    '169.254.169.254',
    'fd00:ec2::254',
    '100.100.100.200',
    '168.63.129.16',
    '0.0.0.0',
    '224.0.0.1',
    '64:ff9b::7f00:1',
    '255.255.255.255',
  ])('a name never leads to %s', async (address) => {
    expect(await service('db.internal', address)).toEqual({ dials: [], code: 'address-refused' });
    expect(await service('db.internal', '93.184.216.34', address)).toEqual({ dials: [], code: 'address-refused' });
  });
});

describe('what the operator says', () => {
  const toName = async (address: string, options: Partial<GuardOptions>, mode: GuardMode = 'passed') =>
    (await dialled('a.example', { ...options, mode, lookup: resolver([address]).lookup })).code === 'address-refused'
      ? 'refused'
      : 'dialled';

  test('`deny` closes what is open, for services too', async () => {
    const deny = ['93.184.0.0/16', '10.1.0.0/16'];
    expect(await toName('93.184.216.34', { deny })).toBe('refused');
    expect(await toName('93.184.216.34', { deny }, 'service')).toBe('refused');
    expect(await toName('10.1.0.1', { deny }, 'service')).toBe('refused');
    expect(await toName('10.2.0.1', { deny }, 'service')).toBe('dialled');
    expect(await toName('64:ff9b::5db8:d822', { deny })).toBe('refused');
  });

  test('`reach` opens what it names, in every form, and literals of agents too', async () => {
    const reach = ['10.0.0.0/8', '127.0.0.1'];
    expect(await toName('10.1.2.3', { reach })).toBe('dialled');
    expect(await toName('::ffff:10.1.2.3', { reach })).toBe('dialled');
    expect(await toName('64:ff9b::a01:203', { reach })).toBe('dialled');
    expect(await toName('127.0.0.1', { reach })).toBe('dialled');
    expect(await toName('127.0.0.2', { reach })).toBe('refused');
    expect(await toName('192.168.0.1', { reach })).toBe('refused');
    expect((await dialled('10.1.2.3', { reach })).dials).toEqual(['10.1.2.3']);
  });

  test('the narrower block decides, and of two equal ones `deny`', async () => {
    expect(await toName('10.1.0.1', { deny: ['10.1.0.0/16'], reach: ['10.0.0.0/8'] })).toBe('refused');
    expect(await toName('10.1.0.1', { deny: ['10.0.0.0/8'], reach: ['10.1.0.0/16'] })).toBe('dialled');
    expect(await toName('10.1.0.1', { deny: ['10.0.0.0/8'], reach: ['10.0.0.0/8'] })).toBe('refused');
    expect(await toName('8.8.8.8', { deny: ['0.0.0.0/0'], reach: ['8.8.8.0/24'] })).toBe('dialled');
    expect(await toName('9.9.9.9', { deny: ['0.0.0.0/0'], reach: ['8.8.8.0/24'] })).toBe('refused');
  });

  test('a wide `reach` never opens what is narrower in the built-in set', async () => {
    expect(await toName('169.254.1.1', { reach: ['169.254.0.0/16'] })).toBe('dialled');
    expect(await toName('169.254.169.254', { reach: ['169.254.0.0/16'] })).toBe('refused');
    expect(await toName('100.100.100.200', { reach: ['100.64.0.0/10'] })).toBe('refused');
    expect(await toName('127.0.0.1', { reach: ['0.0.0.0/0', '::/0'] })).toBe('refused');
    expect(await toName('169.254.169.254', { reach: ['169.254.169.254'] })).toBe('dialled');
  });

  test('`resolve` is taken at its word, and no resolver is asked', async () => {
    const { asked, lookup } = resolver(['93.184.216.34']);
    const resolve = { 'a.example': '127.0.0.1', 'b.example': '[::1]' };
    expect((await dialled('a.example', { resolve, lookup, deny: ['127.0.0.0/8'] })).dials).toEqual(['127.0.0.1']);
    expect((await dialled('b.example', { resolve, lookup })).dials).toEqual(['::1']);
    expect(asked).toEqual([]);
  });

  test('what is no address or block is refused at opening', () => {
    expect(() => guardWith({ deny: ['10.0.0.0/33'] })).toThrow(SidecarError);
    expect(() => guardWith({ reach: ['private'] })).toThrow(SidecarError);
    expect(() => guardWith({ resolve: { 'a.example': 'b.example' } })).toThrow('resolve: a.example has no IP address');
  });
});

test('a refusal says in the log which class and block it was, and nothing of it to the downstream', async () => {
  const refusal = await guardWith({ lookup: resolver(['10.0.0.1']).lookup })
    .addresses('a.example', 'passed', signal)
    .catch((error: unknown) => error as SidecarError);
  expect(refusal).toMatchObject({
    code: 'address-refused',
    detail: 'a.example leads to 10.0.0.1: private, 10.0.0.0/8',
  });
  expect((refusal as SidecarError).sentence).not.toMatch(/10\.|example/);
});

describe('a resolver', () => {
  test('that has no address, or fails, is an upstream that cannot be reached', async () => {
    expect((await dialled('a.example', { lookup: resolver([]).lookup })).code).toBe('upstream-unreachable');
    const failing = () => Promise.reject(Object.assign(new Error('x'), { code: 'ENOTFOUND' }));
    await expect(guardWith({ lookup: failing }).addresses('a.example', 'passed', signal)).rejects.toMatchObject({
      code: 'upstream-unreachable',
      detail: 'a.example: lookup: ENOTFOUND',
    });
  });

  test('that never answers is not waited for once the signal has ended', async () => {
    const controller = new AbortController();
    const waiting = guardWith({ lookup: () => new Promise(() => undefined) }).addresses(
      'a.example',
      'passed',
      controller.signal,
    );
    controller.abort(new SidecarError('grant-ended'));
    await expect(waiting).rejects.toMatchObject({ code: 'grant-ended' });
  });

  test("is the system's by default", async () => {
    const addresses = await guardWith().addresses('localhost', 'service', signal);
    expect(addresses.every((address) => address === '::1' || address.startsWith('127.'))).toBe(true);
    await expect(guardWith().addresses('localhost', 'passed', signal)).rejects.toMatchObject({
      code: 'address-refused',
    });
  });
});
