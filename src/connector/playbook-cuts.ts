import type { Outcome, Playbook } from './playbook.ts';

/**
 * Plays a conversation again and again, cut after every byte that the login reads of either side. Returns how many
 * cuts were tried; throws where one ends otherwise than in a close, or in an error that the login lets through.
 */
export async function cutEverywhere(
  play: () => Playbook,
  whole: (playbook: Playbook) => Promise<Outcome>,
): Promise<number> {
  const { readBytes } = await whole(play());
  let cuts = 0;
  for (const side of ['downstream', 'upstream'] as const) {
    for (let bytes = 0; bytes < readBytes[side]; bytes += 1) {
      cuts += 1;
      const { handover, thrown } = await play().isCutAfter(side, bytes);
      if (handover.then !== 'close' || (thrown !== undefined && !thrown.code.endsWith('-closed'))) {
        throw new Error(`cut after byte ${bytes} of ${side}: ${thrown?.code ?? `ends with a ${handover.then}`}`);
      }
    }
  }
  return cuts;
}
