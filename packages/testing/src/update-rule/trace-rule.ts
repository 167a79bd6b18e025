import type { Backend } from '@updraft/backend';
import {
  flattenTree,
  isStateSpec,
  train,
  type CheckpointStore,
  type Model,
  type Reward,
  type Sampler,
  type StateSpec,
  type TrainOptions,
  type UpdateRule,
} from '@updraft/core';
import type { TensorData } from '@updraft/graph';
import type { Named } from '../kit/compare.js';

/** What a rule is run on. */
export interface Task {
  readonly model: Model;
  readonly sampler: Sampler;
  readonly reward: Reward;
  /** First values of parameters; default: drawn by the model. */
  readonly initial?: Named;
}

export interface TraceSettings {
  readonly backend: Backend;
  readonly rule: UpdateRule;
  readonly task: Task;
  readonly steps: number;
  readonly seed?: number;
  readonly onNonFinite?: TrainOptions['onNonFinite'];
  readonly checkpoints?: { readonly store: CheckpointStore; readonly every: number };
}

/** Parameters and state after each step, from the first one that the run took. */
export interface Trajectory {
  readonly params: readonly Named[];
  /** State of the rule by path. */
  readonly state: readonly Named[];
  readonly losses: readonly number[];
}

/** The rule with a visit of the host after every step, by which the trajectory is seen; the rule's own visits come first. */
function watched(
  rule: UpdateRule,
  seen: (params: Record<string, TensorData>, state: Record<string, TensorData>) => void,
): UpdateRule {
  let names: readonly string[] = [];
  let paths: readonly string[] = [];
  return {
    init(context) {
      const specs = rule.init(context);
      names = Object.keys(context.params);
      paths = flattenTree<StateSpec>(specs, isStateSpec).map(([path]) => path);
      return specs;
    },
    update: (context) => rule.update(context),
    ...(rule.phase === undefined ? {} : { phase: (step: number) => rule.phase?.(step) ?? 'step' }),
    needsHost: () => true,
    async host(context) {
      if (rule.needsHost?.(context.step) === true) await rule.host?.(context);
      const params: Record<string, TensorData> = {};
      const state: Record<string, TensorData> = {};
      for (const name of names) params[name] = await context.readParam(name);
      for (const path of paths) state[path] = await context.readState(path);
      seen(params, state);
    },
  };
}

/** Run a rule through `train` and keep parameters and state after every step. */
export async function traceRule(settings: TraceSettings): Promise<Trajectory> {
  const { task, rule, ...rest } = settings;
  const params: Named[] = [];
  const state: Named[] = [];
  const losses: number[] = [];
  const updateRule = watched(rule, (nextParams, nextState) => {
    params.push(nextParams);
    state.push(nextState);
  });
  for await (const event of train({ ...rest, ...task, updateRule })) if (event.type === 'step') losses.push(event.loss);
  return { params, state, losses };
}
