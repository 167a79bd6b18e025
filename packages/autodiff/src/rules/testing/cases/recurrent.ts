import * as g from '@updraft/graph';
import { real, whole, type OperatorCases } from '../random-cases.js';
import type { Random } from '../random.js';
import { elementAt, tabulate, type Values } from '../values.js';
import { logistic, softplusOf } from './elementwise.js';

type Activation = (x: number) => number;
const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  Sigmoid: logistic,
  Tanh: Math.tanh,
  Softplus: softplusOf,
  Softsign: (x) => x / (1 + Math.abs(x)),
};

interface Cell {
  readonly gates: number;
  readonly activations: readonly string[];
}
interface Options {
  readonly direction: 'forward' | 'reverse' | 'bidirectional';
  readonly names: readonly string[] | undefined;
  /** Coupled gates of an LSTM, or the linear form of a GRU. */
  readonly variant: boolean;
  readonly optional: readonly string[];
}

interface Operands {
  readonly x: Values;
  readonly w: Values;
  readonly r: Values;
  readonly bias?: Values;
  readonly lengths?: Values;
  readonly initialHidden?: Values;
  readonly initialCell?: Values;
  readonly peepholes?: Values;
}

/** One step of one direction for one example, as the equations of the specification have it. */
function stepped(
  cell: Cell,
  variant: boolean,
  activations: readonly Activation[],
  at: {
    readonly input: (row: number) => number;
    readonly recurrent: (row: number, hidden: readonly number[]) => number;
    readonly inputBias: (row: number) => number;
    readonly recurrentBias: (row: number) => number;
    readonly peephole: (row: number) => number;
    readonly size: number;
  },
  hidden: readonly number[],
  memory: readonly number[],
): { hidden: number[]; memory: number[] } {
  const { input, recurrent, inputBias, recurrentBias, peephole, size } = at;
  const units = Array.from({ length: size }, (_, unit) => unit);
  const [f, second, third] = activations as [Activation, Activation, Activation];
  const sum = (row: number): number => input(row) + recurrent(row, hidden) + inputBias(row) + recurrentBias(row);
  if (cell.gates === 1) return { hidden: units.map((unit) => f(sum(unit))), memory: [] };
  if (cell.gates === 3) {
    const update = units.map((unit) => f(sum(unit)));
    const reset = units.map((unit) => f(sum(size + unit)));
    const candidate = units.map((unit) => {
      const row = 2 * size + unit;
      return second(
        variant
          ? input(row) + inputBias(row) + (reset[unit] as number) * (recurrent(row, hidden) + recurrentBias(row))
          : input(row) +
              inputBias(row) +
              recurrent(
                row,
                hidden.map((value, other) => value * (reset[other] as number)),
              ) +
              recurrentBias(row),
      );
    });
    return {
      hidden: units.map(
        (unit) =>
          (1 - (update[unit] as number)) * (candidate[unit] as number) +
          (update[unit] as number) * (hidden[unit] as number),
      ),
      memory: [],
    };
  }
  const next = units.map((unit) => {
    const opened = f(sum(unit) + peephole(unit) * (memory[unit] as number));
    const kept = variant ? 1 - opened : f(sum(2 * size + unit) + peephole(2 * size + unit) * (memory[unit] as number));
    return kept * (memory[unit] as number) + opened * second(sum(3 * size + unit));
  });
  return {
    hidden: units.map(
      (unit) => f(sum(size + unit) + peephole(size + unit) * (next[unit] as number)) * third(next[unit] as number),
    ),
    memory: next,
  };
}

function unrolled(
  cell: Cell,
  { direction, names, variant }: Options,
  operands: Operands,
  functions: Readonly<Record<string, Activation>> = ACTIVATIONS,
): Values[] {
  const { x, w, r, bias, lengths, initialHidden, initialCell, peepholes } = operands;
  const [length, batch, width] = x.dims as [number, number, number];
  const [directions, size] = [w.dims[0] as number, r.dims[2] as number];
  const rows = cell.gates * size;
  const sequence = {
    dims: [length, directions, batch, size],
    data: new Float64Array(length * directions * batch * size),
  };
  const hidden = { dims: [directions, batch, size], data: new Float64Array(directions * batch * size) };
  const memory = { dims: [directions, batch, size], data: new Float64Array(directions * batch * size) };
  for (let way = 0; way < directions; way++) {
    const activations = cell.activations.map(
      (standard, at) => functions[names?.[way * cell.activations.length + at] ?? standard] as Activation,
    );
    const backward = direction === 'reverse' || way === 1;
    for (let one = 0; one < batch; one++) {
      const steps = lengths === undefined ? length : (lengths.data[one] as number);
      const start = (value: Values | undefined): number[] =>
        Array.from({ length: size }, (_, unit) => (value === undefined ? 0 : elementAt(value, [way, one, unit])));
      let state = { hidden: start(initialHidden), memory: start(initialCell) };
      for (let step = 0; step < steps; step++) {
        const time = backward ? steps - 1 - step : step;
        state = stepped(
          cell,
          variant,
          activations,
          {
            size,
            input: (row) => {
              let total = 0;
              for (let at = 0; at < width; at++) total += elementAt(w, [way, row, at]) * elementAt(x, [time, one, at]);
              return total;
            },
            recurrent: (row, values) => {
              let total = 0;
              for (let at = 0; at < size; at++) total += elementAt(r, [way, row, at]) * (values[at] as number);
              return total;
            },
            inputBias: (row) => (bias === undefined ? 0 : elementAt(bias, [way, row])),
            recurrentBias: (row) => (bias === undefined ? 0 : elementAt(bias, [way, rows + row])),
            peephole: (row) => (peepholes === undefined ? 0 : elementAt(peepholes, [way, row])),
          },
          state.hidden,
          state.memory,
        );
        sequence.data.set(state.hidden, ((time * directions + way) * batch + one) * size);
      }
      hidden.data.set(state.hidden, (way * batch + one) * size);
      if (cell.gates === 4) memory.data.set(state.memory, (way * batch + one) * size);
    }
  }
  return cell.gates === 4 ? [sequence, hidden, memory] : [sequence, hidden];
}

const OPTIONAL = ['bias', 'lengths', 'initialHidden', 'initialCell', 'peepholes'] as const;

const recurrentCase = (
  operator: string,
  cell: Cell,
  apply: (random: Random) => boolean,
  build: (operands: Readonly<Record<string, g.Tensor | undefined>>, options: Options) => readonly g.Tensor[],
): OperatorCases => ({
  operator,
  draw(random) {
    const direction = random.pick(['forward', 'reverse', 'bidirectional'] as const);
    const directions = direction === 'bidirectional' ? 2 : 1;
    const [length, batch, width, size] = [
      random.integer(1, 3),
      random.integer(1, 2),
      random.integer(1, 2),
      random.integer(1, 2),
    ];
    const variant = apply(random);
    const names = random.chance(0.3)
      ? Array.from({ length: directions * cell.activations.length }, () => random.pick(Object.keys(ACTIVATIONS)))
      : undefined;
    const shapes: Record<string, number[]> = {
      x: [length, batch, width],
      w: [directions, cell.gates * size, width],
      r: [directions, cell.gates * size, size],
      bias: [directions, 2 * cell.gates * size],
      initialHidden: [directions, batch, size],
      ...(cell.gates === 4 ? { initialCell: [directions, batch, size], peepholes: [directions, 3 * size] } : {}),
    };
    const optional = OPTIONAL.filter((name) => (name === 'lengths' || name in shapes) && random.chance());
    const order = ['x', 'w', 'r', ...optional];
    const options: Options = { direction, names, variant, optional };
    const named = (operands: readonly Values[]): Operands =>
      Object.fromEntries(order.map((name, at) => [name, operands[at]])) as unknown as Operands;
    const drawn = (): Values[] =>
      order.map((name) =>
        name === 'lengths' ? random.integers([batch], 1, length) : random.values(shapes[name] as number[]),
      );
    // The slope of Softsign has a kink at 0: no state comes close to it.
    const nearest = (operands: readonly Values[]): number => {
      let least = Infinity;
      const softsign = (x: number): number => {
        least = Math.min(least, Math.abs(x));
        return x / (1 + Math.abs(x));
      };
      unrolled(cell, options, named(operands), { ...ACTIVATIONS, Softsign: softsign });
      return least;
    };
    let values = drawn();
    while (nearest(values) < 0.01) values = drawn();
    return {
      settings: { ...options },
      inputs: order.map((name, at) =>
        name === 'lengths' ? whole(values[at] as Values, 'int32') : real(values[at] as Values),
      ),
      build: (...operands) =>
        build(Object.fromEntries(order.map((name, at) => [name, operands[at] as g.Tensor])), options),
      reference: (...operands) => unrolled(cell, options, named(operands)),
    };
  },
});

/** The optional operands that were drawn, by the names that the builders have for them. */
const common = (operands: Readonly<Record<string, g.Tensor | undefined>>, { direction, names }: Options) => ({
  direction,
  ...(names === undefined ? {} : { activations: names }),
  ...(operands['bias'] === undefined ? {} : { bias: operands['bias'] }),
  ...(operands['lengths'] === undefined ? {} : { sequenceLengths: operands['lengths'] }),
  ...(operands['initialHidden'] === undefined ? {} : { initialHidden: operands['initialHidden'] }),
});

const weightsOf = (operands: Readonly<Record<string, g.Tensor | undefined>>): [g.Tensor, g.Tensor, g.Tensor] => [
  operands['x'] as g.Tensor,
  operands['w'] as g.Tensor,
  operands['r'] as g.Tensor,
];

export const recurrentCases: readonly OperatorCases[] = [
  recurrentCase(
    'LSTM',
    { gates: 4, activations: ['Sigmoid', 'Tanh', 'Tanh'] },
    (random) => random.chance(0.3),
    (operands, options) => {
      const { sequence, hidden, cell } = g.lstm(...weightsOf(operands), {
        ...common(operands, options),
        ...(operands['initialCell'] === undefined ? {} : { initialCell: operands['initialCell'] }),
        ...(operands['peepholes'] === undefined ? {} : { peepholes: operands['peepholes'] }),
        inputForget: options.variant,
      });
      return [sequence, hidden, cell];
    },
  ),
  recurrentCase(
    'GRU',
    { gates: 3, activations: ['Sigmoid', 'Tanh'] },
    (random) => random.chance(),
    (operands, options) => {
      const { sequence, hidden } = g.gru(...weightsOf(operands), {
        ...common(operands, options),
        linearBeforeReset: options.variant,
      });
      return [sequence, hidden];
    },
  ),
  recurrentCase(
    'RNN',
    { gates: 1, activations: ['Tanh'] },
    () => false,
    (operands, options) => {
      const { sequence, hidden } = g.rnn(...weightsOf(operands), common(operands, options));
      return [sequence, hidden];
    },
  ),
];

/** Bodies draw their numbers from the case, so that every one is another. */
const scanned: OperatorCases = {
  operator: 'Scan',
  draw(random) {
    const [length, size] = [random.integer(1, 4), random.integer(1, 3)];
    const backward = random.chance();
    const outputsBackward = random.chance();
    const [decay, gain] = [random.between(-1, 1), random.between(-1, 1)];
    return {
      settings: { length, backward, outputsBackward, decay, gain },
      inputs: [real(random.values([size])), real(random.values([length, size])), real(random.values([size]))],
      build: (state, x, factor) => {
        const result = g.scan(
          {
            state: [state as g.Tensor],
            inputs: [x as g.Tensor],
            inputDirections: [backward ? 'backward' : 'forward'],
            outputDirections: [outputsBackward ? 'backward' : 'forward'],
          },
          ([before], [now]) => {
            const after = g.tanh(g.add(g.mul(before as g.Tensor, decay), g.mul(now as g.Tensor, factor as g.Tensor)));
            return { state: [after], outputs: [g.mul(after, g.add(now as g.Tensor, gain))] };
          },
        );
        return [result.state[0] as g.Tensor, result.outputs[0] as g.Tensor];
      },
      reference: (state, x, factor) => {
        let current = [...state.data];
        const outputs = new Float64Array(length * size);
        for (let step = 0; step < length; step++) {
          const time = backward ? length - 1 - step : step;
          const now = (unit: number): number => elementAt(x as Values, [time, unit]);
          current = current.map((value, unit) =>
            Math.tanh(decay * value + now(unit) * ((factor as Values).data[unit] as number)),
          );
          const place = outputsBackward ? length - 1 - step : step;
          outputs.set(
            current.map((value, unit) => value * (now(unit) + gain)),
            place * size,
          );
        }
        return [
          { dims: [size], data: Float64Array.from(current) },
          { dims: [length, size], data: outputs },
        ];
      },
    };
  },
};

const looped: OperatorCases = {
  operator: 'Loop',
  draw(random) {
    const [trips, size] = [random.integer(1, 4), random.integer(1, 3)];
    const [decay, offset] = [random.between(-1, 1), random.between(-1, 1)];
    return {
      settings: { trips, decay, offset },
      inputs: [real(random.values([size])), real(random.values([size]))],
      build: (x, w) => {
        const { state, scan } = g.loop({ count: trips, state: [x as g.Tensor] }, (step, [before]) => {
          const turned = g.add(g.mul(before as g.Tensor, w as g.Tensor), g.mul(step.cast('float32'), offset));
          const after = g.sin(turned);
          return { state: [after], scan: [g.mul(after, decay)] };
        });
        return [state[0] as g.Tensor, scan[0] as g.Tensor];
      },
      reference: (x, w) => {
        let current = [...x.data];
        const rows: number[] = [];
        for (let step = 0; step < trips; step++) {
          current = current.map((value, unit) =>
            Math.sin(value * ((w as Values).data[unit] as number) + step * offset),
          );
          rows.push(...current.map((value) => value * decay));
        }
        return [
          { dims: [size], data: Float64Array.from(current) },
          { dims: [trips, size], data: Float64Array.from(rows) },
        ];
      },
    };
  },
};

const branched: OperatorCases = {
  operator: 'If',
  draw(random) {
    const dims = random.dims(0, 3, 3);
    const taken = random.chance();
    const [first, second] = [random.between(-1, 1), random.between(-1, 1)];
    return {
      settings: { taken, first, second },
      inputs: [
        whole({ dims: [], data: Float64Array.of(taken ? 1 : 0) }, 'bool'),
        real(random.values(dims)),
        real(random.values(dims)),
      ],
      build: (condition, x, y) =>
        g.cond(
          condition as g.Tensor,
          () => [g.mul(g.sin(x as g.Tensor), g.add(y as g.Tensor, first))],
          () => [g.tanh(g.mul(y as g.Tensor, second))],
        ),
      reference: (condition, x, y) => [
        tabulate(dims, (_, at) => {
          const [p, q] = [(x as Values).data[at] as number, (y as Values).data[at] as number];
          return condition.data[0] === 1 ? Math.sin(p) * (q + first) : Math.tanh(q * second);
        }),
      ],
    };
  },
};

export const controlFlowCases: readonly OperatorCases[] = [scanned, looped, branched];
