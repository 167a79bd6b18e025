import { preset } from '../../../tools/jest/preset.mjs';

export default preset('dynamic-logits-fusion', import.meta.dirname);
