import { html, type Markup } from './html-template.js';

/** A wide table in a box that scrolls by itself; focusable, so that the keyboard can scroll it too. */
export function scrollable(label: string, table: Markup): Markup {
  return html`<div class="scroll" tabindex="0" role="group" aria-label="${label}">${table}</div>`;
}
