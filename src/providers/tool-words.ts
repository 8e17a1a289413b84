const COMPLAINT_CHARACTERS_MAX = 200;
/** A shorter piece of output (`no`, `error`) is a word of any language and gives no secret away. */
const PIECE_CHARACTERS_MIN = 6;

/** A tool's stderr as one short line; empty of words where it repeats anything of the output. */
export function printable(complaint: string, output: string): string {
  const line = complaint.replace(/[\p{C}\s]+/gu, ' ').trim();
  const pieces = output.split(/[\s"',:;{}[\]()=]+/).filter((piece) => piece.length >= PIECE_CHARACTERS_MIN);
  const whole = output.trim();
  const repeats = (whole !== '' && complaint.includes(whole)) || pieces.some((piece) => complaint.includes(piece));
  if (repeats) return 'its complaint is left out because it repeats what it printed';
  return line.slice(0, COMPLAINT_CHARACTERS_MAX);
}
