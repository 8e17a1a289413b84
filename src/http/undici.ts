import buildConnector from 'undici/lib/core/connect.js';
import errors from 'undici/lib/core/errors.js';
import Pool from 'undici/lib/dispatcher/pool.js';

/**
 * The parts of undici that are used. The package's own door also loads fetch, WebSocket, caches and mocks: twice
 * the time at start and 13 MB that nobody needs.
 */
export { buildConnector, errors, Pool };
