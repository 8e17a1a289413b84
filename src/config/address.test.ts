import { describe, expect, test } from 'vitest';
import { collides, parseAddress } from './address.ts';
import { formatListenAddress, type ListenAddress } from './config.ts';

function read(text: string): string {
  const parsed = parseAddress(text);
  if ('problem' in parsed) return `! ${parsed.problem}`;
  return `${formatListenAddress(parsed.address)}${parsed.warning === undefined ? '' : ' +'}`;
}

describe('an address to listen on', () => {
  test.each([
    ['tcp://127.0.0.1:80', 'tcp://127.0.0.1:80'],
    ['tcp://127.9.9.9:80', 'tcp://127.9.9.9:80'],
    ['tcp://localhost:0', 'tcp://127.0.0.1:0'],
    ['tcp6://localhost:1', 'tcp://[::1]:1'],
    ['tcp://[0:0:0:0:0:0:0:1]:1', 'tcp://[::1]:1'],
    ['tcp4://127.0.0.1:1', 'tcp://127.0.0.1:1'],
    ['tcp://:8080', 'tcp://127.0.0.1:8080 +'],
    ['tcp://0.0.0.0:8080', 'tcp://0.0.0.0:8080 +'],
    ['tcp://[::]:8080', 'tcp://[::]:8080 +'],
    ['tcp://box.internal:8080', 'tcp://box.internal:8080 +'],
    ['unix:///run/a.sock', 'unix:///run/a.sock'],
    ['unix://a.sock', 'unix://a.sock +'],
  ])('%s is %s', (text, expected) => {
    expect(read(text)).toBe(expected);
  });

  test.each([
    '',
    '8080',
    '127.0.0.1:8080',
    'tcp://127.0.0.1',
    'tcp://127.0.0.1:65536',
    'tcp://127.0.0.1:-1',
    'tcp://127.0.0.1:80/x',
    'tcp://1.2.3:80',
    'tcp://::1:80',
    'tcp://[127.0.0.1]:80',
    'tcp://[fe80::1%eth0]:80',
    'tcp4://[::1]:80',
    'tcp6://127.0.0.1:80',
    'tcp://a b:80',
    'tcp://127.0.0.1:80\n',
    'udp://127.0.0.1:53',
    'unixpacket:///x',
    'unix://',
    'unix:///dir/',
    'unix:///a\nb',
    `unix:///${'x'.repeat(120)}`,
  ])('%j is refused', (text) => {
    expect(read(text)).toMatch(/^! /);
  });

  test.each([
    ['tcp://0.0.0.0:1', 'tcp://127.0.0.1:1', true],
    ['tcp://127.0.0.1:1', 'tcp://0.0.0.0:1', true],
    ['tcp://[::]:1', 'tcp://127.0.0.1:1', true],
    ['tcp://[::]:1', 'tcp://0.0.0.0:1', true],
    ['tcp://0.0.0.0:1', 'tcp://[::1]:1', false],
    ['tcp://127.0.0.1:1', 'tcp://127.0.0.2:1', false],
    ['tcp://0.0.0.0:1', 'tcp://127.0.0.1:2', false],
    ['tcp://0.0.0.0:0', 'tcp://127.0.0.1:0', false],
  ])('%s and %s collide: %s', (a, b, expected) => {
    const address = (text: string) => (parseAddress(text) as { address: ListenAddress }).address;
    expect(collides(address(a), address(b))).toBe(expected);
  });
});
