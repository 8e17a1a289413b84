import { createRequire } from 'node:module';
import type { buildConnector as BuildConnector, errors as Errors, Pool as PoolType } from 'undici';

/**
 * The parts of undici that are used. The package's own door also loads fetch, WebSocket, caches and mocks: twice
 * the time at start and 13 MB that nobody needs.
 */
const require = createRequire(import.meta.url);

export const Pool = require('undici/lib/dispatcher/pool.js') as typeof PoolType;
export const errors = require('undici/lib/core/errors.js') as typeof Errors;
export const buildConnector = require('undici/lib/core/connect.js') as typeof BuildConnector;
