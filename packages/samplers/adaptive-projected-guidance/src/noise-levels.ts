/** How data become noise: x = x₀ + σ·ε, x = α·x₀ + σ·ε with α² + σ² = 1, or x = (1 − t)·x₀ + t·ε. */
export type Process = 'variance-exploding' | 'variance-preserving' | 'flow';

/** α and σ of a process at a ratio σ/α of noise to signal. */
export function levelAt(process: Process, ratio: number): { readonly alpha: number; readonly sigma: number } {
  switch (process) {
    case 'variance-exploding':
      return { alpha: 1, sigma: ratio };
    case 'variance-preserving':
      return { alpha: 1 / Math.hypot(1, ratio), sigma: ratio / Math.hypot(1, ratio) };
    case 'flow':
      return { alpha: 1 / (1 + ratio), sigma: ratio / (1 + ratio) };
  }
}

/**
 * Ratios of noise to signal from the largest to the smallest and then 0, one more than steps: (a + k/(n − 1)·(b − a))^ρ with
 * a = σ_max^(1/ρ), b = σ_min^(1/ρ) (Karras et al. 2022, equation 5).
 */
export function noiseRatios(steps: number, largest: number, smallest: number, rho: number): number[] {
  const [from, to] = [largest ** (1 / rho), smallest ** (1 / rho)];
  const ratios = Array.from({ length: steps }, (_, step) =>
    step === 0 ? largest : (from + (step / (steps - 1)) * (to - from)) ** rho,
  );
  return [...ratios, 0];
}
