import { describe } from 'vitest';
import { installedVersions } from './postgres/server.ts';
import { compareCases } from './postgres-clients/compare.ts';
import { useWorld } from './postgres-clients/doors.ts';
import type { Door } from './postgres-clients/case.ts';
import { BUILDING } from './postgres-clients/js/building.ts';
import { CONNECTIONS } from './postgres-clients/js/connections.ts';
import { ERRORS } from './postgres-clients/js/errors.ts';
import { JsPlace } from './postgres-clients/js/place.ts';
import { STREAMS } from './postgres-clients/js/streams.ts';
import { TRANSACTIONS } from './postgres-clients/js/transactions.ts';
import { VALUES } from './postgres-clients/js/values.ts';

// What the suite of postgres.js covers, in cases of our own: its package ships no tests.
describe.each([
  [17, 'plain'],
  [13, 'tls'],
] as const)('postgres.js on PostgreSQL %i, %s upstream', (version, upstream) => {
  describe.skipIf(!installedVersions.includes(version))('through the sidecar as direct', () => {
    const { doors } = useWorld(version, upstream);
    const open = (door: Door): JsPlace => new JsPlace(door);
    compareCases(doors, open, [...VALUES, ...BUILDING, ...ERRORS, ...TRANSACTIONS, ...CONNECTIONS, ...STREAMS]);
  });
});
