import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, onTestFinished, test, type TestContext } from 'vitest';
import { issueSigned, signerOf } from './certificate.ts';
import { makeAuthority } from './egress-authority.ts';
import { generateEcKey } from './key.ts';
import { issueLeaf } from './leaf.ts';
import { openInterception, type OpenedInterception } from './interception.ts';
import { writeTrust, type TrustFiles } from './trust.ts';

const run = promisify(execFile);
const LONG = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`;
const HOSTS = ['localhost', '127.0.0.1', '::1', 'api.example.com', 'xn--bcher-kva.example', LONG] as const;

let folder: string;
let interception: OpenedInterception;
let trust: TrustFiles;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'peers-'));
  interception = await openInterception({ store: 'folder', folder, names: [] });
  trust = await writeTrust(folder, interception.certificate);
});

afterAll(() => rm(folder, { recursive: true }));

/** What a program printed, whether it liked what it saw or not. */
async function said(program: string, args: readonly string[], cwd = folder): Promise<string> {
  try {
    const { stdout, stderr } = await run(program, args, { cwd, timeout: 110_000 });
    return stdout + stderr;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    return `failed: ${stdout}${stderr}`;
  }
}

async function skipWithout(context: TestContext, program: string, ...version: string[]): Promise<void> {
  const found = await run(program, version).then(
    () => true,
    () => false,
  );
  context.skip(!found, `no ${program} here`);
}

/** An HTTPS server that shows the certificate for `host` to anybody. */
async function serve(host: string): Promise<number> {
  const secureContext = await interception.contextFor(host);
  const server = createServer((raw) => {
    const socket = new TLSSocket(raw, { isServer: true, secureContext });
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello'));
  });
  server.listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function leafOf(host: string): Promise<string> {
  const socket = connect({ port: await serve(host), host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const leaf = socket.getPeerX509Certificate()!.toString();
  socket.destroy();
  return leaf;
}

/** A leaf for `host` of an authority for `example.com` alone: one that `contextFor` would never have issued. */
async function strayLeaf(host: string): Promise<{ ca: string; leaf: string }> {
  const now = new Date();
  const authority = await makeAuthority(['example.com'], 365, now);
  const { publicKey } = await generateEcKey();
  const leaf = await issueLeaf(host, publicKey, await signerOf(authority), { now, until: authority.validUntil });
  return { ca: authority.certificate, leaf };
}

async function written(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

test('openssl verifies what is issued for each kind of host, as strictly as it can', async (context) => {
  await skipWithout(context, 'openssl', 'version');
  for (const [at, host] of HOSTS.entries()) {
    const leaf = await written(`leaf-${at}.pem`, await leafOf(host));
    const wanted = host.includes(':') || /^[0-9.]+$/.test(host) ? '-verify_ip' : '-verify_hostname';
    const verify = (name: string): Promise<string> =>
      said('openssl', ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', trust.ca, wanted, name, leaf]);
    expect(await verify(host), host).toBe(`${leaf}: OK\n`);
    expect(await verify(wanted === '-verify_ip' ? '10.0.0.1' : 'other.example')).toMatch(/mismatch/);
  }
});

test('openssl refuses a leaf outside the names of its authority, addresses too', async (context) => {
  await skipWithout(context, 'openssl', 'version');
  const verify = async (host: string): Promise<string> => {
    const { ca, leaf } = await strayLeaf(host);
    const args = ['verify', '-x509_strict', '-CAfile', await written('stray-ca.pem', ca)];
    return await said('openssl', [...args, await written('stray.pem', leaf)]);
  };
  expect(await verify('api.example.com')).toMatch(/: OK\n$/);
  for (const host of ['api.example.org', 'notexample.com']) expect(await verify(host)).toMatch(/permitted subtree/);
  for (const host of ['10.0.0.1', '2001:db8::1']) expect(await verify(host)).toMatch(/excluded subtree/);
});

test('openssl refuses an authority that such an authority signed', async (context) => {
  await skipWithout(context, 'openssl', 'version');
  const now = new Date();
  const authority = await makeAuthority([], 365, now);
  const { publicKey, privateKey } = await generateEcKey();
  const extensions = [
    { name: 'basicConstraints', critical: true, cA: true },
    { name: 'keyUsage', critical: true, keyCertSign: true },
  ];
  const below = await issueSigned({ commonName: 'below', extensions }, publicKey, await signerOf(authority), { now });
  const signer = await signerOf({ key: privateKey, certificate: below });
  const leaf = await issueLeaf('api.example.com', publicKey, signer, { now, until: authority.validUntil });
  const files = ['-CAfile', await written('top.pem', authority.certificate)];
  files.push('-untrusted', await written('below.pem', below), await written('below-leaf.pem', leaf));
  expect(await said('openssl', ['verify', ...files])).toMatch(/path length constraint exceeded/);
});

const PYTHON = `
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
for argument in sys.argv[2:]:
    port, name = argument.split('=')
    try:
        with socket.create_connection(('127.0.0.1', int(port))) as raw:
            with context.wrap_socket(raw, server_hostname=name) as tls:
                print('ok', tls.version())
    except ssl.SSLCertVerificationError as error:
        print('refused', error.verify_message)
`;

test('python verifies it with the flags that 3.13 sets for all', async (context) => {
  await skipWithout(context, 'python3', '-c', 'import ssl; ssl.VERIFY_X509_STRICT; ssl.VERIFY_X509_PARTIAL_CHAIN');
  const ports = await Promise.all(HOSTS.map(async (host) => `${await serve(host)}=${host}`));
  const program = await written('strict.py', PYTHON);
  for (const cafile of [trust.ca, trust.bundle]) {
    const lines = (await said('python3', [program, cafile, ...ports])).trim().split('\n');
    expect(lines, lines.join()).toEqual(HOSTS.map(() => 'ok TLSv1.3'));
  }
  expect(await said('python3', [program, trust.ca, `${await serve('localhost')}=other.example`])).toMatch(/^refused/);
});

const GO = `package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"strings"
)

func certificate(path string) *x509.Certificate {
	text, _ := os.ReadFile(path)
	block, _ := pem.Decode(text)
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		fmt.Println("unparsed", err)
		os.Exit(1)
	}
	return parsed
}

func main() {
	for _, argument := range os.Args[1:] {
		parts := strings.Split(argument, "=")
		roots := x509.NewCertPool()
		if parts[0] == "get" {
			text, _ := os.ReadFile(parts[1])
			roots.AppendCertsFromPEM(text)
			client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
			answer, err := client.Get(parts[2])
			if err != nil {
				fmt.Println("refused", err)
			} else {
				fmt.Println("ok", answer.Status)
			}
			continue
		}
		roots.AddCert(certificate(parts[0]))
		_, err := certificate(parts[1]).Verify(x509.VerifyOptions{Roots: roots, DNSName: parts[2]})
		if err != nil {
			fmt.Println("refused", err)
		} else {
			fmt.Println("ok")
		}
	}
}
`;

test('Go verifies it, and holds an authority to its names', { timeout: 150_000 }, async (context) => {
  await skipWithout(context, 'go', 'version');
  const asked = await Promise.all(
    HOSTS.map(async (host, at) => {
      const name = host.includes(':') ? `[${host}]` : host;
      return `${trust.ca}=${await written(`go-${at}.pem`, await leafOf(host))}=${name}`;
    }),
  );
  const strays = await Promise.all(
    ['api.example.com', 'api.example.org', '10.0.0.1'].map(async (host) => {
      const { ca, leaf } = await strayLeaf(host);
      return `${await written(`${host}-ca.pem`, ca)}=${await written(`${host}.pem`, leaf)}=${host}`;
    }),
  );
  const get = `get=${trust.bundle}=https://localhost:${await serve('localhost')}/`;
  const program = await written('verify.go', GO);
  const lines = (await said('go', ['run', program, ...asked, ...strays, get])).trim().split('\n');
  expect(lines.slice(0, HOSTS.length), lines.join('\n')).toEqual(HOSTS.map(() => 'ok'));
  const [within, outside, address, got] = lines.slice(HOSTS.length);
  expect(within).toBe('ok');
  expect(outside).toMatch(/^refused .*not permitted/);
  expect(address).toMatch(/^refused .*excluded/);
  expect(got).toBe('ok 200 OK');
});

const JAVA = `
import java.io.*;
import java.net.*;
import java.net.http.*;
import javax.net.ssl.*;

class Ask {
  public static void main(String[] urls) throws Exception {
    for (String url : urls) {
      try {
        var client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        var request = HttpRequest.newBuilder(URI.create(url)).build();
        System.out.println("client " + client.send(request, HttpResponse.BodyHandlers.ofString()).body());
      } catch (SSLException error) {
        System.out.println("client refused " + error.getMessage());
      }
      try (InputStream body = new URL(url).openStream()) {
        System.out.println("connection " + new String(body.readAllBytes()));
      } catch (SSLException error) {
        System.out.println("connection refused " + error.getMessage());
      }
    }
  }
}
`;

test('Java reads the trust store and verifies it by both of its clients', { timeout: 120_000 }, async (context) => {
  await skipWithout(context, 'java', '-version');
  const program = await written('Ask.java', JAVA);
  const store = `-Djavax.net.ssl.trustStore=${trust.trustStore}`;
  const password = `-Djavax.net.ssl.trustStorePassword=${trust.trustStorePassword}`;
  const urls = [`https://localhost:${await serve('localhost')}/`, `https://127.0.0.1:${await serve('127.0.0.1')}/`];
  const wrong = `https://localhost:${await serve('other.example')}/`;
  const lines = (await said('java', [store, password, program, ...urls, wrong])).trim().split('\n');
  expect(lines.slice(0, 4)).toEqual(['client hello', 'connection hello', 'client hello', 'connection hello']);
  expect(lines[4]).toMatch(/^client refused .*subject alternative/i);
  expect(lines[5]).toMatch(/^connection refused .*subject alternative/i);
  // And without the store there is no trust.
  expect(await said('java', [program, urls[0]!])).toMatch(/^client refused .*unable to find valid certification path/);
});
