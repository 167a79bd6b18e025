import { standardOperators } from '@updraft/graph';
import { standardRules } from './rules/index.js';
import { WEBGPU_PLACEMENT } from './webgpu-placement.js';

const ORDERS = { any: 'every order', first: 'first order', zero: 'zero' } as const;

/** Where an operator, and the gradient of it, run on WebGPU. */
function onWebGpu(name: string): string {
  const placement = WEBGPU_PLACEMENT[name];
  if (placement === undefined) return '';
  const { runs, gradient } = placement;
  return gradient.length === 0 ? runs : `${runs}; gradient: ${gradient.join(', ')} on the CPU`;
}

/** The table of operators in the docs: what has a derivative, of which order, with which restrictions. Markdown. */
export function operatorTable(): string {
  const rules = new Map(standardRules().map((rule) => [rule.operator, rule]));
  const names = [...new Set([...standardOperators().names(), ...rules.keys()])].sort();
  const derived = [...rules.values()].filter(({ order }) => order !== 'zero').length;
  const rows = names.map((name) => {
    const rule = rules.get(name);
    return `| ${name} | ${rule === undefined ? '–' : ORDERS[rule.order]} | ${onWebGpu(name)} | ${rule?.notes ?? ''} |`;
  });
  return [
    '# Operators',
    '',
    'Made from the registries by `npm run docs:operators`; a test keeps this page equal to them.',
    '',
    `Updraft knows ${names.length} operators (shape inference, loading, building). ${derived} have a derivative, ${rules.size - derived} more have a`,
    'derivative that is zero wherever it exists (comparisons, rounding, integers). "Every order" means that the gradient is built from operators',
    'with derivatives of their own. Asking for a gradient through an operator without one (–) is an error that names the node and the path.',
    'All of them but com.microsoft.BiasSoftmax run on the CPU. Where the device is WebGPU, ONNX Runtime leaves some to the CPU, and their tensors travel; the column',
    'WebGPU says which, measured by `npm run docs:webgpu` on one use of each in float32 ("partly": written out in others, some of which fall;',
    'empty: not measured). `program.profile().onCpu` shows it for a program.',
    '',
    '| operator | derivative | WebGPU | conventions and restrictions |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}
