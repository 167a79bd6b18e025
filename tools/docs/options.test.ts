import { expect, test } from '@jest/globals';
import { describeOptions, optionsJsonSchema, pluginMetadata } from '@updraft/core';
import * as data from '@updraft/data';
import * as nn from '@updraft/nn';
import * as rules from '@updraft/rules';

// Packages of methods keep theirs in options.json. A change of a public option shows here; `npm run jest -- tools/docs -u`
// accepts it.
const plugins = [rules, nn, data].flatMap((exports) =>
  Object.values(exports).flatMap((value) => pluginMetadata(value) ?? []),
);

test.each(plugins.map((metadata) => [`${metadata.contract} ${metadata.name}`, metadata] as const))(
  'options of %s',
  (_, { options }) => {
    const rows = describeOptions(options);
    expect(rows.filter(({ description }) => description.trim() === '').map(({ name }) => name)).toEqual([]);
    expect({ rows, schema: optionsJsonSchema(options) }).toMatchSnapshot();
  },
);
