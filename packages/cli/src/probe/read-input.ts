import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { CliError, fileError } from '../errors.js';

/** JSON of a text. @throws CliError with the position of the mistake. */
export function parseJson(content: string, what: string): unknown {
  try {
    return JSON.parse(content) as unknown;
  } catch (error) {
    throw new CliError(`${what} is no JSON: ${(error as Error).message}`, {
      cause: error,
      hint: 'NaN and infinities are written "nan", "inf" and "-inf".',
    });
  }
}

/** What a file, the command line itself, or the standard input (`-`, or nothing) holds. @throws CliError */
export async function readJson(place: string | undefined): Promise<unknown> {
  if (place !== undefined && /^\s*[[{]/.test(place)) return parseJson(place, 'The input');
  if (place === undefined || place === '-') {
    if (place === undefined && process.stdin.isTTY)
      throw new CliError('There is no input.', {
        hint: 'Name a file, write the JSON itself in quotes, or pipe it in. "--schema" shows what belongs in it.',
      });
    const content = await text(process.stdin);
    if (content.trim() === '')
      throw new CliError('The standard input is empty.', { hint: '"--schema" shows what belongs in the input.' });
    return parseJson(content, 'The standard input');
  }
  let content: string;
  try {
    content = await readFile(place, 'utf8');
  } catch (error) {
    throw fileError(`The input "${place}" cannot be read`, error);
  }
  return parseJson(content, `The input "${place}"`);
}

/** Longest line of nested lists. */
const WIDTH = 110;

/** Nested lists of scalars in one line; undefined where there are objects in them. */
function line(value: unknown): string | undefined {
  if (!Array.isArray(value)) return typeof value === 'object' && value !== null ? undefined : JSON.stringify(value);
  const parts = (value as unknown[]).map(line);
  return parts.includes(undefined) ? undefined : `[${parts.join(', ')}]`;
}

/** JSON in which lists of numbers stand in one line, since people compare them. */
export function prettyJson(value: unknown, indent = ''): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const isList = Array.isArray(value);
  const flat = line(value);
  const scalars = isList && (value as unknown[]).every((item) => typeof item !== 'object' || item === null);
  if (flat !== undefined && (scalars || flat.length + indent.length <= WIDTH)) return flat;
  const entries = Object.entries(value);
  if (entries.length === 0) return '{}';
  const inner = `${indent}  `;
  const lines = entries.map(
    ([key, item]) => `${inner}${isList ? '' : `${JSON.stringify(key)}: `}${prettyJson(item, inner)}`,
  );
  return `${isList ? '[' : '{'}\n${lines.join(',\n')}\n${indent}${isList ? ']' : '}'}`;
}
