import { describeOptions, type OptionRow, type PluginMetadata } from '@updraft/core';
import { markdownTable } from './experiment/render.js';
import type { MethodRecord } from './experiment/record.js';

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const row = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;

/** What an option may be: `number, at least 0 and below 1`. */
const valuesText = ({ type, range }: OptionRow): string => (range === '' ? type : `${type}, ${range}`);

/** The options of a plugin as a Markdown table, from their schema. */
export function optionsTable({ options }: Pick<PluginMetadata, 'options'>): string {
  const rows = describeOptions(options);
  if (rows.length === 0) return 'It has no options.';
  return [
    row(['option', 'values', 'default', 'meaning']),
    row(['---', '---', '---', '---']),
    ...rows.map((option) =>
      row([
        `\`${option.name}\``,
        valuesText(option),
        option.default === '' ? (option.required ? 'required' : '–') : `\`${option.default}\``,
        option.description,
      ]),
    ),
  ].join('\n');
}

/** What a record shows, in Markdown: of each experiment the table and the verdict of each claim. */
export function resultsText(record: MethodRecord): string {
  return record.experiments
    .map((experiment) =>
      [
        `${experiment.title}. ${experiment.protocol} ${experiment.seeds.length} seeds; mean ± standard deviation.`,
        '',
        markdownTable(experiment),
        '',
        ...experiment.claims.map(
          ({ id, statement, verdict, reason }) => `- **${verdict}** (\`${id}\`): ${statement} ${reason}`,
        ),
      ].join('\n'),
    )
    .join('\n\n');
}
