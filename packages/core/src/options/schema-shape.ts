import type { z } from 'zod';

/** What this package reads of zod's definitions (its documented `_zod.def`). */
export interface Definition {
  readonly type: string;
  readonly innerType?: z.ZodType;
  readonly element?: z.ZodType;
  readonly shape?: Readonly<Record<string, z.ZodType>>;
  readonly catchall?: z.ZodType;
  readonly entries?: Readonly<Record<string, unknown>>;
  readonly defaultValue?: unknown;
}

export const definitionOf = (schema: z.ZodType): Definition =>
  (schema as unknown as { readonly _zod: { readonly def: Definition } })._zod.def;

/** The schema under defaults, optionals and the like. */
export function innermost(schema: z.ZodType): z.ZodType {
  const { innerType } = definitionOf(schema);
  return innerType === undefined ? schema : innermost(innerType);
}

/** Default of an option, where it has one. */
export function defaultOf(schema: z.ZodType): { readonly value: unknown } | undefined {
  const { type, defaultValue, innerType } = definitionOf(schema);
  if (type === 'default' || type === 'prefault') return { value: defaultValue };
  return innerType === undefined ? undefined : defaultOf(innerType);
}

/** Whether an option may be left out. */
export function mayBeMissing(schema: z.ZodType): boolean {
  const { type, innerType } = definitionOf(schema);
  return (
    type === 'default' ||
    type === 'prefault' ||
    type === 'optional' ||
    (innerType !== undefined && mayBeMissing(innerType))
  );
}

/** The description of an option, wherever in the chain of wrappers it was given. */
export function descriptionOf(schema: z.ZodType): string | undefined {
  const { innerType } = definitionOf(schema);
  return schema.description ?? (innerType === undefined ? undefined : descriptionOf(innerType));
}
