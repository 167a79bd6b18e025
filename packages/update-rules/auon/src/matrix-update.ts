import { frobeniusNorm, orthogonalize } from '@updraft/rules';
import { cosh, sqrt, type Tensor } from '@updraft/graph';

/** Added to the norm that a matrix is divided by. */
const NORM_EPSILON = 1e-7;
/** Added to the brake. */
const BRAKE_EPSILON = 1e-8;

/** The brake r = √(mean cosh²(γ·x)): a scalar from 1 on, the larger the spikier x of a given norm is. */
export const coshRms = (x: Tensor, gamma = 1): Tensor => sqrt(cosh(x.mul(gamma)).square().mean());

/** x / (‖x‖_F + 1e-7). */
const normalized = (x: Tensor): Tensor => x.div(frobeniusNorm(x).add(NORM_EPSILON));

/**
 * `steps` Newton–Schulz iterations from x / (‖x‖_F + 1e-7), which push singular values towards 1 and keep singular vectors.
 * Anything of more than two axes is a matrix [first, all others], such as the kernels of a convolution.
 */
export function newtonSchulz(x: Tensor, steps: number): Tensor {
  if (x.rank === 2) return orthogonalize(x, steps, NORM_EPSILON);
  const [rows = 1, ...rest] = x.shape as readonly number[];
  return orthogonalize(x.reshape([rows, rest.reduce((a, b) => a * b, 1)]), steps, NORM_EPSILON).reshape([
    rows,
    ...rest,
  ]);
}

export interface MatrixUpdateOptions {
  /** γ in the brake. */
  readonly gamma: number;
  /** Whether the step is a normalised one (the paper), or only the brake sees a normalised matrix (the authors' code). */
  readonly normalize: boolean;
  /** Newton–Schulz iterations of Hybrid-AuON; undefined for AuON. */
  readonly nsSteps?: number | undefined;
}

/** What is subtracted from a parameter, apart from the learning rate, for its momentum U. Zeros for zeros. */
export function matrixUpdate(U: Tensor, { gamma, normalize, nsSteps }: MatrixUpdateOptions): Tensor {
  const hybrid = nsSteps !== undefined && U.rank >= 2;
  // a, b of the hybrid: Newton–Schulz, which begins with a normalisation of its own.
  const V = hybrid ? newtonSchulz(U, nsSteps) : U;
  // 4. X = V / (‖V‖ + 1e-7); the hybrid of the paper takes what Newton–Schulz gives as it is.
  const X = hybrid && normalize ? V : normalized(V);
  // 5. r = √(mean cosh²(γ·X)).
  const r = coshRms(X, gamma);
  // 6. X / (r + 1e-8) in the paper, V / (r + 1e-8) in the code.
  // 3. U = 0 needs no case of its own: X = 0 then, r = 1, and the step is 0.
  return (normalize ? X : V).div(r.add(BRAKE_EPSILON));
}
