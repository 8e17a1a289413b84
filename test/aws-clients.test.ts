import { expect, test } from 'vitest';
import { JsPlace, MESSAGE_CASES, S3_CASES, TRAILER_CASES, type JsCase } from './aws/js-cases.ts';
import { expectNoDummies, useWorld } from './aws/world.ts';

/** The AWS SDK for JavaScript against a server that verifies every signature, with the real key and without. */

const { server, sidecar, direct, through } = useWorld();
const CASES: readonly JsCase[] = [...S3_CASES, ...TRAILER_CASES, ...MESSAGE_CASES];

async function run(place: JsPlace, [, prove]: JsCase): Promise<void> {
  try {
    await prove(place);
  } finally {
    place.close();
  }
}

test.each(CASES)('%s: direct, with the real key', async (...one) => {
  await run(new JsPlace(direct()), one);
});

test.each(CASES)('%s: through the sidecar, with a key that opens nothing', async (...one) => {
  const before = server().requests.length;
  await run(new JsPlace(through()), one);
  const seen = server().requests.slice(before);
  expect(seen.length).toBeGreaterThan(0);
  expect(new Set(seen.map(({ signer }) => signer?.account.accessKeyId))).toEqual(new Set(['AKIAREALONE']));
  expectNoDummies(seen);
  expect(sidecar().printed()).not.toContain('"level":"error"');
});
