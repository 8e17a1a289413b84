import { describe } from 'vitest';
import type { Door } from './postgres-clients/case.ts';
import { compareCases } from './postgres-clients/compare.ts';
import { useWorld } from './postgres-clients/doors.ts';
import { JsPlace } from './postgres-clients/js/place.ts';
import { PgPlace } from './postgres-clients/pg/place.ts';
import { JS_TLS, PG_TLS, PG_TLS_DIFFERENCES, TOOL_TLS, TOOL_TLS_DIFFERENCES } from './postgres-clients/tls.ts';
import { isInstalled, ToolPlace } from './postgres-clients/tools/place.ts';
import { installedVersions } from './postgres/server.ts';

describe.skipIf(!installedVersions.includes(18))('clients that speak TLS with the sidecar, as direct', () => {
  const { secureDoors } = useWorld(18, 'tls');

  describe('node-postgres', () => {
    compareCases(secureDoors, (door: Door) => new PgPlace(door), PG_TLS, PG_TLS_DIFFERENCES);
  });
  describe('postgres.js', () => {
    compareCases(secureDoors, (door: Door) => new JsPlace(door), JS_TLS);
  });
  describe.skipIf(!isInstalled('psql'))(isInstalled('psql') ? 'psql' : 'psql is not installed', () => {
    compareCases(secureDoors, (door: Door) => new ToolPlace(door), TOOL_TLS, TOOL_TLS_DIFFERENCES);
  });
});
