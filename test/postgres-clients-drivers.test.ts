import { describe, expect, it, onTestFinished } from 'vitest';
import { keepArtefact } from './canary.ts';
import type { Door } from './postgres-clients/case.ts';
import { useWorld } from './postgres-clients/doors.ts';
import { DRIVERS, prepareDriver, type Prepared } from './postgres-clients/drivers/drivers.ts';
import { ToolPlace } from './postgres-clients/tools/place.ts';
import { installedVersions } from './postgres/server.ts';

/** What a driver tells of its work at a door: its answers, and whether its connection was encrypted. */
async function outcome(prepared: Extract<Prepared, { program: string }>, door: Door): Promise<Record<string, unknown>> {
  const at = new ToolPlace(door);
  try {
    const out = await at.succeed(prepared.program, prepared.args);
    keepArtefact('downstream', out);
    return JSON.parse(out) as Record<string, unknown>;
  } finally {
    await at.close();
  }
}

describe.skipIf(!installedVersions.includes(17))('drivers of other languages, as direct', () => {
  const { doors, secureDoors } = useWorld(17, 'tls');

  it.for(DRIVERS)(
    '$name works with its defaults, without and with TLS',
    { timeout: 90_000 },
    async (driver, { skip }) => {
      const { prepared, remove } = await prepareDriver(driver);
      onTestFinished(remove);
      if ('missing' in prepared) return skip(prepared.missing);
      const { encrypted: isDirectEncrypted, ...direct } = await outcome(prepared, doors().direct);
      expect(direct).toEqual(driver.expected);
      const { encrypted: isPlainEncrypted, ...plain } = await outcome(prepared, doors().sidecar);
      expect(plain).toEqual(direct);
      const { encrypted, ...secure } = await outcome(prepared, secureDoors().sidecar);
      expect(secure).toEqual(direct);
      // pgx says nothing of it; pgjdbc asks the server, which is spoken to over TLS by the sidecar in any case.
      if (driver.name.startsWith('psycopg'))
        expect([isDirectEncrypted, isPlainEncrypted, encrypted]).toEqual([true, false, true]);
    },
  );
});
