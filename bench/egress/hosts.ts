/** The origin that has a service; every proxy finds it, without a word about its address. */
export const SERVED_HOST = 'localhost';
/** The one that passes untouched. */
export const OPEN_HOST = 'open.bench.test';
