import type { ConnectionClosedEvent, DecisionEvent } from '../event.ts';
import type { Principal } from '../../policy/request.ts';

const principal: Principal = { agent: 'builder', run: 'nightly', attested: 'listener' };

export function decision(id: string, more: Partial<DecisionEvent> = {}): DecisionEvent {
  return {
    type: 'decision',
    id,
    service: 'orders',
    connector: 'http',
    principal,
    rule: 'read-orders',
    result: 'allow',
    upstream: 'https://orders.example',
    method: 'GET',
    path: '/v1/orders',
    credentials: { token: 'v1' },
    ...more,
  };
}

export function closed(id: string): ConnectionClosedEvent {
  return {
    type: 'connection.closed',
    id,
    listener: 'tcp://127.0.0.1:8080',
    exchanges: 1,
    bytesUp: 10,
    bytesDown: 20,
    ms: 1.5,
  };
}
