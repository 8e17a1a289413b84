import type { ServiceConfig } from './config.ts';
import type { Document } from './schema.ts';
import type { Loose } from './validate.ts';

/** A rule as far as its shape could be read. */
export type WrittenRule = Loose<NonNullable<Document['rules']>[number]>;

/** Calls `check` for the items of a selector, but not for the gaps that validation left. */
export function each(
  items: readonly (string | undefined)[] | undefined,
  check: (item: string, at: number) => void,
): void {
  items?.forEach((item, at) => {
    if (item !== undefined) check(item, at);
  });
}

/** Whether a name with `*` for any run of characters fits one that is in the file. */
export function fits(pattern: string, name: string): boolean {
  const source = pattern.split('*').map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(`^${source.join('[^]*')}$`).test(name);
}

/** Services that the rule is about. */
export function concernedBy(rule: WrittenRule, services: readonly ServiceConfig[]): readonly ServiceConfig[] {
  return services.filter(
    ({ name }) => rule.services?.some((pattern) => pattern !== undefined && fits(pattern, name)) ?? true,
  );
}
