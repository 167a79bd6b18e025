import * as g from '@updraft/graph';
import { applied } from '../applied.js';
import { real, whole, type OperatorCases } from '../random-cases.js';
import { broadcastAt, elementAt, matrixProduct, reshaped, tabulate, transposed, type Values } from '../values.js';
import { alongAxis, softmaxOf } from './reductions.js';

/** [batch, length, heads · size] as [batch, heads, length, size]. */
const intoHeads = (x: Values, heads: number): Values => {
  const [batch, length, width] = x.dims as [number, number, number];
  return transposed(reshaped(x, [batch, length, heads, width / heads]), [0, 2, 1, 3]);
};
const outOfHeads = (x: Values): Values => {
  const [batch, heads, length, size] = x.dims as [number, number, number, number];
  return reshaped(transposed(x, [0, 2, 1, 3]), [batch, length, heads * size]);
};
const joined = (first: Values, second: Values): Values => {
  const [batch, heads, before, size] = first.dims as [number, number, number, number];
  return tabulate([batch, heads, before + (second.dims[2] as number), size], ([b, h, at, s]) =>
    (at as number) < before
      ? elementAt(first, [b as number, h as number, at as number, s as number])
      : elementAt(second, [b as number, h as number, (at as number) - before, s as number]),
  );
};

interface Scoring {
  readonly scale: number;
  /** Added to the scores, or whether a key counts. */
  readonly bias?: Values | undefined;
  readonly allowed?: ((batch: number, query: number, key: number, head: number) => boolean) | undefined;
  readonly softcap?: number;
}

/** softmax(q·kᵀ·scale)·v for [batch, heads, length, size]; every key and value head serves a run of query heads. */
function attended(q: Values, k: Values, v: Values, { scale, bias, allowed, softcap }: Scoring): Values {
  const [batch, heads, length, size] = q.dims as [number, number, number, number];
  const [keyHeads, keys] = [k.dims[1] as number, k.dims[2] as number];
  const shared = (head: number): number => Math.floor(head / (heads / keyHeads));
  const scores = tabulate([batch, heads, length, keys], (index) => {
    const [b, h, query, key] = index as [number, number, number, number];
    let score = 0;
    for (let at = 0; at < size; at++) score += elementAt(q, [b, h, query, at]) * elementAt(k, [b, shared(h), key, at]);
    score *= scale;
    if (softcap !== undefined && softcap > 0) score = softcap * Math.tanh(score / softcap);
    if (bias !== undefined) score += broadcastAt(bias, index);
    return allowed === undefined || allowed(b, query, key, h) ? score : -Infinity;
  });
  const weights = alongAxis(scores, 3, softmaxOf);
  return tabulate([batch, heads, length, v.dims[3] as number], ([b, h, query, at]) => {
    let sum = 0;
    for (let key = 0; key < keys; key++)
      sum +=
        elementAt(weights, [b as number, h as number, query as number, key]) *
        elementAt(v, [b as number, shared(h as number), key, at as number]);
    return sum;
  });
}

const standardAttention: OperatorCases = {
  operator: 'Attention',
  draw(random) {
    const batch = random.integer(1, 2);
    const keyHeads = random.integer(1, 2);
    const heads = keyHeads * random.integer(1, 2);
    const [length, size, valueSize] = [random.integer(1, 3), random.integer(1, 3), random.integer(1, 3)];
    const flat = random.chance();
    const past = !flat && random.chance(0.3) ? random.integer(1, 2) : 0;
    const causal = random.chance(0.4);
    // After a past, the kernel lets a single query see every key: that is causal for as many keys as queries only.
    const keys = causal && past > 0 ? length : random.integer(1, 3);
    const masking = random.pick(['none', 'numbers', 'flags'] as const);
    const softcap = random.chance(0.3) ? random.between(0.5, 2) : undefined;
    const scale = random.chance() ? random.between(0.3, 1.2) : undefined;
    const total = past + keys;
    const maskDims = random.pick([
      [length, total],
      [1, 1, length, total],
      [batch, heads, length, total],
    ]);
    const flags = random.integers(maskDims, 0, 1);
    // A query that may look at nothing has no attention: the first key is for all.
    flags.data.forEach((_, at) => at % total === 0 && (flags.data[at] = 1));
    const operand = (count: number, positions: number, width: number): Values =>
      random.values(flat ? [batch, positions, count * width] : [batch, count, positions, width]);
    const inputs = [
      real(operand(heads, length, size)),
      real(operand(keyHeads, keys, size)),
      real(operand(keyHeads, keys, valueSize)),
      ...(masking === 'none' ? [] : [masking === 'numbers' ? real(random.values(maskDims)) : whole(flags, 'bool')]),
      ...(past === 0
        ? []
        : [
            real(random.values([batch, keyHeads, past, size])),
            real(random.values([batch, keyHeads, past, valueSize])),
          ]),
    ];
    const first = masking === 'none' ? 0 : 1;
    return {
      settings: { flat, past, causal, masking, softcap, scale },
      inputs,
      build: (q, k, v, ...rest) => {
        const options = {
          causal,
          ...(masking === 'none' ? {} : { mask: rest[0] as g.Tensor }),
          ...(past === 0 ? {} : { pastKey: rest[first] as g.Tensor, pastValue: rest[first + 1] as g.Tensor }),
          ...(flat ? { queryHeads: heads, keyValueHeads: keyHeads } : {}),
          ...(softcap === undefined ? {} : { softcap }),
          ...(scale === undefined ? {} : { scale }),
        };
        if (past === 0) return [g.attention(q as g.Tensor, k as g.Tensor, v as g.Tensor, options)];
        const { output, presentKey, presentValue } = g.attentionWithCache(
          q as g.Tensor,
          k as g.Tensor,
          v as g.Tensor,
          options,
        );
        return [output, presentKey, presentValue];
      },
      reference: (q, k, v, ...rest) => {
        const own = (x: Values, count: number): Values => (flat ? intoHeads(x, count) : x);
        const key = past === 0 ? own(k as Values, keyHeads) : joined(rest[first] as Values, k as Values);
        const value = past === 0 ? own(v as Values, keyHeads) : joined(rest[first + 1] as Values, v as Values);
        const result = attended(own(q, heads), key, value, {
          scale: scale ?? 1 / Math.sqrt(size),
          ...(masking === 'numbers' ? { bias: rest[0] } : {}),
          ...(softcap === undefined ? {} : { softcap }),
          allowed: (b, query, at, head) =>
            (!causal || at <= query + past) &&
            (masking !== 'flags' || broadcastAt(rest[0] as Values, [b, head, query, at]) === 1),
        });
        const output = flat ? outOfHeads(result) : result;
        return past === 0 ? [output] : [output, key, value];
      },
    };
  },
};

const multiHeadCases: OperatorCases = {
  operator: 'com.microsoft.MultiHeadAttention',
  draw(random) {
    const [batch, heads, size] = [random.integer(1, 2), random.integer(1, 3), random.integer(1, 3)];
    const causal = random.chance(0.3);
    const length = random.integer(1, 3);
    const keys = causal ? length : random.integer(1, 3);
    const width = heads * size;
    const scale = random.chance() ? random.between(0.3, 1.2) : undefined;
    const [hasBias, hasScoreBias] = [random.chance(), random.chance()];
    const hasMask = !causal && random.chance(0.4);
    const mask = random.integers([batch, keys], 0, 1);
    mask.data.forEach((_, at) => at % keys === 0 && (mask.data[at] = 1));
    const scoreBias = [random.pick([1, batch]), random.pick([1, heads]), length, keys];
    const optional = [
      ...(hasBias ? [['bias', real(random.values([3 * width]))] as const] : []),
      ...(hasMask ? [['keyPaddingMask', whole(mask, 'int32')] as const] : []),
      ...(hasScoreBias ? [['attentionBias', real(random.values(scoreBias))] as const] : []),
    ];
    const find = <T>(rest: readonly T[], name: string): T | undefined =>
      rest[optional.findIndex(([own]) => own === name)];
    return {
      settings: { heads, causal, scale, hasBias, hasMask, hasScoreBias },
      inputs: [
        real(random.values([batch, length, width])),
        real(random.values([batch, keys, width])),
        real(random.values([batch, keys, width])),
        ...optional.map(([, input]) => input),
      ],
      build: (q, k, v, ...rest) => [
        g.multiHeadAttention(q as g.Tensor, k as g.Tensor, v as g.Tensor, {
          heads,
          causal,
          ...(scale === undefined ? {} : { scale }),
          ...Object.fromEntries(optional.map(([name], at) => [name, rest[at] as g.Tensor])),
        }),
      ],
      reference: (q, k, v, ...rest) => {
        const bias = find(rest, 'bias');
        const biased = (x: Values, part: number): Values =>
          intoHeads(
            tabulate(
              x.dims,
              (index, position) =>
                (x.data[position] as number) +
                (bias === undefined ? 0 : (bias.data[part * width + (index[2] as number)] as number)),
            ),
            heads,
          );
        const keyMask = find(rest, 'keyPaddingMask');
        return [
          outOfHeads(
            attended(biased(q, 0), biased(k as Values, 1), biased(v as Values, 2), {
              scale: scale ?? 1 / Math.sqrt(size),
              bias: find(rest, 'attentionBias'),
              allowed: (b, query, key) =>
                (!causal || key <= query) && (keyMask === undefined || elementAt(keyMask, [b, key]) === 1),
            }),
          ),
        ];
      },
    };
  },
};

const selfAttentionCases: OperatorCases = {
  operator: 'com.microsoft.Attention',
  draw(random) {
    const [batch, length, features, heads] = [1, 2, 3, 4].map((_, at) => random.integer(1, at === 2 ? 4 : 3)) as [
      number,
      number,
      number,
      number,
    ];
    const [size, valueSize] = [random.integer(1, 3), random.integer(1, 3)];
    const uneven = random.chance();
    const sizes = [heads * size, heads * size, heads * (uneven ? valueSize : size)] as const;
    const causal = random.chance();
    const scale = random.chance() ? random.between(0.3, 1.2) : undefined;
    const hasScoreBias = random.chance(0.4);
    const width = sizes[0] + sizes[1] + sizes[2];
    return {
      settings: { heads, sizes, causal, scale, hasScoreBias },
      inputs: [
        real(random.values([batch, length, features])),
        real(random.values([features, width])),
        real(random.values([width])),
        ...(hasScoreBias ? [real(random.values([batch, heads, length, length]))] : []),
      ],
      build: (x, w, b, scoreBias) =>
        applied('com.microsoft.Attention', [x, w, b, undefined, undefined, scoreBias], {
          num_heads: heads,
          unidirectional: causal ? 1 : 0,
          ...(uneven ? { qkv_hidden_sizes: [...sizes] } : {}),
          ...(scale === undefined ? {} : { scale }),
        }),
      reference: (x, w, b, scoreBias) => {
        const product = matrixProduct(x, w as Values);
        const part = (at: number): Values => {
          const begin = sizes.slice(0, at).reduce((p, q) => p + q, 0);
          return intoHeads(
            tabulate([batch, length, sizes[at] as number], ([image, row, column]) => {
              const place = begin + (column as number);
              return (
                elementAt(product, [image as number, row as number, place]) + ((b as Values).data[place] as number)
              );
            }),
            heads,
          );
        };
        return [
          outOfHeads(
            attended(part(0), part(1), part(2), {
              scale: scale ?? 1 / Math.sqrt(size),
              bias: scoreBias,
              allowed: (_, query, key) => !causal || key <= query,
            }),
          ),
        ];
      },
    };
  },
};

/** Pairs of elements rotated: halves of the rotated part, or neighbours. */
function rotated(
  x: Values,
  angle: (b: number, at: number, pair: number) => [number, number],
  pairs: number,
  interleaved: boolean,
): Values {
  return tabulate(x.dims, (index, position) => {
    const [b, h, at, element] = index as [number, number, number, number];
    if (element >= 2 * pairs) return x.data[position] as number;
    const pair = interleaved ? Math.floor(element / 2) : element % pairs;
    const isFirst = interleaved ? element % 2 === 0 : element < pairs;
    const places = interleaved ? [2 * pair, 2 * pair + 1] : [pair, pair + pairs];
    const [first, second] = places.map((place) => elementAt(x, [b, h, at, place])) as [number, number];
    const [cosine, sine] = angle(b, at, pair);
    return isFirst ? first * cosine - second * sine : second * cosine + first * sine;
  });
}

const rotaryCases = (operator: string, microsoft: boolean): OperatorCases => ({
  operator,
  draw(random) {
    const [batch, heads, length] = [random.integer(1, 2), random.integer(1, 3), random.integer(1, 3)];
    const size = 2 * random.integer(1, 3);
    const part = random.chance(0.4) && !microsoft;
    const rotatedSize = part ? 2 * random.integer(1, size / 2) : size;
    const pairs = rotatedSize / 2;
    const interleaved = random.chance();
    const flat = random.chance();
    // The kernel of the runtime reads one start for all, or a position for each.
    const given = microsoft || random.chance();
    const asStart = microsoft && random.chance();
    const rows = length + 2;
    const places = asStart ? random.integers([1], 0, 2) : random.integers([batch, length], 0, rows - 1);
    const table = given ? [rows, pairs] : [batch, length, pairs];
    const inputs = [
      real(random.values(flat ? [batch, length, heads * size] : [batch, heads, length, size])),
      real(random.values(table)),
      real(random.values(table)),
      ...(given ? [whole(places)] : []),
    ];
    return {
      settings: { flat, interleaved, rotatedSize, given, asStart },
      inputs,
      build: (x, cosines, sines, positions) => [
        microsoft
          ? g.microsoftRotaryEmbedding(
              x as g.Tensor,
              positions as g.Tensor,
              cosines as g.Tensor,
              sines as g.Tensor,
              // Three axes do not say the number of heads; the tables do.
              { interleaved },
            )
          : g.rotaryEmbedding(x as g.Tensor, cosines as g.Tensor, sines as g.Tensor, {
              interleaved,
              ...(positions === undefined ? {} : { positions }),
              ...(flat ? { heads } : {}),
              ...(part ? { rotatedSize } : {}),
            }),
      ],
      reference: (x, cosines, sines, positions) => {
        const angle = (b: number, at: number, pair: number): [number, number] => {
          const row =
            positions === undefined
              ? [b, at, pair]
              : [asStart ? (positions.data[0] as number) + at : elementAt(positions, [b, at]), pair];
          return [elementAt(cosines as Values, row), elementAt(sines as Values, row)];
        };
        const result = rotated(flat ? intoHeads(x, heads) : x, angle, pairs, interleaved);
        return [flat ? outOfHeads(result) : result];
      },
    };
  },
});

export const attentionCases: readonly OperatorCases[] = [
  standardAttention,
  multiHeadCases,
  selfAttentionCases,
  rotaryCases('RotaryEmbedding', false),
  rotaryCases('com.microsoft.RotaryEmbedding', true),
];
