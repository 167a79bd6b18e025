import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { exampleId, gather } from './dataset.js';
import { DataError } from './errors.js';
import { parseTable, splitTable, tableFromRecords } from './table.js';
import { csvDataset, inputNames, tableDataset } from './table-dataset.js';
import { fitTable } from './table-schema.js';

const floats = (dataset: Parameters<typeof gather>[0], column: string): number[] =>
  Array.from(
    gather(
      dataset,
      Array.from({ length: dataset.length }, (_, index) => index),
    )[column]?.data as Float32Array,
    Number,
  );

const PETS = 'weight,colour,age,kind\n1,black,2,cat\n3,white,4,cat\n5,black,,dog\n7,brown,12,dog\n';

describe('parseTable', () => {
  test('reads quotes, line breaks in cells, a byte-order mark and other delimiters', () => {
    expect(parseTable('\ufeffa;"b;c"\n 1 ;"x\ny"\n\n2;"say ""hi"""\n', { delimiter: ';' })).toEqual({
      header: ['a', 'b;c'],
      rows: [
        ['1', 'x\ny'],
        ['2', 'say "hi"'],
      ],
    });
  });
  test.each([
    ['nothing', '', /no rows/],
    ['a header alone', 'a,b\n', /no rows/],
    ['a short row', 'a,b\n1,2\n3\n', /line 3/],
    ['a long row', 'a,b\n1,2,3\n', /line 2/],
    ['an open quote', 'a,b\n"1,2\n', /[Qq]uote/],
    ['a name twice', 'a,a\n1,2\n', /Two columns/],
  ])('refuses %s', (_, text, message) => {
    expect(() => parseTable(text)).toThrow(DataError);
    expect(() => parseTable(text)).toThrow(message);
  });
  test('keeps to its budgets', () => {
    const text = 'a,b,c\n' + '1,2,3\n'.repeat(10);
    expect(() => parseTable(text, { maxCharacters: 10 })).toThrow(DataError);
    expect(() => parseTable(text, { maxRows: 9 })).toThrow(/more than 9 rows/);
    expect(parseTable(text, { maxRows: 10 }).rows.length).toBe(10);
    expect(() => parseTable(text, { maxColumns: 2 })).toThrow(/3 columns/);
  });
  test('gives back what was quoted by the rules, and typed errors for anything else', () => {
    const cell = fc
      .string({ unit: fc.constantFrom('a', 'é', ',', '"', '\n', ' ', '1', '.') })
      .map((text) => text.trim());
    const quote = (text: string): string => `"${text.replace(/"/g, '""')}"`;
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 5 }),
        fc.infiniteStream(cell),
        (width, height, cells) => {
          const header = Array.from({ length: width }, (_, at) => `c${at}`);
          const rows = Array.from({ length: height }, () =>
            Array.from({ length: width }, () => cells.next().value as string),
          );
          const text = [header, ...rows].map((row) => row.map(quote).join(',')).join('\n');
          expect(parseTable(text)).toEqual({ header, rows });
        },
      ),
    );
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', '\r', '1', '\0', '\ufeff'), maxLength: 40 }),
        (text) => {
          try {
            const { header, rows } = parseTable(text);
            for (const row of rows) expect(row.length).toBe(header.length);
          } catch (error) {
            expect(error).toBeInstanceOf(DataError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

test('records with gaps become a table, nested ones are refused', () => {
  expect(
    tableFromRecords([
      { a: 1, b: null },
      { b: 'x', c: true },
    ]),
  ).toEqual({
    header: ['a', 'b', 'c'],
    rows: [
      ['1', '', ''],
      ['', 'x', 'true'],
    ],
  });
  expect(() => tableFromRecords([])).toThrow(DataError);
  expect(() => tableFromRecords([{ a: [1] }])).toThrow(/Record 0, property "a" holds a list/);
});

describe('tables as datasets', () => {
  test('numbers are standardised, names become one-hot, classes are counted', () => {
    const { dataset, features, classes, statistics } = csvDataset(PETS, {
      target: 'kind',
      features: ['weight', 'colour'],
    });
    expect(features).toEqual(['weight', 'colour=black', 'colour=brown', 'colour=white']);
    expect(classes).toEqual(['cat', 'dog']);
    // Weights 1, 3, 5, 7: mean 4, variance 5.
    expect(statistics[0]).toEqual({ mean: 4, deviation: Math.sqrt(5) });
    const [a, b] = [Math.fround(-3 / Math.sqrt(5)), Math.fround(-1 / Math.sqrt(5))];
    expect(floats(dataset, 'x')).toEqual([a, 1, 0, 0, b, 0, 0, 1, -b, 1, 0, 0, -a, 0, 1, 0]);
    expect(floats(dataset, 'label')).toEqual([0, 0, 1, 1]);
    expect(dataset.columns['label']?.classes).toEqual(['cat', 'dog']);
  });
  test('missing cells are refused by name, dropped with their row, or filled', () => {
    expect(() => csvDataset(PETS, { target: 'kind' })).toThrow(/Row 4, column "age": "" is missing/);
    const dropped = csvDataset(PETS, { target: 'kind', features: ['age'], missing: 'drop' });
    expect(dropped.dataset.length).toBe(3);
    expect([0, 1, 2].map((index) => exampleId(dropped.dataset, index))).toEqual([0, 1, 3]);
    expect(floats(dropped.dataset, 'label')).toEqual([0, 0, 1]);
    const filled = csvDataset(PETS, { target: 'kind', features: ['age'], missing: 'fill' });
    // Ages 2, 4 and 12 have the mean 6, which a missing age becomes: 0 when standardised.
    expect(floats(filled.dataset, 'x')[2]).toBe(0);
    expect(filled.statistics[0]?.mean).toBe(6);
  });
  test('missing names are filled with the most frequent one, missing targets never', () => {
    const text = 'colour,price\nred,1\nred,2\n?,3\nblue,\n';
    const { dataset } = csvDataset(text, { target: 'price', missing: 'fill' });
    expect(floats(dataset, 'x')).toEqual([0, 1, 0, 1, 0, 1]);
    expect(floats(dataset, 'target')).toEqual([1, 2, 3]);
    expect(dataset.columns['target']?.shape).toEqual([1]);
  });
  test('text among numbers is refused by row', () => {
    const text = 'a,b\n1,x\n2,y\n3,x\nnothing,y\n';
    expect(() => csvDataset(text, { target: 'b' })).toThrow(/Row 5, column "a": "nothing" is no number/);
    expect(csvDataset(text, { target: 'b', categorical: ['a'] }).features.length).toBe(4);
    expect(() => csvDataset('a,b\n1e60,x\n2,y\n', { target: 'b' })).toThrow(DataError);
    expect(() => csvDataset(text, { target: 'b', task: 'number' })).toThrow(/column "b": "x" is no number/);
  });
  test('columns that do not exist, or are target and feature at once, are refused', () => {
    expect(() => csvDataset(PETS, { target: 'sort' })).toThrow(/It has: weight, colour, age, kind/);
    expect(() => csvDataset(PETS, { target: 'kind', features: ['kind'] })).toThrow(DataError);
    expect(() => csvDataset('a\n1\n', { target: 'a' })).toThrow(DataError);
    expect(() => csvDataset(PETS, { target: 'kind', features: ['colour'], maxCategories: 2 })).toThrow(
      /3 different names/,
    );
  });
  test('a schema is JSON and treats other tables alike', () => {
    const schema = JSON.parse(
      JSON.stringify(
        fitTable(parseTable(PETS), { target: 'kind', features: ['colour', 'weight'], categories: 'index' }),
      ),
    ) as ReturnType<typeof fitTable>;
    expect(inputNames(schema)).toEqual(['weight']);
    const other = parseTable('weight,colour\n4,white\n9,green\n');
    expect(() => tableDataset(other, schema)).toThrow(/no column "kind"/);
    expect(() => tableDataset(other, schema, { withoutTarget: true })).toThrow(/Row 3, column "colour": "green"/);
    const dataset = tableDataset(other, schema, { withoutTarget: true, unknown: 'ignore' });
    expect(floats(dataset, 'x')).toEqual([0, Math.fround(Math.sqrt(5))]);
    expect(floats(dataset, 'categories')).toEqual([2, 3]);
    expect(Object.keys(dataset.columns)).toEqual(['x', 'categories']);
  });
  test('any table gives finite numbers or a typed error', () => {
    const cell = fc.constantFrom('1', '-2.5', '1e39', 'x', '', 'NaN', '0x10', 'Infinity', '.', '1e');
    fc.assert(
      fc.property(
        fc.array(fc.tuple(cell, cell, cell), { minLength: 1, maxLength: 6 }),
        fc.constantFrom('refuse', 'drop', 'fill'),
        (rows, missing) => {
          try {
            const text = ['a,b,c', ...rows.map((row) => row.join(','))].join('\n');
            const { dataset, classes } = csvDataset(text, { target: 'c', missing });
            expect(floats(dataset, 'x').every(Number.isFinite)).toBe(true);
            if (classes.length > 0)
              expect(floats(dataset, 'label').every((label) => label < classes.length)).toBe(true);
            else expect(floats(dataset, 'target').every(Number.isFinite)).toBe(true);
          } catch (error) {
            expect(error).toBeInstanceOf(DataError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

test('a table is cut before it is fitted, in equal shares of a column', () => {
  const table = parseTable(
    'a,b\n' + Array.from({ length: 20 }, (_, row) => `${row},${row % 4 === 0 ? 'rare' : 'common'}\n`).join(''),
  );
  const [train, test_] = splitTable(table, [0.8, 0.2], { seed: 1, stratifyBy: 'b' }) as [typeof table, typeof table];
  expect([...train.rows, ...test_.rows].map(([a]) => Number(a)).sort((a, b) => a - b)).toEqual(
    Array.from({ length: 20 }, (_, row) => row),
  );
  expect(train.rows.filter(([, b]) => b === 'rare').length).toBe(4);
  expect(test_.rows.map(([, b]) => b).sort()).toEqual(['common', 'common', 'common', 'rare']);
  expect(splitTable(table, [0.5, 0.5])[0]?.rows).toEqual(table.rows.slice(0, 10));
  expect(() => splitTable(table, [0.5, 0.5], { stratifyBy: 'c' })).toThrow(DataError);
  expect(() => splitTable(table, [0.5])).toThrow(DataError);
});
