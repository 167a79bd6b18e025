import {
  CoreError,
  mapValues,
  scalarAt,
  type ClientRule,
  type HostContext,
  type InitContext,
  type NamedValues,
  type NoiseDistribution,
  type ParameterSpec,
  type RoundContext,
  type ScalarValue,
  type StateSpec,
  type StateSpecs,
  type SymbolicState,
  type Update,
  type UpdateContext,
  type UpdateRule,
} from '@updraft/core';
import { zerosLike, type Dim, type Tensor } from '@updraft/graph';
import { DerivedContext, initContextFor, pick } from './derived-context.js';

type Symbolic = SymbolicState<StateSpecs>;
const childState = (state: Symbolic, name: string): Symbolic => (state as Record<string, Symbolic>)[name] ?? {};
const PHASE_SEPARATOR = '+';

/** Phases of several rules as one name; rules without phases add nothing. */
const joinPhases = (rules: readonly UpdateRule[], step: number): string =>
  rules.map((rule) => rule.phase?.(step) ?? '').join(PHASE_SEPARATOR);

/** Host work for one part of a composed rule: its state lives under a prefix. */
const hostContextFor = (outer: HostContext, prefix: string): HostContext => ({
  ...outer,
  readState: (path) => outer.readState(`${prefix}/${path}`),
  writeState: (path, value) => outer.writeState(`${prefix}/${path}`, value),
});

/** Shared plumbing of rules made of named parts. */
function composedHost(parts: Readonly<Record<string, UpdateRule>>): Pick<UpdateRule, 'needsHost' | 'host'> {
  return {
    needsHost: (step) => Object.values(parts).some((part) => part.needsHost?.(step) === true),
    host: async (context) => {
      for (const [name, part] of Object.entries(parts))
        if (part.needsHost?.(context.step) === true) await part.host?.(hostContextFor(context, name));
    },
  };
}

/** Rounds of federated training for rules made of named parts: each part sees its own state and its own parameters. */
function composedRounds(
  parts: Readonly<Record<string, ClientRule>>,
  select: (specs: NamedValues<ParameterSpec>, part: string) => NamedValues<ParameterSpec> = (specs) => specs,
): Pick<ClientRule, 'roundStart' | 'roundEnd' | 'clientState'> {
  const keeps = Object.values(parts).some(({ clientState }) => clientState === 'keep');
  const boundary = (name: 'roundStart' | 'roundEnd'): ClientRule[typeof name] =>
    Object.values(parts).every((part) => part[name] === undefined)
      ? undefined
      : (context) => {
          let params: NamedValues<Tensor> = {};
          let upload: NamedValues<Tensor> = {};
          const state: Record<string, unknown> = {};
          for (const [key, part] of Object.entries(parts)) {
            const before = childState(context.state, key);
            const specs = select(context.specs, key);
            // Later parts see the parameters that earlier ones changed.
            const change = part[name]?.({
              params: pick({ ...context.params, ...params }, specs),
              received: pick(context.received, specs),
              specs,
              state: before,
              round: context.round,
              scalar: (scalar, value) => context.scalar(`${key}/${scalar}`, value),
              noise: (noise, shape, distribution) => context.noise(`${key}/${noise}`, shape, distribution),
            });
            params = { ...params, ...change?.params };
            upload = { ...upload, ...change?.upload };
            state[key] = change?.state ?? before;
          }
          return { params, upload, state: state as Symbolic };
        };
  const [roundStart, roundEnd] = [boundary('roundStart'), boundary('roundEnd')];
  return {
    ...(keeps ? { clientState: 'keep' } : {}),
    ...(roundStart === undefined ? {} : { roundStart }),
    ...(roundEnd === undefined ? {} : { roundEnd }),
  };
}

/** Rounds of a wrapped rule whose state lives under `inner`; the rest of the state stays. */
function innerRounds<S extends { readonly inner: StateSpecs }>(
  rule: ClientRule,
): Pick<ClientRule<S>, 'roundStart' | 'roundEnd' | 'clientState'> {
  const { roundStart, roundEnd, ...keeps } = composedRounds({ inner: rule });
  const keepRest =
    (boundary: NonNullable<ClientRule['roundStart']>): NonNullable<ClientRule<S>['roundStart']> =>
    (context) => {
      const change = boundary(context as unknown as RoundContext);
      return { ...change, state: { ...context.state, ...change.state } as SymbolicState<S> };
    };
  return {
    ...keeps,
    ...(roundStart === undefined ? {} : { roundStart: keepRest(roundStart) }),
    ...(roundEnd === undefined ? {} : { roundEnd: keepRest(roundEnd) }),
  };
}

/**
 * Rules one after the other, as in optax: each sees the gradients that the earlier ones changed and the parameters that
 * they proposed. `chain(clipByGlobalNorm(1), adamw({ learningRate: 3e-4 }))`.
 */
export function chain(...rules: readonly ClientRule[]): ClientRule {
  if (rules.length === 0) throw new CoreError('update-rule', 'chain() needs at least one rule.');
  const parts = Object.fromEntries(rules.map((rule, index) => [String(index), rule]));
  return {
    init: (context) => mapValues(parts, (rule) => rule.init(context)),
    phase: (step) => joinPhases(rules, step),
    ...composedHost(parts),
    ...composedRounds(parts),
    update(context): Update {
      const phases = context.phase.split(PHASE_SEPARATOR);
      const taken = new Map<string, string>();
      let grads: NamedValues<Tensor> | undefined;
      let proposed = context.proposed;
      let changedParams = false;
      const state: Record<string, unknown> = {};
      for (const [name, rule] of Object.entries(parts)) {
        const current = grads;
        const update = rule.update(
          new ChainedContext(
            context,
            {
              state: childState(context.state, name),
              proposed,
              phase: phases[Number(name)] === '' ? 'step' : (phases[Number(name)] ?? 'step'),
              ...(current === undefined ? {} : { grads: () => current }),
            },
            name,
            taken,
          ),
        );
        if (update.grads !== undefined) grads = update.grads;
        if (update.params !== undefined) {
          proposed = { ...proposed, ...update.params };
          changedParams = true;
        }
        state[name] = update.state ?? childState(context.state, name);
      }
      return {
        ...(changedParams ? { params: proposed } : {}),
        ...(grads === undefined ? {} : { grads }),
        state: state as Symbolic,
      };
    },
  };
}

/** Scalars, noise and metrics keep their names; a second link that uses one of the same name gets its position appended. */
class ChainedContext extends DerivedContext<StateSpecs> {
  constructor(
    outer: UpdateContext,
    changes: ConstructorParameters<typeof DerivedContext<StateSpecs>>[1],
    readonly link: string,
    readonly taken: Map<string, string>,
  ) {
    super(outer, changes);
  }
  #own(kind: string, name: string): string {
    const owner = this.taken.get(`${kind}:${name}`) ?? this.link;
    this.taken.set(`${kind}:${name}`, owner);
    return owner === this.link ? name : `${name}#${this.link}`;
  }
  override scalar(name: string, value: ScalarValue | ((step: number) => number)): Tensor {
    return super.scalar(this.#own('scalar', name), value);
  }
  override noise(name: string, shape: readonly Dim[], distribution?: NoiseDistribution): Tensor {
    return super.noise(this.#own('noise', name), shape, distribution);
  }
  override metric(name: string, value: Tensor): void {
    super.metric(this.#own('metric', name), value);
  }
}

export interface PartitionOptions {
  readonly rules: Readonly<Record<string, ClientRule>>;
  /** Name of the rule for a parameter; undefined leaves it as it is. */
  readonly assign: (spec: ParameterSpec) => string | undefined;
}

/** Different rules for different parameters. */
export function partition({ rules, assign }: PartitionOptions): ClientRule {
  const select = (specs: NamedValues<ParameterSpec>, group: string): Record<string, ParameterSpec> =>
    Object.fromEntries(
      Object.entries(specs).filter(([, spec]) => {
        const name = assign(spec);
        if (name !== undefined && rules[name] === undefined)
          throw new CoreError(
            'update-rule',
            `partition() assigns "${spec.name}" to the rule "${name}", which is not given.`,
            {
              hint: `Given are: ${Object.keys(rules).join(', ')}.`,
            },
          );
        return name === group;
      }),
    );
  const members = Object.values(rules);
  return {
    init: (context: InitContext) =>
      mapValues(rules, (rule, group) => rule.init(initContextFor(context, select(context.params, group)))),
    phase: (step) => joinPhases(members, step),
    ...composedHost(rules),
    ...composedRounds(rules, select),
    update(context): Update {
      const phases = context.phase.split(PHASE_SEPARATOR);
      let params: NamedValues<Tensor> = {};
      let grads: NamedValues<Tensor> | undefined;
      const state: Record<string, unknown> = {};
      Object.entries(rules).forEach(([group, rule], index) => {
        const specs = select(context.specs, group);
        const update = rule.update(
          new DerivedContext(context, {
            state: childState(context.state, group),
            params: pick(context.params, specs),
            proposed: pick(context.proposed, specs),
            grads: () => pick(context.grads, specs),
            prefix: `${group}/`,
            phase: phases[index] === '' ? 'step' : (phases[index] ?? 'step'),
          }),
        );
        params = { ...params, ...update.params };
        if (update.grads !== undefined) grads = { ...grads, ...update.grads };
        state[group] = update.state ?? childState(context.state, group);
      });
      // Gradients that no member changed are not touched: members may do without any.
      return {
        params,
        ...(grads === undefined ? {} : { grads: { ...context.grads, ...grads } }),
        state: state as Symbolic,
      };
    },
  };
}

/** Apply a rule to some parameters only and leave the others as they are. */
export const mask = (rule: UpdateRule, applies: (spec: ParameterSpec) => boolean): UpdateRule =>
  partition({ rules: { masked: rule }, assign: (spec) => (applies(spec) ? 'masked' : undefined) });

/** Keep the parameters whose names match (`*` stands for anything) as they are; no gradients are built for them. */
export const freeze = (rule: UpdateRule, ...patterns: readonly string[]): UpdateRule => {
  const matchers = patterns.map(
    (pattern) => new RegExp(`^${pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*')}$`),
  );
  return mask(rule, (spec) => !matchers.some((matcher) => matcher.test(spec.name)));
};

/**
 * Average the gradients of `steps` batches before each step of the rule: the same as one batch that many times larger
 * when the loss is a mean over equally large batches. The rule inside counts its own steps.
 */
export function accumulate(
  rule: ClientRule,
  steps: number,
): ClientRule<{ sum: Record<string, StateSpec>; inner: StateSpecs }> {
  if (!Number.isInteger(steps) || steps < 1)
    throw new CoreError('options', `accumulate(): steps is ${steps}.`, { hint: 'Give a positive integer.' });
  const innerStep = (step: number): number => Math.ceil(step / steps);
  const gathering = (step: number): boolean => step % steps !== 0;
  return {
    init: (context) => ({ sum: context.likeParams(), inner: rule.init(context) }),
    phase: (step) => (gathering(step) ? 'gather' : `apply:${rule.phase?.(innerStep(step)) ?? 'step'}`),
    needsHost: (step) => !gathering(step) && rule.needsHost?.(innerStep(step)) === true,
    host: async (context) => rule.host?.(hostContextFor({ ...context, step: innerStep(context.step) }, 'inner')),
    ...innerRounds(rule),
    update(context) {
      const { sum, inner } = context.state;
      const total = mapValues(context.grads, (gradient, name) => (sum[name] as Tensor).add(gradient));
      if (context.phase === 'gather') return { state: { sum: total, inner } };
      const update = rule.update(
        new DerivedContext(context, {
          state: inner,
          grads: () => mapValues(total, (value) => value.div(steps)),
          phase: context.phase.slice('apply:'.length),
          innerStep,
        }),
      );
      return {
        ...(update.params === undefined ? {} : { params: update.params }),
        // Zeros, and not the sum times 0, which would keep a NaN.
        state: { sum: mapValues(sum, zerosLike), inner: update.state ?? inner },
      };
    },
  };
}

/**
 * Exponential moving average of the parameters beside the rule (Polyak and Juditsky 1992): average ← d·average +
 * (1 − d)·θ after each step. With decay "polyak" the plain mean of all steps. Read it from the state `average/<name>`.
 */
export function averageParameters(
  rule: ClientRule,
  decay: number | 'polyak' = 0.999,
): ClientRule<{ average: Record<string, StateSpec>; inner: StateSpecs }> {
  return {
    init: (context) => ({
      average: mapValues(context.params, (spec) => context.copyOf(spec)),
      inner: rule.init(context),
    }),
    ...(rule.phase === undefined ? {} : { phase: (step: number) => rule.phase?.(step) ?? 'step' }),
    needsHost: (step) => rule.needsHost?.(step) === true,
    host: async (context) => rule.host?.(hostContextFor(context, 'inner')),
    ...innerRounds(rule),
    update(context) {
      const { average, inner } = context.state;
      const update = rule.update(new DerivedContext(context, { state: inner }));
      const keep = context.scalar('average/decay', decay === 'polyak' ? (step) => 1 - 1 / step : decay);
      const next = update.params ?? {};
      return {
        ...(update.params === undefined ? {} : { params: update.params }),
        state: {
          average: mapValues(average, (old, name) => {
            const value = next[name] ?? (context.params[name] as Tensor);
            return value.add(old.sub(value).mul(keep));
          }),
          inner: update.state ?? inner,
        },
      };
    },
  };
}

/** Subtract rate·λ·θ after the earlier links of a `chain`: weight decay apart from the gradient. */
export const decoupledWeightDecay = (
  weightDecay: number,
  learningRate: ScalarValue = 1,
  applies: (spec: ParameterSpec) => boolean = () => true,
): UpdateRule => ({
  init: () => ({}),
  update(context): Update {
    const amount = context.scalar('weightDecay', (step) => weightDecay * scalarAt(learningRate, step));
    return {
      params: mapValues(context.params, (param, name) => {
        const proposed = context.proposed[name] as Tensor;
        return applies(context.specs[name] as ParameterSpec) ? proposed.sub(param.mul(amount)) : proposed;
      }),
      state: {},
    };
  },
});
