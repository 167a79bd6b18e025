export { DynamicLogitsFusion, dynamicLogitsFusion, type FusedLogits } from './dynamic-logits-fusion.js';
export { FusionError } from './errors.js';
export { FusedDecoder, fusedDecode, type DecodeOptions, type Decoded, type FusedModels } from './fused-decode.js';
export { FusedDecoding, fusedDecoding, type DecodingState, type FusedDecodingOptions } from './fused-decoding.js';
export type { LogitSources } from './logit-sources.js';
export { StaticLogitsFusion, staticLogitsFusion } from './static-logits-fusion.js';
