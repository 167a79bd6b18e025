import { standardOperators } from '@updraft/graph';
import { standardRules } from './rules/index.js';

const ORDERS = { any: 'every order', first: 'first order', zero: 'zero' } as const;

/** The table of operators in the docs: what has a derivative, of which order, with which restrictions. Markdown. */
export function operatorTable(): string {
  const rules = new Map(standardRules().map((rule) => [rule.operator, rule]));
  const names = [...new Set([...standardOperators().names(), ...rules.keys()])].sort();
  const derived = [...rules.values()].filter(({ order }) => order !== 'zero').length;
  const rows = names.map((name) => {
    const rule = rules.get(name);
    return `| ${name} | ${rule === undefined ? '–' : ORDERS[rule.order]} | ${rule?.notes ?? ''} |`;
  });
  return [
    '# Operators',
    '',
    'Made from the registries by `npm run docs:operators`; a test keeps this page equal to them.',
    '',
    `Updraft knows ${names.length} operators (shape inference, loading, building). ${derived} have a derivative, ${rules.size - derived} more have a`,
    'derivative that is zero wherever it exists (comparisons, rounding, integers). "Every order" means that the gradient is built from operators',
    'with derivatives of their own. Asking for a gradient through an operator without one (–) is an error that names the node and the path.',
    'All of them run on the CPU; on WebGPU, ONNX Runtime places the ones that it has no kernel for on the CPU, and',
    '`program.profile().byProvider` shows whether it did.',
    '',
    '| operator | derivative | conventions and restrictions |',
    '| --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}
