/** Markup that is safe to put into a page as it is. Only {@link html} and {@link trusted} make it. */
export class Markup {
  readonly #source: string;

  constructor(source: string) {
    this.#source = source;
  }

  toString(): string {
    return this.#source;
  }
}

/** What may stand in a template: text is escaped, markup and lists of it are not; false and undefined leave nothing. */
export type Insert = string | number | Markup | false | undefined | readonly Insert[];

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Makes text safe as element content and as a quoted attribute value. */
export function escapeHtml(text: string): string {
  // Control characters other than tab and line breaks are not allowed in HTML; they are shown as a replacement.

  return text
    .replace(/[&<>"']/gu, (character) => entities[character] ?? '')
    .replace(/[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/gu, '\ufffd');
}

/**
 * A tagged template that escapes everything put into it, unless it is markup already. Attribute values must be
 * quoted in the template.
 */
export function html(strings: TemplateStringsArray, ...inserts: readonly Insert[]): Markup {
  let source = strings[0] ?? '';
  inserts.forEach((insert, index) => {
    source += render(insert) + (strings[index + 1] ?? '');
  });
  return new Markup(source);
}

/** Declares a string to be safe markup. For our own constants and for the output of our own renderers only. */
export function trusted(source: string): Markup {
  return new Markup(source);
}

function render(insert: Insert): string {
  if (insert === false || insert === undefined) return '';
  if (insert instanceof Markup) return insert.toString();
  if (typeof insert === 'number') return String(insert);
  if (typeof insert === 'string') return escapeHtml(insert);
  return insert.map(render).join('');
}
