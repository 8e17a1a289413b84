import type { Http2Stream } from 'node:http2';

/**
 * Watches whether the other side ends its half of a stream with END_STREAM. node says `end` too where a RST_STREAM without
 * an error comes in the middle of a body (onStreamClose), and a cut body would pass for a whole one.
 */
export function watchEnd(stream: Http2Stream): () => boolean {
  // 1 once END_STREAM came (nghttp2_session_get_stream_remote_close), perhaps before anybody could watch.
  let whole = !stream.closed && stream.state.remoteClose === 1;
  const push = stream.push.bind(stream);
  // The one moment at which both ways look different: a reset marks the stream closed, then ends it.
  stream.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
    if (chunk === null && !stream.closed && !stream.destroyed) whole = true;
    return push(chunk, encoding);
  };
  return () => whole;
}
