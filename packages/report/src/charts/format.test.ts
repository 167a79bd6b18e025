import { expect, test } from '@jest/globals';
import { formatBytes, formatDuration, formatNumber } from './format.js';

test.each([
  [0, '0'],
  [1, '1'],
  [900, '900'],
  [61_706, '61,706'],
  [-12_345, '−12,345'],
  [0.123456, '0.1235'],
  [12.3456, '12.35'],
  [1234.56, '1235'],
  [0.5, '0.5'],
  [0.000123456, '0.0001235'],
  [0.00002, '2e−5'],
  [-0.00001234567, '−1.235e−5'],
  [1.5e9 + 0.5, '1.5e9'],
  [Number.NaN, 'NaN'],
  [Number.NEGATIVE_INFINITY, '−∞'],
])('number %p', (value, text) => {
  expect(formatNumber(value)).toBe(text);
});

test('bytes and durations', () => {
  expect([512, 1536, 412 * 2 ** 20].map(formatBytes)).toEqual(['512 B', '1.5 KiB', '412.0 MiB']);
  expect([0.0451, 12.34, 59.99, 200, 3725].map(formatDuration)).toEqual([
    '45.1 ms',
    '12.3 s',
    '60.0 s',
    '3 min 20 s',
    '1 h 02 min',
  ]);
});
