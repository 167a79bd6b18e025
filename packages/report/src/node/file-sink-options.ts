/** How a sink treats what an earlier run has left behind. Without any of these an earlier run's metrics are an error. */
export interface FileSinkOptions {
  /**
   * The step of the checkpoint that the run goes on from. Records of later steps are removed first, and so is a torn
   * record at the end, so that no step is there twice.
   */
  readonly resumeAt?: number;
  /** Start anew over the metrics of an earlier run. Default false. */
  readonly replace?: boolean;
  /** The longest time that a record waits in memory, in milliseconds. Default 500. */
  readonly flushInterval?: number;
}
