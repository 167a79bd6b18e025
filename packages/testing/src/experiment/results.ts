import { mean, pairedPermutationTest, standardDeviation } from '@updraft/report';
import { ContractError } from '../errors.js';
import type { Arm, Experiment, RunOutcome, Setting } from './experiment.js';

/** One run of a setting. */
export interface SeedResult extends RunOutcome {
  readonly seed: number;
  /** Why the run has no figures, where a loss became NaN or infinite. */
  readonly diverged?: string;
}

/** All runs of a setting. */
export class SettingResult {
  constructor(
    readonly arm: string,
    readonly setting: Setting,
    /** In order of the seeds. */
    readonly runs: readonly SeedResult[],
  ) {}

  /**
   * A figure of each seed; NaN where the run diverged.
   *
   * @throws ContractError for a figure that no run has.
   */
  values(metric: string): number[] {
    if (this.runs.every(({ metrics, diverged }) => metrics[metric] === undefined && diverged === undefined))
      throw new ContractError(`The runs of "${this.arm}" have no figure "${metric}".`, {
        hint: `They have: ${Object.keys(this.runs[0]?.metrics ?? {}).join(', ')}.`,
      });
    return this.runs.map(({ metrics }) => metrics[metric] ?? Number.NaN);
  }
  /** NaN where a run diverged. */
  mean(metric: string): number {
    return mean(this.values(metric));
  }
  /** Sample standard deviation over the seeds. */
  deviation(metric: string): number {
    return standardDeviation(this.values(metric));
  }
}

/** Differences of one figure between two settings, seed by seed: positive where the left one is larger. */
export interface Comparison {
  readonly left: string;
  readonly right: string;
  readonly metric: string;
  readonly differences: readonly number[];
  readonly mean: number;
  readonly deviation: number;
  /** Two-sided, of the sign-flip permutation test; with n seeds not below 2^(1 − n). Undefined where a run diverged. */
  readonly p: number | undefined;
}

/** All runs of an arm, and which setting was chosen. */
export interface ArmResult extends Arm {
  readonly tried: readonly SettingResult[];
  readonly chosen: SettingResult;
}

/** The figures that claims are judged by. Comparisons that a judgement asks for are kept for the record. */
export class Results {
  readonly comparisons: Comparison[] = [];

  constructor(
    readonly arms: readonly ArmResult[],
    readonly tune: Experiment['tune'],
  ) {}

  /** The setting of an arm that was chosen. @throws ContractError */
  chosen(name: string): SettingResult {
    return this.#arm(name).chosen;
  }

  /** All settings of an arm that were tried. @throws ContractError */
  tried(name: string): readonly SettingResult[] {
    return this.#arm(name).tried;
  }

  #arm(name: string): ArmResult {
    const found = this.arms.find((arm) => arm.name === name);
    if (found === undefined)
      throw new ContractError(`There is no result of the arm "${name}".`, {
        hint: `The claim is about ${this.arms.map((arm) => arm.name).join(', ')}: add it to its arms.`,
      });
    return found;
  }

  /** A figure of two settings, seed by seed. */
  compare(left: SettingResult, right: SettingResult, metric: string): Comparison {
    const others = right.values(metric);
    const differences = left.values(metric).map((value, at) => value - (others[at] as number));
    const comparison: Comparison = {
      left: left.arm,
      right: right.arm,
      metric,
      differences,
      mean: mean(differences),
      deviation: standardDeviation(differences),
      p: pairedPermutationTest(differences),
    };
    this.comparisons.push(comparison);
    return comparison;
  }
}

/** The setting with the best mean; diverged ones come last, and of equal ones the first. */
export function bestOf(tried: readonly SettingResult[], { metric, goal }: Experiment['tune']): SettingResult {
  const cost = (result: SettingResult): number => {
    const value = result.mean(metric);
    return Number.isNaN(value) ? Infinity : goal === 'least' ? value : -value;
  };
  return tried.reduce((best, result) => (cost(result) < cost(best) ? result : best));
}
