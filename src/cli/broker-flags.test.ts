import { expect, test } from 'vitest';
import { readBrokerFlags } from './broker-flags.ts';

test.each([
  ['-f s.yml', 'start -f s.yml'],
  ['--f s.yml', 'start -f s.yml'],
  ['-f=s.yml', 'start -f s.yml'],
  ['-f s.yml -watch -debug', 'start -f s.yml --watch --debug'],
  ['-watch=true -debug=false', 'start --watch'],
  ['-f s.yml -version', 'version'],
  ['--version', 'version'],
  ['-help', 'help'],
  ['-h', 'help'],
])('%s means %s', (line, meaning) => {
  expect(readBrokerFlags(line.split(' '))).toEqual({ argv: meaning.split(' '), notes: [] });
});

test('flags that have no effect are accepted with a line each', () => {
  const line = '-config-mgr configfile -p /plugins -s=sums -profile cpu -graceful-exit -f s.yml'.split(' ');
  const read = readBrokerFlags(line)!;
  expect(read.argv).toEqual(['start', '-f', 's.yml']);
  expect(read.notes.map((note) => note.split(' has no effect: ')[0])).toEqual([
    '-config-mgr',
    '-p',
    '-s',
    '-profile',
    '-graceful-exit',
  ]);
});

test('a line that begins with a command is not the broker’s', () => {
  expect(readBrokerFlags(['status', '-f'])).toBeUndefined();
  expect(readBrokerFlags([])).toBeUndefined();
});

test.each([
  ['-wach', 'did you mean -watch'],
  ['-f', 'needs a value'],
  ['-watch=maybe', 'true or false'],
  ['-debug status', 'a command comes first'],
  ['-__proto__', 'unknown option'],
])('%s is refused: %s', (line, why) => {
  expect(() => readBrokerFlags(line.split(' '))).toThrow(why);
});
