/**
 * What either side reads of us, behind `SSH-2.0-`. OpenSSH's clients and servers say that they read no more
 * (`eow@openssh.com`) to peers whose name begins like this and to no others: without it `ssh host yes | head -1` never
 * ends. The number is one that needs no workaround; it tells nothing of the sidecar's own version.
 */
export const IDENT = 'OpenSSH_9.9 Secretless';
