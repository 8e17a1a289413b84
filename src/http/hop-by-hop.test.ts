import { describe, expect, test } from 'vitest';
import { SidecarError } from '../error.ts';
import { endToEndRequest, withoutFraming } from './hop-by-hop.ts';

function spellings(name: string): string[] {
  return [name, name.toUpperCase(), name.replaceAll('-', '_'), name.replace('-', '_')];
}

function refusal(headers: readonly string[]): string | undefined {
  try {
    endToEndRequest(headers);
    return undefined;
  } catch (error) {
    if (error instanceof SidecarError) return error.code;
    throw error;
  }
}

describe('endToEndRequest', () => {
  test.each(
    [
      'x-http-method',
      'x-http-method-override',
      'x-method-override',
      'x-original-url',
      'x-original-uri',
      'x-rewrite-url',
    ].flatMap(spellings),
  )('refuses %s: policy judged another method or path', (name) => {
    expect(refusal(['Accept', '*/*', name, 'DELETE'])).toBe('header-refused');
  });

  test.each(['x-http-methods', 'x-original', 'x-original-url-2', 'original-url', 'method'])('passes %s', (name) => {
    expect(endToEndRequest([name, 'a'])).toEqual([name, 'a']);
  });

  test.each(['proxy-authorization', 'x-forwarded-host'].flatMap(spellings))('drops %s', (name) => {
    expect(endToEndRequest(['Accept', '*/*', name, 'a', 'X-A', 'b'])).toEqual(['Accept', '*/*', 'X-A', 'b']);
  });

  test.each(['content_length', 'Transfer_Encoding', 'TRANSFER_ENCODING'])(
    'refuses %s, which some upstream reads as framing',
    (name) => {
      expect(refusal([name, '5'])).toBe('header-refused');
    },
  );
});

describe('the head of a connector', () => {
  test.each([
    'Host',
    'host',
    'Content-Length',
    'TRANSFER-ENCODING',
    'Connection',
    'Keep-Alive',
    'TE',
    'Trailer',
    'Upgrade',
    'Expect',
    'Proxy-Connection',
  ])('has no %s, which the engine writes or nobody', (name) => {
    const head = { method: 'GET', target: '/', headers: ['A', '1', name, 'x', 'B', '2', name, 'y'] };
    expect(withoutFraming(head)).toEqual({ ...head, headers: ['A', '1', 'B', '2'] });
  });

  test('that has none of them is the very same one', () => {
    const headers = [
      'Content-Type',
      'a',
      'Content-Encoding',
      'aws-chunked',
      'X-Amz-Trailer',
      'b',
      'Authorization',
      'c',
    ];
    const head = { method: 'GET', target: '/', headers };
    expect(withoutFraming(head)).toBe(head);
  });
});
