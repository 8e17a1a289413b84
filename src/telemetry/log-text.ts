const COLOURS: Readonly<Record<string, string>> = {
  debug: '\u001b[2m',
  info: '',
  warn: '\u001b[33m',
  error: '\u001b[31m',
};
const RESET = '\u001b[0m';

/** One JSON log line as short text for a terminal: `12:34:56.789 warn  message key=value`. Ends with a newline. */
export function logText(line: string, colour: boolean): string {
  const { level, time, message, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const paint = colour ? (COLOURS[String(level)] ?? '') : '';
  const parts = [String(time).slice(11, 23), String(level).padEnd(5), visible(String(message))];
  for (const [key, value] of Object.entries(fields)) parts.push(...fieldTexts(key, value));
  const text = parts.join(' ');
  return paint === '' ? `${text}\n` : `${paint}${text}${RESET}\n`;
}

function fieldTexts(key: string, value: unknown): string[] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return Object.entries(value).flatMap(([name, inner]) => fieldTexts(`${key}.${name}`, inner));
  }
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return [`${visible(key)}=${/^[^\s"=]+$/.test(text) ? visible(text) : visible(JSON.stringify(text))}`];
}

/** Control characters as escapes: a logged value must not move the cursor or start a line of its own. */
export function visible(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are exactly what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, escaped);
}

/** JSON leaves these as they are, yet some readers end a line there. */
export function singleLine(json: string): string {
  return json.replace(/[\u007f-\u009f\u2028\u2029]/g, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
