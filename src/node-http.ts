/**
 * `node:http` without what it drags in. Importing a built-in module as ESM reads every export of it, and the getters
 * `WebSocket` and `MessageEvent` of this one load node's own undici: 100 ms at start and 13 MB for nothing.
 * Types come from `import type` of `node:http` as usual.
 */
export const { createServer, request, Server: HttpServer, STATUS_CODES } = process.getBuiltinModule('node:http');
