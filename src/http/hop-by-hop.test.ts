import { describe, expect, test } from 'vitest';
import { SidecarError } from '../error.ts';
import { endToEndRequest } from './hop-by-hop.ts';

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
