import type { InferenceSession, Tensor } from 'onnxruntime-common';
import type { Device } from './backend.js';

/** The parts of an onnxruntime package (node or web) that a backend uses. */
export interface OrtModule {
  readonly InferenceSession: {
    create(model: Uint8Array, options?: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: typeof Tensor;
}

/** An onnxruntime package and the execution provider of one device. */
export interface Runtime {
  readonly ort: OrtModule;
  readonly device: Device;
  /** Execution provider name of the device in this package: `cpu`, `wasm`, `webgpu`, `cuda`. */
  readonly provider: string;
  /** Whether outputs can stay in device buffers between runs. */
  readonly deviceBuffers: boolean;
  readonly sessionOptions: InferenceSession.SessionOptions;
  /** Why the device cannot work here, where that shows without trying. */
  readonly unavailable?: string;
}
