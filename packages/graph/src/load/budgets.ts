/** Limits that a file must keep to. They are checked before memory is taken for what they count. */
export interface LoadBudgets {
  /** Bytes of the model file. */
  readonly bytes: number;
  /** Bytes of external tensor data that the model refers to, all together. */
  readonly externalBytes: number;
  /** Nodes in all graphs and functions. */
  readonly nodes: number;
  /** Attributes of all nodes. */
  readonly attributes: number;
  /** Protobuf messages of any kind. */
  readonly messages: number;
  /** Graphs inside graphs (bodies of If, Loop and Scan), and functions that call functions. */
  readonly depth: number;
  /** Strings: names, documentation, metadata; counted and summed in bytes. */
  readonly strings: number;
  readonly stringBytes: number;
  /** Numbers in lists that are stored one by one (`float_data`, `ints`, …); `raw_data` does not count. */
  readonly scalars: number;
  /** Dimensions of one tensor. */
  readonly rank: number;
  /** Size along one axis. */
  readonly dimension: number;
  /** Elements of one tensor, stored or computed, as far as its shape is known. */
  readonly elements: number;
  /** Iterations of a loop that certainly runs to its count. (Endless loops on purpose are for the backend to stop.) */
  readonly iterations: number;
  /** Characters of one symbolic dimension. */
  readonly dimensionText: number;
  /** Applications of shape inference; bodies of loops may need several rounds, functions one per call. */
  readonly inferences: number;
}

/** Budgets for files of unknown origin: every public model below 2 GiB that we know of fits. */
export const DEFAULT_BUDGETS: LoadBudgets = {
  bytes: 2 ** 31 - 1,
  externalBytes: 2 ** 36,
  nodes: 100_000,
  attributes: 500_000,
  messages: 1_000_000,
  depth: 8,
  strings: 2_000_000,
  stringBytes: 2 ** 26,
  scalars: 2 ** 25,
  rank: 16,
  dimension: 2 ** 31 - 1,
  elements: 2 ** 33,
  iterations: 2 ** 24,
  dimensionText: 2_000,
  inferences: 400_000,
};
