import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Secret } from '../credential/secret.ts';
import { openLog, type LogLevel } from './log.ts';

function openRecordedLog(level: LogLevel, isTTY = false) {
  const lines: string[] = [];
  return { lines, log: openLog({ level, stream: { write: (line) => lines.push(line), isTTY } }) };
}

function only(lines: readonly string[]): Record<string, unknown> {
  expect(lines).toHaveLength(1);
  return JSON.parse(lines[0]!) as Record<string, unknown>;
}

test('an event is one JSON line with level, time and message', () => {
  const { lines, log } = openRecordedLog('info');
  log.info({ service: 'github' }, 'listening');
  expect(lines[0]).toMatch(/\n$/);
  expect(only(lines)).toEqual({
    level: 'info',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    service: 'github',
    message: 'listening',
  });
});

test('an event below the level is not written', () => {
  const { lines, log } = openRecordedLog('warn');
  log.debug({}, 'no');
  log.info({}, 'no');
  log.warn({}, 'yes');
  expect(only(lines)['message']).toBe('yes');
});

test('a child adds its fields to each line', () => {
  const { lines, log } = openRecordedLog('info');
  log.child({ connection: 'c1' }).child({ service: 'github' }).info({ status: 200 }, 'ended');
  expect(only(lines)).toMatchObject({ connection: 'c1', service: 'github', status: 200 });
});

test('a field stands once in a line, as whoever wrote the line says it', () => {
  const { lines, log } = openRecordedLog('info');
  log.child({ status: 100 }).info({ status: 200 }, 'ended');
  expect(lines[0]!.match(/"status"/g)).toHaveLength(1);
  expect(only(lines)).toMatchObject({ status: 200 });
});

test('a secret among the fields of a child is masked', () => {
  const { lines, log } = openRecordedLog('info');
  log.child({ token: new Secret('canary') }).info({ password: new Secret('canary') }, 'lent');
  expect(lines[0]).not.toContain('canary');
  expect(only(lines)).toMatchObject({ token: '[secret]', password: '[secret]' });
});

test('a field cannot take the place of the level, the time or the message', () => {
  const { lines, log } = openRecordedLog('info');
  log.info({ level: 'debug', message: 'forged', time: 0 }, 'true');
  expect(only(lines)).toMatchObject({ level: 'info', message: 'true', _level: 'debug', _message: 'forged', _time: 0 });
  expect(lines[0]!.match(/"message"/g)).toHaveLength(1);
});

test.each([false, true])('any text stays within one line (terminal: %s)', (isTTY) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (value, message) => {
      const { lines, log } = openRecordedLog('info', isTTY);
      log.info({ value: `\r\n\u0085\u2028\u001b${value}` }, `\n${message}`);
      expect(lines).toHaveLength(1);

      expect(lines[0]!.slice(0, -1)).not.toMatch(/[\n\r\u0085\u2028\u2029]/);
    }),
  );
});

test('a terminal shows short text', () => {
  const { lines, log } = openRecordedLog('info', true);
  log.warn({ service: 'github', error: new Error('no way') }, 'refused');
  const plain = lines[0]!.replaceAll(/\u001b\[\d+m/g, ''); // eslint-disable-line no-control-regex -- colours
  expect(plain).toMatch(/^[\d:.]{12} warn {2}refused service=github error\.detail="no way"\n$/);
});

test('a value cannot send commands to the terminal', () => {
  const { lines, log } = openRecordedLog('info', true);
  log.info({ value: 'a\u001b[2J' }, '\u009b2J');
  expect(lines[0]).not.toMatch(/[\u001b\u009b]/); // eslint-disable-line no-control-regex -- escape sequences
});

test('the level can be changed while the log is open', () => {
  const lines: string[] = [];
  const log = openLog({ level: 'info', stream: { write: (line) => lines.push(line) } });
  log.limit('error');
  log.info({}, 'not written');
  log.error({}, 'written');
  expect(lines).toHaveLength(1);
});

test('the level of a log is that of its children', () => {
  const { lines, log } = openRecordedLog('info');
  const child = log.child({ connection: 'c1' });
  log.limit('debug');
  child.debug({}, 'written');
  log.limit('error');
  child.warn({}, 'not written');
  expect(only(lines)['message']).toBe('written');
});
