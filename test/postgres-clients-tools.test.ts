import { describe } from 'vitest';
import { installedVersions } from './postgres/server.ts';
import type { Door } from './postgres-clients/case.ts';
import { compareCases } from './postgres-clients/compare.ts';
import { useWorld } from './postgres-clients/doors.ts';
import { isInstalled, ToolPlace } from './postgres-clients/tools/place.ts';
import { PROGRAMS } from './postgres-clients/tools/programs.ts';
import { PSQL } from './postgres-clients/tools/psql.ts';

/** Backups and replication are for servers of the client's own version: Debian 12 has 15. */
const VERSION = 15;
const missing = !installedVersions.includes(VERSION)
  ? 'PostgreSQL 15 is not installed'
  : ['psql', 'pgbench', 'pg_dump', 'pg_basebackup'].every(isInstalled)
    ? undefined
    : 'psql, pgbench, pg_dump or pg_basebackup is not installed';

/** Much data, cancel and replication. */
const OVER_TLS = /^(pg_|cop|cancel)/;

describe.each(['plain', 'tls'] as const)('programs of PostgreSQL, %s upstream', (upstream) => {
  describe.skipIf(missing !== undefined)(missing ?? 'through the sidecar as direct', () => {
    const { doors } = useWorld(VERSION, upstream);
    const open = (door: Door): ToolPlace => new ToolPlace(door);
    const all = [...PSQL, ...PROGRAMS];
    compareCases(doors, open, upstream === 'plain' ? all : all.filter(([name]) => OVER_TLS.test(name)));
  });
});
