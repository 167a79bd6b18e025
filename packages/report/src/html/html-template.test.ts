import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parse } from 'node-html-parser';
import { html, trusted } from './html-template.js';

test('text is escaped, markup is not, nothing stays nothing', () => {
  expect(
    html`<p title="${'"a" & \'b\''}">${'<b>'}${html`<i>${1}</i>`}${false}${undefined}${[html`<u>x</u>`, '&']}${trusted('<hr>')}</p>`.toString(),
  ).toBe('<p title="&quot;a&quot; &amp; &#39;b&#39;">&lt;b&gt;<i>1</i><u>x</u>&amp;<hr></p>');
});

test('no text can leave its element or its attribute', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('<', '>', '"', "'", '&', '/', '=', 'a', ' ', '\0', '-', '!', '`') }),
      (text) => {
        const root = parse(html`<p title="${text}">${text}</p>`.toString());
        expect(root.querySelectorAll('*')).toHaveLength(1);
        const shown = text.replaceAll('\0', '\ufffd');
        expect(root.querySelector('p')?.text).toBe(shown);
        expect(root.querySelector('p')?.getAttribute('title')).toBe(shown);
        expect(Object.keys(root.querySelector('p')?.attributes ?? {})).toEqual(['title']);
      },
    ),
  );
});
