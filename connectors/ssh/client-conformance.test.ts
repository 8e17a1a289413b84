import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { conformanceChecks, type ConnectorSample } from 'secretless-sidecar/connector/testing';
import { Client } from 'ssh2';
import { test } from 'vitest';
import { ssh } from './index.ts';

/** The kit with a client that logs in and runs a command, which no fixed opening can. */
function converse(client: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const program = new Client();
    const leave = (): void => {
      program.end();
      resolve();
    };
    program.on('error', leave).on('close', leave);
    program.on('ready', () => {
      program.exec('true', (error, channel) => {
        if (error !== undefined) leave();
        else channel.on('close', leave).resume().stderr.resume();
      });
    });
    program.connect({ sock: client, username: 'canary', hostVerifier: () => true, readyTimeout: 4000 });
  });
}

const text = readFileSync(join(import.meta.dirname, 'testdata', 'sample.json'), 'utf8');
const config = { keepalive: '60s' };
const sample: ConnectorSample = { ...(JSON.parse(text) as ConnectorSample), config, converse };

test.each(conformanceChecks(ssh, sample).map((check) => [check.name, check] as const))('%s', async (_, check) => {
  await check.run();
});
