/** A block of code of a Markdown file. */
export interface CodeBlock {
  readonly language: string;
  readonly text: string;
  /** The block of plain text (```text or ```) that follows with nothing but a word between: what the code prints. */
  readonly output: string | undefined;
}

/** Blocks of code, in order. */
export function codeBlocks(markdown: string): CodeBlock[] {
  const found = [...markdown.matchAll(/^```(\w*)[^\n]*\n([\s\S]*?)^```$/gm)];
  return found.flatMap((match, index) => {
    const [whole, language = '', text = ''] = match;
    if (language === '' || language === 'text') return [];
    const next = found[index + 1];
    const between = next === undefined ? '' : markdown.slice(match.index + whole.length, next.index).trim();
    const follows = next !== undefined && /^(text)?$/.test(next[1] as string) && !/\s/.test(between);
    return [{ language, text, output: follows ? next[2] : undefined }];
  });
}

/**
 * Markdown with the text between `<!-- name -->` and `<!-- /name -->` replaced; undefined where it has no such marks.
 */
export function withSection(markdown: string, name: string, text: string): string | undefined {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const from = markdown.indexOf(begin);
  const to = markdown.indexOf(end, from);
  if (from < 0 || to < 0) return undefined;
  return `${markdown.slice(0, from + begin.length)}\n\n${text}\n\n${markdown.slice(to)}`;
}
