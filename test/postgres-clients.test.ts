import { describe } from 'vitest';
import { installedVersions } from './postgres/server.ts';
import type { Door } from './postgres-clients/case.ts';
import { compareCases } from './postgres-clients/compare.ts';
import { useWorld } from './postgres-clients/doors.ts';
import { ERRORS } from './postgres-clients/pg/errors.ts';
import { PgPlace } from './postgres-clients/pg/place.ts';
import { POOLS } from './postgres-clients/pg/pools.ts';
import { QUERIES } from './postgres-clients/pg/queries.ts';
import { SESSIONS } from './postgres-clients/pg/sessions.ts';
import { STREAMS } from './postgres-clients/pg/streams.ts';
import { TYPES } from './postgres-clients/pg/types.ts';

// What the suite of node-postgres covers, in cases of our own: its package ships no tests.
describe.each([
  [15, 'plain'],
  [18, 'tls'],
] as const)('node-postgres on PostgreSQL %i, %s upstream', (version, upstream) => {
  describe.skipIf(!installedVersions.includes(version))('through the sidecar as direct', () => {
    const { doors } = useWorld(version, upstream);
    const open = (door: Door): PgPlace => new PgPlace(door);
    compareCases(doors, open, [...QUERIES, ...TYPES, ...ERRORS, ...SESSIONS, ...STREAMS, ...POOLS]);
  });
});
