import type { ChangedBody } from 'secretless-sidecar/connector';
import { resignEvents, type EventResigning } from '../body/event-resign.ts';
import type { EventsPlan } from './plan.ts';
import { translated } from './translated.ts';

/** The body with all its events signed anew; each frame is as long as it was. Closes both chains when it is over. */
export function resignedEvents({ bytes }: EventsPlan, resigning: EventResigning): ChangedBody {
  const { inbound, outbound } = resigning;
  return {
    bytes,
    transform: (body) => translated(resignEvents(body, resigning), [inbound?.chain, outbound]),
  };
}
